"""Cuts what comes from a disk into the runs that are compressed, the same however it came.

A run is a maximal sequence of adjacent non-zero blocks inside one window of the disk (1 MiB,
aligned). Which runs a disk has depends on its content alone, so every way of reading it fills a
repository with the same frames.
"""

from __future__ import annotations

from collections.abc import Iterator


class Framer:
    """Takes stretches of a disk in order; gives its runs in order."""

    def __init__(self, block_bytes: int, frame_bytes: int) -> None:
        self._block_bytes = block_bytes
        self._frame_bytes = frame_bytes
        self._zeros = bytes(block_bytes)
        self._start = 0
        self._end = 0
        self._parts: list[bytes] = []

    def add(self, offset: int, data: bytes) -> Iterator[tuple[int, bytes]]:
        """Take the stretch at `offset`, made of whole blocks; yields the runs that are final."""
        for start, end in self._stretches(offset, data):
            if self._parts and (offset + start != self._end or self._end % self._frame_bytes == 0):
                yield self._take()
            if not self._parts:
                self._start = offset + start
            whole = start == 0 and end == len(data)
            self._parts.append(data if whole else data[start:end])
            self._end = offset + end
            if self._end % self._frame_bytes == 0:
                yield self._take()

    def finish(self) -> Iterator[tuple[int, bytes]]:
        """The last run, if one is open."""
        if self._parts:
            yield self._take()

    def _take(self) -> tuple[int, bytes]:
        run = self._parts[0] if len(self._parts) == 1 else b"".join(self._parts)
        self._parts = []
        return self._start, run

    def _stretches(self, offset: int, data: bytes) -> Iterator[tuple[int, int]]:
        """(start, end) in `data` of each stretch of non-zero blocks inside one window."""
        start = None
        for at in range(0, len(data), self._block_bytes):
            length = min(self._block_bytes, len(data) - at)
            if start is not None and (offset + at) % self._frame_bytes == 0:
                yield start, at
                start = None
            # bytes.startswith compares in place; slicing each block out would copy the whole disk
            if data.startswith(self._zeros if length == self._block_bytes else bytes(length), at):
                if start is not None:
                    yield start, at
                    start = None
            elif start is None:
                start = at
        if start is not None:
            yield start, len(data)
