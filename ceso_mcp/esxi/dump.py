"""The text form in which vim-cmd prints data objects (fact sheet vim-cmd §1.3).

Strings are quoted and not escaped, so a string goes up to a quote that ends its line and is followed
by something that can follow. Commas are optional everywhere: each release places them differently.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from ceso_mcp.errors import Unreadable

_OBJECT = re.compile(r"\(([\w.]+)\) \{\s*$")
_LIST = re.compile(r"\(([\w.]+)\) \[\s*$")
_EMPTY = re.compile(r"\(([\w.]+)\) (\[\]|null|\{\s*\}),?\s*$")
_PROPERTY = re.compile(r"^\s*(\w+) = (.*)$")
_NEXT = re.compile(r"^\s*(\w+ = |\(|[}\]]|['\"]|$|[\w.-]+,?\s*$)")
_NUMBER = re.compile(r"-?\d+")


@dataclass(frozen=True, slots=True)
class Ref:
    """A reference to a managed object, `vim.VirtualMachine:3`."""

    text: str


@dataclass(frozen=True, slots=True)
class DumpObject:
    """One data object."""

    type: str
    fields: dict[str, Any]

    def get(self, name: str) -> Any:
        return self.fields.get(name)

    def sub(self, name: str) -> DumpObject | None:
        value = self.fields.get(name)
        return value if isinstance(value, DumpObject) else None


def parse_dump(text: str) -> list[Any]:
    """The objects or lists in `text`, after its title. Raises Unreadable."""
    return _Reader(text).all()


class _Reader:
    def __init__(self, text: str) -> None:
        self._lines = text.replace("\r\n", "\n").split("\n")
        self._at = 0

    def all(self) -> list[Any]:
        while self._at < len(self._lines) and not self._lines[self._at].lstrip().startswith("("):
            self._at += 1
        found = []
        while self._at < len(self._lines):
            line = self._lines[self._at]
            if not line.strip():
                self._at += 1
                continue
            found.append(self._value(line.strip()))
        if not found:
            raise Unreadable("an object of vim-cmd", "there is none", line=self._lines[0])
        return found

    def _value(self, text: str) -> Any:
        """The value that begins with `text`, the rest of the current line."""
        empty = _EMPTY.match(text)
        if empty:
            self._at += 1
            return [] if empty[2] == "[]" else None if empty[2] == "null" else DumpObject(empty[1], {})
        if match := _OBJECT.match(text):
            self._at += 1
            return self._object(match[1])
        if _LIST.match(text):
            self._at += 1
            return self._list()
        if text.startswith('"'):
            return self._string(text[1:])
        self._at += 1
        return _plain(text)

    def _object(self, kind: str) -> DumpObject:
        fields: dict[str, Any] = {}
        while True:
            line = self._line("an object")
            if re.match(r"^\s*\},?\s*$", line):
                self._at += 1
                return DumpObject(kind, fields)
            match = _PROPERTY.match(line)
            if match is None:
                raise Unreadable("an object of vim-cmd", "a line is no property", line=line)
            fields[match[1]] = self._value(match[2].rstrip())

    def _list(self) -> list[Any]:
        items: list[Any] = []
        while True:
            line = self._line("a list")
            if re.match(r"^\s*\],?\s*$", line):
                self._at += 1
                return items
            items.append(self._value(line.strip()))

    def _string(self, rest: str) -> str:
        parts: list[str] = []
        while True:
            match = re.match(r'^(.*)",?\s*$', rest)
            following = self._lines[self._at + 1] if self._at + 1 < len(self._lines) else ""
            if match and _NEXT.match(following):
                self._at += 1
                return "\n".join([*parts, match[1]])
            parts.append(rest)
            self._at += 1
            rest = self._line("a string")

    def _line(self, what: str) -> str:
        if self._at >= len(self._lines):
            raise Unreadable("an object of vim-cmd", f"{what} does not end")
        return self._lines[self._at]


def _plain(text: str) -> Any:
    word = text.rstrip().rstrip(",").strip()
    if word == "<unset>":
        return None
    if word in ("true", "false"):
        return word == "true"
    if _NUMBER.fullmatch(word):
        return int(word)
    if word.startswith("'") and word.endswith("'") and len(word) > 1:
        return Ref(word[1:-1])
    if re.fullmatch(r"[\w.+-]+", word):
        return word
    raise Unreadable("an object of vim-cmd", "a value is of no known form", line=text)
