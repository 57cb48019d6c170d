"""A disk as the guest sees it: a flat base with any number of seSparse deltas above it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from .descriptor import Descriptor, load
from .fault import DiskFault
from .sesparse import GRAIN_BYTES, SeSparse

Place = Callable[[str], str]
BLOCK_BYTES = 1 << 20


def same(path: str) -> str:
    return path


@dataclass
class Link:
    """One descriptor of a chain, its path and its extent's path on this machine."""

    path: str
    descriptor: Descriptor
    extent: str


def links(path: str, place: Place = same) -> list[Link]:
    """The chain of the disk at `path`, top first.

    `place` maps a path of the host to one of this machine, for absolute parent hints. Raises
    `DiskFault` 25 (missing), 15 (not a disk), 23 (parent missing), 18 (parent changed), 67 (sizes).
    """
    found: list[Link] = []
    seen: set[str] = set()
    while True:
        try:
            descriptor = load(path)
        except DiskFault as fault:
            if found and fault.number == 25:
                raise DiskFault(23) from None
            raise
        if os.path.realpath(path) in seen:
            raise DiskFault(23)
        seen.add(os.path.realpath(path))
        if (descriptor.create_type, descriptor.extent_type) not in (
            ("vmfs", "VMFS"),
            ("seSparse", "SESPARSE"),
        ):
            raise DiskFault(15)
        folder = os.path.dirname(path)
        extent = os.path.join(folder, descriptor.extent_name)
        if descriptor.extent_name.startswith("/"):
            extent = place(descriptor.extent_name)
        if not os.path.isfile(extent):
            raise DiskFault(25)
        if found:
            child = found[-1].descriptor
            if child.parent_cid != descriptor.cid:
                raise DiskFault(18)
            if child.sectors != descriptor.sectors:
                raise DiskFault(67)
        found.append(Link(path, descriptor, extent))
        if not descriptor.parent_hint:
            return found
        hint = descriptor.parent_hint
        path = place(hint) if hint.startswith("/") else os.path.join(folder, hint)


class Disk:
    """An open chain; `close()` it. Reading never changes it; writing goes to the top link."""

    def __init__(self, path: str, place: Place = same, *, writable: bool = False) -> None:
        self.links = links(path, place)
        self.size_bytes = self.links[0].descriptor.size_bytes
        base = self.links[-1]
        if base.descriptor.create_type != "vmfs":
            raise DiskFault(23)
        top_is_base = len(self.links) == 1
        mode = os.O_RDWR if writable and top_is_base else os.O_RDONLY
        self._base = os.open(base.extent, mode)
        self._deltas = [
            SeSparse(link.extent, writable=writable and index == 0)
            for index, link in enumerate(self.links[:-1])
        ]

    def close(self) -> None:
        os.close(self._base)
        for delta in self._deltas:
            delta.close()

    def __enter__(self) -> Disk:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _flat(self, offset: int, length: int) -> bytes:
        content = os.pread(self._base, length, offset)
        return content + bytes(length - len(content))

    def read(self, offset: int, length: int) -> bytes:
        """`length` bytes at `offset`, both multiples of 4 KiB; zeros past an extent that is too short."""
        if not self._deltas:
            return self._flat(offset, length)
        content = bytearray(self._flat(offset, length))
        for at in range(0, length, GRAIN_BYTES):
            for delta in self._deltas:
                grain = delta.grain((offset + at) // GRAIN_BYTES)
                if grain is not None:
                    content[at : at + GRAIN_BYTES] = grain[: length - at]
                    break
        return bytes(content)

    def write(self, offset: int, content: bytes) -> None:
        """Put `content` (a multiple of 4 KiB) at `offset` of the top link."""
        if not self._deltas:
            os.pwrite(self._base, content, offset)
            return
        for at in range(0, len(content), GRAIN_BYTES):
            self._deltas[0].write_grain((offset + at) // GRAIN_BYTES, content[at : at + GRAIN_BYTES])

    def data_blocks(self) -> Iterator[tuple[int, int]]:
        """(offset, length) of every 1 MiB block that may hold something, ascending."""
        blocks = {grain * GRAIN_BYTES // BLOCK_BYTES for delta in self._deltas for grain in delta.written()}
        at = 0
        size = min(self.size_bytes, os.fstat(self._base).st_size)
        while at < size:
            try:
                start = os.lseek(self._base, at, os.SEEK_DATA)
            except OSError:
                break
            at = os.lseek(self._base, start, os.SEEK_HOLE)
            blocks.update(range(start // BLOCK_BYTES, (at - 1) // BLOCK_BYTES + 1))
        for block in sorted(blocks):
            offset = block * BLOCK_BYTES
            if offset < self.size_bytes:
                yield offset, min(BLOCK_BYTES, self.size_bytes - offset)
