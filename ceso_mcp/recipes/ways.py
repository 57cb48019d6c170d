"""What a host's disks are read and written with: a plan is made for what this host has."""

from __future__ import annotations

from collections.abc import Iterable

from ceso_mcp.backup.actions import Way
from ceso_mcp.errors import Refused
from ceso_mcp.fact import Facts
from ceso_mcp.facts.storage import DiskWays

NOT_WRITABLE = "This host has no python3, and its dd is not one that ceso can write disks with"


async def way_to_write(facts: Facts) -> Way:
    """What disks are written and read back with. Raises Refused `no_disk_writer` if there is nothing."""
    ways = await facts.read(DiskWays())
    if ways.writing is None:
        raise Refused(
            "the host has no python3, and no dd that takes exactly as much of a stream as it is told",
            code="no_disk_writer",
            hint="restore the backup on another host, or take a disk out of it with extract_disk",
        )
    return ways.writing


def read_back_slowly(way: Way, capacities: Iterable[int]) -> list[str]:
    """What a preview says of disks of these sizes, in bytes, that are compared here after their restore."""
    if way != "dd":
        return []
    size = _gib(capacities)
    return [f"This host has no python3: to be compared, restored disks cross the network whole, {size}."]


def read_slowly(way: Way, capacities: Iterable[int]) -> list[str]:
    """What a preview says of disks of these sizes, in bytes, of which every byte is read over the network."""
    if way != "dd":
        return []
    return [f"This host has no python3: whole disks cross the network, {_gib(capacities)}."]


def _gib(sizes: Iterable[int]) -> str:
    return f"{sum(sizes) / 2**30:.1f} GiB"
