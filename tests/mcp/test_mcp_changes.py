"""Preview, consent and confirmation over MCP: what was shown is what runs, once, and only after a yes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import anyio
import pytest
from mcp import MCPError, types
from toy_operations import GATES
from workshop import ERAS, YES, Dialog, Workshop

from ceso_mcp.audit import Actor
from ceso_mcp.fact import Reply

pytestmark = pytest.mark.anyio
Talk = Callable[..., Any]
NO = types.ElicitResult(action="decline")
ESCAPE = types.ElicitResult(action="cancel")
UNTICKED = types.ElicitResult(action="accept", content={"confirm": False})
EMPTY = types.ElicitResult(action="accept", content={})


async def test_a_preview_changes_nothing_and_says_what_comes_next(talk: Talk) -> None:
    async with talk() as (caller, shop):
        answer = await caller.ok("make_toy", name="bear", parts=["ear", "no se"])
        assert answer["status"] == "preview"
        commands = [step["command"] for step in answer["preview"]["steps"]]
        assert commands == ["cut bear", "add bear ear", "add bear 'no se'", "paint bear red"]
        token = answer["preview"]["confirm_token"]
        assert f"call make_toy with confirm_token={token}" in answer["next"]
        assert shop.host.lines == []


async def test_a_yes_in_the_dialog_runs_exactly_what_the_dialog_showed(talk: Talk) -> None:
    dialog = Dialog()
    async with talk(dialog) as (caller, shop):
        token = await caller.token("make_toy", name="bear", parts=["ear"])
        answer = await caller.ok("make_toy", confirm_token=token)
        assert answer["status"] == "done"
        assert answer["result"] == {"name": "bear", "vmid": "7"}
        assert shop.host.lines == ["cut bear", "add bear ear", "paint bear red"]
        (shown,) = dialog.shown
        assert shown.startswith("make toy bear\non root@192.0.2.1\n")
        assert "1. cut bear\n2. add bear ear\n3. paint bear red\n" in shown
        assert "It squeaks." in shown
        assert "CANNOT BE UNDONE" not in shown


@pytest.mark.parametrize("answer", [NO, ESCAPE, UNTICKED, EMPTY], ids=["no", "escape", "unticked", "empty"])
async def test_anything_but_a_yes_runs_nothing_and_leaves_the_token(
    talk: Talk, answer: types.ElicitResult
) -> None:
    dialog = Dialog(answer)
    async with talk(dialog) as (caller, shop):
        token = await caller.token("burn_toy", name="bear")
        code, text = await caller.error("burn_toy", confirm_token=token)
        assert code == "declined"
        assert "Nothing was changed." in text
        assert shop.host.lines == []
        dialog.answer = YES
        assert (await caller.ok("burn_toy", confirm_token=token))["status"] == "done"
        assert shop.host.lines == ["burn bear"]
        assert "CANNOT BE UNDONE:\n- step 1: burn it" in dialog.shown[0]
        assert dialog.shown[0] == dialog.shown[1]


async def test_without_a_dialog_the_token_suffices_for_what_destroys_nothing(talk: Talk) -> None:
    async with talk() as (caller, shop):
        token = await caller.token("make_toy", name="bear")
        assert (await caller.ok("make_toy", confirm_token=token))["status"] == "done"
        assert shop.host.lines == ["cut bear", "paint bear red"]


async def test_without_a_dialog_what_destroys_waits_for_the_operator(talk: Talk) -> None:
    async with talk() as (caller, shop):
        answer = await caller.ok("burn_toy", name="bear")
        token = answer["preview"]["confirm_token"]
        assert f"ceso approve {token}" in answer["next"]
        code, _ = await caller.error("burn_toy", confirm_token=token)
        assert code == "not_approved"
        assert shop.host.lines == []
        shop.ceso.approve(token, Actor("cli"))
        assert (await caller.ok("burn_toy", confirm_token=token))["status"] == "done"
        assert shop.host.lines == ["burn bear"]


@pytest.mark.parametrize(
    ("policy", "with_dialog", "asks", "runs"),
    [
        ("auto", True, True, True),
        ("dialog", True, True, True),
        ("dialog", False, False, False),
        ("operator", True, False, False),
        ("operator", False, False, False),
        ("token", True, False, True),
        ("token", False, False, True),
    ],
)
async def test_the_operators_policy_decides_who_has_to_agree(
    talk: Talk, policy: str, with_dialog: bool, asks: bool, runs: bool
) -> None:
    dialog = Dialog()
    async with talk(dialog if with_dialog else None, policy=policy) as (caller, shop):
        token = await caller.token("burn_toy", name="bear")
        result = await caller.call("burn_toy", {"confirm_token": token})
        assert bool(dialog.shown) is asks
        assert (not result.is_error) is runs
        assert shop.host.lines == (["burn bear"] if runs else [])
        if not runs:
            assert "[not_approved]" in caller.text(result)


async def test_what_the_operator_approved_is_not_asked_again(talk: Talk) -> None:
    dialog = Dialog(NO)
    async with talk(dialog) as (caller, shop):
        token = await caller.token("burn_toy", name="bear")
        shop.ceso.approve(token, Actor("cli"))
        assert (await caller.ok("burn_toy", confirm_token=token))["status"] == "done"
        assert dialog.shown == []


async def test_a_token_works_for_its_own_tool_only(talk: Talk) -> None:
    async with talk(Dialog()) as (caller, shop):
        token = await caller.token("make_toy", name="bear")
        code, text = await caller.error("burn_toy", confirm_token=token)
        assert code == "token_other_operation"
        assert "make_toy" in text
        assert shop.host.lines == []


async def test_arguments_beside_a_token_must_be_those_that_were_previewed(talk: Talk) -> None:
    async with talk(Dialog()) as (caller, shop):
        token = await caller.token("make_toy", name="bear", parts=["ear"])
        others: list[dict[str, Any]] = [{"name": "train"}, {"colour": "blue"}, {"parts": []}]
        for other in [*others, {"labels": {"a": "b"}}]:
            code, text = await caller.error("make_toy", confirm_token=token, **other)
            assert code == "token_other_arguments"
            assert "train" not in text
        code, _ = await caller.error("make_toy", confirm_token=token, bogus=1)
        assert code == "invalid_arguments"
        assert shop.host.lines == []
        same: dict[str, Any] = {"parts": '["ear"]', "colour": "red"}
        assert (await caller.ok("make_toy", confirm_token=token, **same))["status"] == "done"


@pytest.mark.parametrize("token", ["nonsense", "\u00fc", "x" * 5000])
async def test_an_unknown_token_is_refused(talk: Talk, token: str) -> None:
    async with talk(Dialog()) as (caller, shop):
        code, text = await caller.error("make_toy", confirm_token=token)
        assert code == "token_unknown"
        assert token not in text
        assert (await caller.error("make_toy", confirm_token=5))[0] == "invalid_arguments"
        assert shop.host.lines == []


async def test_a_token_works_once(talk: Talk) -> None:
    async with talk(Dialog()) as (caller, shop):
        token = await caller.token("make_toy", name="bear")
        await caller.ok("make_toy", confirm_token=token)
        assert (await caller.error("make_toy", confirm_token=token))[0] == "token_used"
        assert shop.host.lines == ["cut bear", "paint bear red"]


async def test_of_two_confirmations_at_once_exactly_one_runs(talk: Talk) -> None:
    async with talk(Dialog()) as (caller, shop):
        token = await caller.token("make_toy", name="bear")
        results: list[types.CallToolResult] = []

        async def one() -> None:
            results.append(await caller.call("make_toy", {"confirm_token": token}))

        with anyio.fail_after(20):
            async with anyio.create_task_group() as group:
                group.start_soon(one)
                group.start_soon(one)
        assert sorted(result.is_error or False for result in results) == [False, True]
        assert shop.host.lines == ["cut bear", "paint bear red"]


async def test_a_null_token_is_none(talk: Talk) -> None:
    async with talk() as (caller, _):
        await caller.token("make_toy", name="bear", confirm_token=None)
        await caller.token("make_toy", name="bear", confirm_token="")


async def test_a_failed_job_is_a_failed_call_with_its_own_code(talk: Talk) -> None:
    async with talk(Dialog()) as (caller, shop):
        shop.host.reply = Reply(1, "no such \u202egnol")
        token = await caller.token("make_toy", name="bear")
        result = await caller.call("make_toy", {"confirm_token": token})
        assert result.is_error
        error = caller.failure(result)
        assert error["job_id"] in caller.text(result)
        assert error["message"] in caller.text(result)
        assert shop.host.lines[0] == "cut bear"
        assert "\u202e" not in caller.text(result)


async def test_a_job_that_outlasts_the_call_is_followed_with_job_status(talk: Talk) -> None:
    seen: list[tuple[float, str | None]] = []

    async def progress(done: float, total: float | None, message: str | None) -> None:
        seen.append((done, message))

    async with talk(Dialog(), call_patience_s=1.2) as (caller, shop):
        shop.host.gate.clear()
        token = await caller.token("make_toy", name="bear")
        result = await caller.call("make_toy", {"confirm_token": token}, progress_callback=progress)
        answer = result.structured_content or {}
        assert answer["status"] == "running"
        assert answer["next"] == f"call job_status with job_id={answer['job_id']} and wait_seconds=50"
        assert seen
        assert [done for done, _ in seen] == sorted({done for done, _ in seen})
        assert (await caller.ok("job_status", job_id=answer["job_id"]))["state"] == "running"
        with anyio.fail_after(10):
            async with anyio.create_task_group() as group:

                async def open_the_gate() -> None:
                    await anyio.sleep(0.2)
                    shop.host.gate.set()

                group.start_soon(open_the_gate)
                job = await caller.ok("job_status", job_id=answer["job_id"], wait_seconds=20)
        assert job["state"] == "done"
        assert job["result"] == {"name": "bear", "vmid": "7"}


async def test_a_cancelled_call_does_not_stop_its_job(talk: Talk) -> None:
    async with talk(Dialog()) as (caller, shop):
        shop.host.gate.clear()
        token = await caller.token("make_toy", name="bear")
        with anyio.move_on_after(0.5):
            await caller.call("make_toy", {"confirm_token": token})
        shop.host.gate.set()
        (job,) = shop.ceso.jobs.recent()
        ended = await shop.ceso.wait(job.id, 5)
        assert ended.state == "done"
        assert shop.host.lines == ["cut bear", "paint bear red"]


async def test_a_long_query_answers_at_once_or_as_a_job(talk: Talk) -> None:
    async with talk(call_patience_s=0.3) as (caller, _):
        answer = await caller.ok("weigh_toy", name="bear")
        assert (answer["status"], answer["grams"]) == ("done", 4)
        GATES.append(asyncio.Event())
        answer = await caller.ok("weigh_toy", name="train")
        assert (answer["status"], answer["name"], answer["grams"]) == ("running", "train", None)
        GATES[0].set()
        job = await caller.ok("job_status", job_id=answer["job_id"], wait_seconds=20)
        assert job["state"] == "done"
        assert job["result"]["grams"] == 5


async def test_commands_are_never_cut_and_input_is(talk: Talk) -> None:
    async with talk() as (caller, _):
        name = "b" * 255
        answer = await caller.ok("make_toy", name=name, parts=["e" * 3000] * 7, papers="p" * 50_000)
        steps = answer["preview"]["steps"]
        assert [step["command"] for step in steps[1:8]] == [f"add {name} {'e' * 3000}"] * 7
        assert len(steps[8]["stdin"]) < 6200
        code, text = await caller.error("make_toy", name=name, parts=["e" * 3000] * 14)
        assert code == "result_too_large"
        assert "command line" in text


async def test_a_dialog_that_cannot_show_all_commands_says_so(talk: Talk) -> None:
    dialog = Dialog(NO)
    async with talk(dialog) as (caller, _):
        token = await caller.token("make_toy", name="bear", parts=["e" * 1000] * 20)
        await caller.error("make_toy", confirm_token=token)
        assert "This list is cut: 10 of 22 commands do not fit here." in dialog.shown[0]
        assert len(dialog.shown[0]) < 13_000


async def test_a_dialog_points_to_what_goes_to_standard_input(talk: Talk) -> None:
    dialog = Dialog()
    async with talk(dialog) as (caller, _):
        token = await caller.token("make_toy", name="bear", papers="born in a box")
        await caller.ok("make_toy", confirm_token=token)
        assert (
            "2. cat > /toys/papers\n   (what it reads from standard input is in the preview)\n3. paint"
            in dialog.shown[0]
        )


async def test_a_dialog_after_a_restart_still_shows_every_command(talk: Talk) -> None:
    dialog = Dialog(NO)
    async with talk() as (caller, shop):
        token = await caller.token("burn_toy", name="bear")
        from ceso_mcp.surfaces.mcp.server import build_server

        shop.server = build_server(shop.ceso)
        async with shop.client(ERAS[0], dialog) as client:
            await client.call_tool("burn_toy", {"confirm_token": token})
        assert "1. burn bear" in dialog.shown[0]
        assert "CANNOT BE UNDONE" in dialog.shown[0]


async def test_an_answer_without_its_question_does_not_count(workshop: Callable[..., Workshop]) -> None:
    shop = workshop()
    async with shop.client(ERAS[0], Dialog()) as client:
        caller = await shop.caller(client)
        token = await caller.token("burn_toy", name="bear")
        arguments = {"confirm_token": token}
        asked = await client.session.call_tool(
            "burn_toy", arguments, input_responses={"confirm": YES}, allow_input_required=True
        )
        assert isinstance(asked, types.InputRequiredResult)
        with pytest.raises(MCPError) as caught:
            await client.session.call_tool(
                "burn_toy", arguments, input_responses={"confirm": YES}, request_state="forged"
            )
        assert caught.value.code == types.INVALID_PARAMS
        other = await caller.token("burn_toy", name="train")
        with pytest.raises(MCPError):
            await client.session.call_tool(
                "burn_toy",
                {"confirm_token": other},
                input_responses={"confirm": YES},
                request_state=asked.request_state,
            )
        assert shop.host.lines == []
        done = await client.session.call_tool(
            "burn_toy", arguments, input_responses={"confirm": YES}, request_state=asked.request_state
        )
        assert not done.is_error
        assert shop.host.lines == ["burn bear"]
