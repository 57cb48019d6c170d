"""Disks on several datastores: they come back to where they were, and what was before goes wholly."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ceso_mcp.lab import Fault

from .conftest import KEY, House, at_rest
from .dying import die, recover
from .test_failures import EFFECTS, no_marks
from .test_main_job import SMALL

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(180)]
OTHER = "Backup SSD (nvme)"
NODE = "scsi0:1"
DATA = "data of web01"


async def vm_on_two_datastores(house: House) -> str:
    """web01 with its first disk in its folder, its second on another datastore; the id of its backup."""
    await house.do("create_vm", name="web01", template=SMALL, unprepared=True, ssh_keys=[KEY], power_on=False)
    disk = f"/vmfs/volumes/{OTHER}/{DATA}/web01_1.vmdk"
    uuid = house.lab.volume(OTHER).name
    await ran(house, f"mkdir '{disk.rpartition('/')[0]}' && vmkfstools -c 4m -d thin '{disk}'")
    vmx = house.lab.volume("datastore1") / "web01" / "web01.vmx"
    keys = {"present": "TRUE", "fileName": disk.replace(OTHER, uuid), "deviceType": "scsi-hardDisk"}
    lines = [f'{NODE}.{key} = "{value}"\n' for key, value in keys.items()]
    vmx.write_text(vmx.read_text() + "".join(lines))
    await ran(house, f"vim-cmd vmsvc/reload {await vmid(house)}")
    write(second(house), b"second")
    return str((await house.do("backup_vm", vm="web01"))["backup_id"])


def write(extent: Path, what: bytes) -> None:
    with extent.open("r+b") as disk:
        disk.seek(1 << 20)
        disk.write(what * 1000)


def first(house: House, name: str = "web01") -> Path:
    return house.lab.volume("datastore1") / name / f"{name}-flat.vmdk"


def second(house: House, name: str = "web01") -> Path:
    """The extent of a VM's only disk on the other datastore."""
    vmx = (house.lab.volume("datastore1") / name / f"{name}.vmx").read_text()
    (line,) = [line for line in vmx.splitlines() if line.startswith(f"{NODE}.fileName")]
    folder, file = line.split('"')[1].split("/")[-2:]
    return house.lab.volume(OTHER) / folder / file.replace(".vmdk", "-flat.vmdk")


def elsewhere(house: House) -> dict[str, bytes]:
    """Everything on the other datastore."""
    root = house.lab.volume(OTHER)
    return {
        str(path.relative_to(root)): path.read_bytes() if path.is_file() else b""
        for path in sorted(root.rglob("*"))
    }


async def vmid(house: House) -> int:
    return next(vm.vmid for vm in (await house.ask("list_vms")).vms if vm.name == "web01")


async def ran(house: House, line: str) -> str:
    reply = await house.ceso.runner.run(line)
    return str(reply.require(line))


@pytest.mark.slow
async def test_a_former_disk_elsewhere_goes_once_that_is_settled(house: House) -> None:
    untouched = set(elsewhere(house))
    backup = await vm_on_two_datastores(house)
    then = first(house).read_bytes(), second(house).read_bytes()
    write(second(house), b"ransom")
    await house.do("restore_in_place", backup_id=backup, vm="web01")
    assert (first(house).read_bytes(), second(house).read_bytes()) == then
    result = await house.do("settle_restore", vm="web01", keep="restored")
    assert result["deleted_elsewhere"] == [f"[{OTHER}] data of web01/web01_1.vmdk"]
    folder = second(house).parent
    mine = {folder.name, *(f"{folder.name}/{path.name}" for path in folder.iterdir())}
    assert set(elsewhere(house)) - untouched == mine
    assert len(mine) == 3
    assert not list(house.lab.volume("datastore1").glob("web01.*"))


@pytest.mark.slow
async def test_in_place_each_disk_comes_back_to_its_datastore_and_both_ways_are_open(house: House) -> None:
    backup = await vm_on_two_datastores(house)
    then = first(house).read_bytes(), second(house).read_bytes()
    write(first(house), b"ransom")
    write(second(house), b"ransom")
    now, was = (first(house).read_bytes(), second(house).read_bytes()), second(house)
    stood, before = elsewhere(house), at_rest(house)
    preview = await house.preview("restore_in_place", backup_id=backup, vm="web01")
    rows = {row.what: (row.before, row.after) for row in preview.changes}
    assert rows[NODE][0] == f"[{OTHER}] data of web01/web01_1.vmdk"
    assert rows[NODE][1].startswith(f"[{OTHER}] web01-")
    assert rows["scsi0:0"] == ("[datastore1] web01/web01.vmdk", "[datastore1] web01/web01.vmdk")
    assert (await house.confirm(preview.confirm_token)).state == "done"
    assert (first(house).read_bytes(), second(house).read_bytes()) == then
    assert second(house) != was
    assert no_marks(house)
    restored = second(house)

    await house.do("settle_restore", vm="web01", keep="before")
    assert (first(house).read_bytes(), second(house).read_bytes()) == now
    preview = await house.preview("settle_restore", vm="web01", keep="restored")
    assert preview.destructive
    assert f"file [{OTHER}] {restored.parent.name}/{restored.name}" in preview.touches
    assert any(
        f"vmkfstools -U '/vmfs/volumes/{OTHER}/{restored.parent.name}/" in s.command for s in preview.steps
    )
    assert (await house.confirm(preview.confirm_token)).state == "done"
    assert elsewhere(house) == stood
    assert at_rest(house)["files"] == before["files"]
    await house.do("power_vm", vm="web01", action="on")


