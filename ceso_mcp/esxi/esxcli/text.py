"""The two text forms of esxcli: tables and blocks (fact sheet esxcli-and-shell §1.5)."""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping
from dataclasses import dataclass

from ceso_mcp.errors import Unreadable

_RULE = re.compile(r"-+(?:  -+)*")
_FIELD = re.compile(r" {3}(\S[^:]*(?::[^ :][^:]*)*):(?: (.*))?")
_NESTED = re.compile(r" {9}(\S[^:]*(?::[^ :][^:]*)*):(?: (.*))?")


@dataclass(frozen=True, slots=True)
class Block:
    """One item of the block form. `header` is its line at column 0, None if it has none.

    Fields in the order printed; a nested one is called `Outer / Inner`. Blanks at the end of a
    value are dropped.
    """

    header: str | None
    fields: Mapping[str, str]


def table(stdout: str) -> list[dict[str, str]]:
    """The rows of a table by column title; [] for no output, which is how an empty list is printed.

    Cells are cut by the rule row. The last column runs to the end of the line, since its rule may be
    only as long as its title (esxcli-nic-list-1). Whether widths count characters or bytes of UTF-8
    is not known; characters are tried first. Raises Unreadable for text between columns or for a
    table without its first two lines.
    """
    lines = _lines(stdout)
    if not lines:
        return []
    if len(lines) < 2 or not _RULE.fullmatch(lines[1]):
        raise Unreadable("esxcli table", "it has no rule below its titles", line=lines[0])
    starts = [found.start() for found in re.finditer("-+", lines[1])]
    rows = [lines[0], *lines[2:]]
    cut = _cut(rows, starts, lines[1], "utf-32-le", 4) or _cut(rows, starts, lines[1], "utf-8", 1)
    if cut is None:
        raise Unreadable("esxcli table", "a row does not stand in its columns", line=stdout)
    titles = cut[0]
    if len(set(titles)) != len(titles) or not all(titles):
        raise Unreadable("esxcli table", "its titles are not distinct", line=lines[0])
    return [dict(zip(titles, row, strict=True)) for row in cut[1:]]


def blocks(stdout: str) -> list[Block]:
    """The items of the block form; [] for no output. Items are apart by a blank line.

    Raises Unreadable for a line of another form, an item without fields or a label that occurs twice.
    """
    found: list[Block] = []
    for blank, group in itertools.groupby(_lines(stdout), key=lambda line: not line.strip()):
        if not blank:
            found.append(_block(list(group)))
    return found


def block(stdout: str) -> dict[str, str]:
    """The fields of the one item of a `get` command; raises Unreadable if there is not exactly one."""
    found = blocks(stdout)
    if len(found) != 1:
        raise Unreadable("esxcli block", f"there are {len(found)} instead of one", line=stdout)
    return dict(found[0].fields)


def _lines(stdout: str) -> list[str]:
    lines = [line.rstrip("\r") for line in stdout.split("\n")]
    while lines and not lines[-1].strip():
        lines.pop()
    while lines and not lines[0].strip():
        lines.pop(0)
    return lines


def _cut(rows: list[str], starts: list[int], rule: str, codec: str, unit: int) -> list[list[str]] | None:
    """Cells of all rows, None if any row has text where two columns are apart."""
    bounds = [start * unit for start in starts]
    ends = [found.end() * unit for found in re.finditer("-+", rule)]
    cut: list[list[str]] = []
    for row in rows:
        data = row.encode(codec, "surrogatepass")
        cells: list[str] = []
        for index, start in enumerate(bounds):
            last = index + 1 == len(bounds)
            try:
                cell = data[start : None if last else ends[index]].decode(codec)
                gap = "" if last else data[ends[index] : bounds[index + 1]].decode(codec)
            except UnicodeDecodeError:
                return None
            if gap.strip(" "):
                return None
            cells.append(cell.strip(" "))
        if not row.strip():
            return None
        cut.append(cells)
    return cut


def _block(lines: list[str]) -> Block:
    header = None if lines[0].startswith("   ") else lines.pop(0)
    fields: dict[str, str] = {}
    outer: str | None = None
    for line in lines:
        if found := _NESTED.fullmatch(line):
            if outer is None:
                raise Unreadable("esxcli block", "a nested field is in none", line=line)
            label = f"{outer} / {found.group(1)}"
        elif found := _FIELD.fullmatch(line):
            label = found.group(1)
            outer = label if not (found.group(2) or "").strip() else None
        else:
            raise Unreadable("esxcli block", "a line is no field", line=line)
        if label in fields:
            raise Unreadable("esxcli block", f"{label} occurs twice", line=line)
        fields[label] = (found.group(2) or "").rstrip(" ")
    if not fields:
        raise Unreadable("esxcli block", "an item has no fields", line=header or "")
    return Block(header, fields)
