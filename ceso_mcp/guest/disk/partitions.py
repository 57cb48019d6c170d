"""Partition tables: MBR with logical partitions, and GPT. Sectors are of 512 bytes, as VMware's disks have.

Sources: UEFI specification 2.10, chapter 5 (GPT and the MBR entry); the MBR's chain of extended
partitions as Linux reads it (block/partitions/msdos.c).
"""

from __future__ import annotations

import struct
import zlib

from ceso_mcp.guest.disk.ranges import Asking, Unknown, Volume, ask

SECTOR_BYTES = 512
MAX_PARTITIONS = 128
_EXTENDED = (0x05, 0x0F, 0x85)
_PROTECTIVE = 0xEE
_HEADER = struct.Struct("<8sIIIIQQQQ16sQIII")


def partitions(disk_bytes: int) -> Asking[list[Volume]]:
    """The partitions of a disk, by number; none if the disk has no table.

    Raises Unknown for a table that is damaged or names sectors beyond the disk's end.
    """
    first = yield from ask(0, 2 * SECTOR_BYTES)
    if first[510:512] != b"\x55\xaa":
        return []
    entries = _entries(first)
    if any(kind == _PROTECTIVE for _, kind, _, _ in entries):
        return (yield from _gpt(first[SECTOR_BYTES:], disk_bytes))
    if not _plausible(first, disk_bytes):
        return []  # the boot sector of a file system ends with the same two bytes
    found = []
    for number, kind, start, count in entries:
        if kind in _EXTENDED:
            found += yield from _logical(start, disk_bytes)
        else:
            found.append(_volume(number, start, count, disk_bytes))
    return found


def _entries(sector: bytes) -> list[tuple[int, int, int, int]]:
    """(number, type, first sector, sectors) of the entries in use."""
    found = []
    for index in range(4):
        entry = sector[446 + 16 * index : 462 + 16 * index]
        start, count = struct.unpack_from("<II", entry, 8)
        if entry[4] and count:
            found.append((index + 1, entry[4], start, count))
    return found


def _plausible(sector: bytes, disk_bytes: int) -> bool:
    flags = [sector[446 + 16 * index] for index in range(4)]
    entries = _entries(sector)
    inside = all((start + count) * SECTOR_BYTES <= disk_bytes for _, _, start, count in entries)
    return bool(entries) and inside and all(flag in (0, 0x80) for flag in flags)


def _volume(number: int, start: int, count: int, disk_bytes: int) -> Volume:
    if start == 0 or count <= 0 or (start + count) * SECTOR_BYTES > disk_bytes:
        raise Unknown(f"partition {number} lies beyond the end of the disk")
    return Volume.plain(f"partition {number}", start * SECTOR_BYTES, count * SECTOR_BYTES)


def _logical(extended: int, disk_bytes: int) -> Asking[list[Volume]]:
    found: list[Volume] = []
    at = extended
    for _ in range(MAX_PARTITIONS):
        if (at + 1) * SECTOR_BYTES > disk_bytes:
            raise Unknown("an extended partition lies beyond the end of the disk")
        sector = yield from ask(at * SECTOR_BYTES, SECTOR_BYTES)
        if sector[510:512] != b"\x55\xaa":
            raise Unknown("the chain of logical partitions is broken")
        following = None
        for _, kind, start, count in _entries(sector)[:2]:
            if kind in _EXTENDED:
                following = extended + start
            else:
                found.append(_volume(5 + len(found), at + start, count, disk_bytes))
        if following is None:
            return found
        at = following
    raise Unknown("the chain of logical partitions has no end")


def _gpt(sector: bytes, disk_bytes: int) -> Asking[list[Volume]]:
    magic, revision, size, crc, _, _, _, _, _, _, at, count, entry_bytes, table_crc = _HEADER.unpack_from(
        sector
    )
    if magic != b"EFI PART" or revision != 0x10000 or not 92 <= size <= SECTOR_BYTES:
        raise Unknown("the disk says that it has a GPT, and has none where it belongs")
    if zlib.crc32(sector[:16] + bytes(4) + sector[20:size]) != crc:
        raise Unknown("the checksum of the GPT's header is wrong")
    if not 0 < count <= 1024 or entry_bytes not in (128, 256, 512):
        raise Unknown("the GPT has a size that no known tool makes")
    if at * SECTOR_BYTES + count * entry_bytes > disk_bytes:
        raise Unknown("the GPT lies beyond the end of the disk")
    table = yield from ask(at * SECTOR_BYTES, count * entry_bytes)
    if zlib.crc32(table) != table_crc:
        raise Unknown("the checksum of the GPT's entries is wrong")
    found = []
    for index in range(count):
        entry = table[index * entry_bytes : (index + 1) * entry_bytes]
        if any(entry[:16]):
            start, last = struct.unpack_from("<QQ", entry, 32)
            found.append(_volume(index + 1, start, last - start + 1, disk_bytes))
    return found