@pytest.mark.slow
async def test_what_was_before_goes_with_the_links_of_its_snapshots(house: House) -> None:
    untouched = elsewhere(house)
    backup = await vm_on_two_datastores(house)
    for name in ("one", "two"):
        await ran(house, f"vim-cmd vmsvc/snapshot.create {await vmid(house)} {name} '' 0 0")
    former = second(house).parent
    assert len(list(former.glob("*.vmdk"))) == 6
    await house.do("restore_in_place", backup_id=backup, vm="web01")
    assert len(list(former.glob("*.vmdk"))) == 6
    await house.do("settle_restore", vm="web01", keep="restored")
    assert not former.exists()
    assert set(elsewhere(house)) - set(untouched) == {
        second(house).parent.name,
        *(f"{second(house).parent.name}/{path.name}" for path in second(house).parent.iterdir()),
    }
    assert not list(house.lab.volume("datastore1").glob("web01.*"))
    await house.do("power_vm", vm="web01", action="on")


@pytest.mark.slow
async def test_a_disk_elsewhere_that_somebody_else_needs_is_not_deleted(house: House) -> None:
    backup = await vm_on_two_datastores(house)
    former = second(house)
    await house.do("restore_in_place", backup_id=backup, vm="web01")
    # A VM that nobody has registered, in a folder like any other, whose disk is a child of that one.
    stranger = house.lab.volume("datastore1") / "stranger"
    stranger.mkdir()
    text = f'scsi0:0.present = "TRUE"\nscsi0:0.fileName = "{former.name.replace("-flat", "-000001")}"\n'
    (stranger / "stranger.vmx").write_text(text)
    base = f"/vmfs/volumes/{OTHER}/{former.parent.name}/{former.name.replace('-flat', '')}"
    child = (former.parent / former.name.replace("-flat", "")).read_text().replace("parentCID=ffffffff", "")
    lines = [line for line in child.splitlines() if line]
    lines[1:1] = ["parentCID=12345678", f'parentFileNameHint="{base}"']
    (stranger / former.name.replace("-flat", "-000001")).write_text("\n".join(lines) + "\n")
    refusal = await house.refusal("settle_restore", vm="web01", keep="restored")
    assert refusal.code == "disk_shared"
    assert "stranger.vmx" in refusal.message
    assert "disks_elsewhere" in refusal.hint
    # One that cannot be read may need it as well.
    (stranger / "stranger.vmx").write_text("what is this\n")
    assert (await house.refusal("settle_restore", vm="web01", keep="restored")).code == "vmx_unreadable"
    result = await house.do("settle_restore", vm="web01", keep="restored", disks_elsewhere="keep")
    assert result["disks_kept"] == [f"[{OTHER}] {former.parent.name}/{former.name.replace('-flat', '')}"]
    assert former.exists()
    assert not list(house.lab.volume("datastore1").glob("web01.*"))


@pytest.mark.slow
async def test_a_registered_vm_that_uses_it_and_the_restored_one_itself_are_heeded(house: House) -> None:
    backup = await vm_on_two_datastores(house)
    former = second(house)
    await house.do("restore_in_place", backup_id=backup, vm="web01")
    named = f"/vmfs/volumes/{OTHER}/{former.parent.name}/{former.name.replace('-flat', '')}"
    for name in (SMALL, "web01"):
        vmx = house.lab.volume("datastore1") / name / f"{name}.vmx"
        kept = vmx.read_text()
        vmx.write_text(kept + f'scsi0:9.present = "FALSE"\nscsi0:9.fileName = "{named}"\n')
        refusal = await house.refusal("settle_restore", vm="web01", keep="restored")
        assert (refusal.code, name in refusal.message) == ("disk_shared", True)
        vmx.write_text(kept)
    (aside,) = house.lab.volume("datastore1").glob("web01.before-*")
    await ran(house, f"vim-cmd solo/registervm /vmfs/volumes/datastore1/{aside.name}/web01.vmx")
    other = next(vm for vm in (await house.ask("list_vms")).vms if "before-" in vm.path)
    await ran(house, f"vim-cmd vmsvc/unregister {other.vmid}")
    await house.do("settle_restore", vm="web01", keep="restored")
    assert not former.exists()


