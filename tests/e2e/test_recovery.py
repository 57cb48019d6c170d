"""A run whose worker dies is settled by `recover`: the host is as before, or as wanted, and is told truly."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from ceso_mcp.errors import CesoError
from ceso_mcp.lab import Fault
from ceso_mcp.worker import perform

from .conftest import KEY, TEMPLATE, WHO, House
from .dying import die, recover
from .test_failures import OPERATIONS, no_marks
from .test_main_job import SMALL

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(180)]


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize(
    "number",
    [2, 7, *(pytest.param(number, marks=pytest.mark.slow) for number in (1, 5, 6, 8, 9, 10, 11))],
)
async def test_a_dead_worker_leaves_nothing_behind(
    house: House, number: int, moment: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = house.lab.fingerprint()
    preview = await house.preview("create_vm", **OPERATIONS["create_vm"])
    whys = [step.why for step in preview.steps]
    done = whys.index("take the run's mark off the VM's folder") + 1
    job_id = await die(house, preview.confirm_token, number, moment, monkeypatch)
    job = house.ceso.jobs.get(job_id)
    assert job.state == "failed"
    assert job.error is not None
    assert job.error["code"] == "worker_lost"
    assert "ceso recover" in job.error["hint"]
    settled_job = await recover(house)
    assert settled_job.state == "done", settled_job.error
    assert no_marks(house)
    error = house.ceso.jobs.get(job_id).error or {}
    if number > done or (number == done and moment == "after"):
        assert "had done what it was for" in error["changed"]
        assert any(vm.name == "it's new" for vm in (await house.ask("list_vms")).vms)
    else:
        assert house.lab.fingerprint() == before, error
        assert "as it was" in error["changed"] or "changed nothing" in error["changed"]
    assert house.ceso.audit.verify().ok
    with pytest.raises(CesoError) as nothing:
        await house.preview("recover")
    assert nothing.value.code == "nothing_to_recover"


async def test_a_backup_that_was_committed_by_a_dying_worker_is_kept(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    await house.do("create_vm", name="web01", template=SMALL, ssh_keys=[KEY], power_on=False)
    preview = await house.preview("backup_vm", vm="web01")
    await die(house, preview.confirm_token, len(preview.steps), "after", monkeypatch)
    assert (await recover(house)).state == "done"
    assert len((await house.ask("list_backups")).backups) == 1


async def test_without_a_journal_the_marks_tell_what_is_ours(
    house: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = house.lab.fingerprint()
    preview = await house.preview("create_vm", **OPERATIONS["create_vm"])
    await die(house, preview.confirm_token, 7, "after", monkeypatch)
    newcomer = House(house.lab, tmp_path / "elsewhere")
    with pytest.raises(CesoError) as only_named:
        await newcomer.preview("recover")
    assert ".ceso-" in only_named.value.message
    with pytest.raises(CesoError) as fresh:
        await newcomer.preview("recover", abandoned=True)
    assert fresh.value.code == "still_written"
    monkeypatch.setattr("ceso_mcp.recipes.abandoned.QUIET_S", 0)
    job = await recover(newcomer, abandoned=True)
    assert job.state == "done", job.error
    assert house.lab.fingerprint() == before
    await newcomer.ceso.close()


async def test_cancelling_takes_back_what_was_done(house: House) -> None:
    before = house.lab.fingerprint()
    preview = await house.preview("create_vm", name="web01", template=TEMPLATE, ssh_keys=[KEY])
    house.lab.add_fault(Fault(match="registervm", effect="hang"))
    job_id = house.ceso.confirm(preview.confirm_token, WHO, consent="terminal")
    work = asyncio.create_task(perform(house.ceso, job_id))
    async with asyncio.timeout(30):
        while house.ceso.jobs.get(job_id).message != "register the VM":  # noqa: ASYNC110
            await asyncio.sleep(0.05)
    house.ceso.jobs.ask_to_cancel(job_id)
    house.lab.clear_faults()
    await work
    job = house.ceso.jobs.get(job_id)
    assert job.state == "cancelled", job.error
    assert "as it was" in (job.error or {})["changed"]
    assert house.lab.fingerprint() == before
