"""Words about SSH servers that both ways to one share: to the managed host, and to a server of backups."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any


def algorithms_of(pinned: Iterable[Any]) -> list[str]:
    """The host key algorithms to offer, so that a server shows one of the `pinned` keys (asyncssh's)."""
    names: list[str] = []
    for key in pinned:
        kind = key.get_algorithm()
        names += ["rsa-sha2-512", "rsa-sha2-256"] if kind == "ssh-rsa" else [kind]
    return list(dict.fromkeys(names))


def words_of(error: BaseException) -> str:
    """What an error says, or its kind where it says nothing."""
    return str(error).strip() or type(error).__name__
