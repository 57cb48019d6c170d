"""Every changing operation, broken at every step: nothing is lost, nothing is left, nothing untrue is said.

The cases come from the plans themselves. By default a fixed sample runs; `CESO_CHAOS=all` runs them all.
"""

from __future__ import annotations

import os

import pytest
from e2e.conftest import House

from .breaking import (
    DEATHS,
    FAULTS,
    ON_REPOSITORIES,
    OPERATIONS,
    Tally,
    afresh,
    applies,
    as_it_is,
    break_it,
    prepared,
    violations,
)

ALL = os.environ.get("CESO_CHAOS") == "all"
pytestmark = [pytest.mark.anyio, pytest.mark.chaos, pytest.mark.timeout(1800 if ALL else 240)]
SAMPLE = 8
"""Every so many-th step is in the fixed sample, another first one for each operation and fault."""
WAYS = (*DEATHS, *FAULTS)


@pytest.mark.parametrize("fault", WAYS)
@pytest.mark.parametrize("operation", OPERATIONS)
async def test_whatever_breaks_the_host_is_as_before_or_as_wanted(
    house: House, operation: str, fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    tally = Tally()
    arguments = await prepared(house, operation)
    lines = [step.command for step in (await house.preview(operation.split()[0], **arguments)).steps]
    chosen = [number for number, line in enumerate(lines, 1) if applies(fault, line)]
    if not ALL:
        first = (list(WAYS).index(fault) * 5 + list(OPERATIONS).index(operation)) % SAMPLE
        chosen = chosen[first % max(1, min(SAMPLE, len(chosen))) :: SAMPLE]
    before = as_it_is(house, operation)
    for number in chosen:
        # A host that is as it was can be used again, unless the operation's object is a repository.
        if as_it_is(house, operation) != before or operation in ON_REPOSITORIES:
            await afresh(house)
            arguments = await prepared(house, operation)
            before = as_it_is(house, operation)
        preview = await house.preview(operation.split()[0], **arguments)
        job = await break_it(house, preview, number, fault, monkeypatch, tally)
        tally.violations += [
            f"step {number} ({preview.steps[number - 1].why}), job {job.state}: {problem}"
            for problem in await violations(house, job, before, operation)
        ]
    print(f"\nchaos: {operation}, {fault}: {tally}", flush=True)
    assert not tally.violations, "\n".join(tally.violations)
