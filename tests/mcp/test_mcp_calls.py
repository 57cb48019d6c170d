"""Tool calls: answers, refusals, results, on both eras."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mcp import MCPError, types
from toy_operations import SHELF, stand_in
from workshop import ERAS, Workshop

pytestmark = pytest.mark.anyio
Talk = Callable[..., Any]


async def test_a_query_answers_in_structure_and_text_alike(talk: Talk) -> None:
    async with talk() as (caller, _):
        result = await caller.call("list_toys", {"limit": 5})
        assert result.structured_content == {
            "toys": [{"name": "bear", "colour": "red"}, {"name": "train", "colour": "red"}],
            "comment": None,
        }
        assert json.loads(caller.text(result)) == result.structured_content


async def test_an_unknown_tool_is_a_protocol_error(talk: Talk) -> None:
    async with talk() as (caller, _):
        with pytest.raises(MCPError) as caught:
            await caller.client.call_tool("list_cars", {})
        assert caught.value.code == types.INVALID_PARAMS
        assert "list_cars" in caught.value.message


@pytest.mark.parametrize(
    ("arguments", "field"),
    [
        ({"colr": "hunter2"}, "colr"),
        ({"colour": "hunter2"}, "colour"),
        ({"limit": 0}, "limit"),
        ({"limit": "hunter2"}, "limit"),
        ({"tags": "hunter2"}, "tags"),
        ({"tags": {"hunter2": 1}}, "tags"),
    ],
)
async def test_arguments_that_do_not_fit_are_named_and_not_echoed(
    talk: Talk, arguments: dict[str, Any], field: str
) -> None:
    async with talk() as (caller, _):
        code, text = await caller.error("list_toys", **arguments)
        assert code == "invalid_arguments"
        assert field in text
        assert "hunter2" not in text


async def test_lists_and_objects_may_arrive_as_their_json_text(talk: Talk) -> None:
    async with talk() as (caller, shop):
        assert (await caller.ok("list_toys", tags='["soft", "old"]'))["comment"] == "soft,old"
        token = await caller.token("make_toy", name="bear", parts='["ear"]', labels='{"a": "b"}')
        assert shop.ceso.look(token).arguments == {"name": "bear", "parts": ["ear"], "labels": {"a": "b"}}


@pytest.mark.parametrize(
    "method", ["list_tools", "list_resources", "list_prompts", "list_resource_templates"]
)
async def test_a_cursor_that_was_never_given_is_refused(talk: Talk, method: str) -> None:
    async with talk() as (caller, _):
        with pytest.raises(MCPError) as caught:
            await getattr(caller.client, method)(cursor="page2")
        assert caught.value.code == types.INVALID_PARAMS


async def test_an_unforeseen_failure_tells_the_client_nothing_and_the_log_everything(
    talk: Talk, caplog: pytest.LogCaptureFixture
) -> None:
    async with talk() as (caller, _):
        code, text = await caller.error("break_toy", name="bear")
        assert code == "internal"
        assert "/root/secret" not in text
        assert "Traceback" not in text
        assert "RuntimeError: cannot open /root/secret of bear" in caplog.text


async def test_text_of_the_host_is_made_harmless(talk: Talk) -> None:
    SHELF[:] = ["a\x1b[31mred", "b\u202egnp.exe", "c\u200bd", "e\U000e0041f", "long" * 2000, "ok ✓ ü 漢"]
    async with talk() as (caller, _):
        result = await caller.call("list_toys")
        names = [toy["name"] for toy in result.structured_content["toys"]]
        assert names[:4] == ["a‹U+001B›[31mred", "b‹U+202E›gnp.exe", "c‹U+200B›d", "e‹U+E0041›f"]
        assert names[4].endswith("… (8000 characters in all)")
        assert len(names[4]) < 2100
        assert names[5] == "ok ✓ ü 漢"
        assert not set(caller.text(result)) & set("\x1b\u202e\u200b\U000e0041")


async def test_an_answer_that_is_too_large_is_refused_with_a_way_out(talk: Talk) -> None:
    SHELF[:] = [f"toy {number} {'x' * 100}" for number in range(400)]
    async with talk() as (caller, _):
        code, text = await caller.error("list_toys")
        assert code == "result_too_large"
        assert "limit" in text


async def test_fifty_calls_at_once_all_complete(talk: Talk) -> None:
    async with talk() as (caller, _):
        done: list[Any] = []

        async def one() -> None:
            done.append(await caller.ok("list_toys"))

        with anyio.fail_after(20):
            async with anyio.create_task_group() as group:
                for _ in range(50):
                    group.start_soon(one)
        assert len(done) == 50


async def test_read_only_mode_takes_away_what_changes_and_refuses_it_if_called(talk: Talk) -> None:
    async with talk(operations={"read_only": True}) as (caller, shop):
        names = [tool.name for tool in (await caller.client.list_tools()).tools]
        assert names == ["break_toy", "job_status", "list_toys", "weigh_toy"]
        result = await caller.client.call_tool("make_toy", {"name": "bear"})
        assert result.is_error
        assert "[not_allowed]" in caller.text(result)
        assert shop.host.lines == []


async def test_the_list_of_allowed_operations_holds(talk: Talk) -> None:
    async with talk(operations={"allow": ("list_toys",)}) as (caller, _):
        assert [tool.name for tool in (await caller.client.list_tools()).tools] == ["list_toys"]
        result = await caller.client.call_tool("break_toy", {"name": "bear"})
        assert result.is_error
        assert "[not_allowed]" in caller.text(result)


async def test_the_audit_log_names_the_client_and_its_call(talk: Talk) -> None:
    async with talk() as (caller, shop):
        await caller.call("list_toys", {}, meta={"claudecode/toolUseId": "toolu_7"})
        lines = shop.ceso.audit.path.read_text().splitlines()
        actor = json.loads(lines[-1])["actor"]
        assert (actor["surface"], actor["call_id"]) == ("mcp", "toolu_7")
        assert actor["client"].startswith("mcp ")


CANARY = "hunter2canary"
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=12).map(lambda text: CANARY + text),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)  # fmt: skip
FIELDS = st.sampled_from(["colour", "tags", "limit", "name", "parts", "labels", "confirm_token", "bogus"])


@pytest.mark.parametrize("tool", ["list_toys", "make_toy", "burn_toy", "job_status"])
@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], database=None
)
@given(arguments=st.dictionaries(FIELDS, VALUES, max_size=4))
def test_any_arguments_are_answered_and_no_refusal_echoes_a_value(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tool: str, arguments: dict[str, Any]
) -> None:
    stand_in(monkeypatch)

    async def one() -> None:
        shop = Workshop(tmp_path)
        async with shop.client(ERAS[0]) as client:
            result = await client.call_tool(tool, arguments)
            assert result.content
            text = "".join(block.text for block in result.content if isinstance(block, types.TextContent))
            if result.is_error:
                assert CANARY not in text
                assert "[internal]" not in text

    anyio.run(one)
