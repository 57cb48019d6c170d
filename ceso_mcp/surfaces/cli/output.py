"""Writing to the terminal: colours only there, host text made harmless, JSON kept whole."""

from __future__ import annotations

import json
import sys
import unicodedata
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from rich.console import Console

UNBOUNDED_COLUMNS = 100_000
_UNSAFE = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}


def console(*, stderr: bool = False) -> Console:
    """A console on standard output or error. Off a terminal it neither colours nor breaks lines."""
    from rich.console import Console

    stream = sys.stderr if stderr else sys.stdout
    return Console(
        file=stream,
        markup=False,
        emoji=False,
        highlight=False,
        soft_wrap=not stream.isatty(),
        width=None if stream.isatty() else UNBOUNDED_COLUMNS,
    )


def line(target: Console, text: str, style: str = "") -> None:
    """One line, never broken or cut, so that it can be copied whole."""
    from rich.text import Text

    target.print(
        Text(harmless(text), style=style), soft_wrap=True, no_wrap=True, overflow="ignore", crop=False
    )


def harmless(text: str) -> str:
    """`text` without what could steer a terminal or falsify its reading; each shown as `\\ufffd`.

    New lines and tabs stay. A host's names and notes are text that anybody may have written.
    """
    return "".join(
        char if char in "\n\t" or unicodedata.category(char) not in _UNSAFE else "\ufffd" for char in text
    )


def interactive() -> bool:
    """Whether a person can be asked: both standard input and output are a terminal."""
    return sys.stdin.isatty() and sys.stdout.isatty()


def write_json(value: Any) -> None:
    """One JSON document on standard output; what `harmless` would replace is escaped, so nothing is lost."""
    text = json.dumps(value, indent=2, ensure_ascii=False, default=str)
    click.echo(
        "".join(char if char == "\n" or harmless(char) == char else json.dumps(char)[1:-1] for char in text)
    )


def human_bytes(count: float) -> str:
    """A number of bytes for a reader: `24.0 MiB`."""
    size, sign = abs(float(count)), "-" if count < 0 else ""
    if size < 1024:
        return f"{sign}{size:.0f} B"
    for unit in ("KiB", "MiB", "GiB", "TiB"):
        size /= 1024
        if size < 1024 or unit == "TiB":
            break
    return f"{sign}{size:.1f} {unit}"
