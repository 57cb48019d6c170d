"""Any answer for a reader: values in blocks, lists in tables that fit, sizes in words.

Works on the answer's plain data, so a new operation needs nothing here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ceso_mcp.surfaces.cli.output import harmless, human_bytes, line

if TYPE_CHECKING:
    from rich.console import Console

_UNITS = {"mib": "MiB", "gib": "GiB", "kib": "KiB", "s": "s", "mhz": "MHz", "percent": "%"}
_GAP = 2
_LEAST_COLUMNS = 2
_WIDEST_CELL = 160


def render(target: Console, answer: Mapping[str, Any], indent: int = 0) -> None:
    """Print `answer`: what has no value is left out, an empty list is said to be empty."""
    block: list[tuple[str, str]] = []
    for name, value in answer.items():
        if value is None or value == "":
            continue
        if isinstance(value, Mapping) and value:
            _flush(target, block, indent)
            line(target, " " * indent + label(name), "bold")
            render(target, value, indent + 2)
        elif _is_table(value):
            _flush(target, block, indent)
            line(target, " " * indent + f"{label(name)} ({len(value)})", "bold")
            if _too_wide(value):
                for item in value:
                    render(target, item, indent + 2)
            else:
                _table(target, value, indent + 2)
        else:
            block.append((label(name), shown(name, value)))
    _flush(target, block, indent)


def label(name: str) -> str:
    """A field's name for a reader; its unit is shown with the value."""
    words = name.split("_")
    if len(words) > 1 and (words[-1] in _UNITS or words[-1] == "bytes"):
        words = words[:-1]
    return " ".join(words)


def shown(name: str, value: Any) -> str:
    """One value for a reader."""
    if value is None or value == "":
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    unit = name.rpartition("_")[2]
    if unit == "bytes" and isinstance(value, str) and value.isdecimal():
        return human_bytes(int(value))
    if isinstance(value, int | float):
        if unit == "bytes":
            return human_bytes(value)
        return f"{value} {_UNITS[unit]}" if unit in _UNITS and "_" in name else str(value)
    if isinstance(value, Mapping):
        return ", ".join(f"{label(k)} {shown(k, v)}" for k, v in value.items() if v not in (None, "")) or "-"
    if isinstance(value, Sequence) and not isinstance(value, str):
        parts = [shown(name, item) for item in value]
        return ("\n" if any(len(part) > 60 for part in parts) else ", ").join(parts) or "none"
    return harmless(str(value))


def _is_table(value: Any) -> bool:
    return isinstance(value, list | tuple) and bool(value) and all(isinstance(v, Mapping) for v in value)


def _too_wide(items: Sequence[Mapping[str, Any]]) -> bool:
    """Whether a row holds a table of its own that no cell could show."""
    return any(
        _is_table(value) and len(shown(name, value)) > _WIDEST_CELL
        for item in items
        for name, value in item.items()
    )


def _flush(target: Console, block: list[tuple[str, str]], indent: int) -> None:
    """Print name and value pairs with the values under each other."""
    width = max((len(name) for name, _ in block), default=0)
    for name, value in block:
        first, *more = value.split("\n")
        line(target, " " * indent + name.ljust(width + _GAP) + first)
        for further in more:
            line(target, " " * (indent + width + _GAP) + further)
    block.clear()


def _table(target: Console, items: Sequence[Mapping[str, Any]], indent: int) -> None:
    """Print rows under headings; on a narrow terminal the rightmost columns give way, and it is said."""
    from rich.cells import cell_len

    names = [
        name
        for name in dict.fromkeys(key for item in items for key in item)
        if any(item.get(name) not in (None, "", [], {}) for item in items)
    ]
    cells = [[shown(name, item.get(name)).replace("\n", "; ") for name in names] for item in items]
    heads = [label(name) for name in names]
    widths = [
        max(cell_len(text) for text in (head, *(row[place] for row in cells)))
        for place, head in enumerate(heads)
    ]
    kept = _that_fit(widths, target.width - indent)
    numeric = [_is_number(name, items) for name in names]
    for number, row in enumerate((heads, *cells)):
        parts = [_padded(row[place], widths[place], numeric[place], cell_len) for place in kept]
        text = " " * indent + (" " * _GAP).join(parts).rstrip()
        line(target, text, "dim" if number == 0 else "")
    if len(kept) < len(names):
        missing = ", ".join(head for place, head in enumerate(heads) if place not in kept)
        line(target, " " * indent + f"(no room for: {missing}; --json shows them)", "dim")


def _that_fit(widths: Sequence[int], room: int) -> list[int]:
    """The columns that fit into `room`, from the left; a wide one gives way to narrow ones after it."""
    kept: list[int] = []
    used = 0
    for place, width in enumerate(widths):
        if used + width <= room or len(kept) < _LEAST_COLUMNS:
            kept.append(place)
            used += width + _GAP
    return kept


def _is_number(name: str, items: Sequence[Mapping[str, Any]]) -> bool:
    values = [item[name] for item in items if item.get(name) is not None]
    return all(isinstance(value, int | float) and not isinstance(value, bool) for value in values)


def _padded(text: str, width: int, right: bool, cell_len: Any) -> str:
    space = " " * (width - int(cell_len(text)))
    return space + text if right else text + space
