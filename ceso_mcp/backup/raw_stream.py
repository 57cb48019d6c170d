"""A whole disk that crosses the wire byte by byte (`dd`), looked at here as the host's program would there.

The bytes are cut into steps of 1 MiB of the disk, or of one block where blocks are larger. A stream that
broke off goes on behind the last whole step.
"""

from __future__ import annotations

from collections.abc import Iterator

from ceso_mcp.backup.answers import MOST_OFFSETS, CompareResult
from ceso_mcp.backup.sums import (
    DIGEST_BYTES,
    UNKNOWN_DIGEST,
    ZERO_DIGEST,
    Sums,
    block_count,
    block_digest,
    frame_bytes_for,
)
from ceso_mcp.errors import Unreadable

_WHAT = "the host's disk stream"


class _Steps:
    """Cuts what arrives in pieces of any size into the steps of a disk."""

    def __init__(self, capacity_bytes: int, block_bytes: int) -> None:
        self._capacity_bytes = capacity_bytes
        self._step_bytes = frame_bytes_for(block_bytes)
        self._held = bytearray()
        self.position = 0

    def feed(self, chunk: bytes) -> Iterator[tuple[int, bytes]]:
        """(offset, bytes) of every step that is complete with `chunk`.

        Raises Unreadable for more than the disk has.
        """
        view = memoryview(chunk)
        while view:
            size = min(self._step_bytes, self._capacity_bytes - self.position)
            if not size:
                raise Unreadable(_WHAT, f"there is more after the {self._capacity_bytes} bytes of the disk")
            part = view[: size - len(self._held)]
            view = view[len(part) :]
            if len(part) == size:
                step = bytes(part)
            else:
                self._held += part
                if len(self._held) < size:
                    return
                step, self._held = bytes(self._held), bytearray()
            offset, self.position = self.position, self.position + size
            yield offset, step

    def resume(self) -> int:
        self._held.clear()
        return self.position


class RawDecoder:
    """Gives what `wire.WireDecoder` gives for the host's program, out of all bytes of the disk.

    Frames of blocks that are not zero; or, with the `known` digests made with `key`, of blocks that are
    others than those, and of zeros where there was something else before.
    """

    def __init__(
        self,
        capacity_bytes: int,
        block_bytes: int,
        key: bytes = b"",
        known: bytes | bytearray | None = None,
    ) -> None:
        self._capacity_bytes = capacity_bytes
        self._block_bytes = block_bytes
        self._key = key
        self._known = known
        self._steps = _Steps(capacity_bytes, block_bytes)
        self._zeros = bytes(block_bytes)

    def feed(self, chunk: bytes) -> Iterator[tuple[int, bytes]]:
        """Take the next piece; yields (offset, data) of every frame that it completes, zeros too.

        The iterator must be exhausted before the next piece. Raises Unreadable for more than the disk has.
        """
        for offset, step in self._steps.feed(chunk):
            yield from self._frames(offset, step)

    def _frames(self, offset: int, step: bytes) -> Iterator[tuple[int, bytes]]:
        first, last = 0, None
        for at in range(0, len(step) + self._block_bytes, self._block_bytes):
            kind = self._kind(offset + at, step, at) if at < len(step) else None
            if kind != last:
                if last is not None:
                    end = min(at, len(step))
                    yield offset + first, step[first:end] if last == "data" else bytes(end - first)
                first, last = at, kind

    def _kind(self, offset: int, step: bytes, at: int) -> str | None:
        """What has to be told of the block at `at`: its data, that it is zero now, or nothing."""
        block_bytes = min(self._block_bytes, len(step) - at)
        zero = step.startswith(self._zeros[:block_bytes], at)
        if self._known is None:
            return None if zero else "data"
        number = offset // self._block_bytes * DIGEST_BYTES
        known = self._known[number : number + DIGEST_BYTES]
        if zero:
            return None if known == ZERO_DIGEST else "zeros"
        if known in (ZERO_DIGEST, UNKNOWN_DIGEST):
            return "data"
        same = block_digest(memoryview(step)[at : at + block_bytes], self._key) == known
        return None if same else "data"

    def resume(self) -> int:
        """The stream broke off; the byte of the disk that the next one has to begin with."""
        return self._steps.resume()

    @property
    def position(self) -> int:
        """How far the disk was looked at, in bytes."""
        return self._steps.position

    @property
    def complete(self) -> bool:
        """Whether every byte of the disk came."""
        return self._steps.position == self._capacity_bytes

    @property
    def shortfall(self) -> str:
        """Why the stream is not complete, for a person."""
        return f"the stream stopped after byte {self._steps.position} of {self._capacity_bytes}"


class RawComparison:
    """Compares all bytes of a disk with the digests of a backup."""

    def __init__(self, sums: Sums) -> None:
        self._sums = sums
        self._steps = _Steps(sums.capacity_bytes, sums.block_bytes)
        self._zeros = bytes(sums.block_bytes)
        self._different = 0
        self._first: list[int] = []

    def feed(self, chunk: bytes) -> None:
        """Take the next piece. Raises Unreadable for more than the disk has."""
        for offset, step in self._steps.feed(chunk):
            for at in range(0, len(step), self._sums.block_bytes):
                if self._digest(step, at) != self._sums.of((offset + at) // self._sums.block_bytes):
                    self._different += 1
                    if len(self._first) < MOST_OFFSETS:
                        self._first.append(offset + at)

    def _digest(self, step: bytes, at: int) -> bytes:
        block = memoryview(step)[at : at + self._sums.block_bytes]
        if step.startswith(self._zeros[: len(block)], at):
            return ZERO_DIGEST
        return block_digest(block, self._sums.key)

    def resume(self) -> int:
        """The stream broke off; the byte of the disk that the next one has to begin with."""
        return self._steps.resume()

    @property
    def share(self) -> float:
        """How much of the disk was compared, 0 to 1."""
        return self._steps.position / self._sums.capacity_bytes

    def result(self) -> CompareResult:
        """What was found. Raises Unreadable unless every byte of the disk came."""
        sums = self._sums
        if self._steps.position != sums.capacity_bytes:
            raise Unreadable(
                _WHAT, f"it stopped after byte {self._steps.position} of {sums.capacity_bytes}, read back"
            )
        blocks = block_count(sums.capacity_bytes, sums.block_bytes)
        return CompareResult(blocks, self._different, tuple(self._first))
