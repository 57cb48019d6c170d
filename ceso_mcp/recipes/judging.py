"""How the replies of the host's programs are judged."""

from __future__ import annotations

from collections.abc import Mapping

from ceso_mcp.errors import HostFault, StepFailed
from ceso_mcp.esxi import vmkfstools
from ceso_mcp.esxi.faults import find_fault, hostd_unavailable
from ceso_mcp.esxi.power import PowerState, parse_power_state
from ceso_mcp.fact import Reply
from ceso_mcp.plan import Captures, NotYet, Until

HOSTD_DOWN = "the host's management agent (hostd) does not answer"


def no_answer(reply: Reply) -> bool:
    """Whether hostd gave no answer in time or was not there to be asked: a wait goes on."""
    return hostd_unavailable(reply.output) or (not reply.ok and "Operation timed out" in reply.output)


def vmkfstools_worked(reply: Reply, captures: Captures) -> None:
    """Exit status 0 and no `Failed` anywhere: 100 % alone proves nothing (fact sheet vmkfstools §1.2)."""
    failure = vmkfstools.failure(reply.output)
    if failure is not None:
        raise StepFailed(f"vmkfstools: {failure.cause} ({failure.text})", code="vmkfstools_failed")
    if not reply.ok:
        raise StepFailed(
            f"vmkfstools ended with status {reply.exit_status}: {_tail(reply)}", code="vmkfstools_failed"
        )


def vim_cmd_worked(reply: Reply, captures: Captures) -> None:
    """Exit status 0 and no fault object; the fault's own message otherwise.

    `Operation timed out` is vim-cmd's patience, not the task's end (fact sheet vim-cmd §7): HostFault
    `timeout`, because the task may go on.
    """
    fault = find_fault(reply.output)
    if reply.ok and fault is None:
        return
    if hostd_unavailable(reply.output):
        raise HostFault(HOSTD_DOWN, code="hostd_down")
    said = f"{fault.type}: {fault.message}" if fault else _tail(reply)
    if "Operation timed out" in reply.output:
        raise HostFault(f"the host's agent did not end it in time ({said})", code="timeout")
    raise StepFailed(f"the host said: {said}", code="host_refused")


def esxcli_worked(reply: Reply, captures: Captures) -> None:
    """Exit status 0; otherwise the command's own sentence (fact sheet esxcli-and-shell §1.4)."""
    if reply.ok:
        return
    if hostd_unavailable(reply.output):
        raise HostFault(HOSTD_DOWN, code="hostd_down")
    raise StepFailed(f"the host said: {_tail(reply)}", code="host_refused")


def until_power(state: PowerState, timeout_s: float) -> Until:
    """Poll `vmsvc/power.getstate` until the VM is in `state`: success of a command is no proof."""

    def done(reply: Reply) -> str | NotYet:
        if no_answer(reply):
            return NotYet(HOSTD_DOWN)
        found = parse_power_state(reply.require("asking for the power state"))
        return found.value if found is state else NotYet(f"the VM is {found.value}")

    return Until("power", done, f"power state {state.value}", timeout_s, every_s=0.5)


def is_on(reply: Reply) -> Mapping[str, str] | None:
    """Reads `power.getstate`: the VM is on."""
    return _in_state(reply, PowerState.ON)


def is_off(reply: Reply) -> Mapping[str, str] | None:
    """Reads `power.getstate`: the VM is off."""
    return _in_state(reply, PowerState.OFF)


def is_suspended(reply: Reply) -> Mapping[str, str] | None:
    """Reads `power.getstate`: the VM is suspended."""
    return _in_state(reply, PowerState.SUSPENDED)


def _in_state(reply: Reply, state: PowerState) -> Mapping[str, str] | None:
    if "vim.fault.NotFound" in reply.output:
        return None
    vim_cmd_worked(reply, {})
    return {} if parse_power_state(reply.stdout) is state else None


def _tail(reply: Reply) -> str:
    return reply.output.strip()[-300:] or "no output"
