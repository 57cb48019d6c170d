"""An operation as a tool: how it is listed, and how its arguments are read."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from mcp import types

from ceso_mcp.operation import Change, Operation, Query, parse_arguments
from ceso_mcp.preview import ChangeOutcome
from ceso_mcp.surfaces.mcp.json_schema import input_schema, output_schema

_TWO_CALLS = (
    "Changes things in two calls. Without confirm_token it changes nothing: it returns a preview with the "
    "exact commands and a token. With that confirm_token alone it runs exactly those commands. Show the "
    "user what would run before you confirm."
)


@dataclass(frozen=True)
class OperationTool:
    """One operation of the catalogue, as MCP sees it."""

    operation: type[Operation]

    @cached_property
    def name(self) -> str:
        return self.operation.operation_name()

    @property
    def changes(self) -> bool:
        return issubclass(self.operation, Change)

    @cached_property
    def result(self) -> type[Any]:
        """The model of its successful results."""
        if issubclass(self.operation, Query):
            return self.operation.result
        return ChangeOutcome

    @cached_property
    def listing(self) -> types.Tool:
        """Its entry in `tools/list`."""
        operation = self.operation
        paragraphs = [_TWO_CALLS] if self.changes else []
        return types.Tool(
            name=self.name,
            title=operation.title,
            description="\n\n".join([_unwrapped(operation.description()), *paragraphs]),
            input_schema=input_schema(operation),
            output_schema=output_schema(self.result),
            annotations=types.ToolAnnotations(
                title=operation.title,
                read_only_hint=not self.changes,
                destructive_hint=issubclass(operation, Change) and operation.may_destroy,
                idempotent_hint=not self.changes,
                open_world_hint=False,
            ),
        )

    def parse(self, arguments: dict[str, Any]) -> Operation:
        """The operation with `arguments`; raises InvalidArguments that names fields and no values.

        Some models send a list or an object as its JSON text; that is read where the schema has one.
        """
        properties = self.listing.input_schema["properties"]
        read = {
            name: _from_json(value, properties.get(name, {}).get("type")) for name, value in arguments.items()
        }
        return parse_arguments(self.operation, read)


def tools(operations: Iterable[type[Operation]]) -> dict[str, OperationTool]:
    """The tools for `operations`, by name, in the order of their names."""
    found = [OperationTool(operation) for operation in operations]
    return {tool.name: tool for tool in sorted(found, key=lambda tool: tool.name)}


def _from_json(value: Any, kind: str | None) -> Any:
    wanted = {"array": list, "object": dict}.get(kind or "")
    if wanted is None or not isinstance(value, str):
        return value
    try:
        read = json.loads(value)
    except (ValueError, RecursionError):
        return value
    return read if isinstance(read, wanted) else value


def _unwrapped(text: str) -> str:
    """Paragraphs in one line each."""
    return re.sub(r"(?<!\n)\n(?!\n)", " ", text)
