"""What goes to a command's standard input: plain parts and secrets that never show.

A `Secret` is deliberately not a string: it cannot be formatted, joined or logged by accident.
Its value leaves only through `Text.sent()`.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import NoReturn


@dataclass(frozen=True, slots=True)
class Secret:
    """A value that must not be shown; `name` says which one it is."""

    name: str
    value: bytes = field(repr=False)

    def __str__(self) -> NoReturn:
        raise TypeError("a secret has no text form; put it into a Text")

    def __format__(self, spec: str) -> NoReturn:
        raise TypeError("a secret has no text form; put it into a Text")

    def __reduce__(self) -> NoReturn:
        raise TypeError("a secret is not stored")


@dataclass(frozen=True, slots=True)
class Text:
    """Standard input made of plain text and secrets, in order."""

    parts: tuple[str | Secret, ...]

    @classmethod
    def of(cls, *parts: str | Secret) -> Text:
        return cls(tuple(parts))

    def sent(self) -> bytes:
        """The bytes that go to the command."""
        return b"".join(part.value if isinstance(part, Secret) else part.encode() for part in self.parts)

    def shown(self) -> str:
        """The text for people and logs, each secret replaced by its name."""
        return "".join(f"‹secret {p.name}›" if isinstance(p, Secret) else p for p in self.parts)

    def digest(self) -> str:
        """sha256 of what is sent, hex; stable for one plan, reveals nothing of a strong secret."""
        return hashlib.sha256(self.sent()).hexdigest()
