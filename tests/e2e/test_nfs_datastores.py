"""NFS datastores: mounted and unmounted by plan, VMs and a repository on one, a server that goes away."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from ceso_mcp.config import BackupSection, CopySection
from ceso_mcp.lab import Fault, Lab

from .conftest import KEY, House, at_rest, settled
from .test_failures import no_marks
from .test_main_job import SMALL

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(180)]

NAME = 'it\'s my "nfs" share'
MOUNT: dict[str, Any] = {"name": NAME, "servers": ["nas.lab.example"], "share": "/srv/vm's"}


async def only(house: House, name: str) -> Any:
    (row,) = [row for row in (await house.ask("list_datastores")).datastores if row.name == name]
    return row


@pytest.mark.parametrize("version", ["3", pytest.param("4.1", marks=pytest.mark.slow)])
async def test_a_share_is_mounted_and_unmounted_as_shown(house: House, version: str) -> None:
    before = house.lab.fingerprint()
    shown = await house.preview("mount_datastore", **MOUNT, version=version, read_only=True)
    space = "nfs" if version == "3" else "nfs41"
    quoted = "'it'\"'\"'s my \"nfs\" share'"
    assert shown.steps[0].command == (
        f"esxcli storage {space} add -H nas.lab.example -s '/srv/vm'\"'\"'s' -v {quoted} -r"
    )
    job = await house.confirm(shown.confirm_token)
    assert job.state == "done", job.error
    assert job.result is not None
    assert (job.result["capacity_bytes"], job.result["free_bytes"]) == (1 << 40, 1 << 40)
    row = await only(house, NAME)
    assert (row.type, row.accessible, row.read_only) == ("NFS" if version == "3" else "NFS41", True, True)
    assert (row.servers, row.share) == (["nas.lab.example"], "/srv/vm's")
    refused = await house.refusal("mount_datastore", **MOUNT, version=version, read_only=True)
    assert refused.code == "already_mounted"
    refused = await house.refusal("clone_vm", source=SMALL, name="x", datastore=NAME)
    assert refused.code == "datastore_read_only"
    gone = await house.do("unmount_datastore", name=NAME)
    assert gone["unmounted"] is True
    after = house.lab.fingerprint()
    if version == "4.1":  # whose port ESXi leaves open
        assert after["firewall"].pop("nfs41Client") == (True, [])
        del before["firewall"]["nfs41Client"]
    assert after == before


async def test_what_cannot_be_mounted_is_refused_with_a_code_of_its_own(house: House) -> None:
    await house.do("mount_datastore", **MOUNT)
    before = house.lab.fingerprint()

    async def code(**changes: Any) -> str:
        return (await house.refusal("mount_datastore", **(MOUNT | changes))).code

    other = {"name": "other", "share": "/other"}
    assert await code() == "already_mounted"
    assert await code(read_only=True) == "mounted_otherwise"
    assert await code(version="4.1") == "mounted_otherwise"
    assert await code(name="other") == "share_mounted"
    assert await code(name="other", version="4.1", servers=["x", "NAS.lab.example"]) == "share_mounted"
    assert await code(name="other", share="/srv/vm's/") == "share_mounted"
    assert await code(share="/other") == "name_taken"
    assert await code(**other | {"name": "DataStore1"}) == "name_taken"
    assert await code(**other, servers=["a", "b"]) == "one_server"
    assert await code(**other, version="4.1", servers=["a", "A"]) == "server_twice"
    bad = {
        "name": ["", " x", "-x", ".x", "a/b", "a%2fb", "a[b]", "x" * 43, "66f0a1b2-3c4d5e6f", "a\nb"],
        "share": ["srv", "/a//b", "/a/../b", "/a\tb", ""],
        "servers": [[], ["nas:/srv"], ["a b"], ["-x"], ["10.0.0.300"], ["1::2::3"], ["a,b"]],
    }
    for field, values in bad.items():
        for value in values:
            assert await code(**{**other, field: value}) == "invalid_arguments", (field, value)
    assert (await house.refusal("unmount_datastore", name="datastore1")).code == "not_nfs"
    assert (await house.refusal("unmount_datastore", name="nowhere")).code == "no_such_datastore"
    elsewhere = await house.preview("mount_datastore", **MOUNT | {"name": "b", "servers": ["192.0.2.7"]})
    assert "the same server by another name" in " ".join(elsewhere.warnings)
    assert house.lab.fingerprint() == before


async def test_a_share_whose_server_does_not_answer_is_removed_again(house: House) -> None:
    before = house.lab.fingerprint()
    row = (
        "Volume Name  Host  Share  Accessible  Mounted  Read-Only   isPE  Hardware Acceleration\n"
        "-----------  ----  -----  ----------  -------  ---------  -----  ---------------------\n"
        "far          nas   /a          false     true      false  false  Unknown\n"
    )
    house.lab.add_fault(
        Fault(match="^esxcli storage nfs list$", effect="fail", times=None, stdout=row, exit_status=0)
    )
    shown = await house.preview("mount_datastore", name="far", servers=["nas"], share="/a", wait_s=1)
    job = await house.confirm(shown.confirm_token)
    house.lab.clear_faults()
    assert job.state == "failed"
    assert "calls it inaccessible" in str(job.error)
    assert "the host is as it was" in str(job.error)
    assert house.lab.fingerprint() == before
    refusal = "Unable to complete Sysinfo operation.  Please see the VMkernel log\n"
    house.lab.add_fault(Fault(match="^esxcli storage nfs add", effect="fail", where="shim", stdout=refusal))
    shown = await house.preview("mount_datastore", name="far", servers=["nas"], share="/a")
    job = await house.confirm(shown.confirm_token)
    assert "Unable to complete Sysinfo operation" in str(job.error)
    assert "the host is as it was" in str(job.error)
    house.lab.clear_faults()
    assert house.lab.fingerprint() == before


async def on_nfs(house: House, name: str = "web01") -> None:
    """A VM on a mounted share, off."""
    await house.do("mount_datastore", **MOUNT)
    await house.do(
        "create_vm",
        name=name,
        template=SMALL,
        unprepared=True,
        ssh_keys=[KEY],
        datastore=NAME,
        power_on=False,
    )


def disk(house: House, datastore: str, vm: str) -> bytes:
    return (house.lab.volume(datastore) / vm / f"{vm}-flat.vmdk").read_bytes()


@pytest.mark.slow
async def test_a_datastore_that_something_needs_stays(house: House) -> None:
    await on_nfs(house)

    async def code() -> tuple[str, str]:
        error = await house.refusal("unmount_datastore", name=NAME)
        return error.code, error.message

    assert await code() == (
        "datastore_in_use",
        f"datastore {NAME!r} is in use by 'web01' (it lies there)",
    )
    volume = house.lab.volume(NAME)
    vmid = next(vm.vmid for vm in (await house.ask("list_vms")).vms if vm.name == "web01")
    (await house.ceso.runner.run(f"vim-cmd vmsvc/unregister {vmid}")).require("unregistering")

    # A VM elsewhere that has a CD image, a disk, or a link below its disk there.
    folder = house.lab.volume("datastore1") / SMALL
    vmx = folder / f"{SMALL}.vmx"
    text = vmx.read_text()
    for line in (
        f'ide1:0.fileName = "/vmfs/volumes/{volume.name}/cd.iso"',
        f'sched.swap.dir = "/vmfs/volumes/{volume.name}"',
        f'sata0:0.fileName = "/vmfs/volumes/{NAME}/x.vmdk"'.replace('"nfs"', "|22nfs|22"),
    ):
        vmx.write_text(f"{text}{line}\n")
        found, message = await code()
        assert found == "datastore_in_use"
        assert line.split(" ")[0] in message
    vmx.write_text(text)
    descriptor = folder / f"{SMALL}.vmdk"
    whole = descriptor.read_text()
    far = whole.replace("parentCID=ffffffff", "parentCID=12345678\n").replace(
        'createType="vmfs"',
        f'createType="vmfsSparse"\nparentFileNameHint="/vmfs/volumes/{volume.name}/web01/web01.vmdk"',
    )
    assert far != whole
    descriptor.write_text(far)
    found, message = await code()
    assert found == "datastore_in_use"
    assert f"{volume.name}/web01/web01.vmdk" in message.replace("] ", "/")
    descriptor.unlink()
    shown = await house.preview("unmount_datastore", name=NAME)
    assert f"{SMALL}.vmdk cannot be read" in " ".join(shown.warnings)
    descriptor.write_text(whole)

    # What the host itself has there.
    logs = f"/vmfs/volumes/{volume.name}/logs"
    (await house.ceso.runner.run(f"esxcli system syslog config set --logdir={logs}")).require("moving logs")
    assert (await code())[0] == "host_uses_datastore"


@pytest.mark.slow
async def test_a_vm_on_a_share_is_backed_up_and_restored(house: House) -> None:
    await on_nfs(house)
    content = disk(house, NAME, "web01")
    cold = await house.do("backup_vm", vm="web01")
    await house.do("power_vm", vm="web01", action="on")
    await asyncio.to_thread(settled, house.lab)
    content_on = disk(house, NAME, "web01")
    before = at_rest(house)
    hot = await house.do("backup_vm", vm="web01")
    assert at_rest(house) == before
    assert no_marks(house)
    await house.do("restore_vm", backup_id=cold["backup_id"], name="cold", datastore=NAME)
    await house.do("restore_vm", backup_id=hot["backup_id"], name="hot", datastore="datastore1")
    assert disk(house, NAME, "cold") == content
    assert disk(house, "datastore1", "hot") == content_on

    # With a snapshot of its own: its links are vmfsSparse, and the copy is what the VM sees.
    vmid = next(vm.vmid for vm in (await house.ask("list_vms")).vms if vm.name == "web01")
    (await house.ceso.runner.run(f"vim-cmd vmsvc/snapshot.create {vmid} theirs '' 0 0")).require("snapshot")
    assert list(house.lab.volume(NAME).glob("web01/*-delta.vmdk"))
    before = at_rest(house)
    deep = await house.do("backup_vm", vm="web01")
    assert at_rest(house) == before
    await house.do("restore_vm", backup_id=deep["backup_id"], name="deep", datastore=NAME)
    assert disk(house, NAME, "deep") == content_on
    await house.do("power_vm", vm="web01", action="off")
    cold_with_chain = await house.do("backup_vm", vm="web01")
    await house.do("restore_vm", backup_id=cold_with_chain["backup_id"], name="flat", datastore=NAME)
    await house.do("clone_vm", source="web01", name="clone", power_on=False)
    assert disk(house, NAME, "clone") == disk(house, NAME, "flat")


@pytest.fixture
async def keeping(shared_lab: Lab, tmp_path: Path) -> AsyncIterator[House]:
    """A house whose repository is on a share, which is mounted, and its copy in a folder."""
    await asyncio.to_thread(shared_lab.reset)
    await asyncio.to_thread(settled, shared_lab)
    backup = BackupSection(
        repository="datastore:[nfs] backups",
        copies={"second": CopySection(repository="datastore:[Backup SSD (nvme)] second")},
    )
    house = House(shared_lab, tmp_path, backup=backup)
    await house.do("mount_datastore", **(MOUNT | {"name": "nfs"}))
    await house.do("create_vm", name="web01", template=SMALL, unprepared=True, ssh_keys=[KEY], power_on=False)
    yield house
    await house.ceso.close()


@pytest.mark.slow
async def test_a_repository_on_a_share_keeps_it_mounted(keeping: House) -> None:
    house = keeping
    refusal = await house.refusal("unmount_datastore", name="nfs")
    assert (refusal.code, refusal.message) == (
        "backups_on_datastore",
        "the repository ([nfs] backups) would be out of reach",
    )
    made = await house.do("backup_vm", vm="web01")
    assert made["repository"] == "[nfs] backups"
    assert (await house.ask("verify_backup", backup_id=made["backup_id"])).intact is True
    shown = await house.preview("unmount_datastore", name="nfs", even_backups=True)
    assert "Out of reach until it is mounted again: the repository ([nfs] backups)." in shown.warnings
    assert (await house.confirm(shown.confirm_token)).state == "done"
    assert (await house.refusal("backup_vm", vm="web01")).code == "repository_gone"
    await house.do("mount_datastore", **(MOUNT | {"name": "nfs"}))
    await house.do("restore_vm", backup_id=made["backup_id"], name="web02", datastore="datastore1")
    assert disk(house, "datastore1", "web02") == disk(house, "datastore1", "web01")
    assert (await house.do("prune_repository"))["objects"] == 0


@pytest.mark.slow
async def test_a_share_that_vanishes_in_a_backup_ends_it_and_leaves_nothing(keeping: House) -> None:
    house = keeping
    await house.do("power_vm", vm="web01", action="on")
    await asyncio.to_thread(settled, house.lab)
    first = await house.do("backup_vm", vm="web01")
    before = {name: what for name, what in at_rest(house)["files"].items() if "datastore" in name}
    shown = await house.preview("backup_vm", vm="web01", read_all=True)
    house.lab.add_fault(Fault(match="vmkfstools -i", effect="delay", seconds=1.0))
    backing_up = asyncio.create_task(house.confirm(shown.confirm_token))
    folder = house.lab.volume("datastore1") / "web01"
    for _ in range(3000):
        if any(folder.glob("web01-0*.vmdk")):
            break
        await asyncio.sleep(0.02)
    house.lab.vanish("nfs")
    job = await backing_up
    house.lab.clear_faults()
    assert job.state == "failed"
    assert (job.error or {})["code"] == "repository_gone", job.error
    assert "as it was" in (job.error or {})["changed"], job.error
    after = {name: what for name, what in at_rest(house)["files"].items() if "datastore" in name}
    assert after == before
    assert no_marks(house)
    row = await only(house, "nfs")
    assert (row.accessible, row.mounted, row.capacity_bytes) == (False, True, 0)
    refusal = await house.refusal(
        "create_vm", name="x", template=SMALL, unprepared=True, ssh_keys=[KEY], datastore="nfs"
    )
    assert refusal.code == "datastore_unavailable"
    house.lab.come_back("nfs")
    listed = (await house.ask("list_backups")).backups
    assert [row.backup_id for row in listed] == [first["backup_id"]]
    again = await house.do("backup_vm", vm="web01")
    assert (await house.ask("verify_backup", backup_id=again["backup_id"])).intact is True
    assert (await house.ask("check_repository")).intact is True
