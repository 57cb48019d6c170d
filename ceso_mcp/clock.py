"""Time that cannot be set: how long this machine has been running, and which boot this is.

The wall clock is for people. It may be set back or forward at any moment, so nothing that decides
(whether a token has expired, whether a lock is left over) rests on it alone.
"""

from __future__ import annotations

import os
import time
from functools import cache
from pathlib import Path


def since_boot_s() -> float:
    """Seconds this machine has been up, sleep included where the kernel counts it; never goes back."""
    clock = getattr(time, "CLOCK_BOOTTIME", None)
    return time.monotonic() if clock is None else time.clock_gettime(clock)


@cache
def boot_id() -> str:
    """Names this boot of this machine; empty where the kernel does not tell."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""


@cache
def process_space() -> str:
    """This boot and this process namespace, where a pid means the same process; empty if not told."""
    try:
        return f"{boot_id()} {os.readlink('/proc/self/ns/pid')}" if boot_id() else ""
    except OSError:
        return ""


def process_started(pid: int) -> str | None:
    """When the process started, in the kernel's ticks; None if there is no such process, or a dead one.

    With the pid alone, a process that later got the same number would pass for the first. One that
    was killed and not yet waited for (a zombie) does nothing any more, so it counts as gone.
    """
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    # The name in parentheses may itself hold blanks and parentheses.
    fields = stat.rpartition(")")[2].split()
    return None if fields[0] in ("Z", "X", "x") else fields[19]
