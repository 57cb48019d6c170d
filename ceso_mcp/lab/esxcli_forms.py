"""The output forms of esxcli: text tables and blocks, csv, keyvalue, xml, json (fact sheet §1.5)."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from xml.sax.saxutils import escape


@dataclass(frozen=True)
class Quantity:
    """A number that text prints with its unit: `34133794816 Bytes`, `114473 MiB`."""

    count: int
    unit: str = "Bytes"


@dataclass(frozen=True)
class Nested:
    """A structure, or a list of them, as the value of a field (esxcli-nic-get-1, esxcli-dvs-list-1)."""

    type: str
    rows: tuple[Row, ...]
    one: bool = True


Cell = str | int | bool | list[str] | Quantity | Nested
Row = dict[str, Cell]


@dataclass
class Answer:
    """What a command found. `columns` are the labels in text order; `one` marks a get command.

    `header` names the column whose value heads a block, or is the fixed heading itself when it is no
    column. `more` are fields that only structured forms show. `type` names the structure.
    """

    type: str
    columns: tuple[str, ...]
    rows: list[Row]
    form: str = "table"
    one: bool = False
    header: str = ""
    more: tuple[str, ...] = ()


@dataclass
class Scalar:
    """A command whose answer is one bare value."""

    value: str | int | bool


Found = Answer | Scalar


@dataclass(frozen=True)
class Style:
    """`wide_rules`: a left-aligned last column has rule and cells as wide as its longest value.

    So before 7.0 U2 (esxcli-nic-list-2; -profile-sources-1 has it not).
    """

    wide_rules: bool = False
    fields: tuple[str, ...] = ()


PRESENT = Style()


def property_name(label: str) -> str:
    """The property name of a label: without blanks and punctuation."""
    return re.sub(r"[^A-Za-z0-9]", "", label)


def _plain(cell: Cell) -> str:
    if isinstance(cell, bool):
        return "true" if cell else "false"
    if isinstance(cell, Quantity):
        return f"{cell.count} {cell.unit}"
    if isinstance(cell, Nested):
        return ""
    return ", ".join(cell) if isinstance(cell, list) else str(cell)


def text(found: Found, style: Style = PRESENT) -> str:
    if isinstance(found, Scalar):
        return _plain(found.value) + "\n"
    if not found.rows:
        return ""
    if found.form == "table":
        return _table(found, style)
    return "\n".join(_block(found, row) for row in found.rows)


def _table(answer: Answer, style: Style) -> str:
    columns = answer.columns
    cells = [[_plain(row[name]) for name in columns] for row in answer.rows]
    right = [isinstance(answer.rows[0][name], (bool, int, Quantity)) for name in columns]
    widths = [max(len(name), *(len(row[at]) for row in cells)) for at, name in enumerate(columns)]
    rules = list(widths)
    if not right[-1] and not style.wide_rules:
        rules[-1] = len(columns[-1])

    def line(values: list[str]) -> str:
        padded = [
            value.rjust(width) if flag else value.ljust(width)
            for value, width, flag in zip(values, widths, right, strict=True)
        ]
        joined = "  ".join(padded)
        return (joined if style.wide_rules else joined.rstrip()) + "\n"

    rule = "  ".join("-" * width for width in rules) + "\n"
    return line(list(columns)) + rule + "".join(line(row) for row in cells)


def _block(answer: Answer, row: Row) -> str:
    head = ""
    if answer.header:
        head = _plain(row[answer.header]) if answer.header in row else answer.header
        head += "\n"
    return head + _fields(answer.columns, row, "   ")


def _fields(columns: tuple[str, ...], row: Row, pad: str) -> str:
    lines = []
    for name in columns:
        cell = row[name]
        lines.append(f"{pad}{name}: {_plain(cell)}\n")
        if isinstance(cell, Nested):
            lines.append("\n".join(_fields(tuple(inner), inner, pad + " " * 6) for inner in cell.rows))
    return "".join(lines)


def _properties(row: Row, names: tuple[str, ...]) -> dict[str, Cell]:
    found: dict[str, Cell] = {}
    for name in names:
        cell = row[name]
        found[property_name(name)] = cell.count if isinstance(cell, Quantity) else cell
    return dict(sorted(found.items()))


def _rows(answer: Answer) -> list[dict[str, Cell]]:
    return [_properties(row, (*answer.columns, *answer.more)) for row in answer.rows]


def _kind(cell: Cell) -> str:
    if isinstance(cell, bool):
        return "boolean"
    return "integer" if isinstance(cell, int) else "string"


def csv(found: Found, style: Style = PRESENT) -> str:
    if isinstance(found, Scalar):
        return f"{_plain(found.value)},\n"
    if not found.rows:
        return ""

    def cell(value: Cell) -> str:
        flat = "".join(f"{item}," for item in value) if isinstance(value, list) else _plain(value)
        flat = flat.replace("\n", "\\n")
        return '"' + flat.replace('"', '""') + '"' if "," in flat or '"' in flat else flat

    rows = _rows(found)
    names = [name for name in style.fields if name in rows[0]] if style.fields else list(rows[0])
    lines = ["".join(f"{name}," for name in names)]
    lines += ["".join(f"{cell(row[name])}," for name in names) for row in rows]
    return "\n".join(lines) + "\n"


def keyvalue(found: Found, style: Style = PRESENT) -> str:
    if isinstance(found, Scalar):
        return f"{_kind(found.value)}={_plain(found.value)}\n"
    lines: list[str] = []
    for number, row in enumerate(_rows(found)):
        start = found.type if found.one else f"structure[{number}].{found.type}"
        lines += _keyvalue(start, row)
    return "".join(f"{line}\n" for line in lines)


def _keyvalue(start: str, row: dict[str, Cell]) -> list[str]:
    lines = []
    for name, value in row.items():
        if isinstance(value, list):
            shown = "".join(f"{item}," for item in value)
            lines.append(f"{start}.{name}.string[] = {shown}")
        elif isinstance(value, Nested):
            for number, inner in enumerate(value.rows):
                place = f"{start}.{name}" if value.one else f"{start}.{name}.structure[{number}]"
                lines += _keyvalue(f"{place}.{value.type}", _properties(inner, tuple(inner)))
        else:
            flat = _plain(value).replace("\n", "\\n")
            lines.append(f"{start}.{name}.{_kind(value)}={flat}")
    return lines


def xml(found: Found, style: Style = PRESENT) -> str:
    lines = ['<?xml version="1.0" encoding="utf-8"?>']
    lines += ['<output xmlns="http://www.vmware.com/Products/ESX/5.0/esxcli">', "<root>"]
    if isinstance(found, Scalar):
        kind = _kind(found.value)
        lines.append(f"   <{kind}>{escape(_plain(found.value))}</{kind}>")
    else:
        structures = Nested(found.type, tuple(found.rows), found.one)
        lines += _xml(structures, "   ", (*found.columns, *found.more))
    return "\n".join([*lines, "</root>", "</output>"]) + "\n"


def _xml(nested: Nested, pad: str, names: tuple[str, ...] = ()) -> list[str]:
    lines = [] if nested.one else [f'{pad}<list type="structure">']
    inner = pad if nested.one else pad + "   "
    for row in nested.rows:
        lines.append(f'{inner}<structure typeName="{nested.type}">')
        for name, value in _properties(row, names or tuple(row)).items():
            lines.append(f'{inner}   <field name="{name}">')
            if isinstance(value, list):
                lines.append(f'{inner}      <list type="string">')
                lines += [f"{inner}         <string>{escape(item)}</string>" for item in value]
                lines.append(f"{inner}      </list>")
            elif isinstance(value, Nested):
                lines += _xml(value, inner + "      ")
            else:
                kind = _kind(value)
                lines.append(f"{inner}      <{kind}>{escape(_plain(value))}</{kind}>")
            lines.append(f"{inner}   </field>")
        lines.append(f"{inner}</structure>")
    return [*lines, *([] if nested.one else [f"{pad}</list>"])]


def json_text(found: Found, style: Style = PRESENT) -> str:
    """One line; `/` is escaped, control characters are not (fact sheet §1.5)."""
    if isinstance(found, Scalar):
        return _json(found.value) + "\n"
    structures = Nested(found.type, tuple(found.rows), found.one)
    return _json(structures, (*found.columns, *found.more)) + "\n"


def _json(cell: Cell, names: tuple[str, ...] = ()) -> str:
    if isinstance(cell, Nested):
        shown = []
        for row in cell.rows:
            pairs = (f"{_json(name)}: {_json(value)}" for name, value in _named(row, names))
            shown.append("{" + ", ".join(pairs) + "}")
        return shown[0] if cell.one and shown else "[" + ", ".join(shown) + "]"
    if isinstance(cell, list):
        return "[" + ", ".join(map(_json, cell)) + "]"
    if isinstance(cell, (bool, int)):
        return _plain(cell)
    quoted = _plain(cell).replace("\\", "\\\\").replace('"', '\\"').replace("/", "\\/")
    return f'"{quoted}"'


def _named(row: Row, names: tuple[str, ...]) -> list[tuple[str, Cell]]:
    return list(_properties(row, names or tuple(row)).items())


FORMS: dict[str, Callable[[Found, Style], str]] = {
    "": text,
    "csv": csv,
    "keyvalue": keyvalue,
    "xml": xml,
    "json": json_text,
}
