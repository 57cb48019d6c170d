"""The output forms of esxcli: text tables and blocks, csv, keyvalue, xml, json (fact sheet §1.5)."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from xml.sax.saxutils import escape

Cell = str | int | bool | list[str]


@dataclass(frozen=True)
class Bytes:
    """A number that text prints with its unit (`hardware memory get`)."""

    count: int


@dataclass
class Answer:
    """What a command found. `columns` are the labels in text order; `one` marks a get command.

    `header` names the column whose value heads a block, or is the fixed heading itself when it is no
    column. `more` are fields that only structured forms show.
    """

    type: str
    columns: tuple[str, ...]
    rows: list[dict[str, Cell | Bytes]]
    form: str = "table"
    one: bool = False
    header: str = ""
    more: tuple[str, ...] = ()
    names: dict[str, str] = field(default_factory=dict)
    get_type: str = ""

    def property(self, label: str) -> str:
        """The property name of a label: without blanks and punctuation."""
        return self.names.get(label, re.sub(r"[^A-Za-z0-9]", "", label))


@dataclass
class Scalar:
    """A command whose answer is one bare value."""

    value: str | int | bool


def _plain(cell: Cell | Bytes) -> str:
    if isinstance(cell, bool):
        return "true" if cell else "false"
    if isinstance(cell, Bytes):
        return f"{cell.count} Bytes"
    return ", ".join(cell) if isinstance(cell, list) else str(cell)


def text(answer: Answer | Scalar) -> str:
    if isinstance(answer, Scalar):
        return _plain(answer.value) + "\n"
    if not answer.rows:
        return ""
    if answer.form == "table":
        return _table(answer)
    return "\n".join(_block(answer, row) for row in answer.rows)


def _table(answer: Answer) -> str:
    columns = answer.columns
    cells = [[_plain(row[name]) for name in columns] for row in answer.rows]
    right = [isinstance(answer.rows[0][name], (bool, int)) for name in columns]
    widths = [max(len(name), *(len(row[at]) for row in cells)) for at, name in enumerate(columns)]
    rules = list(widths)
    if not right[-1]:
        rules[-1] = len(columns[-1])

    def line(values: list[str]) -> str:
        padded = [
            value.rjust(width) if flag else value.ljust(width)
            for value, width, flag in zip(values, widths, right, strict=True)
        ]
        return "  ".join(padded).rstrip() + "\n"

    rule = "  ".join("-" * width for width in rules) + "\n"
    return line(list(columns)) + rule + "".join(line(row) for row in cells)


def _block(answer: Answer, row: dict[str, Cell | Bytes]) -> str:
    head = ""
    if answer.header:
        head = _plain(row[answer.header]) if answer.header in row else answer.header
        head += "\n"
    return head + "".join(f"   {name}: {_plain(row[name])}\n" for name in answer.columns)


def _properties(answer: Answer, row: dict[str, Cell | Bytes]) -> dict[str, Cell]:
    found: dict[str, Cell] = {}
    for name in (*answer.columns, *answer.more):
        cell = row[name]
        found[answer.property(name)] = cell.count if isinstance(cell, Bytes) else cell
    return dict(sorted(found.items()))


def _kind(cell: Cell) -> str:
    if isinstance(cell, bool):
        return "boolean"
    return "integer" if isinstance(cell, int) else "string"


def csv(answer: Answer | Scalar) -> str:
    if isinstance(answer, Scalar):
        return f"{_plain(answer.value)},\n"
    if not answer.rows:
        return ""

    def cell(value: Cell) -> str:
        flat = "".join(f"{item}," for item in value) if isinstance(value, list) else _plain(value)
        flat = flat.replace("\n", "\\n")
        return '"' + flat.replace('"', '""') + '"' if "," in flat or '"' in flat else flat

    rows = [_properties(answer, row) for row in answer.rows]
    lines = ["".join(f"{name}," for name in rows[0])]
    lines += ["".join(f"{cell(value)}," for value in row.values()) for row in rows]
    return "\n".join(lines) + "\n"


def keyvalue(answer: Answer | Scalar) -> str:
    if isinstance(answer, Scalar):
        return f"{_kind(answer.value)}={_plain(answer.value)}\n"
    lines = []
    for number, row in enumerate(answer.rows):
        start = f"{answer.get_type or answer.type}" if answer.one else f"structure[{number}].{answer.type}"
        for name, value in _properties(answer, row).items():
            if isinstance(value, list):
                shown = "".join(f"{item}," for item in value)
                lines.append(f"{start}.{name}.string[] = {shown}")
            else:
                flat = _plain(value).replace("\n", "\\n")
                lines.append(f"{start}.{name}.{_kind(value)}={flat}")
    return "".join(f"{line}\n" for line in lines)


def xml(answer: Answer | Scalar) -> str:
    lines = ['<?xml version="1.0" encoding="utf-8"?>']
    lines += ['<output xmlns="http://www.vmware.com/Products/ESX/5.0/esxcli">', "<root>"]
    if isinstance(answer, Scalar):
        kind = _kind(answer.value)
        lines.append(f"   <{kind}>{escape(_plain(answer.value))}</{kind}>")
    else:
        pad = "   " if answer.one else "      "
        lines += [] if answer.one else ['   <list type="structure">']
        for row in answer.rows:
            lines.append(f'{pad}<structure typeName="{answer.type}">')
            for name, value in _properties(answer, row).items():
                lines.append(f'{pad}   <field name="{name}">')
                if isinstance(value, list):
                    lines.append(f'{pad}      <list type="string">')
                    lines += [f"{pad}         <string>{escape(item)}</string>" for item in value]
                    lines.append(f"{pad}      </list>")
                else:
                    kind = _kind(value)
                    lines.append(f"{pad}      <{kind}>{escape(_plain(value))}</{kind}>")
                lines.append(f"{pad}   </field>")
            lines.append(f"{pad}</structure>")
        lines += [] if answer.one else ["   </list>"]
    return "\n".join([*lines, "</root>", "</output>"]) + "\n"


def json_text(answer: Answer | Scalar) -> str:
    if isinstance(answer, Scalar):
        return json.dumps(answer.value) + "\n"
    rows = [_properties(answer, row) for row in answer.rows]
    value = rows[0] if answer.one else rows
    return json.dumps(value, ensure_ascii=False).replace("/", "\\/") + "\n"


FORMS = {"": text, "csv": csv, "keyvalue": keyvalue, "xml": xml, "json": json_text}
