"""Faults at every call into the operating system that a repository makes: an error, or a kill -9.

`points` counts the calls of a piece of work; `Faults` lets the n-th of them fail, once or for good.
Nothing here is written per call: a new one in the code is a new point of the matrix.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

CALLS = ("open", "fsync", "rename", "link", "replace", "unlink", "mkdir", "rmdir", "stat", "scandir")
WRITES = ("open", "fsync", "rename", "link", "replace", "unlink", "mkdir", "rmdir")


class Faults:
    """Counts the calls on paths or files of `root` and fails from, or only at, number `at`."""

    def __init__(self, root: str, calls: tuple[str, ...], at: int | None, fail: Callable[[], None], *,
                 lasting: bool, after: bool = False) -> None:  # fmt: skip
        self.count = 0
        self.hit = False
        self._root = root
        self._calls = calls
        self._at = at
        self._fail = fail
        self._lasting = lasting
        self._after = after
        self._guard = threading.Lock()

    def _ours(self, words: tuple[Any, ...]) -> bool:
        word = words[0] if words else None
        if isinstance(word, int):
            try:
                word = os.readlink(f"/proc/self/fd/{word}")
            except OSError:
                return False
        try:
            return os.fspath(word).startswith(self._root)  # type: ignore[arg-type]
        except TypeError:
            return False

    def _due(self) -> bool:
        with self._guard:
            self.count += 1
            due = self._at is not None and (
                self.count == self._at or (self._lasting and self.count > self._at)
            )
            self.hit |= due
            return due

    @contextmanager
    def armed(self) -> Iterator[Faults]:
        real = {name: getattr(os, name) for name in self._calls}

        def replaced(name: str) -> Callable[..., Any]:
            def call(*words: Any, **named: Any) -> Any:
                if not self._ours(words):
                    return real[name](*words, **named)
                due = self._due()
                if due and not self._after:
                    self._fail()
                result = real[name](*words, **named)
                if due and self._after:
                    self._fail()
                return result

            return call

        try:
            for name in self._calls:
                setattr(os, name, replaced(name))
            yield self
        finally:
            for name, function in real.items():
                setattr(os, name, function)


def error(number: int) -> Callable[[], None]:
    def fail() -> None:
        raise OSError(number, os.strerror(number))

    return fail


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)
