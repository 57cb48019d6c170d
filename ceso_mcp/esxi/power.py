"""Power states, as `vim-cmd vmsvc/power.getstate` tells them (fact sheet vim-cmd §3)."""

from __future__ import annotations

from enum import Enum

from ceso_mcp.errors import Unreadable
from ceso_mcp.esxi.faults import Fault, find_fault

_STATES = {"Powered on": "on", "Powered off": "off", "Suspended": "suspended"}
_FAILED = ("power on failed", "power off failed", "reset failed", "suspend failed")


class PowerState(Enum):
    """Whether a VM runs."""

    ON = "on"
    OFF = "off"
    SUSPENDED = "suspended"


def parse_power_state(stdout: str) -> PowerState:
    """The state of `power.getstate`; raises Unreadable for anything but its two lines.

    Sources: power.getstate-1, power.getstate-2.
    """
    lines = [line.strip() for line in stdout.splitlines() if line.strip()]
    if len(lines) != 2 or lines[0] != "Retrieved runtime info" or lines[1] not in _STATES:
        raise Unreadable("power.getstate", "it is not a power state", line=stdout.strip())
    return PowerState(_STATES[lines[1]])


def power_failure(stdout: str, stderr: str = "") -> Fault | None:
    """Why a power operation failed, or None if nothing says so.

    Up to 5.x the fault is on standard output, from 6.0 on a line like `Power on failed` is on
    standard error, from 6.7 with the fault object (fact sheet vim-cmd §1.4). Without an object the
    fault has no type and that line as its message. None is no proof of success: read the state.
    """
    for text in (stderr, stdout):
        fault = find_fault(text)
        if fault is not None:
            return fault
    for line in (stderr + "\n" + stdout).splitlines():
        if line.strip().lower().startswith(_FAILED):
            return Fault("", line.strip(), {})
    return None
