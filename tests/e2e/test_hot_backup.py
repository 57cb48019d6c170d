"""A running VM is backed up as it was at one instant; its own snapshots stay, ours never does."""

from __future__ import annotations

import asyncio
import re
from typing import Any

import pytest

from ceso_mcp.errors import HostFault
from ceso_mcp.lab import Fault

from .conftest import KEY, TEMPLATE, House, at_rest, settled
from .dying import die, recover
from .test_failures import EFFECTS, no_marks
from .test_main_job import SMALL

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(60)]


@pytest.fixture(autouse=True)
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """A wait that will not end ends soon: nothing here takes hours."""
    monkeypatch.setattr("ceso_mcp.recipes.snapshots.MERGE_TIMEOUT_S", 15.0)
    monkeypatch.setattr("ceso_mcp.recipes.snapshots.CREATE_TIMEOUT_S", 15.0)


async def running(house: House, template: str = SMALL) -> None:
    """A VM called web01 that is on."""
    await house.do(
        "create_vm", name="web01", template=template, unprepared=True, ssh_keys=[KEY], power_on=False
    )
    await house.do("power_vm", vm="web01", action="on")
    await asyncio.to_thread(settled, house.lab)


def disk(house: House, vm: str) -> bytes:
    return (house.lab.volume("datastore1") / vm / f"{vm}-flat.vmdk").read_bytes()


async def test_a_running_vm_is_backed_up_and_restores_byte_equal(house: House) -> None:
    await running(house)
    before, content = at_rest(house), disk(house, "web01")
    preview = await house.preview("backup_vm", vm="web01")
    assert any("crash-consistent" in warning for warning in preview.warnings)
    assert any("snapshot while its disks are copied" in item for item in preview.touches)
    job = await house.confirm(preview.confirm_token)
    assert job.state == "done", job.error
    assert job.result is not None
    assert job.result["consistency"] == "crash"
    assert at_rest(house) == before
    await house.do("restore_vm", backup_id=job.result["backup_id"], name="again", datastore="datastore1")
    assert disk(house, "again") == content
    (backup,) = (await house.ask("list_backups")).backups
    assert backup.kind == "hot"


@pytest.mark.slow
async def test_the_firmwares_settings_are_read_once_the_snapshot_is_there_and_the_vmx_names_its_own_disks(
    house: House,
) -> None:
    await running(house)
    preview = await house.preview("backup_vm", vm="web01")
    whys = [step.why for step in preview.steps]
    order = [
        "the configuration",
        "take a snapshot",
        "see that the snapshot",
        "the firmware's",
        "copy",
        "disk 0",
    ]
    places = [next(n for n, why in enumerate(whys) if words in why) for words in order]
    assert places == sorted(places)
    vmsn, nvram = "*.vmsn", house.lab.volume("datastore1") / "web01" / "web01.nvram"
    step = next(step for step in preview.steps if "firmware" in step.why)
    run = house.ceso.runner.run

    async def written_just_before(line: str, **more: Any) -> Any:
        if line == step.command:
            assert list(nvram.parent.glob(vmsn))
            nvram.write_bytes(b"what the guest set after the preview")
        return await run(line, **more)

    house.ceso.runner.run = written_just_before  # type: ignore[method-assign]
    job = await house.confirm(preview.confirm_token)
    assert job.state == "done", job.error
    assert job.result is not None
    await house.do("restore_vm", backup_id=job.result["backup_id"], name="again", datastore="datastore1")
    folder = nvram.parent.with_name("again")
    assert (folder / "again.nvram").read_bytes() == b"what the guest set after the preview"