@pytest.mark.slow
@pytest.mark.parametrize("line", ["vmkfstools -U", "rmdir .*data", "rm -f .*before-"])
async def test_cut_off_in_between_the_same_request_goes_on(house: House, line: str) -> None:
    backup = await vm_on_two_datastores(house)
    former = second(house)
    await house.do("restore_in_place", backup_id=backup, vm="web01")
    kept = first(house).read_bytes(), second(house).read_bytes()
    preview = await house.preview("settle_restore", vm="web01", keep="restored")
    house.lab.add_fault(Fault(match=f"^{line}", **EFFECTS["fails"]))
    job = await house.confirm(preview.confirm_token)
    house.lab.clear_faults()
    assert job.state == "failed"
    if list(house.lab.volume("datastore1").glob("web01.before-*")):
        await house.do("settle_restore", vm="web01", keep="restored")
    assert not former.parent.exists()
    assert not list(house.lab.volume("datastore1").glob("web01.*"))
    assert (first(house).read_bytes(), second(house).read_bytes()) == kept


@pytest.mark.slow
async def test_a_new_vm_has_its_disks_where_they_were_asked_for(house: House) -> None:
    backup = await vm_on_two_datastores(house)
    new: dict[str, Any] = {"backup_id": backup, "name": "again", "datastore": "datastore1"}
    refused = {"scsi0:5": ("no_such_disk", OTHER), NODE: ("no_such_datastore", "nowhere")}
    for node, (code, store) in refused.items():
        assert (await house.refusal("restore_vm", **new, disk_datastores={node: store})).code == code
    preview = await house.preview("restore_vm", **new, disk_datastores={NODE.upper(): OTHER})
    assert f"folder [{OTHER}] again (new)" in preview.touches
    assert (await house.confirm(preview.confirm_token)).state == "done"
    assert no_marks(house)
    assert first(house, "again").read_bytes() == first(house).read_bytes()
    assert second(house, "again") == house.lab.volume(OTHER) / "again" / "again_1-flat.vmdk"
    assert second(house, "again").read_bytes() == second(house).read_bytes()
    assert (await house.refusal("restore_vm", **{**new, "name": "third"}, disk_datastores={NODE: "x"})).code
    house.lab.fill(OTHER, 100 << 20)
    full = await house.refusal("restore_vm", **{**new, "name": "third"}, disk_datastores={NODE: OTHER})
    house.lab.unfill(OTHER)
    assert (full.code, OTHER in full.message) == ("datastore_full", True)
    await house.do("power_vm", vm="again", action="on")


