"""The server's side of the watcher: it starts it and puts commands under its filter."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import subprocess
import sys
from collections.abc import Awaitable, Callable

from ceso_mcp.lab.watch import process, seccomp

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def _say(text: str) -> None:
    """A line in the server's own log."""
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


class CallWatch:
    """One watcher process, started anew when it dies. `refusal` says why there can be none."""

    def __init__(self) -> None:
        self.refusal = seccomp.why_not()
        self._post: socket.socket | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._keeper: asyncio.Task[None] | None = None
        if self.refusal is None:
            self._calls = seccomp.program(seccomp.OPENS + seccomp.EXECS)
            self._all = seccomp.program(seccomp.OPENS + seccomp.EXECS + seccomp.WRITES)

    def start(self, serve: Serve) -> None:
        """Start the watcher; `serve` answers its questions to hostd. Says so when there can be none."""
        if self.refusal is not None:
            _say(f"{self.refusal}; raw opens, full datastores and alien programs are not refused")
            return
        self._keeper = asyncio.get_running_loop().create_task(self._keep(serve))

    async def _keep(self, serve: Serve) -> None:
        while True:
            line = self._spawn()
            reader, writer = await asyncio.open_unix_connection(sock=line)
            await serve(reader, writer)
            self._end()
            _say("the watcher of system calls ended and is started anew")

    def _spawn(self) -> socket.socket:
        self._post, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        line, far = socket.socketpair()
        with theirs, far:
            argv = [sys.executable, "-m", process.__name__, str(far.fileno())]
            self._process = subprocess.Popen(argv, stdin=theirs.fileno(), pass_fds=(far.fileno(),))
        return line

    def before_exec(self, *, writes: bool) -> Callable[[], None] | None:
        """What a command's process does before it becomes the command; None when it goes unwatched."""
        post = self._post
        if post is None:
            return None
        code = self._all if writes else self._calls

        def enter() -> None:
            # Nothing may be raised here, and nobody may wait for a watcher that is gone.
            with contextlib.suppress(OSError):
                post.send(b"hello")
                listener = seccomp.install(code)
                try:
                    socket.send_fds(post, [b"listener"], [listener])
                finally:
                    os.close(listener)

        return enter

    def stop(self) -> None:
        if self._keeper is not None:
            self._keeper.cancel()
        self._end()

    def _end(self) -> None:
        if self._post is not None:
            self._post.close()
            self._post = None
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None
