"""The map and the digests of a disk in the making: what came, and around it what its parent has."""

from __future__ import annotations

from collections import deque

from ceso_mcp.backup.block_map import MapWriter, Run
from ceso_mcp.backup.manifest import PackRef
from ceso_mcp.backup.sums import DIGEST_BYTES, UNKNOWN_DIGEST, block_count, header
from ceso_mcp.errors import RepositoryFault
from ceso_mcp.repository import seal
from ceso_mcp.repository.parent import ParentDisk

_ZERO_PIECE = bytes(1 << 16)


class DiskIndex:
    """Writes a complete map and complete digests in disk order. Memory: what is compressed so far.

    Whatever stretch did not come is as it is in the parent, or zero if there is none. The digests
    of what came are computed from it, never taken from anybody.
    """

    def __init__(
        self, capacity_bytes: int, block_bytes: int, key: bytes, parent: ParentDisk | None = None
    ) -> None:
        self._capacity_bytes = capacity_bytes
        self._block_bytes = block_bytes
        self._parent = parent
        self._map = _Part(seal.deflater())
        self._runs = MapWriter()
        self._sums = _Part(seal.deflater())
        self._sums.add(header(capacity_bytes, block_bytes, key))
        self._done = 0
        self._came: deque[list[int]] = deque()
        self._packs: list[PackRef | None] = []
        self._numbers: dict[int, int] = {}
        self._next_run = 0
        self.data_bytes = 0

    def came(self, offset: int, length: int) -> None:
        """This stretch came: its blocks are those that `add` will be given, or else zero."""
        if self._came and self._came[-1][1] == offset:
            self._came[-1][1] += length
        else:
            self._came.append([offset, offset + length])

    def new_pack(self) -> int:
        """A number for a pack that is being filled; `settle` says later which one it is."""
        self._packs.append(None)
        return len(self._packs) - 1

    def settle(self, number: int, pack: PackRef) -> None:
        self._packs[number] = pack

    def add(self, run: Run, digests: bytes) -> None:
        """The next run of data, in disk order, which lies in a numbered pack."""
        self._reach(run.offset)
        self._put(run)
        self._sums.add(digests)
        self._done = run.end
        self._drop_came()

    def finish(self) -> tuple[list[bytes], list[bytes], tuple[PackRef, ...]]:
        """The compressed map, the compressed digests, and the packs that the map refers to.

        Raises RepositoryFault `short_stream` if a block did not come that had to.
        """
        self._reach(self._capacity_bytes)
        self._map.add(self._runs.finish())
        packs = tuple(pack for pack in self._packs if pack is not None)
        assert len(packs) == len(self._packs)
        return self._map.finish(), self._sums.finish(), packs

    def _put(self, run: Run) -> None:
        self._map.add(self._runs.add(run))
        self.data_bytes += run.length

    def _reach(self, end: int) -> None:
        """Everything up to byte `end`, where no data came."""
        while self._done < end:
            start, stop = self._came[0] if self._came else (end, end)
            if start > self._done:
                stop = min(start, end)
                self._as_before(stop)
            else:
                stop = min(stop, end)
                self._zeros(stop)
            self._done = stop
            self._drop_came()

    def _drop_came(self) -> None:
        while self._came and self._came[0][1] <= self._done:
            self._came.popleft()

    def _span(self, end: int) -> tuple[int, int]:
        return self._done // self._block_bytes, block_count(end, self._block_bytes)

    def _zeros(self, end: int) -> None:
        first, last = self._span(end)
        missing = (last - first) * DIGEST_BYTES
        while missing:
            part = min(missing, len(_ZERO_PIECE))
            self._sums.add(_ZERO_PIECE[:part])
            missing -= part

    def _as_before(self, end: int) -> None:
        parent = self._parent
        if parent is None:
            self._zeros(end)
            return
        first, last = (block * DIGEST_BYTES for block in self._span(end))
        self._require_known(parent, first, last)
        view = memoryview(parent.digests)
        for at in range(first, last, 1 << 20):
            self._sums.add(bytes(view[at : min(last, at + (1 << 20))]))
        runs = parent.block_map
        while self._next_run < len(runs):
            run = runs[self._next_run]
            if run.offset >= end:
                break
            start = max(run.offset, self._done)
            length = min(run.end, end) - start
            if length > 0:
                number = self._number(parent, run.pack)
                self._put(Run(start, length, number, run.raw_offset + start - run.offset))
            if run.end > end:
                break
            self._next_run += 1

    def _number(self, parent: ParentDisk, pack: int) -> int:
        number = self._numbers.get(pack)
        if number is None:
            number = self._numbers[pack] = len(self._packs)
            self._packs.append(parent.record.packs[pack])
        return number

    def _require_known(self, parent: ParentDisk, first: int, last: int) -> None:
        at = parent.digests.find(UNKNOWN_DIGEST, first, last)
        while at >= 0 and at % DIGEST_BYTES:
            at = parent.digests.find(UNKNOWN_DIGEST, at + 1, last)
        if at >= 0:
            offset = at // DIGEST_BYTES * self._block_bytes
            raise RepositoryFault(
                f"the host left out the block at byte {offset}, which it was asked for", code="short_stream"
            )


class _Part:
    """An object that is compressed while it grows."""

    def __init__(self, deflater: seal.Deflater) -> None:
        self._deflater = deflater
        self._pieces: list[bytes] = []

    def add(self, content: bytes) -> None:
        piece = self._deflater.compress(content)
        if piece:
            self._pieces.append(piece)

    def finish(self) -> list[bytes]:
        pieces, self._pieces = [*self._pieces, self._deflater.flush()], []
        return pieces
