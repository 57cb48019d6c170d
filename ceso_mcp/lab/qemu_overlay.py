"""What a real guest wrote: QEMU keeps it in a qcow2 overlay, and here it goes into the disk's top link.

QEMU never opens an ESXi disk for writing (it would rewrite the descriptor, and cannot write seSparse).
"""

from __future__ import annotations

import struct
import subprocess
from collections.abc import Iterator
from pathlib import Path

from ceso_mcp.errors import LabFault
from ceso_mcp.lab.disks import operations
from ceso_mcp.lab.disks.chain import Disk, Place

GRAIN_BYTES = 4096
_HEADER = struct.Struct(">4sIQIIQIIQ")
_OFFSET = 0x00FFFFFFFFFFFE00
_COMPRESSED, _ZERO = 1 << 62, 1


def create(overlay: Path, disk: str) -> None:
    """An empty overlay above the disk whose descriptor is at `disk`."""
    argv = ["qemu-img", "create", "-q", "-f", "qcow2", "-b", disk, "-F", "vmdk", str(overlay)]
    ran = subprocess.run(argv, capture_output=True, text=True, timeout=60)
    if ran.returncode != 0:
        raise LabFault(f"QEMU cannot use the disk: {ran.stderr.strip()}")


def written(overlay: Path) -> Iterator[tuple[int, bytes]]:
    """(offset, content) of every cluster that the overlay answers for. Raises `LabFault` for another file."""
    with open(overlay, "rb") as file:
        head = file.read(_HEADER.size)
        if len(head) < _HEADER.size:
            raise LabFault(f"{overlay} is not a qcow2 image")
        magic, version, _, _, bits, size, crypt, count, table_at = _HEADER.unpack(head)
        if magic != b"QFI\xfb" or version != 3 or crypt:
            raise LabFault(f"{overlay} is not a qcow2 image that the lab made")
        cluster = 1 << bits
        file.seek(table_at)
        for number, entry in enumerate(struct.unpack(f">{count}Q", file.read(count * 8))):
            if not entry & _OFFSET:
                continue
            file.seek(entry & _OFFSET)
            for at, item in enumerate(struct.unpack(f">{cluster // 8}Q", file.read(cluster))):
                offset = (number * (cluster // 8) + at) * cluster
                if item & _COMPRESSED:
                    raise LabFault(f"{overlay} holds a compressed cluster")
                if item & _ZERO:
                    content = bytes(cluster)
                elif item & _OFFSET:
                    file.seek(item & _OFFSET)
                    content = file.read(cluster).ljust(cluster, b"\0")
                else:
                    continue
                yield offset, content[: size - offset]


def commit(overlay: Path, disk: str, place: Place) -> int:
    """Put what the overlay holds into the top link of `disk`; returns how many bytes changed.

    Grains that are the same below are left out, so a delta holds what really changed. Doing it twice, or
    again after dying halfway, ends in the same disk. A disk that changed gets a new content id, as on the
    host.
    """
    changed = 0
    with Disk(disk, place, writable=True) as opened:
        for offset, content in written(overlay):
            before = opened.read(offset, len(content))
            if before == content:
                continue
            for at in range(0, len(content), GRAIN_BYTES):
                piece = content[at : at + GRAIN_BYTES]
                if before[at : at + GRAIN_BYTES] != piece:
                    opened.write(offset + at, piece)
                    changed += len(piece)
    if changed:
        operations.touched(disk)
    return changed
