"""The line between a program on the make-believe host and its hostd: one UNIX stream, framed.

A request is NUL-separated fields; answers are frames of one kind byte (`1` stdout, `2` stderr,
`x` exit status, `r` a reply's text), four length bytes and the content.
"""

from __future__ import annotations

import _socket
import os
import sys

SOCKET = "/var/run/hostd.sock"
DOWN = 255


class Line:
    """One open connection to hostd. Raises OSError when hostd does not answer."""

    def __init__(self, path: str = SOCKET) -> None:
        self._socket = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)
        self._socket.connect(path)
        self._buffer = b""

    def send(self, *fields: str) -> None:
        content = b"\0".join(os.fsencode(field) for field in fields)
        content = len(content).to_bytes(4, "big") + content
        while content:
            content = content[self._socket.send(content) :]

    def _exactly(self, count: int) -> bytes:
        while len(self._buffer) < count:
            chunk = self._socket.recv(1 << 16)
            if not chunk:
                raise OSError("hostd closed the connection")
            self._buffer += chunk
        taken, self._buffer = self._buffer[:count], self._buffer[count:]
        return taken

    def frame(self) -> tuple[bytes, bytes]:
        head = self._exactly(5)
        return head[:1], self._exactly(int.from_bytes(head[1:], "big"))

    def ask(self, *fields: str) -> str:
        """Send one request and return the text of its `r` frame."""
        self.send(*fields)
        while True:
            kind, content = self.frame()
            if kind == b"r":
                return content.decode("utf-8", "replace")
            answer(kind, content)


def answer(kind: bytes, content: bytes) -> None:
    """Carry out a frame that is not a reply: write it out, or end the program."""
    if kind == b"x":
        os._exit(int(content))
    target = 1 if kind == b"1" else 2
    while content:
        content = content[os.write(target, content) :]


def run_remote(program: str, arguments: list[str]) -> int:
    """Let hostd carry the program out; its output and exit status become ours."""
    exec_id = os.environ.get("LAB_EXEC", "0")
    try:
        line = Line()
        line.send("run", exec_id, os.getcwd(), program, *arguments)
        while True:
            kind, content = line.frame()
            if kind == b"x":
                return int(content)
            answer(kind, content)
    except OSError:
        return _hostd_down(program)


def _hostd_down(program: str) -> int:
    if program in ("esxcli", "localcli"):
        sys.stdout.write("Connect to localhost failed: Connection failure\n")
    else:
        sys.stdout.write("Failed to login: Connection refused\n")
    sys.stdout.flush()
    return 1
