"""A VM is put back in place: what it was stays aside until that is settled, one way or the other."""

from __future__ import annotations

from typing import Any

import pytest

from ceso_mcp.lab import Fault

from .conftest import KEY, House, at_rest
from .dying import die, hang, recover
from .test_failures import EFFECTS, no_marks
from .test_main_job import SMALL

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(120)]


def flat(house: House) -> Any:
    return house.lab.volume("datastore1") / "web01" / "web01-flat.vmdk"


async def changed_since(house: House) -> tuple[str, bytes, bytes]:
    """A VM that was backed up and changed afterwards: the backup's id, its disk then and now."""
    await house.do("create_vm", name="web01", template=SMALL, unprepared=True, ssh_keys=[KEY], power_on=False)
    then = flat(house).read_bytes()
    made = await house.do("backup_vm", vm="web01")
    with flat(house).open("r+b") as disk:
        disk.seek(1 << 20)
        disk.write(b"ransom" * 1000)
    return str(made["backup_id"]), then, flat(house).read_bytes()


async def identity(house: House) -> tuple[str, list[str]]:
    shown = await house.ask("show_vm", vm="web01")
    return shown.uuid_bios, [nic.mac for nic in shown.nics]


async def test_a_vm_is_put_back_and_the_way_back_is_one_command(house: House) -> None:
    backup, then, now = await changed_since(house)
    who = await identity(house)
    before = at_rest(house)
    result = await house.do("restore_in_place", backup_id=backup, vm="web01")
    assert flat(house).read_bytes() == then
    assert await identity(house) == who
    assert no_marks(house)
    assert "before-" in result["kept_aside"]
    await house.do("settle_restore", vm="web01", keep="before")
    assert flat(house).read_bytes() == now
    assert await identity(house) == who
    await house.do("settle_restore", vm="web01", keep="restored")
    after = at_rest(house)
    assert after["files"] == before["files"]
    await house.do("power_vm", vm="web01", action="on")


@pytest.mark.slow
async def test_what_was_before_goes_once_that_is_settled(house: House) -> None:
    backup, then, _ = await changed_since(house)
    await house.do("restore_in_place", backup_id=backup, vm="web01", power_on=True)
    preview = await house.preview("settle_restore", vm="web01", keep="restored")
    assert preview.destructive
    assert (await house.confirm(preview.confirm_token)).state == "done"
    assert not list(house.lab.volume("datastore1").glob("web01.*"))
    assert (await house.refusal("settle_restore", vm="web01", keep="before")).code == "nothing_aside"
    assert (await house.ask("show_vm", vm="web01")).power == "on"
    assert flat(house).read_bytes() == then


async def test_a_vm_that_runs_or_is_another_one_is_not_replaced(house: House) -> None:
    backup, _, _ = await changed_since(house)
    other = SMALL
    assert (await house.refusal("restore_in_place", backup_id=backup, vm=other)).code == "another_vm"
    await house.do("power_vm", vm="web01", action="on")
    assert (await house.refusal("restore_in_place", backup_id=backup, vm="web01")).code == "vm_not_off"


@pytest.mark.parametrize("effect", ["fails", pytest.param("cut after", marks=pytest.mark.slow)])
@pytest.mark.parametrize(
    "line",
    [
        pytest.param("unregister", marks=pytest.mark.slow),
        pytest.param("mv .*restore-", marks=pytest.mark.slow),
        pytest.param("mv ", marks=pytest.mark.slow),
    ],
)
async def test_a_restore_that_breaks_leaves_the_vm_as_it_was(house: House, line: str, effect: str) -> None:
    backup, _, now = await changed_since(house)
    before = at_rest(house)
    preview = await house.preview("restore_in_place", backup_id=backup, vm="web01")
    house.lab.add_fault(Fault(match=line, **EFFECTS[effect]))
    job = await house.confirm(preview.confirm_token)
    house.lab.clear_faults()
    if job.state == "failed":
        assert at_rest(house)["files"] == before["files"], job.error
        assert flat(house).read_bytes() == now
        assert "as it was" in (job.error or {})["changed"]
    assert no_marks(house)


@pytest.mark.parametrize(
    "why",
    [
        "put the other folder in its place",
        pytest.param("register the VM", marks=pytest.mark.slow),
        pytest.param("take the run's mark off the VM's folder", marks=pytest.mark.slow),
    ],
)
async def test_what_was_taken_back_after_a_step_that_hung_is_not_taken_back_twice(
    house: House, why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Recovery looks at it later: the VM that lies in its place and is registered is the former one."""
    backup, _, _ = await changed_since(house)
    before = at_rest(house)
    preview = await house.preview("restore_in_place", backup_id=backup, vm="web01")
    line = next(step.command for step in preview.steps if step.why == why)
    job = await hang(house, preview.confirm_token, line, monkeypatch)
    assert "may still take effect" in (job.error or {})["changed"]
    assert at_rest(house)["files"] == before["files"]
    assert (await recover(house)).state == "done"
    assert "the host is as it was" in (house.ceso.jobs.get(job.id).error or {})["changed"]
    assert at_rest(house)["files"] == before["files"]
    assert [vm.name for vm in (await house.ask("list_vms")).vms].count("web01") == 1
    assert no_marks(house)


@pytest.mark.slow
@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("number", range(1, 13))
async def test_recover_puts_a_half_swapped_vm_back(
    house: House, number: int, moment: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    backup, then, now = await changed_since(house)
    before = at_rest(house)
    preview = await house.preview("restore_in_place", backup_id=backup, vm="web01")
    assert len(preview.steps) == 12
    await die(house, preview.confirm_token, number, moment, monkeypatch)
    assert (await recover(house)).state == "done"
    assert no_marks(house)
    if (number, moment) == (12, "after"):
        assert flat(house).read_bytes() == then
    else:
        assert at_rest(house)["files"] == before["files"]
        assert flat(house).read_bytes() == now
