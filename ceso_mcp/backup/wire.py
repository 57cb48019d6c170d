"""What crosses the wire between a disk on the host and a repository, in both directions.

Frames of a 13-byte head (big-endian: type 8 bit, offset 64 bit, length 32 bit) and a body:

    type 0    zeros: the `length` bytes of the disk from `offset` on are zero; there is no body
    type 1    data: `length` bytes of the disk from `offset` on
    type 2    position: everything before `offset` was looked at; `length` is 0, there is no body
    type 255  end: `offset` = bytes of the disk accounted for, `length` = number of frames of types 0 and 1

Frames start on a block border and hold whole blocks (the last block of a disk may be short). From
the host they come in disk order. What no frame holds is zero, or as it was if the host was told what
was there before; only then are there frames of zeros. To the host's writer, which takes data frames
only, they go in any order: a backup is read pack by pack. Without the end frame a stream is short.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

from ceso_mcp.errors import Unreadable

HEAD = struct.Struct(">BQI")
ZEROS = 0
DATA = 1
POSITION = 2
END = 255
LARGEST_FRAME_BYTES = 16 << 20
_WHAT = "the host's disk stream"


def data_head(offset: int, length: int) -> bytes:
    """The head of a data frame; its body follows."""
    return HEAD.pack(DATA, offset, length)


def zeros_head(offset: int, length: int) -> bytes:
    """A frame of zeros; it has no body."""
    return HEAD.pack(ZEROS, offset, length)


def end_frame(accounted_bytes: int, frames: int) -> bytes:
    return HEAD.pack(END, accounted_bytes, frames)


def frame_data_bytes(chunk: bytes) -> int:
    """How much data the frame holds that `chunk` begins with; 0 for an end frame."""
    kind, _, length = HEAD.unpack_from(chunk)
    return int(length) if kind == DATA else 0


class WireDecoder:
    """Reads a wire stream in disk order that arrives in pieces of any size.

    Raises Unreadable for anything that is not a frame of a disk with this capacity and block size.
    After the stream, `complete` says whether the end frame came and its counts fit.
    """

    def __init__(self, capacity_bytes: int, block_bytes: int) -> None:
        self._capacity_bytes = capacity_bytes
        self._block_bytes = block_bytes
        self._head = b""
        self._body: list[bytes] = []
        self._missing = 0
        self._offset = 0
        self._reached = 0
        self._whole = 0
        self._frames = 0
        self._end: tuple[int, int] | None = None

    def feed(self, chunk: bytes) -> Iterator[tuple[int, bytes]]:
        """Take the next piece; yields (offset, data) of every frame that it completes, zeros too.

        The iterator must be exhausted before the next piece.
        """
        at = 0
        while at < len(chunk):
            if self._end is not None:
                raise Unreadable(_WHAT, "there is more after the end frame")
            if not self._missing:
                need = HEAD.size - len(self._head)
                self._head += chunk[at : at + need]
                at += need
                if len(self._head) == HEAD.size and self._start_frame():
                    yield self._ended(bytes(self._missing))
                continue
            part = chunk[at : at + self._missing]
            at += len(part)
            self._missing -= len(part)
            self._body.append(part)
            if not self._missing:
                body = self._body[0] if len(self._body) == 1 else b"".join(self._body)
                self._body = []
                yield self._ended(body)

    def _ended(self, body: bytes) -> tuple[int, bytes]:
        self._missing = 0
        self._frames += 1
        self._whole = self._reached
        return self._offset, body

    def resume(self) -> int:
        """The stream broke and another one follows, from the returned offset on: the end of the last
        frame that came whole. What had come of the next frame is forgotten; frames are counted anew."""
        self._head, self._body, self._missing = b"", [], 0
        self._reached, self._frames, self._end = self._whole, 0, None
        return self._whole

    def _start_frame(self) -> bool:
        """Take the head that is complete; whether it is a whole frame by itself, one of zeros."""
        kind, offset, length = HEAD.unpack(self._head)
        if kind == END:
            self._end = (offset, length)
            return False
        if kind not in (ZEROS, DATA, POSITION):
            raise Unreadable(_WHAT, "a frame is of no known type", line=self._head.hex())
        self._head = b""
        if kind == POSITION:
            self._move_to(offset, length)
            return False
        if not 0 < length <= LARGEST_FRAME_BYTES:
            raise Unreadable(_WHAT, f"a frame of {length} bytes")
        if offset < self._reached:
            raise Unreadable(_WHAT, f"a frame goes back to offset {offset}")
        if offset + length > self._capacity_bytes:
            raise Unreadable(_WHAT, f"a frame ends beyond the disk, at {offset + length}")
        ends_disk = offset + length == self._capacity_bytes
        if offset % self._block_bytes or (length % self._block_bytes and not ends_disk):
            raise Unreadable(_WHAT, f"a frame at {offset} is not made of whole blocks")
        self._offset, self._missing, self._reached = offset, length, offset + length
        return bool(kind == ZEROS)

    def _move_to(self, offset: int, length: int) -> None:
        """The host's reader has come to `offset`, and has sent what there was to be sent before it."""
        if length or not self._reached <= offset <= self._capacity_bytes or offset % self._block_bytes:
            raise Unreadable(_WHAT, f"a position that cannot be: {offset}")
        self._reached = self._whole = offset

    @property
    def position(self) -> int:
        """How far the reader has come, in bytes of the disk."""
        return self._reached

    @property
    def complete(self) -> bool:
        """Whether the end frame came, accounts for the whole disk and counts the frames that came."""
        return self._end == (self._capacity_bytes, self._frames)

    @property
    def shortfall(self) -> str:
        """Why the stream is not complete, for a person."""
        if self._end is None:
            return f"the stream stopped at byte {self._reached} of {self._capacity_bytes}, without its end"
        accounted, frames = self._end
        return (
            f"its end speaks of {accounted} bytes and {frames} frames, "
            f"but the disk has {self._capacity_bytes} bytes and {self._frames} frames came"
        )
