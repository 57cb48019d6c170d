"""The options of esxcli commands: what a command declares, and what it makes of the words given."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ceso_mcp.lab.esxcli_forms import Found

TRUE_WORDS = ("1", "y", "yes", "t", "true", "on")
FALSE_WORDS = ("0", "n", "no", "f", "false", "off")
BOOL_WORDS = "{0, 1, n[o], y[es], f[alse], t[rue], off, on}"
Given = dict[str, Any]


class Refused(Exception):
    """The command's own sentence: stdout, exit 1, no "Error:" before it (fact sheet §1.4)."""


class BadOptions(Exception):
    """A sentence about the options; "Error: " comes before it and the usage after it."""


@dataclass(frozen=True)
class Option:
    """One option. `kind` is str, long, bool or flag (takes no value); `many` ones may be repeated."""

    name: str
    letter: str = ""
    kind: str = "str"
    description: str = ""
    required: bool = False
    many: bool = False
    secret: bool = False

    @property
    def spelled(self) -> str:
        return f"-{self.letter}|--{self.name}" if self.letter else f"--{self.name}"


@dataclass(frozen=True)
class Command:
    """One command: `run` gets the options given by their long names, with their types."""

    words: str
    description: str
    run: Callable[[Given], Found]
    options: tuple[Option, ...] = ()
    changes: bool = False

    def sorted_options(self) -> list[Option]:
        """In the order of help texts and of complaints: by long name (esxcli-account-add-help-1)."""
        return sorted(self.options, key=lambda option: option.name)


def _typed(option: Option, word: str, text: str) -> str | int | bool:
    start = f"While processing '{word}'. Argument type mismatch."
    if option.kind == "bool":
        if text.lower() in TRUE_WORDS:
            return True
        if text.lower() in FALSE_WORDS:
            return False
        raise BadOptions(f"{start} Expecting one of {BOOL_WORDS}. Got '{text}'")
    if option.kind == "long":
        if not text.removeprefix("-").isdecimal() or not text.isascii():
            raise BadOptions(f"{start} Expecting integer value. Got '{text}'")
        return int(text)
    return text


def _list(rest: list[str], at: int) -> tuple[list[str], int]:
    """The values of `[ a b ]`, which starts at `at`, and the place behind it."""
    end = at + 1
    while end < len(rest) and rest[end] != "]":
        end += 1
    return rest[at + 1 : end], end + 1


def parse(command: Command, rest: list[str]) -> Given:
    """Read the words behind a command. Raises `BadOptions` (fact sheet §1.2, §1.4)."""
    by_word = {f"--{option.name}": option for option in command.options}
    by_word |= {f"-{option.letter}": option for option in command.options if option.letter}
    given: Given = {}
    at = 0
    while at < len(rest):
        word, equals, text = rest[at].partition("=")
        option = by_word.get(word)
        if option is None:
            raise BadOptions(f"Invalid option {word}")
        if option.name in given and not option.many:
            raise BadOptions(f"Duplicated option '{word}'")
        at += 1
        if option.kind == "flag":
            if equals:
                raise BadOptions(f"While processing '{word}'. Option does not take a value")
            given[option.name] = True
            continue
        if equals:
            values = [text]
        elif at < len(rest) and option.many and rest[at] == "[":
            values, at = _list(rest, at)
        elif at < len(rest):
            values = [rest[at]]
            at += 1
        else:
            raise BadOptions(f"While processing '{word}'. Option requires a value")
        if option.many:
            given.setdefault(option.name, []).extend(_typed(option, word, item) for item in values)
        else:
            given[option.name] = _typed(option, word, values[0])
    missing = [option for option in command.sorted_options() if option.required and option.name not in given]
    if missing:
        lines = [f"Missing required parameter {option.spelled}" for option in missing]
        raise BadOptions("\n       ".join(lines))
    return given
