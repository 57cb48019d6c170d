"""One call of vmkfstools: where it stands, what it says, and its link to hostd."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from typing import NoReturn

from . import operations
from .chain import Place, same
from .fault import DiskFault

FAILED = 255
Ask = Callable[..., str]
CANNOT_ALLOCATE = (12 << 16) | 9


class Ended(Exception):
    """The call is over: whether it changed something, and its exit status."""

    def __init__(self, changed: bool, status: int) -> None:
        self.changed = changed
        self.status = status
        super().__init__(f"ended with {status}")


class Call:
    """hostd (`ask`) knows locks, free space, the release and what is to go wrong; None when it is down.

    `place` turns a path of the host into one of this machine and `host` does the reverse; inside the
    make-believe host both leave it alone.
    """

    def __init__(
        self,
        say: Callable[[str], None],
        ask: Ask | None,
        cwd: str,
        kill_at: int = -1,
        place: Place = same,
        host: Place = same,
    ) -> None:
        self.say = say
        self.place = place
        self._host = host
        self._ask = ask
        self._cwd = cwd
        self._kill_at = kill_at
        self._shown = -1

    def path(self, typed: str) -> str:
        """A typed path as one of this machine."""
        return typed if self.place is same else self.place(os.path.join(self._cwd, typed))

    def host(self, path: str) -> str:
        """A path of this machine in full, as the host names it."""
        return self._host(os.path.realpath(path))

    def flag(self, name: str) -> bool:
        """A switch of the world."""
        return self._ask is not None and self._ask("flag", name) == "1"

    @property
    def old(self) -> bool:
        """True on 5.x, which puts a blank before the colon of an error."""
        return self.flag("old")

    def fail(self, what: str, fault: DiskFault, *, changed: bool = False) -> NoReturn:
        """Say the failure, glued to whatever stands on the line, and end with 255."""
        colon = " :" if self.old else ":"
        self.say(f"{what}{colon} {fault.text} ({fault.number}).\n")
        raise Ended(changed, FAILED)

    def lock(self, mode: str, path: str) -> None:
        """Take a lock for the rest of the call. Raises `DiskFault` 16392 when another holds it."""
        if self._ask is not None and self._ask("lock", mode, self.host(path)) != "ok":
            raise DiskFault(16392)

    def slot(self) -> None:
        """Begin a clone. Raises `DiskFault` when the world lets no more of them run side by side."""
        if self._ask is not None and self._ask("slot") != "ok":
            raise DiskFault(CANNOT_ALLOCATE, "Cannot allocate memory")

    def query(self, what: str, typed: str, how: str) -> str:
        """The answer to `-P` or `-D`."""
        if self._ask is None:
            return f"Could not open {typed}\n"
        return self._ask("query", what, self.host(self.path(typed)), how)

    def store(self, path: str) -> str:
        """The type of the datastore below `path`: `VMFS-6`, `NFS`; empty elsewhere."""
        folder = os.path.dirname(path) or "."
        return "" if self._ask is None else self._ask("store", self.host(folder))

    def room(self, path: str) -> operations.Room:
        """How to ask for the bytes that are free where `path` lies."""
        folder = self.host(os.path.dirname(path) or ".")

        def ask() -> int:
            return operations.plenty() if self._ask is None else int(self._ask("room", folder))

        return ask

    def progress(self, word: str) -> operations.Progress:
        """Shows `word: N% done.`, each over the last."""

        def show(percent: int) -> None:
            if percent == self._shown:
                return
            self._shown = percent
            self.say(f"\r{word}: {percent}% done.")
            if self._ask is not None:
                self._ask("progress", str(percent))
            if 0 <= self._kill_at <= percent:
                os.kill(os.getpid(), signal.SIGKILL)

        return show
