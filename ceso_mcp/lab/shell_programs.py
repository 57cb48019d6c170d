"""`vmware` and `df` as ESXi has them (transcripts shell-vmware-*, shell-df-1, -2, -3)."""

from __future__ import annotations

from collections.abc import Callable

from ceso_mcp.lab.result import Result
from ceso_mcp.lab.storage import Storage
from ceso_mcp.lab.world import Datastore, World


def vmware(world: World, words: list[str]) -> Result:
    """`-v` the version, `-l` the update; any other word prints both (assumed)."""
    version = f"VMware ESXi {world.version} build-{world.build}\n"
    level = f"VMware ESXi {world.version} Update {world.update}\n"
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
        share = f"{-(-used * 100 // item.size_bytes)}%"
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
