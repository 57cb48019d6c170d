"""`vim-cmd vmsvc/*` and `solo/*`: the inventory and what is told of one VM."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path

from ceso_mcp.lab import view_config, view_guest, views, vmx
from ceso_mcp.lab.dump import Arr, Obj, Ref, Value, fault
from ceso_mcp.lab.guests import Guests
from ceso_mcp.lab.inventory import Inventory, invalid_state
from ceso_mcp.lab.power import Power
from ceso_mcp.lab.result import Faulted, Result
from ceso_mcp.lab.snapshots import Snapshots
from ceso_mcp.lab.storage import VOLUMES, Storage
from ceso_mcp.lab.view_names import NEWEST_HARDWARE, kind
from ceso_mcp.lab.vim_cmd import Command, VimCmd
from ceso_mcp.lab.vim_devices import DeviceCommands, wrong
from ceso_mcp.lab.vim_power import PowerCommands
from ceso_mcp.lab.vim_snapshots import SnapshotCommands
from ceso_mcp.lab.vim_tasks import Tasks
from ceso_mcp.lab.vmx import Settings
from ceso_mcp.lab.world import ON, Vm, World

# The resource pools that a lone host always has; others are refused (transcript vimcmd-registervm-2).
POOL = re.compile(r"^(ha-root-pool|pool\d+)$")


class VmCommands:
    """Adds its commands, and those on power, snapshots, devices and tasks, to a `VimCmd`."""

    def __init__(
        self,
        world: World,
        storage: Storage,
        inventory: Inventory,
        power: Power,
        guests: Guests,
        snapshots: Snapshots,
    ) -> None:
        self._world, self._storage, self._inventory = world, storage, inventory
        self._tasks = Tasks(world)
        self._others = (
            self._tasks,
            PowerCommands(world, inventory, power, guests, self._tasks),
            SnapshotCommands(world, inventory, snapshots, self._tasks),
            DeviceCommands(world, storage, inventory, power, self._tasks),
        )

    def add_to(self, vim: VimCmd) -> None:
        for other in self._others:
            other.add_to(vim)
        register = "[cfg file] [name (optional)] [resourcepool (optional)]"
        vim.add("vmsvc/getallvms", self.getallvms)
        vim.add("vmsvc/createdummyvm", self.create_dummy, 2, "vmname datastore_path")
        vim.add("solo/registervm", self.register, 1, register)
        vim.add("solo/register", self.register, 1, register)
        world, storage = self._world, self._storage
        simple: dict[str, Callable[[Vm, list[str]], Result]] = {
            "get.summary": lambda vm, _: Result(views.summary(vm, world, storage)),
            "get.config": lambda vm, _: Result(view_config.config(vm, world, storage)),
            "get.filelayoutex": lambda vm, _: Result(view_config.file_layout(vm, world, storage)),
            "get.guest": lambda vm, _: Result(view_guest.guest(vm, world)),
            "get.runtime": self._runtime,
            "get.tasklist": lambda vm, _: self._tasks.of(vm),
            "get.datastores": self._datastores,
            "get.networks": self._networks,
            "get.guestheartbeatStatus": lambda vm, _: Result(
                "green\n" if vm.guest.get("tools") else "gray\n"
            ),
            "unregister": lambda vm, _: self._quiet(lambda: self._inventory.unregister(vm)),
            "destroy": lambda vm, _: self._quiet(lambda: self._inventory.destroy(vm)),
            "reload": lambda vm, _: self._quiet(lambda: self._inventory.reload(vm), changed=False),
        }
        for name, act in simple.items():
            vim.add(f"vmsvc/{name}", self._on_vm(act), 1, "vmid")
        vim.add("vmsvc/upgrade", self._on_vm(self._upgrade), 2, "vmid version")

    def _on_vm(self, act: Callable[[Vm, list[str]], Result]) -> Command:
        async def run(arguments: list[str]) -> Result:
            return act(self._inventory.find(arguments[0]), arguments[1:])

        return run

    @staticmethod
    def _quiet(act: Callable[[], None], changed: bool = True) -> Result:
        act()
        return Result(changed=changed)

    async def getallvms(self, arguments: list[str]) -> Result:
        rows, skipped = [], ""
        for vm in sorted(self._world.vms.values(), key=lambda vm: str(vm.vmid)):
            if self._inventory.invalid(vm):
                skipped += f"Skipping invalid VM '{vm.vmid}'\n"
            else:
                rows.append(views.row(vm, self._storage))
        return Result(views.table(rows), skipped)

    async def register(self, arguments: list[str]) -> Result:
        """Prints the new vmid alone; a third argument names a resource pool."""
        if len(arguments) > 2 and not POOL.match(arguments[2]):
            raise wrong("pool")
        name = arguments[1] if len(arguments) > 1 else None
        return Result(f"{self._inventory.register(arguments[0], name).vmid}\n", changed=True)

    async def create_dummy(self, arguments: list[str]) -> Result:
        return self._create_dummy(arguments)

    def _create_dummy(self, arguments: list[str]) -> Result:
        """A folder and a VMX, 32 MiB, no disks; prints the vmid (transcript vimcmd-createdummyvm-1)."""
        name, place = arguments[:2]
        found = re.match(r"^\[([^\]]*)\][ /]*(.*)$", place)
        datastore = self._world.datastore(found[1]) if found else None
        if found is None or datastore is None:
            raise wrong("datastore")
        inner = found[2] if found[2].endswith(".vmx") else f"{found[2] or name}/{name}.vmx"
        path = os.path.normpath(f"{VOLUMES}{datastore.uuid}/{inner}")
        here = Path(self._storage.here(path))
        if here.exists():
            text = f"Cannot complete the operation because the file or folder {place} already exists"
            raise Faulted(fault("vim.fault.FileAlreadyExists", text, file=place))
        here.parent.mkdir(parents=True, exist_ok=True)
        release = self._world.release
        version = NEWEST_HARDWARE.get(release, NEWEST_HARDWARE.get(release.partition(".")[0], 21))
        head = [(".encoding", "UTF-8"), ("config.version", "8"), ("virtualHW.version", str(version))]
        body = [("displayName", name), ("guestOS", "other"), ("memSize", "32")]
        vmx.store(here, Settings([*head, *body]))
        return Result(f"{self._inventory.register(path).vmid}\n", changed=True)

    def _upgrade(self, vm: Vm, words: list[str]) -> Result:
        """Raises the hardware version of a VM that is off; silent (assumed)."""
        if vm.state == ON:
            raise invalid_state("poweredOff", vm.state)
        wanted = words[0].removeprefix("vmx-")
        if not wanted.isdigit():
            raise wrong("version")
        settings = vm.settings
        if int(wanted) <= int(settings.get("virtualHW.version", "8")):
            text = "The virtual hardware is up to date."
            raise Faulted(fault("vim.fault.AlreadyUpgraded", text))
        settings["virtualHW.version"] = str(int(wanted))
        vm.config = settings.pairs()
        vmx.store(Path(self._storage.here(vm.path)), settings)
        self._tasks.end(self._tasks.begin(vm, "upgradeVirtualHardware"))
        self._inventory.save()
        return Result(changed=True)

    def _runtime(self, vm: Vm, _: list[str]) -> Result:
        return Result("Runtime information\n" + self._world.vim.render(views.runtime(vm, self._world)))

    def _datastores(self, vm: Vm, _: list[str]) -> Result:
        """Not an object: a column for each datastore (transcripts vimcmd-get.datastores-1, -2)."""
        paths = [vm.path, *self._storage.disk_paths(vm).values()]
        found = [item for item in map(self._storage.of, paths) if item is not None]
        stores = list({item.uuid: item for item in found}.values())
        values: dict[str, list[str]] = {
            "name": [item.name for item in stores],
            "url": [f"{VOLUMES}{item.uuid}" for item in stores],
            "capacity": [str(item.size_bytes) for item in stores],
            "freeSpace": [str(self._storage.free_bytes(item)) for item in stores],
            "accessible": ["1" if item.accessible else "0" for item in stores],
            "type": [kind(item) for item in stores],
            "multipleHostAccess": ["<unset>" for _ in stores],
        }
        widths = [max(len(cells[at]) for cells in values.values()) for at in range(len(stores))]
        lines = []
        for key, cells in values.items():
            padded = [cell.ljust(width) for cell, width in zip(cells, widths, strict=True)]
            lines.append("   ".join([key.ljust(18), *padded]))
        return Result("\n".join(lines) + "\n")

    def _networks(self, vm: Vm, _: list[str]) -> Result:
        names = [value for key, value in vm.settings.pairs() if key.lower().endswith(".networkname")]
        text = "Networks:\n \n"
        for name in dict.fromkeys(names):
            text += self._world.vim.render(network(name, self._world))
        return Result(text)


def network(name: str, world: World) -> Obj:
    """`vim.Network.Summary` of a port group (transcript vimcmd-get.networks-1)."""
    fields: dict[str, Value] = {
        "network": Ref(f"vim.Network:HaNetwork-{name}"),
        "name": name,
        "accessible": any(group.name == name for group in world.portgroups),
        "ipPoolName": "",
    }
    return Obj("vim.Network.Summary", fields)


def environment(world: World) -> Value:
    """The networks of `solo/environment` (transcript vimcmd-solo.environment-1)."""
    items: list[Value] = [
        Obj("vim.vm.NetworkInfo", {"name": group.name, "network": network(group.name, world)})
        for group in world.portgroups
    ]
    return Arr("vim.vm.NetworkInfo", items)
