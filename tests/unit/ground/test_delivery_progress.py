"""How far a stream is: told by the bytes that are expected, else by the place on the disk."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Any

import pytest

from ceso_mcp.delivery import Delivery, Patience
from ceso_mcp.fact import Reply
from ceso_mcp.plan import Step, Stream
from ceso_mcp.shell import sh

pytestmark = pytest.mark.anyio
MIB = 1 << 20


class Disk(Stream):
    def shown(self) -> str:
        return "a disk"


class Host:
    """Sends `chunks`, takes all that is fed, and says `words`."""

    def __init__(self, chunks: int = 0, words: tuple[str, ...] = ()) -> None:
        self.chunks = chunks
        self.words = words
        self.taken = 0

    async def run(self, line: str, *, feed: Any = None, sink: Any = None, **_: Any) -> Reply:
        for _ in range(self.chunks):
            await sink(bytes(MIB))
        for word in self.words:
            await sink(word.encode())
        if feed is not None:
            async for chunk in feed:
                self.taken += len(chunk)
        return Reply(0, "")


class Desk:
    """Takes a stream whose end it sees coming, or not; feeds four chunks."""

    def __init__(self, shares: Mapping[int, float | None]) -> None:
        self.shares = dict(shares)
        self.came = 0

    async def open_sink(self, stream: Stream) -> tuple[Any, bytes]:
        async def take(chunk: bytes) -> float | None:
            self.came += 1
            return self.shares[self.came]

        return take, b""

    async def close_sink(self, stream: Stream) -> None: ...

    async def feed(self, stream: Stream, *, again: bool = False) -> AsyncIterator[bytes]:
        for _ in range(4):
            yield bytes(MIB)


async def told(step: Step, host: Host, desk: Desk) -> list[float | None]:
    """The percentages that are reported."""
    found: list[float | None] = []
    delivery = Delivery(host, desk, Patience())  # type: ignore[arg-type]
    await delivery.send(step, step.line(), None, lambda percent, words: found.append(percent))
    return found


async def test_of_a_comparison_the_place_on_the_disk_tells() -> None:
    step = Step("read", sh("read"), into=Disk(), reads_only=True)
    assert await told(step, Host(3), Desk({1: 0.25, 2: 0.5, 3: 1.0})) == [25, 50, 100]


async def test_of_a_full_reading_the_expected_bytes_tell() -> None:
    step = Step("read", sh("read"), into=Disk(), bytes_expected=4 * MIB, reads_only=True)
    assert await told(step, Host(2), Desk({1: 0.9, 2: 0.95})) == [25, 50]


async def test_without_either_only_the_amount_is_told() -> None:
    step = Step("read", sh("read"), into=Disk(), reads_only=True)
    assert await told(step, Host(2), Desk({1: None, 2: None})) == [None, None]


async def test_what_goes_out_is_counted_and_all_of_it_goes() -> None:
    step = Step("write", sh("write"), feed=Disk(), bytes_expected=4 * MIB)
    host = Host()
    assert await told(step, host, Desk({})) == [25, 50, 75, 100]
    assert host.taken == 4 * MIB
