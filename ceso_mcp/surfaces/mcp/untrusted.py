"""Text that came from elsewhere, made safe to show to a model and to a person.

VM names, notes, file names and outputs are written by whoever could write them. They travel in
JSON fields only; here their control, direction-changing and invisible characters become visible
codes such as `‹U+202E›`, so that a shown text cannot look like another one.
"""

from __future__ import annotations

import unicodedata
from typing import Any

STRING_CHARACTERS = 2_000
"""The longest text of the host that an answer carries."""

_SHOWN_CONTROLS = "\n\t"
_TROUBLE = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}


def tame(text: str, limit: int | None = None) -> str:
    """`text` with every control, format and unassigned character as a visible code.

    Line feeds and tabs stay. Beyond `limit` characters it is cut, and says how long it was.
    """
    if limit is not None and len(text) > limit:
        text = f"{text[:limit]}… ({len(text)} characters in all)"
    if text.isascii() and text.isprintable():
        return text
    return "".join(_visible(char) for char in text)


def tame_line(text: str, limit: int | None = None) -> str:
    """Like `tame`, in one line: a line feed of the host must not begin a line of ours."""
    return tame(text, limit).replace("\n", "‹U+000A›").replace("\t", "‹U+0009›")


def tame_document(value: Any, limit: int | None = STRING_CHARACTERS) -> Any:
    """A JSON value with every text in it tamed, keys included."""
    if isinstance(value, str):
        return tame(value, limit)
    if isinstance(value, dict):
        return {tame(str(key), limit): tame_document(item, limit) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [tame_document(item, limit) for item in value]
    return value


def _visible(char: str) -> str:
    if char in _SHOWN_CONTROLS:
        return char
    code = ord(char)
    if unicodedata.category(char) in _TROUBLE or 0xE0100 <= code <= 0xE01EF:
        return f"‹U+{code:04X}›"
    return char
