"""The pipes of a running process, with back-pressure in both directions."""

from __future__ import annotations

import asyncio
from typing import Protocol


class Piped(Protocol):
    """What takes a process's output and learns how its input flows."""

    def output(self, stream: int, content: bytes) -> None: ...

    def stdin_full(self) -> None: ...

    def stdin_drained(self) -> None: ...

    def process_ended(self, status: int) -> None: ...


class ProcessPipes(asyncio.SubprocessProtocol):
    """Carries what the process writes to its session, and its end when all pipes are closed."""

    def __init__(self, session: Piped) -> None:
        self._session = session
        self._transport: asyncio.SubprocessTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.SubprocessTransport)
        self._transport = transport
        stdin = transport.get_pipe_transport(0)
        if isinstance(stdin, asyncio.WriteTransport):
            stdin.set_write_buffer_limits(high=1 << 20)

    def pipe_data_received(self, fd: int, data: bytes | str) -> None:
        self._session.output(fd, data if isinstance(data, bytes) else data.encode())

    def pause_writing(self) -> None:
        self._session.stdin_full()

    def resume_writing(self) -> None:
        self._session.stdin_drained()

    def connection_lost(self, exc: Exception | None) -> None:
        status = self._transport.get_returncode() if self._transport is not None else None
        self._session.process_ended(255 if status is None else status)
