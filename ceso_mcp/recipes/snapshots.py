"""Steps that freeze a VM's disks in a snapshot of ours and let go of it again, proved.

A snapshot is known by its name, which holds the run's id, because `snapshot.create` does not tell the
new id; it is removed by id, because names need not be unique (fact sheet vim-cmd §5).
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from ceso_mcp.errors import HostFault, Unreadable
from ceso_mcp.esxi.faults import hostd_unavailable
from ceso_mcp.esxi.snapshots import parse_snapshots
from ceso_mcp.esxi.vmx import Vmx
from ceso_mcp.fact import Reply
from ceso_mcp.facts.inventory import Vm
from ceso_mcp.plan import Captures, NotYet, Recheck, Step, Undo, Until
from ceso_mcp.recipes.judging import HOSTD_DOWN, no_answer, vim_cmd_worked
from ceso_mcp.shell import Captured, Command, sh

CREATE_TIMEOUT_S = 900.0
MERGE_TIMEOUT_S = 12 * 3600.0
"""Merging a large delta back takes hours on a slow datastore; the limit only ends a hang."""
SNAPSHOT = Captured("snapshot")
_DESCRIPTION = "taken by ceso for a backup, which removes it when it has read the disks"
_TITLE = "Get Snapshot:"
_OURS = re.compile(r"Snapshot Name *: ceso-[0-9a-f]{8}$", re.M)


def snapshot_name(run_id: str) -> str:
    """The name of the snapshot that a run takes."""
    return f"ceso-{run_id}"


def take_snapshot(vm: Vm, run_id: str, *, quiesce: bool) -> list[Step]:
    """Freeze all disks of `vm` at one instant, without its memory; captures `SNAPSHOT`, the new id.

    It can be taken although the command says that it timed out, and later than the command returns.
    """
    name = snapshot_name(run_id)

    def listed(reply: Reply) -> str | NotYet:
        if no_answer(reply):
            return NotYet(HOSTD_DOWN)
        nodes = parse_snapshots(reply.require("asking for the snapshots"))
        found = [node.id for node in nodes if node.name == name]
        return str(found[0]) if found else NotYet("it is not listed yet")

    return [
        Step(
            "take a snapshot of all disks" + (", the guest's file systems quiesced" if quiesce else ""),
            sh("vim-cmd", "vmsvc/snapshot.create", vm.vmid, name, _DESCRIPTION, 0, int(quiesce)),
            judge=vim_cmd_worked,
            recheck=Recheck(_look_for(vm.vmid, name), is_listed),
            undo=Undo((remove_by_name(vm.vmid, name),), done=none_is_left, timeout_s=MERGE_TIMEOUT_S),
            timeout_s=CREATE_TIMEOUT_S,
        ),
        Step(
            "see that the snapshot is there",
            sh("vim-cmd", "vmsvc/snapshot.get", vm.vmid),
            until=Until(SNAPSHOT.name, listed, f"a snapshot called {name}", CREATE_TIMEOUT_S),
            reads_only=True,
        ),
    ]


def drop_snapshot(vm: Vm, run_id: str, others: int) -> list[Step]:
    """Remove the snapshot and wait until every disk is back on the link it stood on before.

    The entry goes before the merge ends (fact sheet vmkfstools §6): only the .vmx shows that it has. A
    snapshot that somebody else took meanwhile (there were `others` before ours) makes the disks stand on
    that one, and is left alone.
    """
    name = snapshot_name(run_id)
    links = {disk.node: disk.file_name for disk in vm.readable.disks()}

    def merged(reply: Reply) -> str | NotYet:
        if no_answer(reply):
            return NotYet(HOSTD_DOWN)
        text, title, tree = reply.require("reading the .vmx").rpartition(_TITLE)
        nodes = parse_snapshots(title + tree)
        if any(node.name == name for node in nodes):
            return NotYet("the snapshot is still listed")
        now = {disk.node: disk.file_name for disk in Vmx.parse(text).disks()}
        off = [node for node, link in links.items() if node in now and now[node] != link]
        if off and len(nodes) <= others:
            return NotYet(f"disk {off[0]} still stands on {now[off[0]]}")
        return "others" if off else "yes"

    return [
        Step(
            "remove the snapshot",
            sh("vim-cmd", "vmsvc/snapshot.remove", vm.vmid, SNAPSHOT),
            judge=vim_cmd_worked,
            recheck=Recheck(_look_for(vm.vmid, name), is_not_listed),
            timeout_s=MERGE_TIMEOUT_S,
        ),
        Step(
            "see that every disk is back on its own link",
            sh("cat", vm.path).then(sh("vim-cmd", "vmsvc/snapshot.get", vm.vmid)),
            until=Until("merged", merged, "the disks to be merged", MERGE_TIMEOUT_S, every_s=5.0),
            reads_only=True,
        ),
    ]


def remove_by_name(vmid: int, name: str) -> Command:
    """Remove the snapshot of that name, if there is one, and print what is left of it in the list."""
    find = sh("vim-cmd", "vmsvc/snapshot.get", vmid).piped(
        sh(
            "awk",
            "-v",
            f"name={name}",
            '$2 == "Name" { found = NF == 4 && $4 == name } found && $2 == "Id" { print $4; exit }',
        )
    )
    remove = sh("vim-cmd", "vmsvc/snapshot.remove", vmid)
    return Command(f'id=$({find.line}); test -z "$id" || {remove.line} "$id"; {_look_for(vmid, name).line}')


def _look_for(vmid: int, name: str) -> Command:
    """The tree's title and the line with `name`: without the title, hostd was not there to answer."""
    ask = sh("vim-cmd", "vmsvc/snapshot.get", vmid).merged()
    return ask.piped(sh("grep", "-e", f"^{_TITLE}", "-e", f"Snapshot Name *: {name}$", "-e", "[Ff]ailed"))


def is_listed(reply: Reply) -> Mapping[str, str] | None:
    """Reads `_look_for`: the snapshot is there."""
    return {} if _found(reply) else None


def is_not_listed(reply: Reply) -> Mapping[str, str] | None:
    """Reads `_look_for`: the snapshot is gone."""
    return None if _found(reply) else {}


def none_is_left(reply: Reply, captures: Captures) -> None:
    """Judge of `remove_by_name`: the list that it ends with does not hold the snapshot."""
    if _found(reply):
        said = reply.output.strip()[-300:]
        raise HostFault(f"the snapshot is still there: {said}", code="command_failed")


def _found(reply: Reply) -> bool:
    """Whether the last list in the output holds the name; what the removal printed is before it."""
    _, title, rest = reply.stdout.rpartition(_TITLE)
    if not title and hostd_unavailable(reply.output):
        raise HostFault(HOSTD_DOWN, code="hostd_down")
    if not title:
        raise Unreadable("snapshot tree", "it has no title", line=rest[-200:])
    return _OURS.search(rest) is not None
