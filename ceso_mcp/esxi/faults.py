"""Fault objects in the output of vim-cmd, and the ways hostd says that it is not there."""

from __future__ import annotations

import re
from dataclasses import dataclass

_FAULT = re.compile(r"\((vim\.fault\.\w+|vmodl\.fault\.\w+|vmodl\.\w+Fault|vim\.fault\.\w+)\)\s*\{")
_MESSAGE = re.compile(r'^\s*msg = "(.*?)"?,?\s*$', re.M)
_DOWN = (
    "Failed to login",
    "Connect to localhost failed",
    "Connection refused",
    "SSL Exception",
    "std::bad_alloc",
)


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault as hostd names it, and its message."""

    type: str
    message: str


def find_fault(text: str) -> Fault | None:
    """The first fault object in `text`; the comma styles of all releases are read."""
    match = _FAULT.search(text)
    if match is None:
        return None
    message = _MESSAGE.search(text, match.end())
    return Fault(match[1], message[1] if message else "")


def hostd_unavailable(text: str) -> bool:
    """Whether `text` says that hostd does not answer (fact sheets vim-cmd §1.1, esxcli §1.4)."""
    return any(sign in text for sign in _DOWN)
