"""`vim-cmd vmsvc/*` and `solo/*`: the commands on VMs."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from ceso_mcp.lab import view_config, views, vim_snapshots
from ceso_mcp.lab.dump import Arr, Obj, Ref, Value, fault, render
from ceso_mcp.lab.guests import Guests
from ceso_mcp.lab.inventory import Inventory, invalid_state
from ceso_mcp.lab.power import CANCEL, Power, config_fault
from ceso_mcp.lab.result import Faulted, Result
from ceso_mcp.lab.snapshots import Snapshots
from ceso_mcp.lab.storage import Storage
from ceso_mcp.lab.vim_cmd import Command, VimCmd
from ceso_mcp.lab.world import OFF, ON, SUSPENDED, Vm, World

QUESTION = """msg.uuid.altered: This virtual machine might have been moved or copied.
In order to configure certain management and networking features, VMware ESX needs to know if this \
virtual machine was moved or copied.

If you don't know, answer "button.uuid.copiedTheVM".
"""
CHOICES = """   0. button.uuid.cancel (Cancel)
   1. button.uuid.movedTheVM (I Moved It)
   2. button.uuid.copiedTheVM (I Copied It) [default]
"""
STATES = {ON: "Powered on", OFF: "Powered off", SUSPENDED: "Suspended"}
TASKS_KEPT = 10


class VmCommands:
    """Adds its commands to a `VimCmd`."""

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
        self._power, self._guests, self._snapshots = power, guests, snapshots
        self._answers: dict[int, asyncio.Future[int]] = {}

    def add_to(self, vim: VimCmd) -> None:
        vim.add("vmsvc/getallvms", self.getallvms)
        vim.add("solo/registervm", self.register, 1, "[cfg file] [name (optional)] [resourcepool (optional)]")
        simple: dict[str, Callable[[Vm, list[str]], Result]] = {
            "get.summary": self._summary,
            "get.config": lambda vm, _: Result(view_config.config(vm, self._storage)),
            "get.guest": lambda vm, _: Result(views.guest(vm)),
            "get.runtime": lambda vm, _: Result(
                "Runtime information\n" + render(views.runtime(vm, self._world, QUESTION))
            ),
            "get.snapshotinfo": self._snapshot_info,
            "get.tasklist": self._tasklist,
            "get.datastores": self._datastores,
            "get.networks": self._networks,
            "get.guestheartbeatStatus": lambda vm, _: Result(
                "green\n" if vm.guest.get("tools") else "gray\n"
            ),
            "device.getdevices": lambda vm, _: Result(
                "Devices:\n \n" + render(view_config.hardware(vm, self._storage))
            ),
            "power.getstate": lambda vm, _: Result(f"Retrieved runtime info\n{STATES[vm.state]}\n"),
            "power.off": lambda vm, _: self._switch(vm, "Powering off VM:", "Power off", self._off),
            "power.reset": lambda vm, _: self._switch(vm, "Reset VM:", "Reset", self._reset),
            "power.suspend": lambda vm, _: self._switch(vm, "Suspending VM:", "Suspend", self._suspend),
            "power.shutdown": lambda vm, _: self._ask_guest(vm, restart=False),
            "power.reboot": lambda vm, _: self._ask_guest(vm, restart=True),
            "unregister": lambda vm, _: self._quiet(lambda: self._inventory.unregister(vm)),
            "destroy": lambda vm, _: self._quiet(lambda: self._inventory.destroy(vm)),
            "reload": lambda vm, _: self._quiet(lambda: self._inventory.reload(vm), changed=False),
            "snapshot.get": lambda vm, _: Result("Get Snapshot:\n" + self._tree(vm)),
            "snapshot.create": self._snapshot_create,
            "snapshot.removeall": self._snapshot_removeall,
            "message": self._message,
        }
        for name, act in simple.items():
            usage = "vmid"
            if name == "snapshot.create":
                usage = "vmid [snapshotName] [snapshotDescription] [includeMemory] [quiesced]"
            vim.add(f"vmsvc/{name}", self._on_vm(act), 1, usage)
        vim.add("vmsvc/power.on", self.power_on, 1, "vmid")
        vim.add("vmsvc/snapshot.remove", self._on_vm(self._snapshot_remove), 2, "vmid snapshotId")
        vim.add(
            "vmsvc/snapshot.revert",
            self._on_vm(self._snapshot_revert),
            2,
            "vmid snapshotId suppressPowerOff",
        )

    def _on_vm(self, act: Callable[[Vm, list[str]], Result]) -> Command:
        async def run(arguments: list[str]) -> Result:
            return act(self._inventory.find(arguments[0]), arguments[1:])

        return run

    @staticmethod
    def _quiet(act: Callable[[], None], changed: bool = True) -> Result:
        act()
        return Result(changed=changed)

    # --- inventory

    async def getallvms(self, arguments: list[str]) -> Result:
        rows, skipped = [], ""
        for vm in sorted(self._world.vms.values(), key=lambda vm: str(vm.vmid)):
            if self._inventory.invalid(vm):
                skipped += f"Skipping invalid VM '{vm.vmid}'\n"
            else:
                rows.append(views.row(vm, self._storage))
        return Result(views.table(rows), skipped)

    async def register(self, arguments: list[str]) -> Result:
        name = arguments[1] if len(arguments) > 1 else None
        return Result(f"{self._inventory.register(arguments[0], name).vmid}\n", changed=True)

    def _summary(self, vm: Vm, _: list[str]) -> Result:
        return Result(views.summary(vm, self._world, self._storage, QUESTION))

    def _tasklist(self, vm: Vm, _: list[str]) -> Result:
        return Result(render(Arr("ManagedObjectReference", [Ref(f"vim.Task:{key}") for key in vm.tasks])))

    def _task(self, vm: Vm, method: str) -> None:
        self._world.next_task += 1
        key = f"haTask-{vm.vmid}-vim.VirtualMachine.{method}-{self._world.next_task}"
        vm.tasks = [*vm.tasks, key][-TASKS_KEPT:]

    def _datastores(self, vm: Vm, _: list[str]) -> Result:
        paths = [vm.path, *self._storage.disk_paths(vm).values()]
        found = [item for item in map(self._storage.of, paths) if item is not None]
        stores = list({item.uuid: item for item in found}.values())
        values: dict[str, list[str]] = {
            "name": [item.name for item in stores],
            "url": [f"/vmfs/volumes/{item.uuid}" for item in stores],
            "capacity": [str(item.size_bytes) for item in stores],
            "freeSpace": [str(self._storage.free_bytes(item)) for item in stores],
            "accessible": ["1" for _ in stores],
            "type": ["VMFS" for _ in stores],
            "multipleHostAccess": ["<unset>" for _ in stores],
        }
        widths = [max(len(cells[at]) for cells in values.values()) for at in range(len(stores))]
        lines = []
        for key, cells in values.items():
            padded = [cell.ljust(width) for cell, width in zip(cells, widths, strict=True)]
            lines.append("   ".join([key.ljust(18), *padded]))
        return Result("\n".join(lines) + "\n")

    def _networks(self, vm: Vm, _: list[str]) -> Result:
        settings = vm.settings
        names = [value for key, value in settings.pairs() if key.lower().endswith(".networkname")]
        text = "Networks:\n \n"
        for name in dict.fromkeys(names):
            fields: dict[str, Value] = {
                "network": Ref(f"vim.Network:HaNetwork-{name}"),
                "name": name,
                "accessible": any(group.name == name for group in self._world.portgroups),
                "ipPoolName": "",
            }
            text += render(Obj("vim.Network.Summary", fields))
        return Result(text)

    # --- power

    async def power_on(self, arguments: list[str]) -> Result:
        vm = self._inventory.find(arguments[0])
        banner = "Powering on VM:\n"
        self._task(vm, "powerOn")
        try:
            self._power.check_on(vm)
            answer = await self._ask(vm) if self._power.needs_answer(vm) else None
            if answer == CANCEL:
                raise config_fault("msg.uuid.altered", "The operation was canceled.")
            self._power.switch_on(vm, answer)
        except Faulted as raised:
            return Result(banner, f"Power on failed: {render(raised.fault)}", 1)
        self._guests.boot(vm)
        return Result(banner, changed=True)

    async def _ask(self, vm: Vm) -> int:
        """Put the question and wait; `vmsvc/message` answers. The VM stays off meanwhile."""
        vm.question = self._world.next_message
        self._world.next_message += 1
        self._inventory.save()
        future = self._answers[vm.vmid] = asyncio.get_running_loop().create_future()
        try:
            answer: int = await future
            return answer
        finally:
            vm.question = None
            self._answers.pop(vm.vmid, None)
            self._inventory.save()

    def _message(self, vm: Vm, arguments: list[str]) -> Result:
        if vm.question is None:
            return Result("No message.\n")
        if len(arguments) < 2:
            return Result(f"Virtual machine message {vm.question}:\n{QUESTION}{CHOICES}")
        future = self._answers.get(vm.vmid)
        valid = arguments[0] == str(vm.question) and arguments[1] in ("0", "1", "2")
        if future is None or future.done() or not valid:
            raise Faulted(
                fault("vmodl.fault.InvalidArgument", "A specified parameter was not correct: questionId")
            )
        future.set_result(int(arguments[1]))
        return Result(changed=True)

    def _switch(self, vm: Vm, banner: str, word: str, act: Callable[[Vm], None]) -> Result:
        try:
            act(vm)
        except Faulted as raised:
            return Result(f"{banner}\n", f"{word} failed: {render(raised.fault)}", 1)
        return Result(f"{banner}\n", changed=True)

    def _off(self, vm: Vm) -> None:
        if vm.state == OFF:
            raise invalid_state(OFF, vm.state)
        self._task(vm, "powerOff")
        self._power.switch_off(vm)

    def _reset(self, vm: Vm) -> None:
        if vm.state != ON:
            raise invalid_state(ON, vm.state)
        self._task(vm, "reset")
        self._guests.boot(vm)

    def _suspend(self, vm: Vm) -> None:
        if vm.state != ON:
            raise invalid_state(ON, vm.state)
        self._task(vm, "suspend")
        self._power.switch_off(vm, SUSPENDED)

    def _ask_guest(self, vm: Vm, restart: bool) -> Result:
        """Silent when the guest was asked; without Tools the fault's wording is assumed from the SDK."""
        if vm.state != ON:
            raise invalid_state(ON, vm.state)
        if not self._guests.has_tools(vm):
            raise Faulted(
                fault(
                    "vim.fault.ToolsUnavailable",
                    "Cannot complete operation because VMware Tools is not running in this virtual machine.",
                )
            )
        self._guests.boot(vm) if restart else self._guests.shut_down(vm)
        return Result(changed=True)

    # --- snapshots

    def _tree(self, vm: Vm) -> str:
        return vim_snapshots.tree(self._snapshots.read(vm)[0])

    def _snapshot_info(self, vm: Vm, _: list[str]) -> Result:
        snapshots, current, _last = self._snapshots.read(vm)
        return Result(vim_snapshots.info(vm, snapshots, current))

    def _snapshot_create(self, vm: Vm, arguments: list[str]) -> Result:
        words = [*arguments, "", ""]
        self._task(vm, "createSnapshot")
        try:
            self._snapshots.create(vm, words[0] or "Snapshot", words[1])
        except Faulted as raised:
            return Result("Create Snapshot:\n", f"Create Snapshot failed: {render(raised.fault)}", 1)
        return Result("Create Snapshot:\n", changed=True)

    def _snapshot_remove(self, vm: Vm, arguments: list[str]) -> Result:
        self._task(vm, "removeSnapshot")
        try:
            children = arguments[1:2] == ["1"]
            self._snapshots.remove(vm, int(arguments[0]), children=children)
        except (Faulted, ValueError) as raised:
            text = render(raised.fault) if isinstance(raised, Faulted) else f"{arguments[0]}\n"
            return Result("Remove Snapshot:\n", f"Remove Snapshot failed: {text}", 1)
        return Result("Remove Snapshot:\n" + self._tree(vm), changed=True)

    def _snapshot_removeall(self, vm: Vm, _: list[str]) -> Result:
        self._task(vm, "removeAllSnapshots")
        try:
            self._snapshots.remove_all(vm)
        except Faulted as raised:
            return Result(
                "Remove All Snapshots:\n", f"Remove All Snapshots failed: {render(raised.fault)}", 1
            )
        return Result("Remove All Snapshots:\n", changed=True)

    def _snapshot_revert(self, vm: Vm, arguments: list[str]) -> Result:
        self._task(vm, "revertToSnapshot")
        try:
            self._snapshots.revert(vm, int(arguments[0]))
        except (Faulted, ValueError) as raised:
            text = render(raised.fault) if isinstance(raised, Faulted) else f"{arguments[0]}\n"
            return Result("Revert Snapshot:\n", f"Revert Snapshot failed: {text}", 1)
        return Result("Revert Snapshot:\n" + self._tree(vm), changed=True)
