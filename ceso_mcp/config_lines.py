"""Which line of a configuration file an error is about."""

from __future__ import annotations

import re
from pathlib import Path

from pydantic import ValidationError


def explain(path: Path, text: str, error: ValidationError) -> str:
    lines = []
    for problem in error.errors(include_url=False, include_input=False):
        where = ".".join(str(part) for part in problem["loc"])
        line = _line_of(text, [str(part) for part in problem["loc"]])
        lines.append(
            f"{path}:{line}: {where}: {problem['msg']}" if line else f"{path}: {where}: {problem['msg']}"
        )
    return "; ".join(lines)


def _line_of(text: str, location: list[str]) -> int | None:
    """The line of the last key of `location` that stands in the file, counted from 1."""
    section: str | None = None
    best: int | None = None
    for number, line in enumerate(text.splitlines(), 1):
        head = re.match(r"\s*\[([^\]]+)\]", line)
        if head:
            section = head.group(1).strip()
            if location and section == location[0]:
                best = number
        key = re.match(r"\s*([A-Za-z0-9_\"'.-]+)\s*=", line)
        if not key:
            continue
        name = key.group(1).strip("\"'")
        if (section is None and location[:1] == [name]) or location[:2] == [section, name]:
            return number
    return best
