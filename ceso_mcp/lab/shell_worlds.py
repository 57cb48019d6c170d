"""What `ps`, `uptime` and `vsish` print."""

from __future__ import annotations

import contextlib
import os
import time
from dataclasses import dataclass
from pathlib import Path

MCE = """\
Machine check error stats {
   Total corrected errors since boot:0
   EWMA of corrected errors per period:0
   Period in seconds:120
   Total uncorrected errors since boot:0
   Health state: 0 -> Green
}
"""


@dataclass(frozen=True)
class Running:
    """One world (a thread, in Linux's words) and the cartel (the process) that it belongs to."""

    world: int
    cartel: int
    name: str
    command: str


def ps(found: list[Running], *, whole: bool) -> str:
    """The table of `ps`, with `-c` the whole command line. No capture shows it: the layout is assumed."""
    text = "WID      CID      World Name            Command\n"
    for item in found:
        command = item.command if whole else item.command.partition(" ")[0]
        text += f"{item.world:<8} {item.cartel:<8} {item.name:<21} {command}".rstrip() + "\n"
    return text


def processes(proc: Path) -> list[Running]:
    """The processes that a `/proc` shows; who ends meanwhile is left out."""
    found = []
    for number in sorted(int(name) for name in os.listdir(proc) if name.isdigit()):
        with contextlib.suppress(OSError):
            name = (proc / str(number) / "comm").read_text("utf-8", "replace").rstrip("\n")
            line = (proc / str(number) / "cmdline").read_bytes().replace(b"\0", b" ").rstrip()
            found.append(Running(number, number, name, line.decode("utf-8", "surrogateescape")))
    return found


def load() -> tuple[float, float, float]:
    """The load of this machine, for want of one of the make-believe host."""
    return os.getloadavg()


def uptime(now: float, booted_at: float, loads: tuple[float, float, float]) -> str:
    """`uptime` (shell-uptime-1): a comma after the days, and hours always shown. Times are UTC."""
    days, rest = divmod(int(now - booted_at), 86400)
    here = time.gmtime(now)
    lasted = time.strftime("%H:%M:%S", time.gmtime(rest))
    loads_text = ", ".join(f"{item:.2f}" for item in loads)
    clock = f"{here.tm_hour:>2}:{here.tm_min:02}:{here.tm_sec:02}"
    return f"{clock} up {days} days, {lasted}, load average: {loads_text}\n"


def memory(
    total_kib: int,
    guests_kib: int,
    *,
    discarded_kib: int = 1596,
    other_kib: int = 740776,
    reserved_kib: int = 393212,
) -> str:
    """`vsish -e cat /memory/comprehensive` (shell-vsish-memory-1): free is what nobody else has."""
    code, heap = 24576, 16384
    free = total_kib - discarded_kib - code - heap - other_kib - guests_kib
    rows = (
        ("Physical memory estimate", total_kib),
        ("Given to VMKernel", total_kib),
        ("Reliable memory", 0),
        ("Discarded by VMKernel", discarded_kib),
        ("Kernel code region", code),
        ("Kernel data and heap", heap),
        ("Other kernel", other_kib),
        ("Non-kernel", guests_kib),
        ("Reserved memory at low addresses", reserved_kib),
        ("Free", free),
    )
    return "Comprehensive {\n" + "".join(f"   {name}:{count} KB\n" for name, count in rows) + "}\n"
