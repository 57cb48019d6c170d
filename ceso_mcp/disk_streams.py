"""Chunks on their way between a repository's blocking code and a connection."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Protocol

from ceso_mcp.ports import Feed, Sink

IN_FLIGHT_BYTES = 32 << 20


class FedFrames:
    """Which frames of a disk stream went out, so that a second one can begin behind what is surely written.

    Between this process and the disk there are the SSH window, buffers and pipes: a few MiB, and a
    chunk. What went out longer ago than `IN_FLIGHT_BYTES` was taken from them. The comparison after the
    writing proves it.
    """

    def __init__(self, skipped_bytes: int, data_bytes: Callable[[bytes], int]) -> None:
        """`data_bytes` tells how much data of the disk one chunk of the stream holds."""
        self._data_bytes = data_bytes
        self._sent = 0
        self._data = skipped_bytes
        self._frames: deque[tuple[int, int]] = deque([(0, skipped_bytes)])

    async def watch(self, feed: Feed) -> Feed:
        async for chunk in feed:
            self._frames.append((self._sent, self._data))
            while len(self._frames) > 1 and self._frames[1][0] <= self._sent - IN_FLIGHT_BYTES:
                self._frames.popleft()
            yield chunk
            self._sent += len(chunk)
            self._data += self._data_bytes(chunk)

    def safe_bytes(self) -> int:
        """So many bytes of data, counted from the begin of the whole stream, were written."""
        return self._frames[0][1]


async def threaded(begin: Callable[[], Iterator[bytes]]) -> AsyncIterator[bytes]:
    """A blocking iterator of chunks, each step of it in a thread."""
    source: Iterator[bytes] = await asyncio.to_thread(begin)
    end = object()
    while True:
        chunk = await asyncio.to_thread(next, source, end)
        if chunk is end:
            return
        yield chunk  # type: ignore[misc]


class Taker(Protocol):
    """Takes the bytes of a disk, blocking, and tells how much of the disk it has behind it, 0 to 1."""

    def feed(self, chunk: bytes) -> None: ...
    @property
    def share(self) -> float: ...


def threaded_sink(taker: Taker) -> Sink:
    """Everything that comes goes to `taker`, each chunk in a thread."""

    async def take(chunk: bytes) -> float:
        await asyncio.to_thread(taker.feed, chunk)
        return taker.share

    return take
