"""`/var/log/shell.log` and `/var/log/auth.log` of the make-believe host (fact sheet esxcli-and-shell §3.9).

Since 8.0 a line has milliseconds, a severity and its syslog number; before it has neither
(shell-log-shell-1, -2).
"""

from __future__ import annotations

import time
from pathlib import Path


class HostLog:
    """Appends to the logs below `folder`, in the form of `release`."""

    def __init__(self, folder: Path, release: str) -> None:
        self._folder = folder
        self._severity = float(release) >= 8

    def shell(self, pid: int, text: str) -> None:
        """A command of a shell, as it was typed."""
        self._append("shell.log", "In(14)", f"shell[{pid}]: [root]: {text}")

    def auth(self, pid: int, text: str) -> None:
        """What sshd has to say about a connection."""
        self._append("auth.log", "In(38)", f"sshd[{pid}]: {text}")

    def line(self, at: float, severity: str, text: str) -> str:
        """One line as the log files have it; `at` is in seconds since 1970."""
        stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(at))
        if not self._severity:
            return f"{stamp}Z {text}\n"
        return f"{stamp}.{int(round(at % 1 * 1000, 3)):03d}Z {severity} {text}\n"

    def _append(self, name: str, severity: str, text: str) -> None:
        with open(self._folder / name, "a", encoding="utf-8", errors="surrogateescape") as file:
            file.write(self.line(time.time(), severity, text))


class TypedLines:
    """The lines of an interactive shell, out of the keys that came in; only plain editing is followed."""

    def __init__(self) -> None:
        self._now = bytearray()

    def take(self, content: bytes) -> list[str]:
        """The lines that `content` completes; Control-C and Control-U throw the line away."""
        done = []
        for key in content:
            if key in b"\r\n":
                if self._now.strip():
                    done.append(self._now.decode("utf-8", "replace"))
                self._now.clear()
            elif key in b"\x7f\x08":
                del self._now[-1:]
            elif key in b"\x03\x15":
                self._now.clear()
            elif key >= 32:
                self._now.append(key)
        return done
