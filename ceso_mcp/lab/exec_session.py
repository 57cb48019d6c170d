"""One SSH session: a command of the client, run in the host, piped without being kept in memory."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import time
from collections.abc import Callable
from typing import Any

import asyncssh

from ceso_mcp.lab import namespace
from ceso_mcp.lab.access import FORCED
from ceso_mcp.lab.exec_process import ExecProcess
from ceso_mcp.lab.host_log import TypedLines
from ceso_mcp.lab.machine import Machine
from ceso_mcp.lab.process_pipes import ProcessPipes
from ceso_mcp.lab.records import Fault
from ceso_mcp.lab.terminal import Terminal
from ceso_mcp.lab.throttle import Throttle

PROMPT = r"[\u@\h:\w] "
# Time for the last bytes before a cut to leave this machine.
FLUSH_S = 0.05
NO_SPACE = b"No space left on device\n"
# subsystem sftp (shell-sshd-config-1)
SFTP = "exec /usr/lib/vmware/openssh/bin/sftp-server -f LOCAL5 -l INFO"
HELD_BYTES = 1 << 20
THROTTLE_BLINK_S = 0.005


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
        self._process = ExecProcess()
        self._sent_bytes = 0
        self._got_bytes = 0
        self._status: int | None = None
        self._logged = False
        self._task: asyncio.Task[None] | None = None
        self._terminal: Terminal | None = None
        self._typed = TypedLines()
        self._input_fault: Fault | None = None
        self._silent = False
        self._subsystem = False
        # Why input or output stands still now; it flows when there is no reason left.
        self._input_holds: set[str] = set()
        self._output_holds: set[str] = set()
        self._input_throttle = Throttle(machine.world.throughput_bytes_s)
        self._output_throttle = Throttle(machine.world.throughput_bytes_s)

    # --- the channel's side

    def connection_made(self, chan: Any) -> None:
        self._channel = chan

    def pty_requested(self, term_type: str, term_size: tuple[int, int, int, int], term_modes: object) -> bool:
        self._terminal = Terminal(term_type, term_size, self._machine.host.root)
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
        self._subsystem = subsystem == "sftp"
        self._line = f"subsystem {subsystem}"
        return self._subsystem

    def session_started(self) -> None:
        self._seq = self._machine.log.number()
        self._machine.running[self._seq] = self
        self._fault = self._machine.rules.hit("exec", self._line or "")
        if self._line is not None and not self._subsystem:
            self._machine.host_log.shell(self._machine.pid(self._seq), self._line)
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
                self._process.end_input()
                self._input_fault = fault
                return
        self._got_bytes += len(data)
        self._to_stdin(data)
        self._wait(self._input_throttle.after(len(data)), self._hold_input, self._release_input)

    def eof_received(self) -> bool:
        self._process.end_input()
        return True

    def signal_received(self, signal_name: str) -> None:
        number = getattr(signal, f"SIG{signal_name}", None)
        if number is not None:
            self._process.kill(number)

    def pause_writing(self) -> None:
        self._hold_output("window")

    def resume_writing(self) -> None:
        self._release_output("window")

    def connection_lost(self, exc: Exception | None) -> None:
        self._channel = None
        if self._task is not None and not self._task.done() and not self._spawning:
            self._task.cancel()  # not while the process is being made: its children would be left
        if self._status is None:
            self._process.end_input()
            self._process.kill(signal.SIGHUP)
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
            status = await self._terminal.run(
                host.argv(self._line), environment, self.output, self._machine.before_exec()
            )
            self._exit(status)
            return
        line = SFTP if self._subsystem else self._line if self._line is not None else "exec sh -s"
        original: dict[str, str] = {}
        if isinstance(forced := self._connection.get_key_option(FORCED), list):
            line, original = forced[0], {"SSH_ORIGINAL_COMMAND": self._line or ""}
        argv = host.argv(line)
        environment = host.environment(self._seq, **original)
        self._spawning = True
        transport, _ = await loop.subprocess_exec(
            lambda: ProcessPipes(self),
            *argv,
            env=environment,
            start_new_session=True,
            preexec_fn=self._machine.before_exec(),
        )
        self._process.started(transport)
        self._release_input("starting")
        if self._channel is None:
            self._process.end_input()
            self._process.kill(signal.SIGHUP)

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
        self._wait(self._output_throttle.after(len(content)), self._hold_output, self._release_output)

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

    # --- the flow between the two

    def _to_stdin(self, content: bytes) -> None:
        if self._terminal is not None:
            for line in self._typed.take(content) if self._line is None else ():
                self._machine.host_log.shell(self._machine.pid(self._seq), line)
            self._terminal.write(content)
            return
        self._process.feed(content)
        if self._process.held_bytes > HELD_BYTES:
            self._hold_input("starting")

    def stdin_full(self) -> None:
        self._hold_input("full")

    def stdin_drained(self) -> None:
        # Not at once: asyncio calls this from the pipe's own writing, and an end of file that
        # arrived with the data held back would close the pipe before its buffer is written.
        self._input_holds.discard("full")
        asyncio.get_running_loop().call_soon(self._release_input, "drained")

    def _hold_input(self, reason: str) -> None:
        self._input_holds.add(reason)
        if self._channel is not None:
            self._channel.pause_reading()

    def _release_input(self, reason: str) -> None:
        self._input_holds.discard(reason)
        if self._channel is not None and not self._input_holds:
            self._channel.resume_reading()

    def _hold_output(self, reason: str) -> None:
        self._output_holds.add(reason)
        self._process.pause_output()

    def _release_output(self, reason: str) -> None:
        self._output_holds.discard(reason)
        if not self._output_holds:
            self._process.resume_output()

    @staticmethod
    def _wait(seconds: float, hold: Callable[[str], None], release: Callable[[str], None]) -> None:
        """Hold a stream that ran ahead of its rate by more than a blink."""
        if seconds > THROTTLE_BLINK_S:
            hold("throttle")
            asyncio.get_running_loop().call_later(seconds, release, "throttle")
