"""Steps from finished disks to a VM that answers: write its .vmx, register, power on, wait."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ceso_mcp.errors import Unreadable
from ceso_mcp.esxi.dump import Ref, parse_object
from ceso_mcp.esxi.guest import parse_guest
from ceso_mcp.esxi.paths import DatastorePath
from ceso_mcp.esxi.power import PowerState
from ceso_mcp.esxi.registervm import parse_registervm
from ceso_mcp.esxi.vmx import Vmx
from ceso_mcp.fact import Reply
from ceso_mcp.guest.guestinfo import MAY_BE_SECRET
from ceso_mcp.plan import Capture, Captures, NotYet, Recheck, Step, Undo, Until
from ceso_mcp.recipes.guest_setup import Expectation, NewIdentity
from ceso_mcp.recipes.judging import HOSTD_DOWN, is_on, no_answer, until_power, vim_cmd_worked
from ceso_mcp.recipes.place import Place
from ceso_mcp.shell import Captured, sh

VMID = Captured("vmid", number=True)
ADDRESS = Captured("address")


def bring_up(place: Place, vmx: Vmx, identity: NewIdentity, *, on: bool, wait_s: float) -> list[Step]:
    """Everything from finished disks to a VM that is registered and, if `on`, answers as asked."""
    steps = [write_vmx(place, vmx, identity.hidden), register(place.vmx)]
    if on:
        steps += power_on()
    steps.append(place.hand_over())
    if on and identity.macs:
        steps.append(wait_for_guest(identity.expectation, wait_s))
    return steps


def outcome(place: Place, identity: NewIdentity, *, on: bool) -> dict[str, Any]:
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


def power_on(timeout_s: float = 120) -> list[Step]:
    """Power on and see that it is on."""
    return [
        Step(
            "power on",
            sh("vim-cmd", "vmsvc/power.on", VMID),
            judge=vim_cmd_worked,
            recheck=Recheck(sh("vim-cmd", "vmsvc/power.getstate", VMID), is_on),
            undo=Undo((sh("vim-cmd", "vmsvc/power.off", VMID),), done=powered_off),
            timeout_s=timeout_s,
        ),
        Step(
            "see that it is on",
            sh("vim-cmd", "vmsvc/power.getstate", VMID),
            until=until_power(PowerState.ON, 60),
            reads_only=True,
        ),
    ]


def powered_off(reply: Reply, captures: Captures) -> None:
    if "InvalidPowerState" in reply.output or "vim.fault.NotFound" in reply.output:
        return
    vim_cmd_worked(reply, captures)


def wait_for_guest(expectation: Expectation, timeout_s: float) -> Step:
    """Wait until the guest reports what was asked for; its failure keeps the VM."""

    def done(reply: Reply) -> str | NotYet:
        if no_answer(reply):
            return NotYet(HOSTD_DOWN)
        info = parse_guest(reply.require("asking for the guest"))
        reasons = expectation.missing(info)
        if reasons:
            return NotYet("; ".join(reasons))
        return expectation.address(info) or ""

    return Step(
        "wait until the guest reports its name and address",
        sh("vim-cmd", "vmsvc/get.guest", VMID),
        until=Until("address", done, expectation.words(), timeout_s, every_s=2.0),
        reads_only=True,
        keep_on_failure=True,
    )
