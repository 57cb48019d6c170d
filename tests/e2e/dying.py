"""A worker that ends between two instants, as kill -9 ends it, and what is done about it afterwards."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import pytest

from ceso_mcp.errors import CesoError
from ceso_mcp.execute import Execution
from ceso_mcp.jobs import Job
from ceso_mcp.lab import Fault
from ceso_mcp.plan import Step
from ceso_mcp.ssh import HostConnection
from ceso_mcp.undoing import Begun, Undoing
from ceso_mcp.worker import perform

from .conftest import WHO, House


class WorkerDied(BaseException):
    """Stands for kill -9: nothing of the worker runs any more."""


class Death:
    """Whether the worker is dead; a dead one writes nothing more."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.dead = False
        for name in ("_softly", "_record_softly"):
            monkeypatch.setattr(Execution, name, self._while_alive(getattr(Execution, name)))

    def _while_alive(self, real: Any) -> Any:
        def write(*words: Any, **details: Any) -> None:
            if not self.dead:
                real(*words, **details)

        return write

    def comes(self) -> WorkerDied:
        self.dead = True
        return WorkerDied()


async def die(house: House, token: str, number: int, moment: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """Confirm, and end the worker before or after step `number`; returns the job's id."""
    real_step, real_do = Execution._step, Execution._do
    with monkeypatch.context() as patch:
        death = Death(patch)

        async def step(self: Execution, at: int, what: Step) -> None:
            if at == number and moment == "before":
                raise death.comes()
            await real_step(self, at, what)

        async def do(self: Execution, at: int, what: Step, line: str) -> Any:
            reply = await real_do(self, at, what, line)
            if at == number and moment == "after":
                raise death.comes()
            return reply

        patch.setattr(Execution, "_step", step)
        patch.setattr(Execution, "_do", do)
        job, said = await _worked(house, token, death, patch)
        if not death.dead:
            pytest.fail(f"the worker was not there to die: {said}")
    return job


async def die_taking_back(house: House, token: str, undone: int, monkeypatch: pytest.MonkeyPatch) -> str:
    """Confirm, and end the worker when it has taken `undone` steps back and not written down the last one.

    Returns the job's id. Where fewer are taken back, the worker goes on to the end.
    """
    real, so_far = Undoing.step, 0
    with monkeypatch.context() as patch:
        death = Death(patch)

        async def step(
            self: Undoing, begun: Begun, captures: Mapping[str, str], why: CesoError | None = None
        ) -> list[str]:
            nonlocal so_far
            left = await real(self, begun, captures, why)
            so_far += 1
            if so_far == undone:
                raise death.comes()
            return left

        patch.setattr(Undoing, "step", step)
        job, _ = await _worked(house, token, death, patch)
    return job


async def _worked(house: House, token: str, death: Death, patch: pytest.MonkeyPatch) -> tuple[str, list[str]]:
    """The job, and what its worker said of a failure if it lived to say it."""
    said: list[str] = []
    real = type(house.ceso.jobs).fail

    def fail(jobs: Any, job: str, error: CesoError) -> None:
        if not death.dead:
            said.append(error.message)
            real(jobs, job, error)

    patch.setattr(type(house.ceso.jobs), "fail", fail)
    job = house.ceso.confirm(token, WHO, consent="terminal")
    try:
        await perform(house.ceso, job)
    except WorkerDied:
        house.ceso.jobs._update(job, pid=1, pid_start="an earlier process")
    return job, said


async def hang(house: House, token: str, line: str, monkeypatch: pytest.MonkeyPatch) -> Job:
    """Confirm; the step with this line hangs without effect, and is not waited for."""
    house.lab.add_fault(Fault(match=f"^{re.escape(line)}$", effect="hang"))
    real = HostConnection.run

    async def impatient(self: HostConnection, command: str, **how: Any) -> Any:
        return await real(self, command, **(how | {"timeout_s": 1.5} if command == line else how))

    with monkeypatch.context() as patch:
        patch.setattr(HostConnection, "run", impatient)
        return await house.confirm(token)


async def recover(house: House, **arguments: Any) -> Job:
    preview = await house.preview("recover", **arguments)
    return await house.confirm(preview.confirm_token)
