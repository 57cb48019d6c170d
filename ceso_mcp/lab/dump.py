"""How vim-cmd prints data objects: the comma style of 6.5 and later (fact sheet vim-cmd §1.3)."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Unset:
    """`<unset>`."""


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
    """`(vim.type) { … }`; `msg` is a fault's last line, which has no comma before it."""

    type: str
    fields: dict[str, Value] = field(default_factory=dict)
    msg: str | None = None


@dataclass
class Arr:
    """`(vim.type) [ … ]`."""

    type: str
    items: list[Value] = field(default_factory=list)


Value = str | int | bool | Unset | Null | Ref | Word | Obj | Arr
UNSET = Unset()
STEP = "   "


def _text(value: Value, indent: str) -> str:
    inner = indent + STEP
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, str):
        return f'"{value}"'
    if isinstance(value, Unset):
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
        items = ", \n".join(inner + _text(item, inner) for item in value.items)
        return f"({value.type}) [\n{items}\n{indent}]"
    lines = [f"{inner}{name} = {_text(item, inner)}" for name, item in value.fields.items()]
    body = ", \n".join(lines)
    if value.msg is not None:
        body += f'\n{inner}msg = "{value.msg}"'
    return f"({value.type}) {{\n{body}\n{indent}}}"


def render(value: Value) -> str:
    """The text of a top-level value, with its line end."""
    return _text(value, "") + "\n"


def fault(kind: str, msg: str, **fields: Value) -> Obj:
    """A fault object as builds from 6.5 on print it."""
    opening: dict[str, Value] = {"faultCause": Null("vmodl.MethodFault"), "faultMessage": UNSET}
    return Obj(kind, {**opening, **fields}, msg=msg)
