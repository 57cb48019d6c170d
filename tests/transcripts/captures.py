"""Captures of real hosts, and how a case says what a parser makes of one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent


def capture(name: str) -> str:
    """The text of a capture in this folder, line ends as they are."""
    return (HERE / name).read_bytes().decode("utf-8")


@dataclass(frozen=True)
class Edited:
    """The parser must refuse: the author of the capture changed it, or it is not this parser's form."""

    why: str


@dataclass(frozen=True)
class Case:
    """`read` applied to the capture `name` gives `expected`."""

    name: str
    read: Callable[[str], Any]
    expected: Any

    def __str__(self) -> str:
        return f"{self.name}-{self.read.__name__}"
