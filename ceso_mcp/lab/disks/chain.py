"""A disk as the guest sees it: a base with any number of deltas above it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from .bottom import FlatBase, SplitBase
from .cowd import Cowd
from .descriptor import Descriptor, load
from .fault import DiskFault
from .sesparse import SeSparse

Place = Callable[[str], str]
BLOCK_BYTES = 1 << 20
DELTAS = {"seSparse": "SESPARSE", "vmfsSparse": "VMFSSPARSE"}
BASES = {
    "vmfs": "VMFS",
    "vmfsRawDeviceMap": "VMFSRDM",
    "vmfsPassthroughRawDeviceMap": "VMFSRDM",
    "monolithicFlat": "FLAT",
    "monolithicSparse": "SPARSE",
    "twoGbMaxExtentSparse": "SPARSE",
    "twoGbMaxExtentFlat": "FLAT",
}


def same(path: str) -> str:
    return path


@dataclass
class Link:
    """One descriptor of a chain, its path and its extent's path on this machine."""

    path: str
    descriptor: Descriptor
    extent: str


# What a reader of the chain is told while it is opened: the event, the link or path, and more words.
Listener = Callable[[str, Link | None, str], None]


def unheard(event: str, link: Link | None, path: str) -> None:
    """Nobody listens."""


def extents(link: Link) -> list[str]:
    """The paths of all extents of a link on this machine."""
    folder = os.path.dirname(link.path)
    return [link.extent, *(os.path.join(folder, name) for _, _, name in link.descriptor.extents[1:])]


def _open(path: str, place: Place) -> Link:
    descriptor = load(path)
    kind = descriptor.create_type
    if "encryptionKeys" in descriptor.more or {**DELTAS, **BASES}.get(kind) != descriptor.extent_type:
        raise DiskFault(15)
    name = descriptor.extent_name
    link = Link(path, descriptor, place(name) if name.startswith("/") else os.path.dirname(path) + "/" + name)
    if not os.path.dirname(path):
        link.extent = name
    if not all(os.path.isfile(extent) for extent in extents(link)):
        raise DiskFault(25)
    return link


def links(path: str, place: Place = same, listen: Listener = unheard) -> list[Link]:
    """The chain of the disk at `path`, top first.

    `place` maps a path of the host to one of this machine, for absolute parent hints; `listen` hears
    "open" for each link and the failure that ends it. Raises `DiskFault` 25 (missing), 15 (not a
    disk), 23 (parent missing), 18 (parent changed), 67 (sizes).
    """
    found: list[Link] = []
    seen: set[str] = set()
    while True:
        if os.path.realpath(path) in seen:
            raise DiskFault(23)
        seen.add(os.path.realpath(path))
        try:
            link = _open(path, place)
        except DiskFault as fault:
            if found and fault.number == 25:
                listen("missing", None, path)
                raise DiskFault(23) from None
            raise
        listen("open", link, path)
        if found:
            child = found[-1].descriptor
            if child.parent_cid != link.descriptor.cid:
                listen("changed", link, path)
                raise DiskFault(18)
            if child.sectors != link.descriptor.sectors:
                listen("resized", link, path)
                raise DiskFault(67)
        found.append(link)
        hint = link.descriptor.parent_hint
        if not hint:
            return found
        path = place(hint) if hint.startswith("/") else os.path.join(os.path.dirname(path), hint)


def open_delta(link: Link, *, writable: bool = False) -> SeSparse | Cowd:
    """The delta extent of a link, open; `close()` it."""
    if link.descriptor.create_type == "seSparse":
        return SeSparse(link.extent, writable=writable)
    return Cowd(link.extent, writable=writable)


class Disk:
    """An open chain; `close()` it. Reading never changes it; writing goes to the top link."""

    def __init__(self, path: str, place: Place = same, *, writable: bool = False) -> None:
        self.links = links(path, place)
        self.size_bytes = self.links[0].descriptor.size_bytes
        bottom = self.links[-1]
        if bottom.descriptor.create_type in DELTAS:
            raise DiskFault(23)
        own = writable and len(self.links) == 1
        self._deltas: list[SeSparse | Cowd] = []
        parts = extents(bottom)
        split = bottom.descriptor.extent_type == "SPARSE" or len(parts) > 1
        if split and own:
            raise DiskFault(24)
        sizes = [extent[0] * 512 for extent in bottom.descriptor.extents]
        self._bottom: SplitBase | FlatBase
        self._bottom = SplitBase(parts, sizes) if split else FlatBase(bottom.extent, writable=own)
        try:
            for index, link in enumerate(self.links[:-1]):
                self._deltas.append(open_delta(link, writable=writable and index == 0))
        except DiskFault:
            self.close()
            raise

    def close(self) -> None:
        self._bottom.close()
        for delta in self._deltas:
            delta.close()

    def __enter__(self) -> Disk:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def read(self, offset: int, length: int) -> bytes:
        """`length` bytes at `offset`, both multiples of 4 KiB; zeros past an extent that is too short."""
        content = self._bottom.read(offset, length)
        if not self._deltas:
            return content
        changed = bytearray(content)
        for delta in reversed(self._deltas):
            delta.lay_over(offset, changed)
        return bytes(changed)

    def write(self, offset: int, content: bytes) -> None:
        """Put `content` (a multiple of 4 KiB) at `offset` of the top link."""
        (self._deltas[0] if self._deltas else self._bottom).write(offset, content)

    def data_blocks(self) -> Iterator[tuple[int, int]]:
        """(offset, length) of every 1 MiB block that may hold something, ascending."""
        blocks: set[int] = set()
        for part in (self._bottom, *self._deltas):
            for offset, length in part.ranges():
                blocks.update(range(offset // BLOCK_BYTES, (offset + length - 1) // BLOCK_BYTES + 1))
        for block in sorted(blocks):
            offset = block * BLOCK_BYTES
            if offset < self.size_bytes:
                yield offset, min(BLOCK_BYTES, self.size_bytes - offset)
