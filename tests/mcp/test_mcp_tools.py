"""What `tools/list` promises, for every operation of the real catalogue."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mcp import types

from ceso_mcp import catalogue
from ceso_mcp.errors import InvalidArguments
from ceso_mcp.operation import Change
from ceso_mcp.surfaces.mcp import schemas
from ceso_mcp.surfaces.mcp.instructions import INSTRUCTIONS
from ceso_mcp.surfaces.mcp.json_schema import TOKEN
from ceso_mcp.surfaces.mcp.tool import OperationTool, tools

TOOLS = tools(catalogue.operations())
EACH = pytest.mark.parametrize("tool", TOOLS.values(), ids=TOOLS)


def nodes(schema: Any) -> Iterator[dict[str, Any]]:
    if isinstance(schema, dict):
        yield schema
        for value in schema.values():
            yield from nodes(value)
    elif isinstance(schema, list):
        for value in schema:
            yield from nodes(value)


def listing(tool: OperationTool) -> types.Tool:
    return tool.listing


def test_every_operation_is_a_tool_in_order() -> None:
    assert list(TOOLS) == sorted(TOOLS) == catalogue.names()


@EACH
def test_names_and_texts_have_their_limits(tool: OperationTool) -> None:
    entry = listing(tool)
    assert re.fullmatch(r"[a-z][a-z0-9_]{2,40}", entry.name)
    assert len(f"mcp__plugin_ceso_ceso__{entry.name}") <= 64
    assert entry.description is not None
    assert 40 <= len(entry.description) <= 1500
    assert not re.search(r"[^\n]\n[^\n]", entry.description), "paragraphs are one line each"
    assert entry.title
    assert len(INSTRUCTIONS) <= 1800


@EACH
def test_hints_say_what_the_operation_is(tool: OperationTool) -> None:
    hints = listing(tool).annotations
    assert hints is not None
    changes = issubclass(tool.operation, Change)
    assert hints.read_only_hint is not changes
    assert hints.idempotent_hint is not changes
    assert hints.destructive_hint is (issubclass(tool.operation, Change) and tool.operation.may_destroy)
    assert hints.open_world_hint is False
    assert hints.title == listing(tool).title


@EACH
def test_input_schemas_are_closed_plain_and_described(tool: OperationTool) -> None:
    schema = listing(tool).input_schema
    jsonschema.Draft202012Validator.check_schema(schema)
    assert schema["type"] == "object"
    assert schema["additionalProperties"] is False
    assert not {"anyOf", "oneOf", "allOf"} & set(schema)
    for node in nodes(schema):
        assert not {"$ref", "$defs"} & set(node)
        assert {"type": "null"} not in node.get("anyOf", [])
    for name, field in schema["properties"].items():
        assert len(field.get("description", "")) >= 4, f"{tool.name}.{name} is not described"
        assert "type" in field or "anyOf" in field, name
    assert set(schema["properties"]) - {TOKEN} == set(tool.operation.model_fields)


@EACH
def test_a_change_requires_nothing_and_says_what_its_preview_needs(tool: OperationTool) -> None:
    schema = listing(tool).input_schema
    needed = {name for name, field in tool.operation.model_fields.items() if field.is_required()}
    if not tool.changes:
        assert set(schema.get("required", [])) == needed
        assert TOKEN not in schema["properties"]
        return
    assert "required" not in schema
    assert TOKEN in schema["properties"]
    said = {
        n for n, f in schema["properties"].items() if f["description"].endswith("(required for the preview)")
    }
    assert said == needed


@EACH
def test_output_schemas_are_closed_and_written_out(tool: OperationTool) -> None:
    schema = listing(tool).output_schema
    assert schema is not None
    jsonschema.Draft202012Validator.check_schema(schema)
    assert schema["type"] == "object"
    assert schema["additionalProperties"] is False
    assert not any({"$ref", "$defs"} & set(node) for node in nodes(schema))


def test_the_schema_files_are_what_the_server_lists() -> None:
    assert schemas.stale(schemas.schema_folder()) == {}, "run python -m ceso_mcp.surfaces.mcp.schemas"


def test_a_stale_schema_file_is_noticed_and_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(schemas, "schema_folder", lambda: tmp_path / "tool-schemas")
    assert schemas.main(["--check"]) == 1
    assert not (tmp_path / "tool-schemas").exists()
    assert schemas.main([]) == 0
    assert schemas.main(["--check"]) == 0
    file = tmp_path / "tool-schemas" / "list_vms.json"
    assert json.loads(file.read_text())["name"] == "list_vms"
    file.write_text(file.read_text() + " ")
    (tmp_path / "tool-schemas" / "gone.json").write_text("{}")
    assert schemas.main(["--check"]) == 1
    assert "list_vms.json" in capsys.readouterr().err
    assert schemas.main([]) == 0
    assert not (tmp_path / "tool-schemas" / "gone.json").exists()


CANARY = "hunter2canary"
TEXTS = st.text(max_size=12).map(lambda text: CANARY + text)
ADDRESSES = st.sampled_from([f"{CANARY}/24", f"192.0.2.1/{CANARY}", f"fe80::{CANARY}", f"ssh-rsa {CANARY}"])
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | TEXTS | ADDRESSES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=2),
    max_leaves=5,
)


@EACH
@settings(max_examples=30, deadline=None, database=None)
@given(data=st.data())
def test_arguments_that_do_not_fit_are_refused_without_their_values(
    tool: OperationTool, data: st.DataObject
) -> None:
    names = [*tool.operation.model_fields, "bogus"]
    arguments = data.draw(st.dictionaries(st.sampled_from(names), VALUES, max_size=len(names)))
    said = ""
    try:
        tool.parse(arguments)
    except InvalidArguments as refusal:
        said = refusal.text()
    assert CANARY not in said


KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ2nqvjQ4S0sF0VYVwWw0jvVd9Cl8u1yq2fQxJ0b7m5c ada@example"
GUEST_FIELDS = ["hostname", "ipv4", "gateway4", "ipv6", "gateway6", "dns", "search", "user", "ssh_keys"]


@pytest.mark.parametrize("field", GUEST_FIELDS)
@pytest.mark.parametrize(
    "value", [f"{CANARY} x", f"192.0.2.1/{CANARY}", f"ssh-rsa {CANARY}", f"\x1b{CANARY}"]
)
def test_one_bad_field_among_good_ones_is_not_echoed(field: str, value: str) -> None:
    arguments: dict[str, Any] = {"name": "web01", "template": "golden", "ssh_keys": [KEY]}
    arguments[field] = [value] if field in ("dns", "search", "ssh_keys") else value
    with pytest.raises(InvalidArguments) as caught:
        TOOLS["create_vm"].parse(arguments)
    assert CANARY not in caught.value.text()
