"""One disk of a backup comes back as a further disk of a VM, or the VM is as it was."""

from __future__ import annotations

from typing import Any

import pytest

from ceso_mcp.esxi.vmdk import Descriptor
from ceso_mcp.lab import Fault

from .conftest import KEY, House, at_rest
from .dying import die, recover
from .test_failures import EFFECTS, no_marks
from .test_main_job import SMALL

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(180)]


def folder(house: House) -> Any:
    return house.lab.volume("datastore1") / "web01"


async def backed_up(house: House) -> tuple[str, bytes]:
    """A VM that was backed up and has lost its data since: the backup, and what the disk held."""
    await house.do("create_vm", name="web01", template=SMALL, unprepared=True, ssh_keys=[KEY], power_on=False)
    then = (folder(house) / "web01-flat.vmdk").read_bytes()
    made = await house.do("backup_vm", vm="web01")
    with (folder(house) / "web01-flat.vmdk").open("r+b") as disk:
        disk.seek(1 << 20)
        disk.write(b"ransom" * 1000)
    return str(made["backup_id"]), then


async def test_a_disk_comes_back_beside_the_one_it_was(house: House) -> None:
    backup, then = await backed_up(house)
    result = await house.do("restore_disk", backup_id=backup, vm="web01")
    name = result["path"].rpartition("/")[2]
    assert (folder(house) / name.replace(".vmdk", "-flat.vmdk")).read_bytes() == then
    vmx = (folder(house) / "web01.vmx").read_text()
    assert f'{result["node"]}.fileName = "{name}"' in vmx
    uuids = {Descriptor.parse((folder(house) / n).read_text()).uuid for n in ("web01.vmdk", name)}
    assert len(uuids) == 2
    assert not [p for p in folder(house).iterdir() if ".new-" in p.name or ".before-" in p.name]
    shown = await house.ask("show_vm", vm="web01")
    assert len(shown.disks) == 2
    await house.do("power_vm", vm="web01", action="on")
    assert (await house.refusal("restore_disk", backup_id=backup, vm="web01")).code == "vm_not_off"
    refusal = await house.refusal("restore_disk", backup_id=backup, vm="web01", disk=3)
    assert refusal.code == "no_such_disk"


@pytest.mark.parametrize("effect", ["fails", pytest.param("cut after", marks=pytest.mark.slow)])
@pytest.mark.parametrize(
    "line",
    [
        pytest.param("vmsvc/reload", marks=pytest.mark.slow),
        pytest.param("mv .*new-", marks=pytest.mark.slow),
        pytest.param("vmkfstools -e", marks=pytest.mark.slow),
        pytest.param("cp ", marks=pytest.mark.slow),
    ],
)
async def test_a_disk_that_cannot_be_added_leaves_the_vm_as_it_was(
    house: House, line: str, effect: str
) -> None:
    backup, _ = await backed_up(house)
    before = at_rest(house)
    preview = await house.preview("restore_disk", backup_id=backup, vm="web01")
    house.lab.add_fault(Fault(match=line, **EFFECTS[effect]))
    job = await house.confirm(preview.confirm_token)
    house.lab.clear_faults()
    if effect == "fails":
        assert job.state == "failed"
    if job.state == "failed":
        assert "as it was" in (job.error or {})["changed"]
        assert at_rest(house) == before
    assert no_marks(house)


@pytest.mark.slow
async def test_a_disk_on_another_datastore_and_what_is_refused(house: House) -> None:
    backup, _ = await backed_up(house)
    others = [d.name for d in (await house.ask("discover")).datastores if d.name != "datastore1"]
    result = await house.do("restore_disk", backup_id=backup, vm="web01", datastore=others[0])
    assert result["path"].startswith(f"[{others[0]}] web01-restored-")
    assert len((await house.ask("show_vm", vm="web01")).disks) == 2
    refusal = await house.refusal("restore_disk", backup_id=backup, vm="web01", datastore="nowhere")
    assert refusal.code == "no_such_datastore"


@pytest.mark.slow
@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("number", [3, 8, 10, 12])  # each step: tests/chaos
async def test_recover_takes_a_half_added_disk_back(
    house: House, number: int, moment: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    backup, _ = await backed_up(house)
    before = at_rest(house)
    preview = await house.preview("restore_disk", backup_id=backup, vm="web01")
    assert len(preview.steps) == 12
    await die(house, preview.confirm_token, number, moment, monkeypatch)
    assert (await recover(house)).state == "done"
    if (number, moment) == (12, "after"):
        assert len((await house.ask("show_vm", vm="web01")).disks) == 2
    else:
        assert at_rest(house) == before
