"""A worker that ends between two instants, as kill -9 ends it, and what is done about it afterwards."""

from __future__ import annotations

from typing import Any

import pytest

from ceso_mcp.errors import CesoError
from ceso_mcp.execute import Execution
from ceso_mcp.jobs import Job
from ceso_mcp.plan import Step
from ceso_mcp.worker import perform

from .conftest import WHO, House


class WorkerDied(BaseException):
    """Stands for kill -9: nothing of the worker runs any more."""


async def die(house: House, token: str, number: int, moment: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """Confirm, and end the worker before or after step `number`; returns the job's id."""
    real_step, real_do = Execution._step, Execution._do
    real_softly, real_record = Execution._softly, Execution._record_softly
    dead = False

    async def step(self: Execution, at: int, what: Step) -> None:
        nonlocal dead
        if at == number and moment == "before":
            dead = True
            raise WorkerDied
        await real_step(self, at, what)

    async def do(self: Execution, at: int, what: Step, line: str) -> Any:
        nonlocal dead
        reply = await real_do(self, at, what, line)
        if at == number and moment == "after":
            dead = True
            raise WorkerDied
        return reply

    ended: list[str] = []

    def softly(self: Execution, *words: Any) -> None:
        if not dead:  # a dead worker writes nothing more
            real_softly(self, *words)

    def record_softly(self: Execution, kind: str, **details: Any) -> None:
        if not dead:
            real_record(self, kind, **details)

    def fail(_: Any, __: str, error: CesoError) -> None:
        ended.append(error.message)

    job = house.ceso.confirm(token, WHO, consent="terminal")
    with monkeypatch.context() as patch:
        patch.setattr(Execution, "_step", step)
        patch.setattr(Execution, "_do", do)
        patch.setattr(type(house.ceso.jobs), "fail", fail)
        patch.setattr(Execution, "_softly", softly)
        patch.setattr(Execution, "_record_softly", record_softly)
        try:
            await perform(house.ceso, job)
        except WorkerDied:
            pass
        else:
            pytest.fail(f"the worker was not there to die: {ended}")
    house.ceso.jobs._update(job, pid=1, pid_start="an earlier process")
    return job


async def recover(house: House, **arguments: Any) -> Job:
    preview = await house.preview("recover", **arguments)
    return await house.confirm(preview.confirm_token)
