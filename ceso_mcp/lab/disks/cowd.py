"""The vmfsSparse extent of a snapshot delta on VMFS-5 and NFS: magic `COWD`, grains of one sector.

Layout: header of 4 sectors, grain directory, then grain tables and grains in the order of first
writing. The head is rounded up to 4 KiB and the file grows by 16 MiB (20,480 bytes for 8 GiB,
24,576 for 10 GiB, 45,056 for 20 GiB and 268,505,088 = 16 x 16 MiB + head: transcripts
files-stat-flat-1, files-dir-vcl-linked-clone-3 and others).
"""

from __future__ import annotations

import os
import struct
from array import array

from .delta_file import open_delta

MAGIC = b"COWD"
SECTOR = 512
TABLE_ENTRIES = 4096
TABLE_BYTES = TABLE_ENTRIES * 4
DIRECTORY_SECTOR = 4
STEP_BYTES = 16 << 20
_HEADER = struct.Struct("<4s10I")
_FREE_AT = 28


def _head_bytes(sectors: int) -> int:
    directory = -(-sectors // TABLE_ENTRIES) * 4
    return -(-(DIRECTORY_SECTOR * SECTOR + directory) // 4096) * 4096


def create(path: str, size_bytes: int) -> None:
    """Make an empty delta of `size_bytes` capacity at `path`, mode 0600."""
    sectors = size_bytes // SECTOR
    head = _head_bytes(sectors)
    tables = -(-sectors // TABLE_ENTRIES)
    fields = (MAGIC, 1, 3, sectors, 1, DIRECTORY_SECTOR, tables, head // SECTOR)
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "r+b") as file:
        file.write(_HEADER.pack(*fields, sectors // 255 // 63, 255, 63))
        file.truncate(head)


class Cowd:
    """One open delta. Offsets and lengths are multiples of 512 bytes of the guest's disk."""

    def __init__(self, path: str, *, writable: bool = False) -> None:
        self._file, fields = open_delta(path, _HEADER, lambda fields: fields[0] == MAGIC, writable=writable)
        self.size_bytes = fields[3] * SECTOR
        self._directory_at, self._free = fields[5] * SECTOR, fields[7]
        self._directory = array("I", os.pread(self._file, fields[6] * 4, self._directory_at))
        self._tables: dict[int, array[int]] = {}

    def close(self) -> None:
        os.close(self._file)

    def _table(self, number: int) -> array[int] | None:
        at = self._directory[number]
        if at == 0:
            return None
        if number not in self._tables:
            self._tables[number] = array("I", os.pread(self._file, TABLE_BYTES, at * SECTOR))
        return self._tables[number]

    def lay_over(self, offset: int, content: bytearray) -> None:
        """Replace in `content`, which stands at `offset`, what this delta answers for."""
        for at in range(0, len(content), SECTOR):
            which, entry = divmod((offset + at) // SECTOR, TABLE_ENTRIES)
            table = self._table(which)
            if table is not None and table[entry]:
                content[at : at + SECTOR] = os.pread(self._file, SECTOR, table[entry] * SECTOR)

    def ranges(self) -> list[tuple[int, int]]:
        """(offset, length) of what this delta answers for, ascending."""
        found: list[tuple[int, int]] = []
        for which in range(len(self._directory)):
            table = self._table(which)
            if table is None:
                continue
            for entry, place in enumerate(table):
                if place:
                    found.append(((which * TABLE_ENTRIES + entry) * SECTOR, SECTOR))
        return found

    def _take(self, count: int) -> int:
        """`count` sectors at the end; the file grows by whole steps."""
        at: int = self._free
        self._free += count
        size = os.fstat(self._file).st_size
        while size < self._free * SECTOR:
            size += STEP_BYTES
        if size != os.fstat(self._file).st_size:
            os.ftruncate(self._file, size)
        os.pwrite(self._file, struct.pack("<I", self._free), _FREE_AT)
        return at

    def write(self, offset: int, content: bytes) -> None:
        """Put `content` at `offset`."""
        for at in range(0, len(content), SECTOR):
            which, entry = divmod((offset + at) // SECTOR, TABLE_ENTRIES)
            table = self._table(which)
            if table is None:
                place = self._take(TABLE_BYTES // SECTOR)
                table = self._tables[which] = array("I", bytes(TABLE_BYTES))
                os.pwrite(self._file, table.tobytes(), place * SECTOR)
                self._directory[which] = place
                os.pwrite(self._file, struct.pack("<I", place), self._directory_at + which * 4)
            if table[entry] == 0:
                table[entry] = self._take(1)
                place = self._directory[which] * SECTOR + entry * 4
                os.pwrite(self._file, struct.pack("<I", table[entry]), place)
            os.pwrite(self._file, content[at : at + SECTOR], table[entry] * SECTOR)
