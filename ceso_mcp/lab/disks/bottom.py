"""What lies at the bottom of a chain: one flat file, or the parts of a split disk one after another."""

from __future__ import annotations

import os

from .fault import DiskFault
from .hosted import MAGIC, HostedSparse


class FlatBase:
    """A flat extent (or an RDM's pointer), zeros past its end."""

    def __init__(self, path: str, *, writable: bool = False) -> None:
        self._file = os.open(path, os.O_RDWR if writable else os.O_RDONLY)
        self.size_bytes = os.fstat(self._file).st_size

    def close(self) -> None:
        os.close(self._file)

    def read(self, offset: int, length: int) -> bytes:
        return os.pread(self._file, length, offset).ljust(length, b"\0")

    def write(self, offset: int, content: bytes) -> None:
        os.pwrite(self._file, content, offset)

    def ranges(self) -> list[tuple[int, int]]:
        """(offset, length) of what is allocated, ascending."""
        found: list[tuple[int, int]] = []
        at, size = 0, os.fstat(self._file).st_size
        while at < size:
            try:
                start = os.lseek(self._file, at, os.SEEK_DATA)
            except OSError:
                break
            at = os.lseek(self._file, start, os.SEEK_HOLE)
            found.append((start, at - start))
        return found


class SplitBase:
    """Extents one after another, each `sizes` bytes long; read only."""

    def __init__(self, paths: list[str], sizes: list[int]) -> None:
        self._parts: list[tuple[int, int, FlatBase | HostedSparse]] = []
        at = 0
        try:
            for path, size in zip(paths, sizes, strict=True):
                with open(path, "rb") as file:
                    sparse = file.read(4) == MAGIC
                self._parts.append((at, size, HostedSparse(path) if sparse else FlatBase(path)))
                at += size
        except DiskFault:
            self.close()
            raise

    def close(self) -> None:
        for _, _, part in self._parts:
            part.close()

    def read(self, offset: int, length: int) -> bytes:
        pieces = []
        for start, size, part in self._parts:
            low, high = max(offset, start), min(offset + length, start + size)
            if low < high:
                pieces.append(part.read(low - start, high - low))
        return b"".join(pieces).ljust(length, b"\0")

    def write(self, offset: int, content: bytes) -> None:
        raise DiskFault(24)

    def ranges(self) -> list[tuple[int, int]]:
        return [
            (start + offset, length) for start, _, part in self._parts for offset, length in part.ranges()
        ]
