"""The process behind one SSH session: its input, its pauses, its end by a signal."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Callable
from typing import Any


class ExecProcess:
    """What is fed before the process runs is held for it."""

    def __init__(self) -> None:
        self._transport: asyncio.SubprocessTransport | None = None
        self._held: list[bytes] = []
        self._held_eof = False

    @property
    def running(self) -> bool:
        return self._transport is not None

    @property
    def held_bytes(self) -> int:
        return sum(map(len, self._held))

    def started(self, transport: asyncio.SubprocessTransport) -> None:
        self._transport = transport
        for content in self._held:
            self.feed(content)
        self._held = []
        if self._held_eof:
            self.end_input()

    def feed(self, content: bytes) -> None:
        if self._transport is None:
            self._held.append(content)
            return
        pipe = self._transport.get_pipe_transport(0)
        if isinstance(pipe, asyncio.WriteTransport) and not pipe.is_closing():
            pipe.write(content)

    def end_input(self) -> None:
        if self._transport is None:
            self._held_eof = True
            return
        pipe = self._transport.get_pipe_transport(0)
        if isinstance(pipe, asyncio.WriteTransport) and pipe.can_write_eof():
            with contextlib.suppress(OSError, RuntimeError):
                pipe.write_eof()

    def pause_output(self) -> None:
        self._each_output(lambda pipe: pipe.pause_reading())

    def resume_output(self) -> None:
        self._each_output(lambda pipe: pipe.resume_reading())

    def _each_output(self, act: Callable[[Any], None]) -> None:
        if self._transport is None:
            return
        for stream in (1, 2):
            pipe = self._transport.get_pipe_transport(stream)
            if isinstance(pipe, asyncio.ReadTransport) and not pipe.is_closing():
                act(pipe)

    def kill(self, number: int) -> None:
        """Signal the command's process group; what was setsid'ed or nohup'ed stays."""
        pid = self._transport.get_pid() if self._transport is not None else None
        if pid is not None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(pid, number)
