"""A small file system with the files of a clean Ubuntu guest, for who looks into a guest's disk from outside.

The make-believe guests do not read it; what they are is in their guest block. The image is made by
`scripts/make_guest_system.py`.
"""

from __future__ import annotations

import functools
import gzip
import struct
from collections.abc import Iterator
from pathlib import Path

IMAGE = Path(__file__).with_name("guest_system.img.gz")
PARTITION_AT = 1 << 20
_PIECE_BYTES = 4096


@functools.cache
def image() -> bytes:
    """The file system (ext4)."""
    return gzip.decompress(IMAGE.read_bytes())


def pieces(boot_sector: bytes, free_mib: int) -> Iterator[tuple[int, bytes]]:
    """(offset, bytes) to write onto a disk: an MBR with one partition, and what of the image is not zero.

    Nothing on a disk that has too little free room after its first MiB.
    """
    content = image()
    if len(content) > free_mib << 20:
        return
    entry = bytes([0, 0xFE, 0xFF, 0xFF, 0x83, 0xFE, 0xFF, 0xFF])
    entry += struct.pack("<II", PARTITION_AT // 512, len(content) // 512)
    yield 0, boot_sector[:440] + bytes(6) + entry + bytes(48) + b"\x55\xaa"
    for at in range(0, len(content), _PIECE_BYTES):
        piece = content[at : at + _PIECE_BYTES]
        if any(piece):
            yield PARTITION_AT + at, piece
