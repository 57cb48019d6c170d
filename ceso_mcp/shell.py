"""The only place where words become a command line.

A `Command` is a finished POSIX shell line for the host's busybox ash. Words are strings, integers
or paths; each is quoted by itself, so a name with spaces, quotes or `$(…)` stays one word. A value
that only the host can tell (the id of a VM that is about to be registered) is a `Captured` word: it
is shown as a bare `{name}` and filled in, quoted, once known. A literal brace is always quoted, so
the two cannot be confused. A `Secret` is not a word: putting one into a line is a type error.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Protocol, runtime_checkable


@runtime_checkable
class Posix(Protocol):
    """Anything that has a place on the host's file system."""

    def posix(self) -> str: ...


@dataclass(frozen=True, slots=True)
class Captured:
    """A word that an earlier step of the same plan reads from the host; a `number` in the result."""

    name: str
    number: bool = False

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[a-z][a-z0-9_]*", self.name):
            raise ValueError("a captured word has a lower-case name")

    def __str__(self) -> str:
        return "{" + self.name + "}"


@dataclass(frozen=True, slots=True)
class Glob:
    """Every path that begins with `start` (quoted) and goes on as `pattern` (a bare shell pattern)."""

    start: str | Posix
    pattern: str

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[A-Za-z0-9*./-]*\*[A-Za-z0-9*./-]*", self.pattern) or ".." in self.pattern:
            raise ValueError("a glob pattern is made of letters, digits, dots, dashes, slashes and stars")


Word = str | int | PurePosixPath | Posix | Captured | Glob

_HOLE = re.compile(r"\{([a-z][a-z0-9_]*)\}")


def quote(word: Word) -> str:
    """`word` as the shell reads it back, whole.

    Raises ValueError for NUL and other control characters (a new line would start another
    command in a log, a terminal escape would falsify what is shown) and for lone surrogates.
    """
    if isinstance(word, Captured):
        return str(word)
    if isinstance(word, Glob):
        return quote(word.start) + word.pattern
    if isinstance(word, bool) or not isinstance(word, str | int | PurePosixPath | Posix):
        raise TypeError(f"a {type(word).__name__} cannot be a word of a command line")
    text = word.posix() if isinstance(word, Posix) else str(word)
    if any(ord(char) < 0x20 or 0x7F <= ord(char) < 0xA0 for char in text):
        raise ValueError("a word of a command line holds a control character")
    text.encode("utf-8")
    return shlex.quote(text)


@dataclass(frozen=True, slots=True)
class Command:
    """One line for the host's shell, exactly as it is shown and sent."""

    line: str

    def __str__(self) -> str:
        return self.line

    @property
    def holes(self) -> tuple[str, ...]:
        """Names of the captured words that must be filled in before sending, in order."""
        return tuple(dict.fromkeys(_HOLE.findall(_unquoted(self.line))))

    def filled(self, values: Mapping[str, str]) -> Command:
        """The same line with captured values quoted in their places; KeyError if one is missing."""
        out: list[str] = []
        for quoted, piece in _pieces(self.line):
            out.append(piece if quoted else _HOLE.sub(lambda m: quote(values[m.group(1)]), piece))
        return Command("".join(out))

    def to(self, path: Word) -> Command:
        """Write standard output to `path`, replacing it."""
        return Command(f"{self.line} > {quote(path)}")

    def then(self, other: Command) -> Command:
        """`other` if this one succeeded."""
        return Command(f"{self.line} && {other.line}")

    def otherwise(self, other: Command) -> Command:
        """`other` if this one failed."""
        return Command(f"{self.line} || {other.line}")

    def piped(self, other: Command) -> Command:
        """Its standard output into `other`; the exit status is that of `other`."""
        return Command(f"{self.line} | {other.line}")

    def merged(self) -> Command:
        """Standard error joined to standard output, for programs whose split is not documented."""
        return Command(f"{self.line} 2>&1")


@dataclass(frozen=True, slots=True)
class Detached:
    """A command that goes on when the connection that started it is gone.

    What it says and how it ends is kept in files beside `notes`, on a datastore; its process id in
    `pid_file`, which belongs into /tmp: a reboot of the host ends both. Starting twice starts once.
    """

    command: Command
    notes: Posix
    pid_file: PurePosixPath

    def _note(self, kind: str) -> str:
        return quote(f"{self.notes.posix()}.{kind}")

    def start(self) -> Command:
        """Start it in a session of its own, unless it was started before."""
        out, end, pid = self._note("out"), self._note("exit"), quote(self.pid_file)
        script = quote(f"{self.command.line} > {out} 2>&1; echo $? > {end}")
        return Command(
            f"test -e {pid} || {{ : > {pid} && {{ setsid sh -c {script} < /dev/null > /dev/null 2>&1 & "
            f"echo $! > {pid}; }}; }}"
        )

    def look(self) -> Command:
        """First line: its exit status, `running` or `lost`; then the end of what it has said.

        A status that could not be written, because the datastore is full, leaves an empty note: `lost`.
        One that has only just begun may have no file yet for what it says.
        """
        out, end, pid = self._note("out"), self._note("exit"), quote(self.pid_file)
        return Command(
            f'if test -s {end}; then cat {end}; elif kill -0 "$(cat {pid})" 2>/dev/null; then echo running; '
            f"else sleep 1; if test -s {end}; then cat {end}; else echo lost; fi; fi; "
            f"tail -c 600 {out} 2>/dev/null || true"
        )

    def stop(self) -> Command:
        """End it if it runs, wait up to nine seconds until it has, and remove its notes."""
        out, end, pid = self._note("out"), self._note("exit"), quote(self.pid_file)
        return Command(
            f'test -e {end} || {{ p=$(cat {pid}) && kill -- "-$p" && for i in 1 2 3 4 5 6 7 8 9; do sleep 1; '
            f'kill -0 -- "-$p" || break; done; }} 2>/dev/null; rm -f {out} {end} {pid}'
        )


def sh(*words: Word) -> Command:
    """A simple command of `words`, each quoted by itself."""
    if not words:
        raise ValueError("a command has at least one word")
    return Command(" ".join(quote(word) for word in words))


def _pieces(line: str) -> list[tuple[bool, str]]:
    """`line` cut into (inside single quotes, text); lines come from `quote`, which uses no others."""
    pieces: list[tuple[bool, str]] = []
    quoted = False
    start = 0
    index = 0
    while index < len(line):
        char = line[index]
        if quoted:
            if char == "'":
                pieces.append((True, line[start : index + 1]))
                start, quoted = index + 1, False
        elif char == "'":
            pieces.append((False, line[start:index]))
            start, quoted = index, True
        elif char == '"':
            end = line.index('"', index + 1)
            pieces.append((False, line[start:index]))
            pieces.append((True, line[index : end + 1]))
            start = end + 1
            index = end
        index += 1
    pieces.append((quoted, line[start:]))
    return pieces


def _unquoted(line: str) -> str:
    return " ".join(piece for quoted, piece in _pieces(line) if not quoted)
