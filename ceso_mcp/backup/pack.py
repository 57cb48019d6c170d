"""The layout of a pack: zstd frames one after the other, then the standard seek table.

A pack is a file of zstd's seekable format 0.1.0: ordinary frames (each with a content checksum)
followed by a skippable frame that lists their sizes, which `zstd -d` ignores. Numbers are
little-endian 32 bit:

    0x184D2A5E  size-of-what-follows  (compressed, raw)*  frame-count  descriptor(1 byte)  0x8F92EAB1

Seal it whole and it is what a repository stores; its name is the sha256 of the stored bytes.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import accumulate

from ceso_mcp.errors import Unreadable

PACK_STORED_BYTES = 32 << 20
"""A pack is closed when its frames reach this size."""

PACK_RAW_BYTES = 256 << 20
"""A pack is closed when its frames hold this much raw data: what a restore by hand unpacks at once."""

_SKIPPABLE = 0x184D2A5E
_SEEKABLE = 0x8F92EAB1
_HEAD = struct.Struct("<II")
_ENTRY = struct.Struct("<II")
_FOOT = struct.Struct("<IBI")


def seek_table(frames: Iterable[tuple[int, int]]) -> bytes:
    """The seek table for frames of these (compressed, raw) sizes."""
    entries = [_ENTRY.pack(*frame) for frame in frames]
    body = b"".join(entries) + _FOOT.pack(len(entries), 0, _SEEKABLE)
    return _HEAD.pack(_SKIPPABLE, len(body)) + body


@dataclass(frozen=True, slots=True)
class Frame:
    """Where one frame lies in its pack, and which part of the raw data it holds. All in bytes."""

    start: int
    stored_bytes: int
    raw_start: int
    raw_bytes: int


def frames_of(pack: bytes | bytearray | memoryview) -> list[Frame]:
    """The frames that an unsealed pack says it holds, in order.

    Raises Unreadable unless the seek table is there and accounts for every byte of the pack.
    """
    view = memoryview(pack)
    if len(view) < _HEAD.size + _FOOT.size:
        raise Unreadable("pack", "it is too short to hold a seek table")
    count, descriptor, magic = _FOOT.unpack(view[-_FOOT.size :])
    if magic != _SEEKABLE or descriptor != 0:
        raise Unreadable("pack", "it does not end with a seek table")
    table_start = len(view) - _FOOT.size - count * _ENTRY.size - _HEAD.size
    if table_start < 0:
        raise Unreadable("pack", "its seek table is longer than the pack")
    if _HEAD.unpack_from(view, table_start) != (_SKIPPABLE, count * _ENTRY.size + _FOOT.size):
        raise Unreadable("pack", "its seek table does not begin where it should")
    sizes = list(_ENTRY.iter_unpack(view[table_start + _HEAD.size : -_FOOT.size]))
    starts = accumulate((stored for stored, _ in sizes), initial=0)
    raw_starts = accumulate((raw for _, raw in sizes), initial=0)
    frames = [
        Frame(start, stored, raw_start, raw)
        for (stored, raw), start, raw_start in zip(sizes, starts, raw_starts, strict=False)
    ]
    if sum(stored for stored, _ in sizes) != table_start:
        raise Unreadable("pack", "its seek table does not account for every byte")
    return frames