@pytest.mark.slow
@pytest.mark.parametrize("number", [2, 3, 5])
async def test_recover_after_a_half_done_deletion_says_so_and_it_goes_on(
    house: House, number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    untouched = at_rest(house)
    await vm_on_two_datastores(house)
    preview = await house.preview("delete_vm", vm="web01", disks_elsewhere="delete")
    words = [
        "is off",
        "off the inventory",
        "delete the disk",
        "empty folder",
        "files of the folder",
        "is gone",
    ]
    assert [word in step.why for word, step in zip(words, preview.steps, strict=True)] == [True] * 6
    job = await die(house, preview.confirm_token, number, "after", monkeypatch)
    await recover(house)
    vms = {vm.name for vm in (await house.ask("list_vms")).vms}
    assert ("web01" in vms) == (number < 5)
    if number == 3:
        assert "cut off while it deleted" in (house.ceso.jobs.get(job).error or {})["changed"]
    if "web01" in vms:
        await house.do("delete_vm", vm="web01", disks_elsewhere="delete")
    assert at_rest(house)["files"] == untouched["files"]


@pytest.mark.slow
async def test_an_empty_folder_that_was_left_goes_too(house: House) -> None:
    backup = await vm_on_two_datastores(house)
    await house.do("restore_in_place", backup_id=backup, vm="web01")
    (aside,) = house.lab.volume("datastore1").glob("web01.before-*")
    for path in aside.iterdir():
        path.unlink()
    assert (await house.refusal("settle_restore", vm="web01", keep="before")).code == "vmx_unreadable"
    await house.do("settle_restore", vm="web01", keep="restored")
    assert not aside.exists()


@pytest.mark.slow
@pytest.mark.parametrize("what", ["delete", "keep"])
async def test_a_vm_with_a_disk_elsewhere_is_deleted_as_asked(house: House, what: str) -> None:
    untouched = at_rest(house)
    await vm_on_two_datastores(house)
    disk = second(house)
    await ran(house, f"vim-cmd vmsvc/snapshot.create {await vmid(house)} one '' 0 0")
    refusal = await house.refusal("delete_vm", vm="web01")
    assert (refusal.code, "disks_elsewhere" in refusal.hint) == ("disk_outside_folder", True)
    preview = await house.preview("delete_vm", vm="web01", disks_elsewhere=what)
    assert preview.destructive
    if what == "delete":  # cut off in between, it is registered again and the same goes on
        house.lab.add_fault(Fault(match="^vmkfstools -U .*web01_1.vmdk", **EFFECTS["fails"]))
        assert (await house.confirm(preview.confirm_token)).state == "failed"
        house.lab.clear_faults()
        preview = await house.preview("delete_vm", vm="web01", disks_elsewhere=what)
    assert (await house.confirm(preview.confirm_token)).state == "done"
    assert "web01" not in {vm.name for vm in (await house.ask("list_vms")).vms}
    assert disk.exists() == (what == "keep")
    if what == "delete":
        assert at_rest(house)["files"] == untouched["files"]
    assert not first(house).parent.exists()


@pytest.mark.slow
async def test_without_room_there_a_disk_goes_into_the_folder_and_that_is_said(house: House) -> None:
    backup = await vm_on_two_datastores(house)
    then = second(house).read_bytes()
    house.lab.fill(OTHER, 100 << 20)
    preview = await house.preview("restore_in_place", backup_id=backup, vm="web01")
    assert any(f"{OTHER} has no room" in warning for warning in preview.warnings)
    asked = {"backup_id": backup, "vm": "web01", "disk_datastores": {NODE: OTHER}}
    assert (await house.refusal("restore_in_place", **asked)).code == "datastore_full"
    assert (await house.confirm(preview.confirm_token)).state == "done"
    house.lab.unfill(OTHER)
    restored = house.lab.volume("datastore1") / "web01" / "web01_1-flat.vmdk"
    assert restored.read_bytes() == then


@pytest.mark.slow
async def test_a_drill_on_two_datastores_leaves_the_host_as_it_was(house: House) -> None:
    backup = await vm_on_two_datastores(house)
    before = at_rest(house)
    result = await house.do("drill_backup", backup_id=backup, disk_datastores={NODE: OTHER}, wait_s=1)
    assert result["drill"] == "started"
    assert at_rest(house) == before
    assert no_marks(house)


@pytest.mark.slow
@pytest.mark.parametrize("operation", ["restore_vm", "restore_in_place"])
@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("words", ["a folder for its disks", "write disk 1", "register the VM"])
async def test_a_dead_worker_leaves_nothing_on_either_datastore(
    house: House, operation: str, moment: str, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    backup = await vm_on_two_datastores(house)
    arguments: dict[str, Any] = {"backup_id": backup, "vm": "web01"}
    if operation == "restore_vm":
        arguments = {"backup_id": backup, "name": "again", "datastore": "datastore1"}
        arguments["disk_datastores"] = {NODE: OTHER}
    before = at_rest(house)
    preview = await house.preview(operation, **arguments)
    number = next(step.number for step in preview.steps if words in step.why)
    await die(house, preview.confirm_token, number, moment, monkeypatch)
    assert (await recover(house)).state == "done"
    assert at_rest(house)["files"] == before["files"]
    assert no_marks(house)


@pytest.mark.slow
async def test_what_a_disk_was_restored_from_is_shown_and_not_of_another(house: House) -> None:
    await house.do("create_vm", name="web01", template=SMALL, unprepared=True, ssh_keys=[KEY], power_on=False)
    made = await house.do("backup_vm", vm="web01")
    await house.do("restore_disk", backup_id=made["backup_id"], vm="web01", datastore=OTHER)
    shown = (await house.ask("show_vm", vm="web01")).disks
    assert [disk.restored_from is None for disk in shown] == [True, False]
    assert shown[1].restored_from == f"disk 0 of backup {made['backup_id']}"
    await ran(house, f"vim-cmd vmsvc/snapshot.create {await vmid(house)} one '' 0 0")
    assert (await house.ask("show_vm", vm="web01")).disks[1].restored_from == shown[1].restored_from
    await ran(house, f"vim-cmd vmsvc/snapshot.removeall {await vmid(house)}")
    await house.do("clone_vm", source="web01", name="again", power_on=False)
    assert [disk.restored_from for disk in (await house.ask("show_vm", vm="again")).disks] == [None, None]
