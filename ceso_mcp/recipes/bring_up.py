"""Steps from finished disks to a VM that answers: write its .vmx, register, power on, wait."""

from __future__ import annotations

from typing import Any

from ceso_mcp.esxi.guest import parse_guest
from ceso_mcp.esxi.power import PowerState
from ceso_mcp.esxi.registervm import parse_registervm
from ceso_mcp.esxi.vmx import Vmx
from ceso_mcp.fact import Reply
from ceso_mcp.plan import Capture, Captures, NotYet, Step, Undo, Until
from ceso_mcp.recipes.guest_setup import Expectation, NewIdentity
from ceso_mcp.recipes.judging import until_power, vim_cmd_worked
from ceso_mcp.recipes.place import Place
from ceso_mcp.shell import Captured, sh
from ceso_mcp.text import Text

VMID = Captured("vmid", number=True)
ADDRESS = Captured("address")


def bring_up(place: Place, vmx: Vmx, identity: NewIdentity, *, on: bool, wait_s: float) -> list[Step]:
    """Everything from finished disks to a VM that is registered and, if `on`, answers as asked."""
    steps = [write_vmx(place, vmx), register(place)]
    if on:
        steps += power_on()
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


def write_vmx(place: Place, vmx: Vmx) -> Step:
    """Write the .vmx from standard input: nothing of it is in a command line."""
    return Step(
        "write the VM's configuration",
        sh("cat").to(place.vmx),
        stdin=Text.of(vmx.render()),
        undo=Undo((sh("rm", "-f", place.vmx),)),
    )


def register(place: Place) -> Step:
    """Register; prints the new id and nothing else (fact sheet vim-cmd §4)."""
    return Step(
        "register the VM",
        sh("vim-cmd", "solo/registervm", place.vmx),
        capture=Capture("vmid", lambda reply: str(parse_registervm(reply.stdout))),
        judge=vim_cmd_worked,
        undo=Undo((sh("vim-cmd", "vmsvc/unregister", place.vmx),), done=_unregistered),
    )


def _unregistered(reply: Reply, captures: Captures) -> None:
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
            undo=Undo((sh("vim-cmd", "vmsvc/power.off", VMID),), done=_off),
            timeout_s=timeout_s,
        ),
        Step(
            "see that it is on",
            sh("vim-cmd", "vmsvc/power.getstate", VMID),
            until=until_power(PowerState.ON, 60),
            reads_only=True,
        ),
    ]


def _off(reply: Reply, captures: Captures) -> None:
    if "InvalidPowerState" in reply.output or "vim.fault.NotFound" in reply.output:
        return
    vim_cmd_worked(reply, captures)


def wait_for_guest(expectation: Expectation, timeout_s: float) -> Step:
    """Wait until the guest reports what was asked for; its failure keeps the VM."""

    def done(reply: Reply) -> str | NotYet:
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
