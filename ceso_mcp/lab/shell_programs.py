"""`vmware` and `df` as ESXi has them (transcripts shell-vmware-*, shell-df-1, -2, -3)."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ceso_mcp.lab.result import Result
from ceso_mcp.lab.storage import Storage
from ceso_mcp.lab.world import Datastore, World


def vmware(world: World, words: list[str]) -> Result:
    """`-v` the version, `-l` the update; any other word prints both (assumed)."""
    version = f"VMware ESXi {world.version} build-{world.build}\n"
    major = ".".join(world.version.split(".")[:2])
    # "GA" for the first release of a line is assumed.
    level = f"VMware ESXi {major} {f'Update {world.update}' if world.update != '0' else 'GA'}\n"
    letters = "".join(word.lstrip("-") for word in words)
    text = (version if "v" in letters else "") + (level if "l" in letters else "")
    return Result(text or version + level)


def human(count: int) -> str:
    """One decimal and a unit, as `df -h` prints."""
    size = float(count)
    for unit in ("B", "K", "M", "G"):
        if size < 1024:
            return f"{size:.1f}{unit}"
        size /= 1024
    return f"{size:.1f}T"


def df(storage: Storage, words: list[str], cwd: str) -> Result:
    """The datastores: bytes, or `-h`, `-m`, `-k`. A path limits it to its datastore; else all are shown."""
    letters = "".join(word[1:] for word in words if word.startswith("-"))
    for letter in letters:
        if letter not in "hmk":
            return Result(stderr=f"df: invalid option -- '{letter}'\n", exit=1)
    chosen: list[Datastore] = []
    for word in (word for word in words if not word.startswith("-")):
        path = storage.canonical(word if word.startswith("/") else f"{cwd.rstrip('/')}/{word}")
        if path is None:
            path = storage.canonical(word.rstrip("/") + "/")
        found = storage.of(path) if path is not None else None
        if found is None:
            return Result(stderr=f"df: {word}: can't find mount point\n", exit=1)
        chosen.append(found)
    header = ("Filesystem", "Bytes", "Used", "Available", "Use%", "Mounted on")
    show: Callable[[int], str] = str
    if "h" in letters:
        header, show = ("Filesystem", "Size", "Used", "Available", "Use%", "Mounted on"), human
    elif "m" in letters:
        header, show = ("Filesystem", "1M-blocks", "Used", "Available", "Use%", "Mounted on"), _mebi
    elif "k" in letters:
        header, show = ("Filesystem", "1k-blocks", "Used", "Available", "Use%", "Mounted on"), _kibi
    rows = [header]
    for item in chosen or storage.world.datastores:
        free = storage.free_bytes(item)
        used = item.size_bytes - free
        share = f"{round(used * 100 / item.size_bytes)}%"
        rows.append(
            (item.type, show(item.size_bytes), show(used), show(free), share, f"/vmfs/volumes/{item.name}")
        )
    widths = [max(len(row[at]) for row in rows) for at in range(5)]
    lines = []
    for row in rows:
        cells = [row[0].ljust(widths[0])]
        cells += [row[at].rjust(widths[at]) for at in range(1, 5)]
        lines.append(" ".join([*cells, row[5]]))
    return Result("\n".join(lines) + "\n")


def _mebi(count: int) -> str:
    return str(count >> 20)


def _kibi(count: int) -> str:
    return str(count >> 10)


@dataclass(frozen=True)
class Ramdisk:
    """One ramdisk of the host, in bytes."""

    name: str
    size_bytes: int
    used_bytes: int


# Fact sheet esxcli-and-shell §3.5.
RAMDISKS_MIB = (("root", 32), ("etc", 28), ("opt", 32), ("var", 48), ("tmp", 256))


def vdf(ramdisks: list[Ramdisk]) -> str:
    """The ramdisk part of `vdf -h` (shell-vdf-1); whole units, rounded down."""
    rows = [f"{'Ramdisk':<20}{'Size':>10}{'Used':>10}{'Available':>10} Use% Mounted on\n"]
    for item in ramdisks:
        free = item.size_bytes - item.used_bytes
        share = item.used_bytes * 100 // item.size_bytes
        sizes = "".join(f"{_whole(count):>10}" for count in (item.size_bytes, item.used_bytes, free))
        rows.append(f"{item.name:<20}{sizes}{f'{share}%':>5} --\n")
    return "".join(rows)


def _whole(count: int) -> str:
    for unit, shift in (("G", 30), ("M", 20), ("K", 10)):
        if count >> shift:
            return f"{count >> shift}{unit}"
    return f"{count}B"


def measured(host_root: Path) -> list[Ramdisk]:
    """The ramdisks as they are: /tmp, /opt and / are real ones, the others go by what their files take."""
    found = []
    for name, size_mib in RAMDISKS_MIB:
        if name in ("tmp", "opt", "root"):
            facts = os.statvfs(host_root / name if name != "root" else host_root)
            used = (facts.f_blocks - facts.f_bfree) * facts.f_frsize
        else:
            place = host_root / name
            used = sum(
                os.lstat(os.path.join(folder, file)).st_blocks * 512
                for folder, _, files in os.walk(place)
                for file in files
            )
        found.append(Ramdisk(name, size_mib << 20, min(used, size_mib << 20)))
    return found
