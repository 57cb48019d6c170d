"""`vim-cmd vmsvc/snapshot.*` and how the tree is printed (transcripts vimcmd-snapshot.get-2, -3)."""

from __future__ import annotations

import time
from collections.abc import Callable

from ceso_mcp.lab.dump import Arr, Obj, Ref, Value
from ceso_mcp.lab.inventory import Inventory
from ceso_mcp.lab.result import Faulted, Result
from ceso_mcp.lab.snapshots import Snapshots, gone
from ceso_mcp.lab.vim_cmd import Command, VimCmd
from ceso_mcp.lab.vim_power import failed
from ceso_mcp.lab.vim_tasks import Tasks
from ceso_mcp.lab.vmsd import Snapshot
from ceso_mcp.lab.world import Vm, World


def created_on(created_us: int) -> str:
    """M/D/YYYY H:M:S, nothing padded; UTC (assumed)."""
    at = time.gmtime(created_us // 1_000_000)
    return f"{at.tm_mon}/{at.tm_mday}/{at.tm_year} {at.tm_hour}:{at.tm_min}:{at.tm_sec}"


def tree(snapshots: list[Snapshot], parent: int = 0, depth: int = 0) -> str:
    """The nodes below `parent`; siblings get the same pad (assumed)."""
    text = ""
    for item in (item for item in snapshots if item.parent == parent):
        pad, inner = "--" * depth, "--" * (depth + 1)
        text += f"{pad}|-{'CHILD' if depth else 'ROOT'}\n"
        text += f"{inner}Snapshot Name        : {item.name}\n"
        text += f"{inner}Snapshot Id        : {item.uid}\n"
        text += f"{inner}Snapshot Desciption  : {item.description}\n"
        text += f"{inner}Snapshot Created On  : {created_on(item.created_us)}\n"
        text += f"{inner}Snapshot State       : {'powered on' if item.on else 'powered off'}\n"
        text += tree(snapshots, item.uid, depth + 1)
    return text


def _node(vm: Vm, item: Snapshot, snapshots: list[Snapshot]) -> Value:
    at = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(item.created_us // 1_000_000))
    children: list[Value] = [_node(vm, child, snapshots) for child in snapshots if child.parent == item.uid]
    return Obj(
        "vim.vm.SnapshotTree",
        {
            "snapshot": Ref(f"vim.vm.Snapshot:{vm.vmid}-{item.uid}"),
            "vm": Ref(f"vim.VirtualMachine:{vm.vmid}"),
            "name": item.name,
            "description": item.description,
            "id": item.uid,
            "createTime": f"{at}.{item.created_us % 1_000_000:06d}Z",
            "state": "poweredOn" if item.on else "poweredOff",
            "quiesced": False,
            "childSnapshotList": Arr("vim.vm.SnapshotTree", children),
        },
    )


def info(vm: Vm, snapshots: list[Snapshot], current: int, world: World) -> str:
    """`get.snapshotinfo` (transcript vimcmd-get.snapshotinfo-1)."""
    if not snapshots:
        return "Get Snapshot Info:\n(vim.vm.SnapshotInfo) null\n"
    roots: list[Value] = [_node(vm, item, snapshots) for item in snapshots if item.parent == 0]
    found = Obj(
        "vim.vm.SnapshotInfo",
        {
            "currentSnapshot": Ref(f"vim.vm.Snapshot:{vm.vmid}-{current}"),
            "rootSnapshotList": Arr("vim.vm.SnapshotTree", roots),
        },
    )
    return "Get Snapshot Info:\n" + world.vim.render(found)


class SnapshotCommands:
    """Adds its commands to a `VimCmd`."""

    def __init__(self, world: World, inventory: Inventory, snapshots: Snapshots, tasks: Tasks) -> None:
        self._world, self._inventory = world, inventory
        self._snapshots, self._tasks = snapshots, tasks

    def add_to(self, vim: VimCmd) -> None:
        def add(
            name: str, act: Callable[[Vm, list[str]], Result], least: int = 1, usage: str = "vmid"
        ) -> None:
            vim.add(f"vmsvc/{name}", self._on_vm(act), least, usage)

        add("snapshot.get", lambda vm, _: Result("Get Snapshot:\n" + self._tree(vm)))
        add("get.snapshotinfo", self._info)
        words = "vmid [snapshotName] [snapshotDescription] [includeMemory] [quiesced]"
        add("snapshot.create", self._create, 1, words)
        add("snapshot.remove", self._remove, 2, "vmid snapshotId")
        add("snapshot.removeall", self._remove_all)
        add("snapshot.revert", self._revert, 2, "vmid snapshotId suppressPowerOff")

    def _on_vm(self, act: Callable[[Vm, list[str]], Result]) -> Command:
        async def run(arguments: list[str]) -> Result:
            return act(self._inventory.find(arguments[0]), arguments[1:])

        return run

    def _tree(self, vm: Vm) -> str:
        return tree(self._snapshots.read(vm)[0])

    def _info(self, vm: Vm, _: list[str]) -> Result:
        snapshots, current, _last = self._snapshots.read(vm)
        return Result(info(vm, snapshots, current, self._world))

    def _carried_out(self, vm: Vm, method: str, word: str, act: Callable[[], object]) -> Result:
        """Under its banner as a task; the texts of failures are not known (§5: `failed` is in them)."""
        banner = f"{word}:\n"
        task = self._tasks.begin(vm, method)
        try:
            act()
        except Faulted as raised:
            self._tasks.end(task, raised.fault)
            self._inventory.save()
            return failed(banner, word, raised.fault, self._world)
        self._tasks.end(task)
        self._inventory.save()
        return Result(banner, changed=True)

    def _create(self, vm: Vm, arguments: list[str]) -> Result:
        name, description = [*arguments, "", ""][:2]
        return self._carried_out(
            vm,
            "createSnapshot",
            "Create Snapshot",
            lambda: self._snapshots.create(vm, name or "Snapshot", description),
        )

    def _then_tree(self, vm: Vm, done: Result) -> Result:
        if done.exit:
            return done
        return Result(done.stdout + self._tree(vm), changed=True)

    @staticmethod
    def _number(text: str) -> int:
        if not text.isdigit():
            raise gone(text)
        return int(text)

    def _remove(self, vm: Vm, arguments: list[str]) -> Result:
        children = arguments[1:2] == ["1"]
        done = self._carried_out(
            vm,
            "removeSnapshot",
            "Remove Snapshot",
            lambda: self._snapshots.remove(vm, self._number(arguments[0]), children=children),
        )
        return self._then_tree(vm, done)

    def _remove_all(self, vm: Vm, _: list[str]) -> Result:
        return self._carried_out(
            vm, "removeAllSnapshots", "Remove All Snapshots", lambda: self._snapshots.remove_all(vm)
        )

    def _revert(self, vm: Vm, arguments: list[str]) -> Result:
        done = self._carried_out(
            vm,
            "revertToSnapshot",
            "Revert Snapshot",
            lambda: self._snapshots.revert(vm, self._number(arguments[0])),
        )
        return self._then_tree(vm, done)
