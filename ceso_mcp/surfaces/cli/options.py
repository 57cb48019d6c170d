"""Fields of an operation as options and arguments of a command, and back."""

from __future__ import annotations

import json
import types
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Union, get_args, get_origin

import click

from ceso_mcp.errors import InvalidArguments

if TYPE_CHECKING:
    from pydantic.fields import FieldInfo

    from ceso_mcp.operation import Operation

_ONE_OF_MANY = {
    "ssh_keys": "ssh-key",
    "more_names": "more-name",
    "nics": "nic",
    "disk_datastores": "disk-datastore",
    "servers": "server",
    "vlans": "vlan",
    "packages": "package",
    "run_commands": "run-command",
}
"""Lists whose option names one item; the field's own name is taken as well."""
_FROM_FILE = frozenset({"ssh_keys"})
"""Fields for which `@FILE` stands for the lines of a file."""
_PATHS = frozenset({"user_data_file"})
"""Fields that are files of this machine: what is typed counts from the current folder."""


def parameters(model: type[Operation], arguments: Sequence[str]) -> list[click.Parameter]:
    """The parameters of a command for `model`; the fields in `arguments` are given by position."""
    fields = model.model_fields
    places = [name for name in arguments if name in fields]
    return [
        *(_argument(name, fields[name]) for name in places),
        *(_option(name, fields[name]) for name in _in_order(model) if name not in places),
    ]


def option_name(name: str) -> str:
    """The option for the field `name`, as a user types it."""
    return "--" + _ONE_OF_MANY.get(name, name.replace("_", "-"))


def given(model: type[Operation], values: Mapping[str, Any]) -> dict[str, Any]:
    """The operation's arguments from a command's values: only what was typed, files read.

    Raises InvalidArguments for a file that cannot be read and for text that is not JSON.
    """
    found: dict[str, Any] = {}
    for name, field in model.model_fields.items():
        value = values.get(name)
        if value is None or value == ():
            continue
        if name in _FROM_FILE:
            value = [text for item in value for text in _lines(name, item)]
        elif _shape(field.annotation)[0] == "pairs":
            value = dict(_pair(name, item) for item in value)
        elif isinstance(value, tuple):
            value = [_item(name, field, item) for item in value]
        elif name in _PATHS:
            value = str(Path(value).expanduser().absolute())
        elif _is_model(_shape(field.annotation)[1]):
            value = _json(name, value)
        found[name] = value
    return found


def in_options(model: type[Operation], error: InvalidArguments) -> InvalidArguments:
    """The same refusal in the words of the command line: `--memory-mib`, not `memory_mib`."""
    import re

    message = error.message
    for name in model.model_fields:
        message = re.sub(rf"(^|; ){name}(\.\d+)?: ", rf"\1{option_name(name)}: ", message)
    message = re.sub(r"(^|; )arguments: ", r"\1", message).replace("Value error, ", "")
    return InvalidArguments(message, code=error.code, hint=error.hint)


def _in_order(model: type[Operation]) -> list[str]:
    """Field names as help shows them: what must be given, then the operation's own, then shared ones."""
    own = set(vars(model).get("__annotations__", {}))
    fields = model.model_fields
    return sorted(fields, key=lambda name: (not fields[name].is_required(), name not in own))


def _argument(name: str, field: FieldInfo) -> click.Argument:
    shape, inner = _shape(field.annotation)
    return click.Argument(
        [name],
        required=field.is_required(),
        type=_type(inner, field.metadata),
        nargs=-1 if shape == "list" else 1,
        metavar=None if get_origin(inner) is Literal else name.upper(),
        help=field.description or "",
    )


def _option(name: str, field: FieldInfo) -> click.Option:
    shape, inner = _shape(field.annotation)
    flag = option_name(name)
    names = [flag] if name not in _ONE_OF_MANY else [flag, "--" + name.replace("_", "-")]
    if inner is bool:
        return click.Option(
            [name, f"{flag}/--no-{flag[2:]}"], default=None, help=_help(field), show_default=False
        )
    return click.Option(
        [name, *names],
        type=click.STRING if shape == "pairs" or name in _FROM_FILE else _type(inner, field.metadata),
        multiple=shape in ("list", "pairs"),
        required=field.is_required(),
        metavar="NAME=VALUE" if shape == "pairs" else "JSON" if _is_model(inner) else None,
        help=_help(field, repeatable=shape != "one", from_file=name in _FROM_FILE),
    )


def _help(field: FieldInfo, *, repeatable: bool = False, from_file: bool = False) -> str:
    text = field.description or ""
    if repeatable:
        text += " (may be given several times" + ("; @FILE reads them from a file)" if from_file else ")")
    default = field.get_default()
    if not field.is_required() and default not in (None, "", ()):
        words = {True: "yes", False: "no"}.get(default, default) if isinstance(default, bool) else default
        text += f"  [default: {words}]"
    return text


def _shape(annotation: Any) -> tuple[Literal["one", "list", "pairs"], Any]:
    """Whether a field holds one value, many or name-value pairs, and the type of one of them."""
    origin = get_origin(annotation)
    if origin is Annotated:
        return _shape(get_args(annotation)[0])
    if origin in (Union, types.UnionType):
        rest = [part for part in get_args(annotation) if part is not type(None)]
        return _shape(rest[0]) if len(rest) == 1 else ("one", str)
    if origin in (list, tuple, set, frozenset):
        return "list", _shape(get_args(annotation)[0])[1]
    if origin is dict or annotation is dict:
        return "pairs", str
    return "one", annotation


def _type(inner: Any, metadata: Sequence[Any]) -> click.ParamType[Any] | type:
    if get_origin(inner) is Literal:
        return click.Choice([str(value) for value in get_args(inner)])
    if inner in (int, float):
        low = next((item.ge for item in metadata if hasattr(item, "ge")), None)
        high = next((item.le for item in metadata if hasattr(item, "le")), None)
        range_type: Callable[..., click.ParamType[Any]] = click.IntRange if inner is int else click.FloatRange
        return range_type(low, high)
    return click.STRING


def _is_model(inner: Any) -> bool:
    return isinstance(inner, type) and hasattr(inner, "model_fields")


def _item(name: str, field: FieldInfo, item: Any) -> Any:
    return _json(name, item) if _is_model(_shape(field.annotation)[1]) else item


def _json(name: str, text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        raise InvalidArguments(f"{option_name(name)}: this is not JSON") from None


def _pair(name: str, text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not equals or not key:
        raise InvalidArguments(f"{option_name(name)}: give NAME=VALUE")
    return key, value


def _lines(name: str, text: str) -> list[str]:
    if not text.startswith("@"):
        return [text]
    path = Path(text[1:]).expanduser()
    try:
        content = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not text"
        raise InvalidArguments(f"{option_name(name)}: cannot read {path}: {reason}") from None
    lines = [entry.strip() for entry in content.splitlines()]
    return [entry for entry in lines if entry and not entry.startswith("#")]
