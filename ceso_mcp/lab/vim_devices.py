"""`vim-cmd vmsvc/device.*`: disks that come and go, and switching a device (fact sheet vim-cmd §6)."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from ceso_mcp.lab.disks import operations
from ceso_mcp.lab.disks.chain import links
from ceso_mcp.lab.dump import Obj, Ref, fault
from ceso_mcp.lab.inventory import Inventory
from ceso_mcp.lab.power import Power, nic_numbers
from ceso_mcp.lab.result import Faulted, Result
from ceso_mcp.lab.storage import VOLUMES, Storage
from ceso_mcp.lab.view_devices import hardware
from ceso_mcp.lab.view_nodes import placed
from ceso_mcp.lab.vim_cmd import Command, VimCmd
from ceso_mcp.lab.vim_tasks import Tasks
from ceso_mcp.lab.world import Vm, World

FIRST_CONTROLLER_KEY = 1000


def wrong(parameter: str) -> Faulted:
    text = f"A specified parameter was not correct: {parameter}"
    return Faulted(fault("vmodl.fault.InvalidArgument", text, invalidProperty=parameter))


class DeviceCommands:
    """Adds its commands to a `VimCmd`. Texts of failures are assumed; successes are silent."""

    def __init__(
        self, world: World, storage: Storage, inventory: Inventory, power: Power, tasks: Tasks
    ) -> None:
        self._world, self._storage, self._inventory = world, storage, inventory
        self._power, self._tasks = power, tasks

    def add_to(self, vim: VimCmd) -> None:
        def add(name: str, act: Callable[[Vm, list[str]], None], least: int, usage: str) -> None:
            vim.add(f"vmsvc/device.{name}", self._changing(act), least, usage)

        add("diskadd", self._add, 5, "vmid size controller_numer unit_number datastore")
        add("diskaddexisting", self._add_existing, 4, "vmid disk_file controller_number unit_number")
        add("diskremove", self._remove, 4, "vmid controller_number unit_number delete_file")
        add("connection", self._connect, 3, "vmid deviceKey connect")
        vim.add("vmsvc/device.getdevices", self._devices, 1, "vmid")

    def _changing(self, act: Callable[[Vm, list[str]], None]) -> Command:
        async def run(arguments: list[str]) -> Result:
            vm = self._inventory.find(arguments[0])
            act(vm, arguments[1:])
            self._tasks.end(self._tasks.begin(vm, "reconfigure"))
            self._inventory.save()
            return Result(changed=True)

        return run

    async def _devices(self, arguments: list[str]) -> Result:
        vm = self._inventory.find(arguments[0])
        return Result("Devices:\n \n" + self._world.vim.render(hardware(vm, self._world, self._storage)))

    def _node(self, vm: Vm, controller: str, unit: str) -> str:
        """`scsi0:1`; a controller may be given by its number or by its key (1000 and on)."""
        if not controller.isdigit() or not unit.isdigit() or int(unit) == 7 or int(unit) > 15:
            raise wrong("unitNumber")
        bus = int(controller)
        bus -= FIRST_CONTROLLER_KEY if bus >= FIRST_CONTROLLER_KEY else 0
        if not vm.settings.flag(f"scsi{bus}.present"):
            raise wrong("controllerKey")
        return f"scsi{bus}:{int(unit)}"

    def _attach(self, vm: Vm, node: str, name: str) -> None:
        settings = vm.settings
        if settings.flag(f"{node}.present"):
            raise wrong("unitNumber")
        for key, value in (("deviceType", "scsi-hardDisk"), ("fileName", name), ("present", "TRUE")):
            settings[f"{node}.{key}"] = value
        before = vm.config
        vm.config = settings.pairs()
        try:
            self._power.relock(vm)
        except Faulted:
            vm.config = before
            self._power.relock(vm)
            raise
        self._power.write_config(vm)

    def _add(self, vm: Vm, words: list[str]) -> None:
        """A new thick disk beside the VMX: `<stem>_1.vmdk` and so on (name and kind assumed)."""
        size, controller, unit, store = words[:4]
        node = self._node(vm, controller, unit)
        datastore = self._world.datastore(store.strip("[] "))
        if datastore is None or not size.isdigit() or not int(size):
            raise wrong("datastore" if datastore is None else "capacityInKB")
        if vm.settings.flag(f"{node}.present"):
            raise wrong("unitNumber")
        stem, number = Path(vm.path).stem, 1
        home = os.path.dirname(vm.path)
        folder = home if self._storage.of(vm.path) is datastore else f"{VOLUMES}{datastore.uuid}/{stem}"
        os.makedirs(self._storage.here(folder), exist_ok=True)
        while os.path.lexists(self._storage.here(f"{folder}/{stem}_{number}.vmdk")):
            number += 1
        path = f"{folder}/{stem}_{number}.vmdk"
        free = self._storage.free_bytes(datastore)
        if int(size) << 10 > free:
            raise Faulted(fault("vim.fault.NoDiskSpace", "Insufficient disk space on datastore.", file=path))
        operations.create(self._storage.here(path), int(size) << 10, "zeroedthick", lambda: free)
        self._attach(vm, node, os.path.basename(path) if folder == home else path)

    def _add_existing(self, vm: Vm, words: list[str]) -> None:
        path = self._storage.canonical(words[0])
        if path is None or not os.path.exists(self._storage.here(path)):
            text = f"File {words[0]} was not found"
            raise Faulted(fault("vim.fault.FileNotFound", text, file=words[0]))
        links(self._storage.here(path), self._storage.here)
        beside = os.path.dirname(path) == os.path.dirname(vm.path)
        self._attach(vm, self._node(vm, words[1], words[2]), os.path.basename(path) if beside else path)

    def _remove(self, vm: Vm, words: list[str]) -> None:
        """`n` keeps the file, `y` deletes it with all its links (vimcmd-device.diskremove-1)."""
        node = self._node(vm, words[0], words[1])
        path = self._storage.disk_paths(vm).get(node)
        if path is None:
            raise wrong("unitNumber")
        chain = []
        if words[2].lower() in ("y", "yes", "1", "true"):
            chain = [link.path for link in links(self._storage.here(path), self._storage.here)]
        settings = vm.settings
        for key, _ in settings.pairs():
            if key.lower().startswith(f"{node}."):
                settings.drop(key)
        vm.config = settings.pairs()
        self._power.relock(vm)
        self._power.write_config(vm)
        for place in chain:
            operations.delete(place)

    def _connect(self, vm: Vm, words: list[str]) -> None:
        """Connect (1) or disconnect (0) the card or drive with that key."""
        names = {4000 + number: f"ethernet{number}" for number in nic_numbers(vm.settings)}
        for key, value in vm.settings.pairs():
            if "cdrom" in value.lower():
                node = key.partition(".")[0]
                names[placed(node)[0]] = node
        device = names.get(int(words[0])) if words[0].isdigit() else None
        if device is None:
            trouble: Obj = fault("vmodl.fault.ManagedObjectNotFound", "No such device", obj=Ref(words[0]))
            raise Faulted(trouble)
        on = words[1].lower() in ("1", "true", "yes")
        vm.measured["connected"] = {**vm.measured.get("connected", {}), device: on}
