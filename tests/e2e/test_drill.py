"""A restore drill proves a backup by bringing it up, and leaves nothing but a note."""

from __future__ import annotations

from typing import Any

import pytest

from ceso_mcp.lab import Fault

from .conftest import KEY, TEMPLATE, House, at_rest
from .dying import die, recover
from .test_failures import EFFECTS, no_marks
from .test_main_job import SMALL

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(180)]


async def backed_up(house: House, template: str = SMALL) -> str:
    await house.do(
        "create_vm", name="web01", template=template, unprepared=True, ssh_keys=[KEY], power_on=False
    )
    return str((await house.do("backup_vm", vm="web01"))["backup_id"])


async def listed(house: House) -> Any:
    return (await house.ask("list_backups")).backups[0]


async def of_web01(house: House, **arguments: Any) -> Any:
    status = await house.ask("backup_status", **arguments)
    return next(vm for vm in status.vms if vm.vm == "web01")


@pytest.mark.slow
async def test_a_drill_hears_the_guest_and_leaves_only_a_note(house: House) -> None:
    backup = await backed_up(house, TEMPLATE)
    before = at_rest(house)
    assert (await of_web01(house, drilled_within="1w")).status == "warning"
    result = await house.do("drill_backup", backup_id=backup, wait_s=20, hostname="web01")
    assert (result["drill"], result["guest"]) == ("passed", "web01")
    assert at_rest(house) == before
    assert no_marks(house)
    row = await listed(house)
    assert row.drill == "passed"
    assert row.drilled == row.verified
    vm = await of_web01(house, drilled_within="1w")
    assert (vm.status, vm.last_drill) == ("ok", row.drilled)


@pytest.mark.slow
async def test_a_guest_without_tools_has_only_started(house: House) -> None:
    backup = await backed_up(house)
    before = at_rest(house)
    result = await house.do("drill_backup", backup_id=backup, wait_s=1)
    assert (result["drill"], result["guest"]) == ("started", "no tools")
    assert at_rest(house) == before
    vm = await of_web01(house, drilled_within="1w")
    assert (vm.status, vm.last_drill) == ("warning", None)
    assert "no tools answered" in vm.problems[0]


@pytest.mark.parametrize("line", ["power.on", "vmkfstools -e"])
@pytest.mark.slow
async def test_a_drill_that_fails_is_noted_and_critical(house: House, line: str) -> None:
    backup = await backed_up(house)
    before = at_rest(house)
    preview = await house.preview("drill_backup", backup_id=backup, wait_s=1)
    house.lab.add_fault(Fault(match=line, **EFFECTS["fails"]))
    job = await house.confirm(preview.confirm_token)
    house.lab.clear_faults()
    assert job.state == "failed"
    assert "as it was" in (job.error or {})["changed"]
    assert at_rest(house) == before
    row = await listed(house)
    assert (row.drill, row.verified) == ("failed", None)
    status = await house.ask("backup_status")
    assert status.exit_status == 2
    assert any("drill failed" in problem for vm in status.vms for problem in vm.problems)
    await house.do("drill_backup", backup_id=backup, wait_s=1)
    assert (await listed(house)).drill == "started"


@pytest.mark.slow
async def test_another_name_than_asked_for_fails_the_drill(house: House) -> None:
    backup = await backed_up(house, TEMPLATE)
    before = at_rest(house)
    preview = await house.preview("drill_backup", backup_id=backup, wait_s=8, hostname="db01")
    job = await house.confirm(preview.confirm_token)
    assert "it calls itself web01" in (job.error or {})["message"]
    assert at_rest(house) == before
    assert (await listed(house)).drill == "failed"


@pytest.mark.slow
@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("number", [2, 9, 12, 14, 17])  # each step: tests/chaos
async def test_recover_removes_the_scratch_vm_of_a_dead_drill(
    house: House, number: int, moment: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    backup = await backed_up(house)
    before = at_rest(house)
    preview = await house.preview("drill_backup", backup_id=backup, wait_s=1)
    if number > len(preview.steps):
        pytest.skip("the plan has fewer steps")
    await die(house, preview.confirm_token, number, moment, monkeypatch)
    assert (await recover(house)).state == "done"
    assert no_marks(house)
    assert at_rest(house) == before
