"""A run whose worker dies is settled by `recover`: the host is as before, or as wanted, and is told truly."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest

from ceso_mcp.errors import CesoError, ConfigFault
from ceso_mcp.lab import Fault
from ceso_mcp.worker import perform

from .conftest import KEY, TEMPLATE, WHO, House, at_rest, settled
from .dying import die, hang, recover
from .test_failures import OPERATIONS, no_marks
from .test_main_job import SMALL

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(180)]


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize(
    "number",
    [7, *(pytest.param(number, marks=pytest.mark.slow) for number in (1, 2, 5, 6, 8, 9, 10, 11))],
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
    await house.do("create_vm", name="web01", template=SMALL, unprepared=True, ssh_keys=[KEY], power_on=False)
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
    monkeypatch.setattr("ceso_mcp.recipes.abandoned.READ_S", 0)
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


@pytest.mark.slow
async def test_recover_waits_until_the_last_command_of_a_dead_worker_has_come_to_rest(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = house.lab.fingerprint()
    preview = await house.preview("create_vm", **OPERATIONS["create_vm"])
    number = next(step.number for step in preview.steps if "registervm" in step.command)
    await die(house, preview.confirm_token, number, "after", monkeypatch)
    patient = house.config.host.model_copy(update={"settle_s": 30.0})
    house.ceso.config = house.config.model_copy(update={"host": patient})
    refusal = await house.refusal("recover")
    assert refusal.code == "still_running"
    assert "try again in" in refusal.hint
    with monkeypatch.context() as later:
        later.setattr("ceso_mcp.run_desk.time.time", lambda: time.time_ns() / 1e9 + 31)
        assert (await recover(house)).state == "done"
    assert house.lab.fingerprint() == before


@pytest.mark.parametrize("moment", ["before", "after"])
async def test_recovery_that_dies_itself_is_gone_on_with(
    house: House, moment: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = house.lab.fingerprint()
    preview = await house.preview("create_vm", **OPERATIONS["create_vm"])
    job_id = await die(house, preview.confirm_token, 7, "after", monkeypatch)
    again = await house.preview("recover")
    recovery = await die(house, again.confirm_token, 3, moment, monkeypatch)
    assert (await recover(house)).state == "done"
    assert house.lab.fingerprint() == before
    for one in (job_id, recovery):
        assert "the host is as it was" in (house.ceso.jobs.get(one).error or {})["changed"]
    assert (await house.refusal("recover")).code == "nothing_to_recover"


@pytest.mark.parametrize("why", ["register the VM", pytest.param("copy", marks=pytest.mark.slow)])
async def test_recovery_leaves_alone_who_has_taken_the_place_since(
    house: House, why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A step hung and all was taken back; meanwhile another VM was made under the same name."""
    preview = await house.preview("create_vm", **OPERATIONS["create_vm"])
    line = next(step.command for step in preview.steps if step.why.startswith(why))
    job = await hang(house, preview.confirm_token, line, monkeypatch)
    assert job.state == "failed"
    await house.do("create_vm", **OPERATIONS["create_vm"])
    await asyncio.to_thread(settled, house.lab)
    before = at_rest(house)
    assert (await recover(house)).state == "done"
    await asyncio.to_thread(settled, house.lab)
    assert at_rest(house) == before


async def test_any_preview_names_a_run_that_stopped_half_way(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    preview = await house.preview("create_vm", **OPERATIONS["create_vm"])
    await die(house, preview.confirm_token, 3, "after", monkeypatch)
    again = OPERATIONS["create_vm"] | {"name": "another"}
    warnings = (await house.preview("create_vm", **again)).warnings
    assert any("stopped half-way" in warning and "ceso recover" in warning for warning in warnings)
    settling = await house.preview("recover")
    assert not any("stopped half-way; `ceso recover`" in warning for warning in settling.warnings)


@pytest.mark.slow
async def test_a_cancelled_command_may_still_take_effect_and_recover_settles_it(house: House) -> None:
    before = house.lab.fingerprint()
    preview = await house.preview("create_vm", **OPERATIONS["create_vm"])
    house.lab.add_fault(
        Fault(match="solo/registervm", effect="late", where="shim", stderr="Operation timed out\n", seconds=1)
    )
    job = await house.confirm(preview.confirm_token)
    assert job.state == "failed"
    assert job.error is not None
    assert "may still take effect" in job.error["changed"]
    assert "ceso recover" in job.error["hint"]
    await asyncio.sleep(1.5)
    assert (await recover(house)).state == "done"
    assert house.lab.fingerprint() == before


async def test_a_token_is_given_back_when_its_job_cannot_be_written_down(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = (await house.preview("create_vm", **OPERATIONS["create_vm"])).confirm_token

    def full(*_: object, **__: object) -> str:
        raise ConfigFault("no room", code="state_full")

    with monkeypatch.context() as patch:
        patch.setattr(type(house.ceso.jobs), "start", full)
        with pytest.raises(ConfigFault):
            house.ceso.confirm(token, WHO, consent="terminal")
    assert (await house.confirm(token)).state == "done"
