"""`vim-cmd vmsvc/snapshot.*` and how the tree is printed (transcripts vimcmd-snapshot.get-2, -3)."""

from __future__ import annotations

import time

from ceso_mcp.lab.dump import Arr, Obj, Ref, Value, render
from ceso_mcp.lab.snapshots import Snapshot
from ceso_mcp.lab.world import Vm


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


def info(vm: Vm, snapshots: list[Snapshot], current: int) -> str:
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
    return "Get Snapshot Info:\n" + render(found)
