"""Settle what runs left behind that were never seen to end."""

from __future__ import annotations

import math
from typing import ClassVar

from pydantic import Field

from ceso_mcp.errors import Refused
from ceso_mcp.fact import Facts
from ceso_mcp.facts.marks import Marks, OurSnapshots
from ceso_mcp.facts.runs import UnfinishedRuns
from ceso_mcp.fields import RunName
from ceso_mcp.operation import Change
from ceso_mcp.plan import Plan, Step
from ceso_mcp.recipes.abandoned import let_go, take_back
from ceso_mcp.recipes.recovery import settle


class Recover(Change):
    """Find runs that stopped half-way, and take back what they began.

    A run stops half-way when its worker, this machine or the network dies. The journal tells what it
    had begun, the host what is true: a run that had done its work is closed, one that stopped before
    is undone, and one that changed nothing is forgotten. What carries the mark of a run that is not
    in the journal (its state directory was lost, or it belongs to another ceso) is only named, unless
    `abandoned` is set. Nothing that ceso did not make is touched.
    """

    title: ClassVar[str] = "Recover"
    toolset: ClassVar[str] = "admin"
    may_destroy: ClassVar[bool] = True
    settles_runs: ClassVar[bool] = True

    run_id: RunName | None = Field(None, description="only this run; all of them if left out")
    abandoned: bool = Field(
        False,
        description="also remove half-made VMs, temporary copies and snapshots of runs that the journal does"
        " not know",
    )

    async def plan(self, facts: Facts) -> Plan:
        found = await facts.read(UnfinishedRuns())
        runs = [run for run in found.dead if self.run_id in (None, run.run)]
        if runs and found.restless_s > 0:
            raise Refused(
                "a command that the dead worker had sent may still be running on the host",
                code="still_running",
                hint=f"try again in {math.ceil(found.restless_s)} s",
            )
        settled = [await settle(facts, run) for run in runs]
        steps: list[Step] = [step for settlement in settled for step in settlement.steps]
        known = {run.run for run in found.dead} | set(found.alive)
        strangers = [
            mark
            for mark in await facts.read(Marks())
            if mark.run not in known and self.run_id in (None, mark.run)
        ]
        snapshots = [
            snapshot
            for snapshot in await facts.read(OurSnapshots())
            if snapshot.run not in known and self.run_id in (None, snapshot.run)
        ]
        warnings = [settlement.sentence() for settlement in settled]
        if self.abandoned:
            for mark in strangers:
                steps += await take_back(facts, mark)
            for snapshot in snapshots:
                steps += await let_go(facts, snapshot)
        else:
            warnings += [
                f"{mark.path} is of run {mark.run}, which the journal does not know" for mark in strangers
            ]
            warnings += [
                f"{item.path} has a snapshot of run {item.run}, which the journal does not know"
                for item in snapshots
            ]
        if not steps:
            raise Refused(
                "there is nothing to recover" + (": " + "; ".join(warnings) if warnings else ""),
                code="nothing_to_recover",
                hint="set abandoned to remove what runs left behind that this journal does not know"
                if strangers or snapshots
                else "",
            )
        touches = [path for run in runs for path in run.touches]
        if self.abandoned:
            touches += [str(mark.path) for mark in strangers] + [str(item.path) for item in snapshots]
        return Plan(
            title=f"settle {len(runs)} unfinished run(s)"
            + (" and what others left" if self.abandoned else ""),
            steps=tuple(steps),
            touches=tuple(dict.fromkeys(touches)),
            warnings=tuple(warnings),
            outcome={"settled": tuple(settlement.sentence() for settlement in settled)},
        )
