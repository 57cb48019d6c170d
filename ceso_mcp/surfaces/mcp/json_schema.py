"""JSON Schemas as clients get them: self-contained, closed, without noise."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel

from ceso_mcp.operation import Change, Operation

TOKEN = "confirm_token"
"""The one argument of a changing tool that is not a parameter of its operation."""

_FOR_PREVIEW = " (required for the preview)"
_TOKEN_PROPERTY = {
    "type": "string",
    "maxLength": 64,
    "description": (
        "leave out to get a preview; give the token of a preview, alone, to run exactly what it showed"
    ),
}


def input_schema(operation: type[Operation]) -> dict[str, Any]:
    """What a tool accepts: an object, closed, with every reference written out.

    An optional parameter is one that may be left out; `null` is not advertised. A changing tool
    requires nothing, because its second call consists of the token alone; what its preview needs
    is said in the descriptions.
    """
    schema = _plain(operation, "validation")
    schema.pop("description", None)
    properties: dict[str, Any] = schema.setdefault("properties", {})
    schema["additionalProperties"] = False
    if issubclass(operation, Change):
        for name in schema.pop("required", []):
            properties[name]["description"] = properties[name].get("description", "") + _FOR_PREVIEW
        properties[TOKEN] = dict(_TOKEN_PROPERTY)
    return schema


def output_schema(model: type[BaseModel]) -> dict[str, Any]:
    """What every successful result of a tool is valid against."""
    return _plain(model, "serialization")


def _plain(model: type[BaseModel], mode: Literal["validation", "serialization"]) -> dict[str, Any]:
    raw = model.model_json_schema(mode=mode)
    definitions = raw.pop("$defs", {})
    schema: dict[str, Any] = _written_out(raw, definitions, mode == "validation", ())
    return schema


def _written_out(node: Any, definitions: dict[str, Any], optional: bool, within: tuple[str, ...]) -> Any:
    if isinstance(node, list):
        return [_written_out(item, definitions, optional, within) for item in node]
    if not isinstance(node, dict):
        return node
    if "$ref" in node:
        name = node["$ref"].rsplit("/", 1)[-1]
        if name in within:
            return {"type": "object"}
        beside = {key: value for key, value in node.items() if key != "$ref"}
        return _written_out({**definitions[name], **beside}, definitions, optional, (*within, name))
    plain: dict[str, Any] = {}
    for key, value in node.items():
        if key == "properties":
            plain[key] = {
                name: _written_out(item, definitions, optional, within) for name, item in value.items()
            }
        elif not (key == "title" and isinstance(value, str)):
            plain[key] = _written_out(value, definitions, optional, within)
    return _without_null(plain) if optional else plain


def _without_null(node: dict[str, Any]) -> dict[str, Any]:
    """`T | None` as `T`: a parameter without a value is left out rather than null."""
    choices = node.get("anyOf")
    if not choices or {"type": "null"} not in choices:
        return node
    rest = [choice for choice in choices if choice != {"type": "null"}]
    kept = {key: value for key, value in node.items() if key != "anyOf"}
    if kept.get("default", ...) is None:
        del kept["default"]
    return {**rest[0], **kept} if len(rest) == 1 else {"anyOf": rest, **kept}
