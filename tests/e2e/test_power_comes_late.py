"""A guest goes off some time after it was asked to shut down: until then, being on proves nothing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from ceso_mcp.lab import Fault

from .conftest import KEY, TEMPLATE, House, settled
from .dying import die, hang, recover

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(180)]
SLOW_S = 4.0


@pytest.fixture
async def running(house: House) -> AsyncIterator[House]:
    """The house with a VM `web01` that is on, and whose guest takes its time to go down."""
    await house.do("create_vm", name="web01", template=TEMPLATE, ssh_keys=[KEY], unprepared=True)
    await asyncio.to_thread(settled, house.lab)
    await asyncio.to_thread(house.lab.configure, shutdown_s=SLOW_S)
    yield house
    await asyncio.to_thread(house.lab.configure, shutdown_s=0.2)


async def power_of(house: House) -> str:
    return next(vm.power for vm in (await house.ask("list_vms")).vms if vm.name == "web01")


async def test_a_dead_worker_has_asked_and_the_guest_is_still_on(
    running: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    preview = await running.preview("power_vm", vm="web01", action="shutdown")
    job = await die(running, preview.confirm_token, 1, "after", monkeypatch)
    assert await power_of(running) == "on"
    settling = await recover(running)
    assert settling.state == "done", settling.error
    error = running.ceso.jobs.get(job).error or {}
    assert "may still take effect" in error["changed"]
    assert "nothing" not in error["changed"]
    await asyncio.to_thread(settled, running.lab)
    assert await power_of(running) == "off"
    assert (await running.refusal("recover")).code == "nothing_to_recover"


async def test_long_after_it_was_asked_a_guest_that_is_on_was_not(
    running: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    await asyncio.to_thread(running.lab.configure, shutdown_s=3600)
    preview = await running.preview("power_vm", vm="web01", action="shutdown")
    job = await die(running, preview.confirm_token, 1, "after", monkeypatch)
    with running.ceso.journal._db() as db:
        db.execute("UPDATE steps SET record = json_set(record, '$.noted_s', 0)")
    assert (await recover(running)).state == "done"
    assert "changed nothing" in (running.ceso.jobs.get(job).error or {})["changed"]


async def test_a_vm_that_a_dead_backup_asked_to_go_down_is_powered_on_again(
    running: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    preview = await running.preview("backup_vm", vm="web01", how="restart")
    asked = next(step.number for step in preview.steps if "power.shutdown" in step.command)
    await die(running, preview.confirm_token, asked, "after", monkeypatch)
    assert await power_of(running) == "on"
    settling = await recover(running)
    assert settling.state == "done", settling.error
    words = [" ".join(entry.argv) for entry in running.lab.log() if entry.kind == "shim"]
    assert [word.split()[1] for word in words if "/power.o" in word][-1] == "vmsvc/power.on"
    await asyncio.to_thread(settled, running.lab)
    assert await power_of(running) == "on"


async def test_a_lost_answer_is_asked_for_again_and_a_refusal_of_that_proves_nothing(running: House) -> None:
    gone = "Cannot complete operation because VMware Tools is not running in this virtual machine.\n"
    line = r"^vim-cmd vmsvc/power.shutdown \d+$"
    running.lab.add_fault(Fault(match=line, effect="cut_after", times=1))
    running.lab.add_fault(Fault(match=line, effect="fail", stderr=gone, after=1))
    preview = await running.preview("power_vm", vm="web01", action="shutdown")
    job = await running.confirm(preview.confirm_token)
    assert job.state == "failed"
    assert job.error is not None
    assert "Nothing was changed" in job.error["changed"]
    assert "may still take effect" in job.error["changed"]
    running.lab.clear_faults()
    await asyncio.to_thread(settled, running.lab)
    assert await power_of(running) == "off"
    assert (await recover(running)).state == "done"


async def test_recovery_does_not_cut_off_a_vm_that_was_powered_on_anew_as_it_was(
    running: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Powering it on with its new addresses hung, so all was taken back, its being off for a moment too."""
    await asyncio.to_thread(running.lab.configure, shutdown_s=0.2)
    preview = await running.preview("readdress_vm", vm="web01", ipv4="192.0.2.44/24", restart=True, wait_s=10)
    line = next(step.command for step in preview.steps if step.command.startswith("vim-cmd vmsvc/power.on"))
    job = await hang(running, preview.confirm_token, line, monkeypatch)
    assert job.state == "failed"
    assert "may still take effect" in (job.error or {})["changed"]
    assert await power_of(running) == "on"
    assert (await recover(running)).state == "done"
    assert await power_of(running) == "on"
    assert "as it was" in (running.ceso.jobs.get(job.id).error or {})["changed"]
