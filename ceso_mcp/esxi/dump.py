"""The text form in which vim-cmd prints data objects (fact sheet vim-cmd §1.3).

Commas are optional everywhere (three eras). Strings are not escaped: quotes and line breaks come
through as they are. A string ends at the first quote that ends its line and is followed by what can
follow: a property, an element or a closing bracket, at the right indentation. Text that imitates
exactly that can pass for properties; a property that occurs twice in one object raises Unreadable,
so such text can add names but never replace a value. For decisions, prefer sources that are not
free text.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from ceso_mcp.errors import Unreadable

_WHAT = "vim-cmd object"
_TITLE = re.compile(r"[A-Z][A-Za-z ]*:?")
_PROPERTY = re.compile(r"([A-Za-z_][A-Za-z0-9_]*) = (.*)", re.S)
_TYPED = re.compile(r"\(([A-Za-z_][A-Za-z0-9_.]*)\) ?(\{\}|\[\]|\{|\[|null)")
_VALUE_START = re.compile(r"""\(|"|'|<unset>|true\b|false\b|-?[0-9]""")
_NUMBER = re.compile(r"-?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?")
_STRING_END = re.compile(r'"[ \t]*,?[ \t]*')
MAX_DEPTH = 100


@dataclass(frozen=True, slots=True)
class Ref:
    """A reference to an object of the host, `vim.VirtualMachine:3`."""

    text: str

    @property
    def type(self) -> str:
        return self.text.partition(":")[0]

    @property
    def key(self) -> str:
        return self.text.partition(":")[2]


@dataclass(frozen=True, slots=True)
class DumpObject:
    """A data object: its type and its properties in order. `<unset>` and null are None."""

    type: str
    fields: Mapping[str, Value]

    def get(self, path: str) -> Value:
        """The value at `a.b.c`, None where any part is absent or unset."""
        value: Value = self
        for name in path.split("."):
            if not isinstance(value, DumpObject):
                return None
            value = value.fields.get(name)
        return value

    def text(self, path: str) -> str | None:
        """The string at `path`, None if there is none; raises Unreadable for another type."""
        value = self.get(path)
        if value is None or isinstance(value, str):
            return value
        raise Unreadable(_WHAT, f"{path} is not a string", line=repr(value))

    def number(self, path: str) -> int | None:
        """The integer at `path`, None if there is none; raises Unreadable for another type."""
        value = self.get(path)
        if value is None or (isinstance(value, int) and not isinstance(value, bool)):
            return value
        raise Unreadable(_WHAT, f"{path} is not a whole number", line=repr(value))

    def flag(self, path: str) -> bool | None:
        """The truth value at `path`, None if there is none; raises Unreadable for another type."""
        value = self.get(path)
        if value is None or isinstance(value, bool):
            return value
        raise Unreadable(_WHAT, f"{path} is not a truth value", line=repr(value))

    def objects(self, path: str) -> list[DumpObject]:
        """The objects of the list at `path`, [] if there is none; raises Unreadable for others."""
        value = self.get(path)
        if value is None:
            return []
        if isinstance(value, list) and all(isinstance(item, DumpObject) for item in value):
            return [item for item in value if isinstance(item, DumpObject)]
        raise Unreadable(_WHAT, f"{path} is not a list of objects")


Value = DumpObject | Ref | str | int | float | bool | list["Value"] | None


def parse_dumps(text: str) -> list[Value]:
    """Everything a command printed after its title: objects, lists or references, in order."""
    reader = _Reader(text)
    reader.skip_titles()
    values: list[Value] = []
    while not reader.at_end():
        values.append(reader.value(reader.line(), 0))
        reader.skip_blank()
    if not values:
        raise Unreadable(_WHAT, "there is none", line=text)
    return values


def parse_dump(text: str) -> Value:
    """The one value a command printed; raises Unreadable if there are more or none."""
    values = parse_dumps(text)
    if len(values) != 1:
        raise Unreadable(_WHAT, f"there are {len(values)} instead of one")
    return values[0]


def parse_object(text: str, type_: str) -> DumpObject:
    """The one object of type `type_` a command printed; raises Unreadable for anything else."""
    value = parse_dump(text)
    if not isinstance(value, DumpObject) or value.type != type_:
        raise Unreadable(_WHAT, f"it is not a {type_}", line=text)
    return value


def parse_leading_object(text: str) -> DumpObject:
    """The object that `text` begins with; what follows it is not read."""
    reader = _Reader(text)
    value = reader.value(reader.line(), 0)
    if not isinstance(value, DumpObject):
        raise Unreadable(_WHAT, "it is not an object", line=text)
    return value


