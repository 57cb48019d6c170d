"""The block map of a disk: where every byte that is not zero lies in the packs.

Text, one line per run, sorted by disk offset:

    DISK_OFFSET LENGTH PACK_NO RAW_OFFSET

decimal, in bytes. PACK_NO counts the disk's packs in the manifest from 0; RAW_OFFSET counts
bytes of the decompressed pack. The map is complete: what is in no line is zero. So each backup
can be restored without any other, whichever packs it shares with them.
"""

from __future__ import annotations

import re
from array import array
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from ceso_mcp.backup.pack import Frame
from ceso_mcp.backup.sums import DIGEST_BYTES, Sums
from ceso_mcp.errors import Unreadable

_LINE = re.compile(rb"(0|[1-9][0-9]{0,18}) ([1-9][0-9]{0,18}) (0|[1-9][0-9]{0,9}) (0|[1-9][0-9]{0,18})\Z")


class Run(NamedTuple):
    """`length` bytes of the disk from `offset` on, found in pack `pack` at `raw_offset`."""

    offset: int
    length: int
    pack: int
    raw_offset: int

    @property
    def end(self) -> int:
        return self.offset + self.length

    def line(self) -> bytes:
        return b"%d %d %d %d\n" % self


class MapWriter:
    """Turns runs, added in disk order, into the lines of a map, joining what is contiguous."""

    def __init__(self) -> None:
        self._open: Run | None = None

    def add(self, run: Run) -> bytes:
        """Take the next run; returns the lines that are final by now (often none)."""
        last = self._open
        if last is None:
            self._open = run
            return b""
        if run.offset < last.end:
            raise ValueError("runs are added in disk order")
        if (run.offset, run.pack, run.raw_offset) == (last.end, last.pack, last.raw_offset + last.length):
            self._open = Run(last.offset, last.length + run.length, last.pack, last.raw_offset)
            return b""
        self._open = run
        return last.line()

    def finish(self) -> bytes:
        """The last lines."""
        last, self._open = self._open, None
        return b"" if last is None else last.line()


@dataclass(frozen=True, slots=True)
class BlockMap:
    """A checked map. Kept as one flat array: a large, much fragmented disk has millions of runs."""

    _numbers: array[int]

    def __len__(self) -> int:
        return len(self._numbers) // 4

    def __getitem__(self, index: int) -> Run:
        return Run(*self._numbers[index * 4 : index * 4 + 4])

    def __iter__(self) -> Iterator[Run]:
        return (self[index] for index in range(len(self)))

    @property
    def data_bytes(self) -> int:
        """How many bytes of the disk are in runs."""
        return sum(self._numbers[1::4])

    def by_pack(self, packs: int) -> list[array[int]]:
        """For each of `packs` packs, the indexes of its runs in disk order."""
        found = [array("Q") for _ in range(packs)]
        for index, pack in enumerate(self._numbers[2::4]):
            found[pack].append(index)
        return found

    def live_bytes(self, packs: int) -> list[int]:
        """For each of `packs` packs, how many of its raw bytes the map uses."""
        live = [0] * packs
        for length, pack in zip(self._numbers[1::4], self._numbers[2::4], strict=True):
            live[pack] += length
        return live

    @classmethod
    def parse(
        cls, content: bytes, *, capacity_bytes: int, block_bytes: int, pack_raw_bytes: Sequence[int]
    ) -> BlockMap:
        """Read and check a map against its disk and the raw sizes of its packs.

        Raises Unreadable if a line is not one of a map, runs are out of order or overlap, a run is
        off the block borders, or anything lies outside the disk or its pack.
        """
        numbers: array[int] = array("Q")
        reached = 0
        lines = content.split(b"\n")
        if lines.pop():
            raise Unreadable("block map", "the last line is cut off")
        for line in lines:
            match = _LINE.match(line)
            if match is None:
                raise Unreadable("block map", "not a run", line=line.decode("ascii", "replace"))
            run = Run(*map(int, match.groups()))
            fault = _fault(run, reached, capacity_bytes, block_bytes, pack_raw_bytes)
            if fault:
                raise Unreadable("block map", fault, line=line.decode())
            numbers.extend(run)
            reached = run.end
        return cls(numbers)


def _fault(
    run: Run, reached: int, capacity_bytes: int, block_bytes: int, pack_raw_bytes: Sequence[int]
) -> str | None:
    if run.offset < reached:
        return "runs overlap or are out of order"
    if run.end > capacity_bytes:
        return "a run ends beyond the disk"
    if run.offset % block_bytes or (run.length % block_bytes and run.end != capacity_bytes):
        return "a run is not made of whole blocks"
    if run.pack >= len(pack_raw_bytes):
        return "a run is in a pack that the manifest does not name"
    if run.raw_offset + run.length > pack_raw_bytes[run.pack]:
        return "a run ends beyond its pack"
    return None


class Piece(NamedTuple):
    """The part of a run that lies in one frame: `length` bytes after the frame's first `skip`."""

    frame: int
    skip: int
    length: int
    offset: int


def pieces(run: Run, frames: Sequence[Frame], starts: Sequence[int], block_bytes: int) -> Iterator[Piece]:
    """Cut a run at the borders of its pack's frames; `starts` are the frames' raw starts.

    Raises Unreadable if the frames do not hold the run, or a border cuts a block in two.
    """
    at, offset = run.raw_offset, run.offset
    end = run.raw_offset + run.length
    while at < end:
        number = bisect_right(starts, at) - 1
        frame = frames[number] if number >= 0 else None
        if frame is None or at >= frame.raw_start + frame.raw_bytes:
            raise Unreadable("pack", "its frames do not hold what the block map says")
        length = min(end, frame.raw_start + frame.raw_bytes) - at
        if offset % block_bytes:
            raise Unreadable("pack", "a frame ends inside a block")
        yield Piece(number, at - frame.raw_start, length, offset)
        at, offset = at + length, offset + length


def unmapped_data(block_map: BlockMap, sums: Sums) -> list[tuple[int, int]]:
    """(offset, length) of stretches that are in no run though their digests are not those of zeros."""
    found = []
    reached = 0
    for start, end in [*((run.offset, run.end) for run in block_map), (sums.capacity_bytes, 0)]:
        first, last = (-(-edge // sums.block_bytes) * DIGEST_BYTES for edge in (reached, start))
        # bytes.count runs at memory speed; a loop over millions of digests would not
        if sums.digests.count(0, first, last) != last - first:
            found.append((reached, start - reached))
        reached = end
    return found
