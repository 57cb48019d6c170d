"""Steps from finished disks to a VM that answers: write its .vmx, register, power on, wait."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ceso_mcp.errors import Unreadable
from ceso_mcp.esxi.dump import Ref, parse_object
from ceso_mcp.esxi.paths import DatastorePath
from ceso_mcp.esxi.power import PowerState
from ceso_mcp.esxi.registervm import parse_registervm
from ceso_mcp.esxi.vmx import Vmx
from ceso_mcp.fact import Reply
from ceso_mcp.guest.guestinfo import MAY_BE_SECRET
from ceso_mcp.plan import Capture, Captures, Recheck, Step, Undo
from ceso_mcp.recipes.guest_setup import NewIdentity
from ceso_mcp.recipes.judging import is_on, until_power, vim_cmd_worked
from ceso_mcp.recipes.place import Place, while_there
from ceso_mcp.recipes.proving import ADDRESS, REACHED, ProofFields, prove
from ceso_mcp.recipes.questions import cancel_question, watch_for_question
from ceso_mcp.shell import Captured, sh

VMID = Captured("vmid", number=True)


def bring_up(
    place: Place,
    vmx: Vmx,
    identity: NewIdentity,
    *,
    on: bool,
    wait_s: float,
    proof: ProofFields,
    others: Iterable[Place] = (),
) -> list[Step]:
    """Everything from finished disks to a VM that is registered and, if `on`, answers as asked.

    `others` are the folders of its disks on other datastores.
    """
    steps = [write_vmx(place, vmx, identity.hidden), register(place.vmx)]
    if on:
        steps += power_on()
    steps = [*place.owned(steps), place.hand_over(others)]
    if on and identity.macs:
        steps += prove(identity.expectation, wait_s, proof, VMID)
    return steps


def outcome(place: Place, identity: NewIdentity, *, on: bool, proof: ProofFields) -> dict[str, Any]:
    """What a plan that makes a VM answers in the end."""
    return {
        "vm": place.name,
        "vmid": VMID,
        "path": str(place.vmx),
        "uuid_bios": identity.uuid_bios,
        "instance_id": identity.instance_id,
        "hostname": identity.hostname,
        "macs": tuple(identity.macs.values()),
        "power": "on" if on else "off",
        "address": ADDRESS if on and identity.macs else None,
        **({"reached": REACHED} if on and identity.macs and proof.reach else {}),
    }


def write_vmx(place: Place, vmx: Vmx, hidden: Mapping[str, str] = MAY_BE_SECRET) -> Step:
    """Write the .vmx from standard input: nothing of it is in a command line.

    The values of the keys `hidden` are not shown. What another author told the guest may hold secrets.
    """
    return Step(
        "write the VM's configuration",
        sh("cat").to(place.vmx),
        stdin=vmx.text(hidden),
        undo=Undo((sh("rm", "-f", place.vmx),)),
        repeatable=True,
    )


def register(
    vmx: DatastorePath, why: str = "register the VM", *, into: Captured = VMID, completes: bool = False
) -> Step:
    """Register a .vmx; prints the new id and nothing else (fact sheet vim-cmd §4), captured as `into`."""
    return Step(
        why,
        sh("vim-cmd", "solo/registervm", vmx),
        capture=Capture(into.name, lambda reply: str(parse_registervm(reply.stdout))),
        judge=vim_cmd_worked,
        recheck=Recheck(sh("vim-cmd", "vmsvc/get.summary", vmx), registered),
        undo=Undo((sh("vim-cmd", "vmsvc/unregister", vmx),), done=unregistered),
        completes=completes,
    )


def registered(reply: Reply) -> Mapping[str, str] | None:
    """Reads `get.summary` of a .vmx path: the id of the VM, if that file is registered."""
    if "vim.fault.NotFound" in reply.output:
        return None
    vim_cmd_worked(reply, {})
    vm = parse_object(reply.stdout, "vim.vm.Summary").get("vm")
    if not isinstance(vm, Ref):
        raise Unreadable("get.summary", "it names no VM", line=reply.stdout[:120])
    return {"vmid": vm.key}


def unregistered(reply: Reply, captures: Captures) -> None:
    if "vim.fault.NotFound" in reply.output:
        return
    vim_cmd_worked(reply, captures)


def power_on(
    vm: Captured | int = VMID, timeout_s: float = 120, *, only_if: DatastorePath | None = None
) -> list[Step]:
    """Power on and see that it is on. A question ends it at once, is cancelled, and the plan is undone.

    With `only_if` it is taken back only as long as that file is there: who took the earlier steps back as
    well may have powered the VM on anew, as it was, and that is not to be cut off.
    """
    state = sh("vim-cmd", "vmsvc/power.getstate", vm)
    off = sh("vim-cmd", "vmsvc/power.off", vm)
    if only_if is not None:
        off = while_there(only_if, off)
    return [
        Step(
            "power on",
            sh("vim-cmd", "vmsvc/power.on", vm),
            judge=power_on_accepted,
            recheck=Recheck(state, is_on),
            undo=Undo((cancel_question(vm), off), done=powered_off),
            watch=watch_for_question(vm),
            timeout_s=timeout_s,
        ),
        Step("see that it is on", state, until=until_power(PowerState.ON, 180), reads_only=True),
    ]


def power_on_accepted(reply: Reply, captures: Captures) -> None:
    """Judge of powering on. Where vim-cmd's patience ended the task goes on: the next step waits for it."""
    if "Operation timed out" not in reply.output:
        vim_cmd_worked(reply, captures)


def powered_off(reply: Reply, captures: Captures) -> None:
    if "InvalidPowerState" in reply.output or "vim.fault.NotFound" in reply.output:
        return
    vim_cmd_worked(reply, captures)
