"""The files that a running VM has beside its disks (fact sheet vmkfstools-and-files §7)."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from ceso_mcp.lab.vmx import Settings

MONITOR_SWAP_BYTES = 82 << 20  # files-dir-esxi8-ubuntu2404-efi-nfs-running-4
SCOREBOARD_BYTES = 7475
LOCK_BYTES = 92
KEPT_LOGS = 6


def swap_bytes(settings: Settings) -> int:
    """The size of the swap file: the memory that is not reserved."""
    memory = int(settings.get("memSize", "32"))
    reserved = settings.get("sched.mem.min", "0")
    return max(0, memory - (int(reserved) if reserved.isdigit() else 0)) << 20


def turn_over(folder: Path, name: str, ending: str) -> None:
    """Make room for a new `name.ending`: the old one becomes `name-1.ending`, or the next number."""
    current = folder / f"{name}.{ending}"
    if not current.exists():
        return
    numbers = [
        int(number)
        for file in folder.glob(f"*.{ending}")
        if file.name.startswith(f"{name}-")
        and (number := file.name[len(name) + 1 : -len(ending) - 1]).isdigit()
    ]
    last = max(numbers, default=0)
    current.rename(folder / f"{name}-{last + 1}.{ending}")
    for old in sorted(numbers)[: max(0, len(numbers) + 1 - KEPT_LOGS)]:
        (folder / f"{name}-{old}.{ending}").unlink(missing_ok=True)


def appear(folder: Path, stem: str, extents: list[str], *, nfs: bool, modern: bool) -> None:
    """The monitor's swap file and, on 8.x, the scoreboard; on NFS a lock file for every open file."""
    digest = hashlib.sha256(str(folder).encode("utf-8", "surrogateescape")).hexdigest()
    swap = folder / f"vmx-{stem}-{digest}-1.vswp"
    with open(swap, "wb") as file:
        os.chmod(swap, 0o600)
        file.truncate(MONITOR_SWAP_BYTES)
    if modern:
        turn_over(folder, stem, "scoreboard")
        board = folder / f"{stem}.scoreboard"
        board.write_bytes(bytes(SCOREBOARD_BYTES))
        board.chmod(0o644)
    if nfs:
        opened = [*extents, str(swap), *map(str, folder.glob(f"{stem}-????????.vswp"))]
        for path in [*opened, str(folder / f"{stem}.vmx.lck")]:
            if os.path.exists(path):
                lock = folder / f".lck-{os.stat(path).st_ino.to_bytes(8, 'little').hex()}"
                lock.write_bytes(bytes(LOCK_BYTES))
                lock.chmod(0o775)


def vanish(folder: Path, stem: str) -> None:
    """Remove what `appear` made; scoreboards stay."""
    for file in list(folder.iterdir()):
        swap = file.name.startswith(f"vmx-{stem}-") and file.name.endswith(".vswp")
        if swap or file.name.startswith(".lck-"):
            file.unlink(missing_ok=True)
