"""Where plans meet hands: what the executor needs from whoever touches host and disk."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any, Protocol

from ceso_mcp.errors import CesoError
from ceso_mcp.fact import HereQuestion, Reply
from ceso_mcp.plan import Here, Stream

Feed = AsyncIterator[bytes]
Sink = Callable[[bytes], Awaitable[float | None]]
"""Takes the next bytes of a stream; tells the share of it that is done, 0 to 1, if that can be told."""


class Runner(Protocol):
    """Runs command lines on the host, one at a time or several side by side."""

    async def run(
        self,
        line: str,
        *,
        stdin: bytes = b"",
        feed: Feed | None = None,
        sink: Sink | None = None,
        timeout_s: float = 60.0,
    ) -> Reply:
        """Send exactly `line`; its standard input is `stdin`, then `feed`, then end of file.

        Standard output goes to `sink` if given, else into the reply (bounded). Raises HostFault:
        code `unreachable`, `auth_failed`, `host_key`, `connection_lost` (the command may or may
        not have run) or `timeout` (it may still run).
        """
        ...


class Desk(Protocol):
    """The side of a plan that happens on this machine: repositories and their streams."""

    async def reply(self, question: HereQuestion) -> Any:
        """Answer a fact's question about this machine."""
        ...

    async def perform(self, action: Here, captures: Mapping[str, str]) -> Mapping[str, str]:
        """Carry out `action`; returns values for the plan's outcome."""
        ...

    async def undo(self, action: Here, why: CesoError | None = None) -> None:
        """Take `action` back, because of `why`."""
        ...

    def feed(self, stream: Stream, *, again: bool = False) -> Feed:
        """What goes to the host; `again` after a broken connection: leaves out what is surely there."""
        ...

    async def open_sink(self, stream: Stream) -> tuple[Sink, bytes]:
        """Where the step's output goes, and what is added to its standard input for that."""
        ...

    async def reopen_sink(self, stream: Stream) -> tuple[Sink, bytes]:
        """Like `open_sink`, after a broken connection: goes on where the stream broke off."""
        ...

    async def close_sink(self, stream: Stream) -> None:
        """End of the stream: raises if it is short or does not check."""
        ...
