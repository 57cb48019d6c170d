"""`vim-cmd vmsvc/power.getstate`."""

from __future__ import annotations

from enum import Enum

from ceso_mcp.errors import Unreadable


class PowerState(Enum):
    ON = "on"
    OFF = "off"
    SUSPENDED = "suspended"


_WORDS = {"Powered on": PowerState.ON, "Powered off": PowerState.OFF, "Suspended": PowerState.SUSPENDED}


def parse_power_state(stdout: str) -> PowerState:
    """Read the two lines; raises Unreadable for anything else (fact sheet vim-cmd §3)."""
    lines = [line.strip() for line in stdout.split("\n") if line.strip()]
    if len(lines) != 2 or lines[0] != "Retrieved runtime info" or lines[1] not in _WORDS:
        raise Unreadable("the power state", "it is not the two known lines", line=stdout.strip())
    return _WORDS[lines[1]]
