"""The seSparse extent of a snapshot delta on VMFS-6: real enough for other readers of the format.

Layout in sectors: constant header 0, volatile header 1, journal header 2, journal 2048, grain
directory 4096, then grain tables, then grains of 4 KiB appended in the order of first writing.
"""

from __future__ import annotations

import os
import struct

from .delta_file import open_delta

MAGIC = 0xCAFEBABE
VERSION = 0x0000000200000001
GRAIN_BYTES = 4096
TABLE_ENTRIES = 4096
TABLE_BYTES = TABLE_ENTRIES * 8
DIRECTORY_AT = 4096 * 512
PRESENT_TABLE = 0x1000000000000000
KIND_MASK = 0xF000000000000000
KIND_ZERO, KIND_DATA = 0x2000000000000000, 0x3000000000000000
_HEADER = struct.Struct("<26Q")


def _layout(size_bytes: int) -> tuple[int, int, int]:
    """Directory size, offset of the tables and offset of the grains, in bytes."""
    tables = -(-size_bytes // (TABLE_ENTRIES * GRAIN_BYTES))
    directory = -(-tables * 8 // 512) * 512
    tables_at = -(-(DIRECTORY_AT + directory) // TABLE_BYTES) * TABLE_BYTES
    grains_at = -(-(tables_at + tables * TABLE_BYTES) // (1 << 20)) * (1 << 20)
    return directory, tables_at, grains_at


def create(path: str, size_bytes: int) -> None:
    """Make an empty delta of `size_bytes` capacity at `path`, mode 0600."""
    directory, tables_at, grains_at = _layout(size_bytes)
    sector = 512
    fields = [MAGIC, VERSION, size_bytes // sector, 8, 64, 0, 0, 0, 0, 0, 1, 1, 2, 2, 2048, 2048]
    fields += [DIRECTORY_AT // sector, directory // sector, tables_at // sector]
    fields += [(grains_at - tables_at) // sector, 0, 0, 0, 0, grains_at // sector, size_bytes // sector]
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "r+b") as file:
        file.write(_HEADER.pack(*fields))
        file.seek(sector)
        file.write(struct.pack("<4Q", 0xCAFECAFE, 0, 1, 0))
        file.truncate(grains_at)


class SeSparse:
    """One open delta. Offsets and lengths are multiples of 4 KiB, in bytes of the guest's disk."""

    def __init__(self, path: str, *, writable: bool = False) -> None:
        self._file, fields = open_delta(
            path, _HEADER, lambda fields: fields[:2] == (MAGIC, VERSION), writable=writable
        )
        self.size_bytes = fields[2] * 512
        self._directory_at, self._tables_at, self._grains_at = (
            fields[16] * 512,
            fields[18] * 512,
            fields[24] * 512,
        )
        self._directory = bytearray(os.pread(self._file, fields[17] * 512, self._directory_at))
        self._tables: dict[int, bytearray] = {}

    def close(self) -> None:
        os.close(self._file)

    def _table(self, number: int) -> bytearray | None:
        (entry,) = struct.unpack_from("<Q", self._directory, number * 8)
        if entry == 0:
            return None
        if number not in self._tables:
            at = self._tables_at + (entry & 0xFFFFFFFF) * TABLE_BYTES
            self._tables[number] = bytearray(os.pread(self._file, TABLE_BYTES, at))
        return self._tables[number]

    def grain(self, number: int) -> bytes | None:
        """The 4 KiB of grain `number`, or None when the parent has to answer."""
        table = self._table(number // TABLE_ENTRIES)
        if table is None:
            return None
        (entry,) = struct.unpack_from("<Q", table, number % TABLE_ENTRIES * 8)
        if entry & KIND_MASK == KIND_DATA:
            index = ((entry & 0x0FFF000000000000) >> 48) | ((entry & 0x0000FFFFFFFFFFFF) << 12)
            return os.pread(self._file, GRAIN_BYTES, self._grains_at + index * GRAIN_BYTES)
        return None if entry & KIND_MASK == 0 else bytes(GRAIN_BYTES)

    def written(self) -> list[int]:
        """The numbers of the grains this delta answers for, ascending."""
        grains = []
        for number in range(len(self._directory) // 8):
            table = self._table(number)
            if table is None:
                continue
            entries = struct.unpack(f"<{TABLE_ENTRIES}Q", table)
            grains += [number * TABLE_ENTRIES + at for at, entry in enumerate(entries) if entry & KIND_MASK]
        return grains

    def lay_over(self, offset: int, content: bytearray) -> None:
        """Replace in `content`, which stands at `offset`, what this delta answers for."""
        for at in range(0, len(content), GRAIN_BYTES):
            grain = self.grain((offset + at) // GRAIN_BYTES)
            if grain is not None:
                content[at : at + GRAIN_BYTES] = grain[: len(content) - at]

    def ranges(self) -> list[tuple[int, int]]:
        """(offset, length) of what this delta answers for, ascending."""
        return [(number * GRAIN_BYTES, GRAIN_BYTES) for number in self.written()]

    def write(self, offset: int, content: bytes) -> None:
        """Put `content` at `offset`."""
        for at in range(0, len(content), GRAIN_BYTES):
            piece = content[at : at + GRAIN_BYTES]
            self.write_grain((offset + at) // GRAIN_BYTES, piece.ljust(GRAIN_BYTES, b"\0"))

    def write_grain(self, number: int, content: bytes) -> None:
        """Put 4 KiB at grain `number`."""
        which, at = divmod(number, TABLE_ENTRIES)
        table = self._table(which)
        if table is None:
            table = self._tables[which] = bytearray(TABLE_BYTES)
            struct.pack_into("<Q", self._directory, which * 8, PRESENT_TABLE | which)
            os.pwrite(self._file, table, self._tables_at + which * TABLE_BYTES)
            os.pwrite(self._file, self._directory, self._directory_at)
        (entry,) = struct.unpack_from("<Q", table, at * 8)
        if entry & KIND_MASK == KIND_DATA:
            index = ((entry & 0x0FFF000000000000) >> 48) | ((entry & 0x0000FFFFFFFFFFFF) << 12)
        else:
            index = (os.fstat(self._file).st_size - self._grains_at) // GRAIN_BYTES
        os.pwrite(self._file, content, self._grains_at + index * GRAIN_BYTES)
        entry = KIND_DATA | ((index & 0xFFF) << 48) | (index >> 12)
        struct.pack_into("<Q", table, at * 8, entry)
        place = self._tables_at + which * TABLE_BYTES + at * 8
        os.pwrite(self._file, struct.pack("<Q", entry), place)
