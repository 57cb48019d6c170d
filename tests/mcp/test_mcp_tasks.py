"""The Tasks extension: jobs as tasks, for clients that declare it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Literal

import anyio
import pytest
from mcp import MCPError, types
from mcp.client.extension import ClientExtension, ResultClaim
from toy_operations import GATES
from workshop import ERAS, Dialog, Workshop

from ceso_mcp.fact import Reply
from ceso_mcp.surfaces.mcp import calls
from ceso_mcp.surfaces.mcp.caller import TASKS

pytestmark = pytest.mark.anyio
MODERN = ERAS[0]


class Created(types.Result):
    result_type: Literal["task"] = "task"
    task_id: str
    status: str
    poll_interval_ms: int


class TaskName(types.RequestParams):
    task_id: str


class GetTask(types.Request[TaskName, Literal["tasks/get"]]):
    method: Literal["tasks/get"] = "tasks/get"
    params: TaskName


class CancelTask(types.Request[TaskName, Literal["tasks/cancel"]]):
    method: Literal["tasks/cancel"] = "tasks/cancel"
    params: TaskName


class Task(types.Result):
    task_id: str = ""
    status: str = ""
    result: dict[str, Any] | None = None


class FollowsTasks(ClientExtension):
    """A client that follows a task to its end, and remembers that there was one."""

    identifier = TASKS

    def __init__(self) -> None:
        self.created: list[Created] = []
        self.begun = asyncio.Event()

    def claims(self) -> Any:
        async def resolve(created: Created, context: Any) -> types.CallToolResult:
            self.created.append(created)
            self.begun.set()
            with anyio.fail_after(10):
                while True:
                    task = await context.session.send_request(
                        GetTask(params=TaskName(task_id=created.task_id)), Task
                    )
                    if task.status == "completed":
                        return types.CallToolResult.model_validate(task.result)
                    assert task.status == "working"
                    await anyio.sleep(0.05)

        return (ResultClaim(result_type="task", model=Created, resolve=resolve),)


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calls, "TASK_PATIENCE_S", 0.2)


async def test_what_ends_at_once_needs_no_task(workshop: Callable[..., Workshop]) -> None:
    shop, follows = workshop(), FollowsTasks()
    async with shop.client(MODERN, Dialog(), extensions=[follows]) as client:
        caller = await shop.caller(client)
        token = await caller.token("make_toy", name="bear")
        assert (await caller.ok("make_toy", confirm_token=token))["status"] == "done"
    assert follows.created == []


@pytest.mark.parametrize("fails", [False, True])
async def test_a_job_that_takes_longer_becomes_a_task_after_the_dialog(
    workshop: Callable[..., Workshop], fails: bool
) -> None:
    shop, follows, dialog = workshop(), FollowsTasks(), Dialog()
    shop.host.gate.clear()
    shop.host.reply = Reply(1 if fails else 0, "")
    async with shop.client(MODERN, dialog, extensions=[follows]) as client:
        caller = await shop.caller(client)
        token = await caller.token("make_toy", name="bear")

        async def open_the_gate() -> None:
            await follows.begun.wait()
            shop.host.gate.set()

        async with anyio.create_task_group() as group:
            group.start_soon(open_the_gate)
            result = await caller.call("make_toy", {"confirm_token": token})
    (created,) = follows.created
    assert len(dialog.shown) == 1
    assert created.status == "working"
    assert shop.ceso.jobs.get(created.task_id).ended
    assert bool(result.is_error) is fails
    if not fails:
        assert (result.structured_content or {})["job_id"] == created.task_id


async def test_a_long_query_becomes_a_task(workshop: Callable[..., Workshop]) -> None:
    shop, follows = workshop(), FollowsTasks()
    GATES.append(asyncio.Event())
    async with shop.client(MODERN, extensions=[follows]) as client:
        caller = await shop.caller(client)

        async def open_the_gate() -> None:
            await follows.begun.wait()
            GATES[0].set()

        async with anyio.create_task_group() as group:
            group.start_soon(open_the_gate)
            answer = await caller.ok("weigh_toy", name="bear")
    assert answer["grams"] == 4
    assert len(follows.created) == 1


async def test_a_client_that_does_not_declare_tasks_gets_none(workshop: Callable[..., Workshop]) -> None:
    shop = workshop()
    async with shop.client("auto") as client:
        assert TASKS in (client.server_capabilities.extensions or {})
        with pytest.raises(MCPError) as caught:
            await client.session.send_request(GetTask(params=TaskName(task_id="x")), Task)
        assert caught.value.code == types.MISSING_REQUIRED_CLIENT_CAPABILITY


async def test_the_handshake_era_knows_no_tasks(workshop: Callable[..., Workshop]) -> None:
    shop = workshop()
    async with shop.client("legacy") as client:
        with pytest.raises(MCPError) as caught:
            await client.session.send_request(GetTask(params=TaskName(task_id="x")), Task)
        assert caught.value.code == types.METHOD_NOT_FOUND


async def test_unknown_tasks_are_refused_and_cancelling_is_harmless(
    workshop: Callable[..., Workshop],
) -> None:
    shop = workshop()
    async with shop.client(MODERN, Dialog(), extensions=[FollowsTasks()]) as client:
        for name in ("nope", "\u00fc" * 200, "../../etc/passwd"):
            with pytest.raises(MCPError) as caught:
                await client.session.send_request(GetTask(params=TaskName(task_id=name)), Task)
            assert caught.value.code == types.INVALID_PARAMS
        caller = await shop.caller(client)
        token = await caller.token("make_toy", name="bear")
        job_id = (await caller.ok("make_toy", confirm_token=token))["job_id"]
        for _ in range(2):
            await client.session.send_request(CancelTask(params=TaskName(task_id=job_id)), Task)
        task = await client.session.send_request(GetTask(params=TaskName(task_id=job_id)), Task)
        assert task.status == "completed"
        assert (task.result or {})["structuredContent"]["status"] == "done"
