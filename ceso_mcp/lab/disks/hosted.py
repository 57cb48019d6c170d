"""Reading a hosted sparse extent (`SPARSE`, magic `KDMV`), of which split disks from Workstation are made."""

from __future__ import annotations

import os
import struct

from .fault import DiskFault

MAGIC = b"KDMV"
SECTOR = 512
_HEADER = struct.Struct("<4sIIQQQQIQQQ")


class HostedSparse:
    """One open extent; `size_bytes` long. Compressed (streamOptimized) ones are refused with 15."""

    def __init__(self, path: str) -> None:
        try:
            self._file = os.open(path, os.O_RDONLY)
        except FileNotFoundError:
            raise DiskFault(25) from None
        header = os.pread(self._file, _HEADER.size, 0)
        if len(header) < _HEADER.size or header[:4] != MAGIC:
            os.close(self._file)
            raise DiskFault(15)
        _, _, flags, capacity, grain, _, _, entries, _, directory_at, _ = _HEADER.unpack(header)
        if flags & 0x10000:
            os.close(self._file)
            raise DiskFault(15)
        self.size_bytes = capacity * SECTOR
        self._grain_bytes = grain * SECTOR
        self._entries = entries
        tables = -(-capacity // (grain * entries))
        places = struct.unpack(f"<{tables}I", os.pread(self._file, tables * 4, directory_at * SECTOR))
        self._grains: dict[int, int] = {}
        for number, place in enumerate(places):
            if place:
                table = os.pread(self._file, entries * 4, place * SECTOR).ljust(entries * 4, b"\0")
                for at, sector in enumerate(struct.unpack(f"<{entries}I", table)):
                    if sector > 1:
                        self._grains[number * entries + at] = sector * SECTOR

    def close(self) -> None:
        os.close(self._file)

    def read(self, offset: int, length: int) -> bytes:
        """`length` bytes at `offset`; what no grain holds reads as zeros."""
        pieces = []
        while length:
            number, inside = divmod(offset, self._grain_bytes)
            size = min(length, self._grain_bytes - inside)
            place = self._grains.get(number)
            piece = b"" if place is None else os.pread(self._file, size, place + inside)
            pieces.append(piece.ljust(size, b"\0"))
            offset, length = offset + size, length - size
        return b"".join(pieces)

    def ranges(self) -> list[tuple[int, int]]:
        """(offset, length) of every grain that is there, ascending."""
        return [(number * self._grain_bytes, self._grain_bytes) for number in sorted(self._grains)]