@pytest.mark.slow
async def test_what_is_written_after_the_snapshot_is_not_in_the_backup(house: House) -> None:
    await running(house)
    content = disk(house, "web01")
    preview = await house.preview("backup_vm", vm="web01")
    house.lab.add_fault(Fault(match="vmkfstools -i", effect="delay", seconds=1.0))
    running_backup = asyncio.create_task(house.confirm(preview.confirm_token))
    folder = house.lab.volume("datastore1") / "web01"
    for _ in range(200):
        if any(folder.glob("web01-0*.vmdk")):
            break
        await asyncio.sleep(0.02)
    else:
        raise AssertionError("no snapshot was taken")
    # Somebody else takes one more snapshot meanwhile; it must outlive ours.
    vmid = next(vm.vmid for vm in (await house.ask("list_vms")).vms if vm.name == "web01")
    await house.ceso.runner.run(f"vim-cmd vmsvc/snapshot.create {vmid} theirs '' 0 0")
    job = await running_backup
    tree = (await house.ceso.runner.run(f"vim-cmd vmsvc/snapshot.get {vmid}")).stdout
    assert re.findall(r"Snapshot Name *: (.*)", tree) == ["theirs"]
    assert job.state == "done", job.error
    assert disk(house, "web01") == content


@pytest.mark.slow
async def test_a_datastore_that_fills_meanwhile_ends_the_backup_and_not_the_vm(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ceso_mcp.recipes.room.EVERY_S", 0.2)
    await running(house)
    before = at_rest(house)
    preview = await house.preview("backup_vm", vm="web01")
    assert any("512 MiB free on datastore1" in (step.watches or "") for step in preview.steps)
    house.lab.add_fault(Fault(match="vmkfstools -i", where="shim", effect="delay", seconds=20.0))
    running_backup = asyncio.create_task(house.confirm(preview.confirm_token))
    await asyncio.sleep(1.0)
    house.lab.fill("datastore1", free_bytes=100 << 20)
    job = await running_backup
    house.lab.clear_faults()
    house.lab.unfill("datastore1")
    assert job.state == "failed"
    assert (job.error or {})["code"] == "datastore_full"
    assert "MiB left, and VMs that run on it need them" in (job.error or {})["message"]
    assert at_rest(house) == before
    assert no_marks(house)


@pytest.mark.slow
async def test_a_vm_with_snapshots_of_its_own_keeps_them(house: House) -> None:
    await house.do("power_vm", vm="snapshotted", action="on")
    await asyncio.to_thread(settled, house.lab)
    before = at_rest(house)
    made = await house.do("backup_vm", vm="snapshotted")
    assert at_rest(house) == before
    await house.do("restore_vm", backup_id=made["backup_id"], name="again", datastore="datastore1")


@pytest.mark.slow
async def test_with_a_restart_the_file_systems_are_at_rest(house: House) -> None:
    await running(house, TEMPLATE)
    preview = await house.preview("backup_vm", vm="web01", how="restart")
    lines = [step.command for step in preview.steps]
    words = ("power.shutdown", "snapshot.create", "power.on")
    order = [n for word in words for n, line in enumerate(lines) if word in line]
    assert order == sorted(order)
    assert len(order) == 3
    whys = [step.why for step in preview.steps]
    down, up = whys.index("wait until it is off"), whys.index("power it on again")
    for why in ("read the configuration, without user data and vendor data", "read the firmware's settings"):
        assert down < whys.index(why) < up
    job = await house.confirm(preview.confirm_token)
    assert job.state == "done", job.error
    assert job.result is not None
    assert job.result["consistency"] == "powered_off"
    await asyncio.to_thread(settled, house.lab)
    assert (await house.ask("show_vm", vm="web01")).power == "on"


@pytest.mark.parametrize(
    "when", ["wait until it is off", pytest.param("see that it is on", marks=pytest.mark.slow)]
)
async def test_a_restart_that_breaks_ends_with_the_vm_on(
    house: House, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    """Powering on while the guest still goes down does nothing, and then it is off."""
    await running(house, TEMPLATE)
    preview = await house.preview("backup_vm", vm="web01", how="restart")
    step = next(step for step in preview.steps if step.why == when)
    powered_on = False
    run = house.ceso.runner.run

    async def broken(line: str, **more: Any) -> Any:
        nonlocal powered_on
        powered_on |= "power.on" in line
        if line == step.command and powered_on == (when == "see that it is on"):
            raise HostFault("Operation failed", code="command_failed")
        return await run(line, **more)

    monkeypatch.setattr(house.ceso.runner, "run", broken)
    job = await house.confirm(preview.confirm_token)
    assert job.state == "failed"
    await asyncio.to_thread(settled, house.lab)
    monkeypatch.undo()
    assert (await house.ask("show_vm", vm="web01")).power == "on"
    assert no_marks(house)


@pytest.mark.slow
async def test_quiescing_is_asked_of_the_guest_and_said_in_the_backup(house: House) -> None:
    await running(house)
    preview = await house.preview("backup_vm", vm="web01", quiesce=True)
    assert any("0 1" in step.command for step in preview.steps if "snapshot.create" in step.command)
    job = await house.confirm(preview.confirm_token)
    assert job.result is not None
    assert job.result["consistency"] == "filesystem"


async def test_what_cannot_be_is_refused(house: House) -> None:
    await running(house)
    refused: dict[str, dict[str, Any]] = {
        "vm_not_off": {"how": "cold"},
        "not_hot": {"how": "restart", "quiesce": True},
        "no_such_datastore": {"temporary_datastore": "nowhere"},
    }
    for code, arguments in refused.items():
        assert (await house.refusal("backup_vm", vm="web01", **arguments)).code == code
    house.lab.fill("datastore1", 200 << 20)
    try:
        refusal = await house.refusal("backup_vm", vm="web01")
    finally:
        house.lab.unfill("datastore1")
    assert refusal.code == "datastore_full"
    assert "temporary_datastore" in refusal.hint


BREAKS = [
    (words, effect)
    for words in ("snapshot.create", "vmkfstools", "snapshot.remove")
    for effect in ("fails", "cut before", "cut after")
]
QUICK = [("vmkfstools", "fails")]


@pytest.mark.parametrize(
    ("words", "effect"),
    [pytest.param(*pair, marks=() if pair in QUICK else pytest.mark.slow) for pair in BREAKS],
)
async def test_a_hot_backup_that_breaks_leaves_no_snapshot(house: House, words: str, effect: str) -> None:
    await running(house)
    before = at_rest(house)
    preview = await house.preview("backup_vm", vm="web01")
    house.lab.add_fault(Fault(match=words, **EFFECTS[effect]))
    job = await house.confirm(preview.confirm_token)
    house.lab.clear_faults()
    assert at_rest(house) == before, job.error
    assert no_marks(house)
    if job.state == "failed":
        assert "as it was" in (job.error or {})["changed"]
        assert not (await house.ask("list_backups")).backups


@pytest.mark.slow
@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("number", range(2, 15))
async def test_recover_removes_the_snapshot_of_a_dead_worker(
    house: House, number: int, moment: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    await running(house)
    before = at_rest(house)
    preview = await house.preview("backup_vm", vm="web01")
    if number > len(preview.steps):
        pytest.skip("the plan is shorter")
    await die(house, preview.confirm_token, number, moment, monkeypatch)
    job = await recover(house)
    assert job.state == "done", job.error
    assert at_rest(house) == before
    assert no_marks(house)


@pytest.mark.slow
async def test_a_snapshot_of_a_run_that_no_journal_knows_is_named_and_removed_if_asked(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    await running(house)
    before = at_rest(house)
    preview = await house.preview("backup_vm", vm="web01")
    number = next(step.number for step in preview.steps if "snapshot is there" in step.why)
    await die(house, preview.confirm_token, number, "after", monkeypatch)
    stranger = House(house.lab, house.folder / "elsewhere")
    try:
        refusal = await stranger.refusal("recover")
        assert refusal.code == "nothing_to_recover"
        assert "has a snapshot of run" in refusal.message
        assert (await stranger.refusal("recover", abandoned=True)).code == "still_written"
        monkeypatch.setattr("ceso_mcp.recipes.abandoned.READ_S", 0)
        settling = await recover(stranger, abandoned=True)
        assert settling.state == "done", settling.error
        assert at_rest(house) == before
    finally:
        await stranger.ceso.close()
