"""The `key = "value"` files of VMware (.vmx, .vmsd), kept whole: what is not touched stays byte for byte.

Grammar: fact sheet vmkfstools-and-files §5.1. Keys are compared without regard to case. `|XX` is a
byte in hexadecimal, which is how quotes, bars and control characters are written.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import ClassVar, Self

from ceso_mcp.errors import Refused, Unreadable
from ceso_mcp.text import Secret, Text

_KEY = r"[!$-<>-~]+"
_ENTRY = re.compile(rf'[ \t]*({_KEY})[ \t]*=[ \t]*(?:"([^"\r\x00]*)"|([^\s"#\x00]+))[ \t]*')
_ESCAPE = re.compile(rb"\|([0-9A-Fa-f]{2})")
_ENCODING = re.compile(rb'^[ \t]*\.encoding[ \t]*=[ \t]*"([^"\r\n]*)"', re.I | re.M)
_TO_ESCAPE = re.compile(r'[\x00-\x1f"|\x7f-\x9f]')


@dataclass(frozen=True, slots=True)
class Line:
    """One line as it stands, with its line end. `key` is None for comments and blank lines."""

    raw: str
    key: str | None = None
    value: str = ""


class Dictionary:
    """An immutable, ordered document. A key that occurs twice has the value of its last line.

    A bar that two hexadecimal digits do not follow is taken as itself, and a value of one word needs
    no quotes (both assumed; no real file shows either). Equality is that of the bytes.
    """

    __slots__ = ("_codec", "_lines", "_values")
    what: ClassVar[str] = "dictionary file"

    def __init__(self, lines: tuple[Line, ...], codec: str = "utf-8") -> None:
        self._lines = lines
        self._codec = codec
        self._values = {line.key.lower(): line.value for line in lines if line.key is not None}

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a file's text, already decoded; raises Unreadable for a line of another form."""
        found = _ENCODING.search(text.encode("utf-8", "surrogatepass"))
        codec = _codec(cls.what, found.group(1) if found else b"")
        lines: list[Line] = []
        for raw in re.findall(r"[^\n]*\n|[^\n]+\Z", text):
            content = raw.removesuffix("\n").removesuffix("\r")
            if not content.strip(" \t") or content.lstrip(" \t").startswith("#"):
                lines.append(Line(raw))
                continue
            entry = _ENTRY.fullmatch(content)
            if entry is None:
                raise Unreadable(cls.what, 'a line is not of the form key = "value"', line=content)
            quoted, bare = entry.group(2), entry.group(3)
            value = _unescape(cls.what, quoted if quoted is not None else bare, codec)
            lines.append(Line(raw, entry.group(1), value))
        return cls(tuple(lines), codec)

    @classmethod
    def parse_bytes(cls, data: bytes) -> Self:
        """Read a file's bytes by the `.encoding` it names (UTF-8 without one).

        Raises Unreadable for an encoding that is not known here or that the bytes do not fit.
        """
        found = _ENCODING.search(data)
        codec = _codec(cls.what, found.group(1) if found else b"")
        try:
            return cls.parse(data.decode(codec))
        except UnicodeDecodeError as error:
            raise Unreadable(cls.what, f"its bytes are not {codec}: {error.reason}") from None

    def render(self) -> str:
        """The text, equal to what was parsed but for what was set or removed since."""
        return "".join(line.raw for line in self._lines)

    def render_bytes(self) -> bytes:
        """The bytes, in the file's own encoding."""
        return self.render().encode(self._codec)

    def text(self, hidden: Mapping[str, str]) -> Text:
        """The text as standard input; values of the keys `hidden` do not show, but what they map to."""
        names = {key.lower(): name for key, name in hidden.items()}
        parts: list[str | Secret] = []
        for line in self._lines:
            name = names.get(line.key.lower()) if line.key is not None else None
            head, quote, rest = line.raw.partition('"')
            value, closing, end = rest.rpartition('"')
            if name is None or not value:
                parts.append(line.raw)
            elif quote and closing:
                parts += [head + quote, Secret(name, value.encode(self._codec)), closing + end]
            else:
                parts.append(Secret(name, line.raw.encode(self._codec)))
        return Text(tuple(parts))

    @property
    def encoding(self) -> str:
        """The codec by Python's name."""
        return self._codec

    def get(self, key: str, default: str | None = None) -> str | None:
        """The value of `key`, its escapes decoded, or `default`."""
        return self._values.get(key.lower(), default)

    def require(self, key: str) -> str:
        """The value of `key`; raises Unreadable if it is absent."""
        value = self._values.get(key.lower())
        if value is None:
            raise Unreadable(self.what, f"it has no {key}")
        return value

    def number(self, key: str) -> int | None:
        """The value as a decimal integer, None if absent or empty; raises Unreadable otherwise."""
        value = (self.get(key) or "").strip()
        if not value:
            return None
        if not re.fullmatch(r"-?[0-9]{1,20}", value):
            raise Unreadable(self.what, f"{key} is not a number", line=value)
        return int(value)

    def flag(self, key: str) -> bool:
        """The value as a truth value, False if absent or empty; raises Unreadable otherwise.

        TRUE and FALSE in any case are what real files hold (fact sheet vmkfstools-and-files §5.1);
        the digits and words are accepted as their plain meaning.
        """
        value = (self.get(key) or "").strip().lower()
        if value in ("true", "1", "yes"):
            return True
        if value in ("", "false", "0", "no"):
            return False
        raise Unreadable(self.what, f"{key} is neither TRUE nor FALSE", line=value)

    def keys(self) -> list[str]:
        """The keys as written, each once, in order of first appearance."""
        seen: dict[str, str] = {}
        for line in self._lines:
            if line.key is not None:
                seen.setdefault(line.key.lower(), line.key)
        return list(seen.values())

    def items(self) -> list[tuple[str, str]]:
        """(key, value) for every key, in order of first appearance."""
        return [(key, self._values[key.lower()]) for key in self.keys()]

    def __iter__(self) -> Iterator[tuple[str, str]]:
        return iter(self.items())

    def __contains__(self, key: str) -> bool:
        return key.lower() in self._values

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and self.render_bytes() == other.render_bytes()

    def __hash__(self) -> int:
        return hash(self.render_bytes())

    def __repr__(self) -> str:
        return f"{type(self).__name__}({len(self._values)} keys)"

    def with_set(self, changes: Mapping[str, str]) -> Self:
        """A document with `changes` made: existing keys in place (duplicates removed), new ones at the end.

        Raises Refused, code `vmx_value`, for a key that cannot be written, a value that the file's
        encoding cannot hold, or another encoding.
        """
        wanted = {key.lower(): (key, value) for key, value in changes.items()}
        eol = "\r\n" if any(line.raw.endswith("\r\n") for line in self._lines[:1]) else "\n"
        lines: list[Line] = []
        written: set[str] = set()
        for line in self._lines:
            key = line.key.lower() if line.key is not None else None
            if key is None or key not in wanted:
                lines.append(line)
            elif key not in written:
                written.add(key)
                end = line.raw[len(line.raw.rstrip("\r\n")) :]
                lines.append(self._line(str(line.key), wanted[key][1], end))
        for key, (spelling, value) in wanted.items():
            if key not in written:
                if lines and not lines[-1].raw.endswith("\n"):
                    last = lines[-1]
                    lines[-1] = Line(last.raw + eol, last.key, last.value)
                lines.append(self._line(spelling, value, eol))
        return type(self)(tuple(lines), self._codec)

    def without(self, keys: Collection[str] | Callable[[str], bool]) -> Self:
        """A document without `keys` (or without those for which it is true, given as written)."""
        if callable(keys):
            return type(self)(
                tuple(ln for ln in self._lines if ln.key is None or not keys(ln.key)), self._codec
            )
        gone = {key.lower() for key in keys}
        return type(self)(
            tuple(ln for ln in self._lines if ln.key is None or ln.key.lower() not in gone), self._codec
        )

    def _line(self, key: str, value: str, end: str) -> Line:
        if not re.fullmatch(_KEY, key):
            raise Refused(f"{key[:80]!r} cannot be a key of a {self.what}", code="vmx_value")
        if key.lower() == ".encoding" and _codec(self.what, value.encode()) != self._codec:
            raise Refused(f"the encoding of a {self.what} cannot be changed", code="vmx_value")
        try:
            raw = _TO_ESCAPE.sub(lambda m: self._escaped(m.group()), value)
            raw.encode(self._codec)
        except UnicodeEncodeError:
            raise Refused(f"the value of {key} does not fit {self._codec}", code="vmx_value") from None
        return Line(f'{key} = "{raw}"{end}', key, value)

    def _escaped(self, char: str) -> str:
        return "".join(f"|{byte:02X}" for byte in char.encode(self._codec))


def _codec(what: str, name: bytes) -> str:
    text = name.decode("ascii", "replace").strip() or "utf-8"
    try:
        codec = codecs.lookup(text).name
        "key".encode(codec)
    except LookupError:
        raise Unreadable(what, "it is in an encoding that is not known here", line=text) from None
    if "key".encode(codec) != b"key" or codec in ("utf-7", "idna", "punycode", "unicode_escape"):
        raise Unreadable(what, "its encoding is not an extension of ASCII", line=text)
    return codec


def _unescape(what: str, raw: str, codec: str) -> str:
    if "|" not in raw:
        return raw
    try:
        data = raw.encode(codec)
        return _ESCAPE.sub(lambda m: bytes.fromhex(m.group(1).decode()), data).decode(codec)
    except UnicodeError:
        raise Unreadable(what, f"an escaped value is not {codec}", line=raw) from None
