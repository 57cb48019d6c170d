"""One SSH session: a command of the client, run in the host, piped without being kept in memory."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import Callable
from typing import Any

import asyncssh

from ceso_mcp.lab import namespace
from ceso_mcp.lab.machine import Machine
from ceso_mcp.lab.process_pipes import ProcessPipes
from ceso_mcp.lab.records import Fault
from ceso_mcp.lab.terminal import Terminal

PROMPT = r"[\u@\h:\w] "
# Time for the last bytes before a cut to leave this machine.
FLUSH_S = 0.05
NO_SPACE = b"No space left on device\n"


class ExecSession(asyncssh.SSHServerSession[bytes]):
    """The server's end of one channel. Faults by rule act here and in hostd."""

    def __init__(
        self, machine: Machine, connection: asyncssh.SSHServerConnection, ended: Callable[[], None]
    ) -> None:
        self._machine = machine
        self._connection = connection
        self._ended = ended
        self._channel: Any = None
        self._line: str | None = None
        self._seq = 0
        self._began = time.time()
        self._fault: Fault | None = None
        self._process: asyncio.SubprocessTransport | None = None
        self._held: list[bytes] = []
        self._held_eof = False
        self._sent_bytes = 0
        self._got_bytes = 0
        self._status: int | None = None
        self._logged = False
        self._task: asyncio.Task[None] | None = None
        self._terminal: Terminal | None = None
        self._spawning = False
        self._pipe_full = False
        self._input_fault: Fault | None = None
        self._silent = False

    # --- the channel's side

    def connection_made(self, chan: Any) -> None:
        self._channel = chan

    def pty_requested(self, term_type: str, term_size: tuple[int, int, int, int], term_modes: object) -> bool:
        self._terminal = Terminal(term_type, term_size)
        return True

    def terminal_size_changed(self, width: int, height: int, pixwidth: int, pixheight: int) -> None:
        if self._terminal is not None:
            self._terminal.resize(width, height)

    def shell_requested(self) -> bool:
        return True

    def exec_requested(self, command: str) -> bool:
        self._line = command
        return True

    def subsystem_requested(self, subsystem: str) -> bool:
        return False

    def session_started(self) -> None:
        self._seq = self._machine.log.number()
        self._machine.running[self._seq] = self
        self._fault = self._machine.rules.hit("exec", self._line or "")
        self._task = asyncio.get_running_loop().create_task(self._start())

    def data_received(self, data: bytes, datatype: int | None) -> None:
        if self._input_fault is not None:
            return
        fault = self._fault
        if fault is not None and fault.effect in ("cut_stdin", "full_stdin") and self._status is None:
            room = fault.at_bytes - self._got_bytes
            if len(data) >= room:
                self._to_stdin(data[:room])
                self._got_bytes += room
                self._stdin_end()
                self._input_fault = fault
                return
        self._got_bytes += len(data)
        self._to_stdin(data)

    def eof_received(self) -> bool:
        self._stdin_end()
        return True

    def signal_received(self, signal_name: str) -> None:
        number = getattr(signal, f"SIG{signal_name}", None)
        if number is not None:
            self._kill(number)

    def pause_writing(self) -> None:
        self._each_output(lambda pipe: pipe.pause_reading())

    def resume_writing(self) -> None:
        self._each_output(lambda pipe: pipe.resume_reading())

    def connection_lost(self, exc: Exception | None) -> None:
        self._channel = None
        if self._task is not None and not self._task.done() and not self._spawning:
            self._task.cancel()  # not while the process is being made: its children would be left
        if self._status is None:
            self._stdin_end()
            self._kill(signal.SIGHUP)
        if self._terminal is not None:
            self._terminal.close()
        self._finish(self._status)
        self._ended()

    # --- running

    async def _start(self) -> None:
        fault = self._fault
        if fault is not None:
            if fault.effect == "cut_before":
                self.cut()
                return
            if fault.effect == "hang":
                return
            if fault.effect == "delay":
                await asyncio.sleep(fault.seconds)
            elif fault.effect == "fail":
                self._channel.write(fault.stdout.encode("utf-8", "surrogateescape"))
                self._channel.write_stderr(fault.stderr.encode("utf-8", "surrogateescape"))
                self._exit(fault.exit_status)
                return
            else:
                self._machine.apply_to_world(fault)
        loop = asyncio.get_running_loop()
        host = self._machine.host
        if self._terminal is not None:
            environment = host.environment(self._seq, TERM=self._terminal.term, PS1=PROMPT)
            if self._line is None:
                self.output(1, namespace.MOTD.replace("\n", "\r\n").encode())
            status = await self._terminal.run(host.argv(self._line), environment, self.output)
            self._exit(status)
            return
        argv = host.argv(self._line if self._line is not None else "exec sh -s")
        environment = host.environment(self._seq)
        self._spawning = True
        transport, _ = await loop.subprocess_exec(
            lambda: ProcessPipes(self), *argv, env=environment, start_new_session=True
        )
        self._process = transport
        for content in self._held:
            self._to_stdin(content)
        self._held = []
        if self._channel is not None and not self._pipe_full:
            self._channel.resume_reading()
        if self._held_eof:
            self._stdin_end()
        if self._channel is None:
            self._stdin_end()
            self._kill(signal.SIGHUP)

    def output(self, stream: int, content: bytes) -> None:
        if self._channel is None or self._silent:
            return
        fault = self._fault
        if fault is not None and fault.effect == "cut_after":
            return
        if fault is not None and fault.effect == "cut_stdout" and stream == 1:
            room = fault.at_bytes - self._sent_bytes
            if len(content) >= room:
                self._channel.write(content[:room])
                self._silent = True
                asyncio.get_running_loop().call_later(FLUSH_S, self.cut)
                return
        self._sent_bytes += len(content)
        with contextlib.suppress(BrokenPipeError, OSError):
            self._channel.write(content) if stream == 1 else self._channel.write_stderr(content)

    def process_ended(self, status: int) -> None:
        """The command and everything that held its output has ended."""
        if self._silent:
            return
        if self._input_fault is not None:
            self._end_by_input_fault(self._input_fault)
            return
        if self._fault is not None and self._fault.effect == "cut_after":
            self._status = status
            self._finish(status)
            self.cut()
            return
        self._exit(status)

    def cut(self) -> None:
        """Drop the client's TCP connection without a word."""
        self._connection.abort()

    def _exit(self, status: int) -> None:
        self._status = status
        self._finish(status)
        if self._channel is None:
            return
        with contextlib.suppress(OSError):
            if status < 0:
                self._channel.exit_with_signal(signal.Signals(-status).name.removeprefix("SIG"))
            else:
                self._channel.exit(status)

    def _finish(self, status: int | None) -> None:
        self._machine.running.pop(self._seq, None)
        if not self._logged and self._seq:
            self._logged = True
            self._machine.log.exec_ended(self._seq, self._began, self._line or "", status)

    def _end_by_input_fault(self, fault: Fault) -> None:
        """The command has taken in what was let through; now its fate."""
        if fault.effect == "cut_stdin":
            self._finish(None)
            self.cut()
        elif self._channel is not None:
            self._channel.write_stderr(b"sh: write error: " + NO_SPACE)
            self._exit(1)

    # --- the process's side

    def _to_stdin(self, content: bytes) -> None:
        if self._terminal is not None:
            self._terminal.write(content)
        elif self._process is None:
            self._held.append(content)
            if self._channel is not None and sum(map(len, self._held)) > 1 << 20:
                self._channel.pause_reading()
        else:
            pipe = self._process.get_pipe_transport(0)
            if isinstance(pipe, asyncio.WriteTransport) and not pipe.is_closing():
                pipe.write(content)

    def stdin_full(self) -> None:
        self._pipe_full = True
        if self._channel is not None:
            self._channel.pause_reading()

    def stdin_drained(self) -> None:
        self._pipe_full = False
        # Not at once: asyncio calls this from the pipe's own writing, and an end of file that
        # arrived with the data held back would close the pipe before its buffer is written.
        asyncio.get_running_loop().call_soon(self._resume)

    def _resume(self) -> None:
        if self._channel is not None and not self._pipe_full:
            self._channel.resume_reading()

    def _stdin_end(self) -> None:
        if self._process is None:
            self._held_eof = True
            return
        pipe = self._process.get_pipe_transport(0)
        if isinstance(pipe, asyncio.WriteTransport) and pipe.can_write_eof():
            with contextlib.suppress(OSError, RuntimeError):
                pipe.write_eof()

    def _each_output(self, act: Callable[[Any], None]) -> None:
        if self._process is None:
            return
        for stream in (1, 2):
            pipe = self._process.get_pipe_transport(stream)
            if isinstance(pipe, asyncio.ReadTransport) and not pipe.is_closing():
                act(pipe)

    def _kill(self, number: int) -> None:
        """Signal the command's process group; what was setsid'ed or nohup'ed stays."""
        pid = self._process.get_pid() if self._process is not None else None
        if pid is not None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(pid, number)
