"""Values that only the host can tell, captured while a plan runs; each part of a plan has its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ceso_mcp.shell import Captured

Captures = Mapping[str, str]
Outcome = Mapping[str, str | int | bool | Captured | Sequence[str] | None]


def scoped(part: str, captures: Captures) -> dict[str, str]:
    """Captured values of a part, under the names by which a whole run keeps them."""
    return {f"{part}\t{name}" if part else name: value for name, value in captures.items()}


def visible(part: str, captures: Captures) -> dict[str, str]:
    """What a step of `part` sees of a run's captured values: the part's own, and those of no part."""
    begin = f"{part}\t"
    common = {name: value for name, value in captures.items() if "\t" not in name}
    own = {name.removeprefix(begin): value for name, value in captures.items() if name.startswith(begin)}
    return common | own


def filled(outcome: Outcome, captures: Captures) -> dict[str, Any]:
    """`outcome` with captured values in place; one that was not captured is None."""
    found: dict[str, Any] = {}
    for name, value in outcome.items():
        if isinstance(value, Captured):
            text = captures.get(value.name)
            found[name] = int(text) if value.number and text else text
        elif isinstance(value, tuple | list):
            found[name] = list(value)
        else:
            found[name] = value
    return found