class _Reader:
    """A cursor over lines. Every method leaves it behind what it has read."""

    def __init__(self, text: str) -> None:
        self._lines = text.replace("\r\n", "\n").split("\n")
        self._at = 0

    def at_end(self) -> bool:
        return self._at >= len(self._lines)

    def line(self) -> str:
        if self.at_end():
            raise Unreadable(_WHAT, "it is cut off")
        return self._lines[self._at]

    def skip_blank(self) -> None:
        while not self.at_end() and not self._lines[self._at].strip():
            self._at += 1

    def skip_titles(self) -> None:
        """Go to the first line that begins a value; only titles and blank lines may stand before it."""
        self.skip_blank()
        while not self.at_end() and not self._lines[self._at].lstrip().startswith(("(", "'")):
            if not _TITLE.fullmatch(self._lines[self._at].strip()):
                raise Unreadable(_WHAT, "a line before it is no title", line=self._lines[self._at])
            self._at += 1
            self.skip_blank()

    def value(self, shown: str, depth: int, indent: int | None = None) -> Value:
        """The value that `shown` (the rest of the current line) begins."""
        if depth > MAX_DEPTH:
            raise Unreadable(_WHAT, "it is nested too deeply")
        indent = _indent(self.line()) if indent is None else indent
        text = shown.strip()
        if text.startswith('"'):
            return self._string(shown.lstrip()[1:], indent)
        text = text.removesuffix(",").rstrip()
        if text.startswith("'"):
            if len(text) < 3 or not text.endswith("'"):
                raise Unreadable(_WHAT, "a reference has no end", line=shown)
            self._at += 1
            return Ref(text[1:-1])
        found = _TYPED.fullmatch(text)
        self._at += 1
        if found is None:
            return _plain(text)
        kind, opening = found.groups()
        if opening == "{":
            return self._object(kind, depth, indent)
        if opening == "[":
            return self._list(depth, indent)
        if opening == "null":
            return None
        return DumpObject(kind, {}) if opening == "{}" else []

    def _object(self, kind: str, depth: int, indent: int) -> DumpObject:
        fields: dict[str, Value] = {}
        while not self._closed("}", indent):
            found = _PROPERTY.fullmatch(self.line().lstrip())
            if found is None:
                raise Unreadable(_WHAT, f"a line of a {kind} is no property", line=self.line())
            name, rest = found.groups()
            if name in fields:
                raise Unreadable(_WHAT, f"{name} occurs twice in a {kind}", line=self.line())
            fields[name] = self.value(rest, depth + 1)
        return DumpObject(kind, fields)

    def _list(self, depth: int, indent: int) -> list[Value]:
        items: list[Value] = []
        while not self._closed("]", indent):
            items.append(self.value(self.line(), depth + 1))
        return items

    def _closed(self, bracket: str, indent: int) -> bool:
        line = self.line()
        if line.strip().removesuffix(",").rstrip() != bracket:
            return False
        if _indent(line) != indent:
            raise Unreadable(_WHAT, "a closing bracket is not below its opening", line=line)
        self._at += 1
        return True

    def _string(self, rest: str, indent: int) -> str:
        """A string of which `rest` is the first line after its quote."""
        parts: list[str] = []
        while True:
            for found in _STRING_END.finditer(rest):
                if found.end() == len(rest) and self._can_follow(indent):
                    self._at += 1
                    return "\n".join([*parts, rest[: found.start()]])
            parts.append(rest)
            self._at += 1
            rest = self.line()

    def _can_follow(self, indent: int) -> bool:
        """Whether the next line is one that can stand after a string at `indent`."""
        if self._at + 1 >= len(self._lines):
            return False
        line = self._lines[self._at + 1]
        text = line.strip()
        if text.removesuffix(",").rstrip() in ("}", "]"):
            return _indent(line) in (indent, indent - 3)
        if _indent(line) != indent:
            return False
        found = _PROPERTY.fullmatch(text)
        return _VALUE_START.match(found.group(2) if found else text) is not None


def _plain(text: str) -> Value:
    if text == "<unset>":
        return None
    if text in ("true", "false"):
        return text == "true"
    found = _NUMBER.fullmatch(text)
    if found is None or len(text) > 40:
        raise Unreadable(_WHAT, "a value of unknown form", line=text)
    return float(text) if found.group(1) or found.group(2) else int(text)


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip(" "))
