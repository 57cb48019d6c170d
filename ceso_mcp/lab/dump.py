"""How vim-cmd prints data objects, in the comma styles of its builds (fact sheet vim-cmd §1.3).

The eras are "5.x" (`dynamicType` opens every object, a comma after the last property), "6.0" (neither, but
a comma before a fault's `msg`), "6.5" (not that either) and "8.0", which prints objects as 6.5 does.
"""

from __future__ import annotations

from dataclasses import dataclass, field

ERAS = ("5.x", "6.0", "6.5", "8.0")
NEWEST = ERAS[-1]


@dataclass(frozen=True)
class Unset:
    """`<unset>`."""


@dataclass(frozen=True)
class Omitted:
    """A property without a value that is not printed; it still has a comma before it.

    An unset array at the end of an object leaves that comma alone (vimcmd-device.getdevices-1).
    """


@dataclass(frozen=True)
class Null:
    """`(vim.type) null`."""

    type: str


@dataclass(frozen=True)
class Ref:
    """A reference to a managed object, printed in single quotes."""

    text: str


@dataclass(frozen=True)
class Word:
    """A bare word."""

    text: str


@dataclass
class Obj:
    """`(vim.type) { … }`; `msg` is a fault's last line, `msg_5x` how it reads before 6.0 if that differs."""

    type: str
    fields: dict[str, Value] = field(default_factory=dict)
    msg: str | None = None
    msg_5x: str | None = None


@dataclass
class Arr:
    """`(vim.type) [ … ]`."""

    type: str
    items: list[Value] = field(default_factory=list)


Value = str | int | bool | Unset | Omitted | Null | Ref | Word | Obj | Arr
UNSET = Unset()
OMITTED = Omitted()
STEP = "   "


def _text(value: Value, indent: str, era: str) -> str:
    inner = indent + STEP
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, str):
        return f'"{value}"'
    if isinstance(value, Unset | Omitted):
        return "<unset>"
    if isinstance(value, Null):
        return f"({value.type}) null"
    if isinstance(value, Ref):
        return f"'{value.text}'"
    if isinstance(value, Word):
        return value.text
    if isinstance(value, Arr):
        if not value.items:
            return f"({value.type}) []"
        items = ", \n".join(inner + _text(item, inner, era) for item in value.items)
        return f"({value.type}) [\n{items}\n{indent}]"
    return f"({value.type}) {{\n{_members(value, inner, era)}{indent}}}"


def _members(value: Obj, inner: str, era: str) -> str:
    fields = dict(value.fields)
    if era == "5.x":
        fields = {"dynamicType": UNSET, **fields}
    if era in ("5.x", "6.0") and value.msg is not None:
        fields.pop("faultMessage", None)
    text = ""
    for number, (name, item) in enumerate(fields.items(), 1):
        if isinstance(item, Omitted):
            continue
        last = number == len(fields)
        comma = era == "5.x" or not last or (era == "6.0" and value.msg is not None)
        text += f"{inner}{name} = {_text(item, inner, era)}{', ' if comma else ''}\n"
    if value.msg is not None:
        msg = value.msg_5x if era == "5.x" and value.msg_5x is not None else value.msg
        text += f'{inner}msg = "{msg}"{", " if era == "5.x" else ""}\n'
    return text


def render(value: Value, era: str = NEWEST) -> str:
    """The text of a top-level value, with its line end."""
    return _text(value, "", era) + "\n"


def fault(kind: str, msg: str, **fields: Value) -> Obj:
    """A fault object; what a build does not print of it is left out when it is rendered."""
    opening: dict[str, Value] = {"faultCause": Null("vmodl.MethodFault"), "faultMessage": UNSET}
    return Obj(kind, {**opening, **fields}, msg=msg)
