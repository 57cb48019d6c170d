"""Steps that put another .vmx in the place of a registered VM's, and the choice of a place for a disk.

hostd owns the .vmx of a registered VM: it is edited only while the VM is off, through a file of
its own and `mv`, and then reloaded (fact sheet vmkfstools §5.1). Until the run is over a copy of what
was there lies beside it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import replace

from ceso_mcp.errors import Refused, StepFailed
from ceso_mcp.esxi.vmdk import Descriptor
from ceso_mcp.esxi.vmx import Vmx
from ceso_mcp.fact import Reply
from ceso_mcp.facts.inventory import Vm
from ceso_mcp.guest.guestinfo import MAY_BE_SECRET
from ceso_mcp.plan import Captures, Judge, Recheck, Step, Undo
from ceso_mcp.recipes.judging import vim_cmd_worked
from ceso_mcp.recipes.place import is_gone, while_there
from ceso_mcp.recipes.swapping import see_it_is_off
from ceso_mcp.shell import Command, sh

UNITS: dict[str, tuple[int, ...]] = {
    "scsi": tuple(unit for unit in range(16) if unit != 7),
    "nvme": tuple(range(15)),
    "sata": tuple(range(30)),
}
"""Units that a disk can take; unit 7 of a SCSI controller is the controller itself."""
_KIND = {"scsi": "scsi-hardDisk", "sata": "disk"}


def free_slot(vmx: Vmx, wanted: str) -> str:
    """A free node (`scsi0:1`) on a controller that the VM has, on that of the node `wanted` if there is room.

    A controller whose bus other VMs share is left alone. Raises Refused `no_free_slot`.
    """
    taken = {key.partition(".")[0].lower() for key in vmx.keys()}  # noqa: SIM118
    present = [
        f"{kind}{bus}"
        for kind in UNITS
        for bus in range(4)
        if vmx.flag(f"{kind}{bus}.present")
        and (vmx.get(f"{kind}{bus}.sharedBus") or "none").lower() == "none"
    ]
    present.sort(key=lambda controller: controller != wanted.partition(":")[0].lower())
    for controller in present:
        for unit in UNITS[controller.rstrip("0123456789")]:
            if f"{controller}:{unit}" not in taken:
                return f"{controller}:{unit}"
    raise Refused(
        "no SCSI, NVMe or SATA controller of the VM has a free place",
        code="no_free_slot",
        hint="add a controller first, or get the disk out as a file (extract_disk)",
    )


def disk_keys(node: str, file_name: str) -> dict[str, str]:
    """The .vmx keys of a disk at `node`."""
    keys = {f"{node}.present": "TRUE", f"{node}.fileName": file_name}
    kind = _KIND.get(node.partition(":")[0].rstrip("0123456789"))
    return keys | ({f"{node}.deviceType": kind} if kind else {})


def unless_named(vm: Vm, file_name: str, command: Command) -> Command:
    """`command`, unless the VM's .vmx names the disk `file_name`: what is in use is not taken away."""
    return sh("grep", "-q", "-F", file_name, vm.path).otherwise(command)


def undone_unless_named(step: Step, vm: Vm, file_name: str) -> Step:
    """`step`, taken back only as long as the VM's .vmx does not name the disk `file_name`."""
    if step.undo is None:
        return step
    commands = tuple(unless_named(vm, file_name, command) for command in step.undo.commands)
    return replace(step, undo=replace(step.undo, commands=commands))


def change_vmx(vm: Vm, changed: Vmx, file_name: str, run_id: str) -> list[Step]:
    """Put `changed`, which names the disk `file_name`, in the place of the VM's .vmx; see `replace_vmx`."""
    return replace_vmx(vm, changed, lambda command: unless_named(vm, file_name, command), run_id)


def replace_vmx(vm: Vm, changed: Vmx, while_old: Callable[[Command], Command], run_id: str) -> list[Step]:
    """Put `changed` in the place of the VM's .vmx.

    Only if that is as it was planned with and the VM still off. `while_old` makes of a command one that
    does nothing while the VM's .vmx is `changed`. Should putting the old one back fail, the copy stays,
    so that it can be tried again.
    """
    new = vm.path.sibling(f"{vm.path.name}.new-{run_id}")
    kept = vm.path.sibling(f"{vm.path.name}.before-{run_id}")
    reload = sh("vim-cmd", "vmsvc/reload", vm.vmid)
    back = while_there(kept, sh("mv", kept, vm.path))
    return [
        Step(
            "write the new configuration beside the VM's",
            sh("cat").to(new),
            stdin=changed.text(MAY_BE_SECRET),
            undo=Undo((sh("rm", "-f", new),)),
            repeatable=True,
        ),
        Step(
            "keep a copy of the VM's configuration",
            sh("cp", vm.path, kept),
            undo=Undo((while_old(sh("rm", "-f", kept)),)),
            repeatable=True,
        ),
        see_it_is_off(vm),
        Step(
            "see that its configuration is as it was",
            sh("sha256sum", kept),
            judge=_is_still(vm.readable.render().encode()),
            reads_only=True,
        ),
        Step(
            "put the new configuration in its place",
            sh("mv", new, vm.path),
            recheck=Recheck(sh("ls", "-d", new), is_gone),
            undo=Undo((back, reload), done=vim_cmd_worked, when="succeeded"),
        ),
        Step("let the host read it", reload, judge=vim_cmd_worked, repeatable=True),
        Step(
            "remove the copy",
            sh("rm", "-f", kept),
            recheck=Recheck(sh("ls", "-d", kept), is_gone),
            repeatable=True,
            completes=True,
        ),
    ]


def _is_still(data: bytes) -> Judge:
    """Judge of `sha256sum`: the file is what the plan was made with. Its text, which may hold secrets, is
    not printed."""
    wanted = hashlib.sha256(data).hexdigest()

    def judge(reply: Reply, captures: Captures) -> None:
        if reply.require("reading the VM's configuration").partition(" ")[0] != wanted:
            raise StepFailed(
                "the VM's configuration was changed meanwhile",
                code="vmx_changed",
                hint="look at a new preview",
            )

    return judge


def own_identity(taken: Mapping[str, str]) -> Judge:
    """Judge of a new disk's descriptor: its `ddb.uuid` is none of `taken` (uuid to whose it is)."""

    def judge(reply: Reply, captures: Captures) -> None:
        uuid = Descriptor.parse(reply.require("reading the new disk's descriptor")).uuid
        if uuid is not None and uuid.lower() in taken:
            raise StepFailed(
                f"the new disk has the identity of {taken[uuid.lower()]}", code="disk_uuid_taken"
            )

    return judge
