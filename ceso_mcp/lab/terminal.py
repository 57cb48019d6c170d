"""A pseudo-terminal for interactive logins."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import struct
import subprocess
import termios
from collections.abc import Callable
from pathlib import Path

# ioctl numbers of Linux that the module termios does not name.
TIOCSPTLCK, TIOCGPTPEER = 0x40045431, 0x5441


def _open_pty(root: Path) -> tuple[int, int]:
    leader = os.open(root / "dev" / "pts" / "ptmx", os.O_RDWR | os.O_NOCTTY)
    try:
        fcntl.ioctl(leader, TIOCSPTLCK, struct.pack("i", 0))
        follower = fcntl.ioctl(leader, TIOCGPTPEER, os.O_RDWR | os.O_NOCTTY)
    except OSError:
        os.close(leader)
        raise
    os.set_inheritable(follower, False)
    return leader, follower


class Terminal:
    """One pty: `run` a command on it, `write` what the client types."""

    def __init__(self, term: str, size: tuple[int, int, int, int], root: Path) -> None:
        """`root` is the host's `/`: the pty is one of the host's own, which `tty` can name there."""
        self.term = term or "vt100"
        self._leader, self._follower = _open_pty(root)
        self._open = True
        self.resize(size[0] or 80, size[1] or 24)

    def resize(self, width: int, height: int) -> None:
        """Tell the terminal its new size in characters."""
        if self._open:
            fcntl.ioctl(self._leader, termios.TIOCSWINSZ, struct.pack("HHHH", height, width, 0, 0))

    def write(self, content: bytes) -> None:
        if self._open:
            with contextlib.suppress(OSError):
                os.write(self._leader, content)

    def close(self) -> None:
        """Hang the terminal up."""
        if self._open:
            self._open = False
            with contextlib.suppress(RuntimeError):
                asyncio.get_running_loop().remove_reader(self._leader)
            os.close(self._leader)

    async def run(
        self,
        argv: list[str],
        environment: dict[str, str],
        output: Callable[[int, bytes], None],
        before_exec: Callable[[], None] | None,
    ) -> int:
        """Run `argv` with the pty as its controlling terminal; its output goes to `output(1, …)`.

        `before_exec` is called in the new process.
        """
        loop = asyncio.get_running_loop()
        ended = loop.create_future()

        def take_terminal() -> None:
            os.setsid()
            fcntl.ioctl(0, termios.TIOCSCTTY, 0)
            if before_exec is not None:
                before_exec()

        def readable() -> None:
            try:
                content = os.read(self._leader, 1 << 16)
            except OSError:
                content = b""
            if content:
                output(1, content)
                return
            loop.remove_reader(self._leader)
            if not ended.done():
                ended.set_result(None)

        process = await asyncio.to_thread(
            subprocess.Popen,
            argv,
            env=environment,
            stdin=self._follower,
            stdout=self._follower,
            stderr=self._follower,
            preexec_fn=take_terminal,
        )
        os.close(self._follower)
        loop.add_reader(self._leader, readable)
        status = await loop.run_in_executor(None, process.wait)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(ended, 0.5)
        return status
