"""Steps that switch a VM off for the moment of a snapshot: the guest's file systems are at rest in it."""

from __future__ import annotations

from ceso_mcp.errors import Refused, StepFailed
from ceso_mcp.esxi.dump import parse_object
from ceso_mcp.esxi.power import PowerState
from ceso_mcp.fact import Facts, Reply
from ceso_mcp.facts.guest import GuestOf
from ceso_mcp.facts.inventory import Vm
from ceso_mcp.plan import Capture, Captures, Recheck, Step, Undo
from ceso_mcp.recipes.judging import is_off, is_on, until_power, vim_cmd_worked
from ceso_mcp.recipes.questions import watch_for_question
from ceso_mcp.shell import Captured, Command, sh

SHUTDOWN_TIMEOUT_S = 600.0
BOOTED = Captured("booted")
GOING_DOWN_S = 300
"""A guest that was asked to shut down goes off up to this long after; powering it on before does nothing."""


async def shut_down(facts: Facts, vm: Vm) -> list[Step]:
    """Ask the guest to shut down and wait until it is off; taken back by powering it on again.

    Raises Refused if its tools do not run: pulling the plug would lose what this is for.
    """
    if not (await facts.read(GuestOf(vm.vmid))).tools_running:
        raise Refused(
            f"the tools of {vm.name!r} do not run, so its guest cannot be asked to shut down",
            code="tools_not_running",
            hint="back it up hot, or shut it down from inside first",
        )
    return [
        Step(
            "note when it was started",
            sh("vim-cmd", "vmsvc/get.runtime", vm.vmid),
            capture=Capture(BOOTED.name, _boot_time),
            reads_only=True,
        ),
        Step(
            "ask the guest to shut down",
            sh("vim-cmd", "vmsvc/power.shutdown", vm.vmid),
            judge=vim_cmd_worked,
            recheck=Recheck(_state(vm), is_off, within_s=GOING_DOWN_S),
            undo=Undo((_on_once_off(vm),), when="succeeded", done=is_on_again, timeout_s=GOING_DOWN_S + 120),
            repeatable=True,
            timeout_s=120,
        ),
        Step(
            "wait until it is off",
            _state(vm),
            until=until_power(PowerState.OFF, SHUTDOWN_TIMEOUT_S),
            reads_only=True,
        ),
    ]


def power_on_again(vm: Vm) -> list[Step]:
    """Power the VM on and see that it is."""
    return [
        Step(
            "power it on again",
            _on(vm),
            judge=vim_cmd_worked,
            recheck=Recheck(_state(vm), is_on),
            watch=watch_for_question(vm.vmid),
            timeout_s=120,
        ),
        Step(
            "see that it is on",
            _state(vm),
            until=until_power(PowerState.ON, 120),
            reads_only=True,
        ),
    ]


def is_on_again(reply: Reply, captures: Captures) -> None:
    """Judge of powering on: it is on now, or was on all the time."""
    if "InvalidPowerState" in reply.output:
        return
    vim_cmd_worked(reply, captures)


def _on(vm: Vm) -> Command:
    return sh("vim-cmd", "vmsvc/power.on", vm.vmid)


def _on_once_off(vm: Vm) -> Command:
    """Power on once the guest has gone down: as long as it has not, its boot time is the old one."""
    runtime = sh("vim-cmd", "vmsvc/get.runtime", vm.vmid)
    still_up = runtime.piped(sh("grep", "-q", "-F", BOOTED))
    wait = f"n={GOING_DOWN_S}; while [ $n -gt 0 ] && {still_up.line}; do sleep 1; n=$((n-1)); done"
    return Command(f"{wait}; {_on(vm).line}")


def _boot_time(reply: Reply) -> str:
    """Reads `get.runtime` (vimcmd-get.runtime-1); a VM that is off has none (vimcmd-get.summary-2)."""
    runtime = parse_object(reply.require("asking when the VM was started"), "vim.vm.RuntimeInfo")
    booted = runtime.text("bootTime")
    if booted is None:
        raise StepFailed("the VM is not on any more", code="vm_not_on")
    return booted


def _state(vm: Vm) -> Command:
    return sh("vim-cmd", "vmsvc/power.getstate", vm.vmid)
