"""A second backup of a VM: little crosses the wire, and it needs nothing of the first."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pyrage
import pytest

from ceso_mcp.config import BackupSection
from ceso_mcp.secrets import SecretRef

from .conftest import House
from .test_failures import run_with_fault
from .test_main_job import SMALL, contents

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(120)]

MIB = 1 << 20


def flat_of(house: House, vm: str) -> Path:
    return house.lab.volume("datastore1") / vm / f"{vm}-flat.vmdk"


def write(flat: Path, *places: tuple[int, int]) -> None:
    """Write into a disk behind the host's back, as its guest would have; keeps holes elsewhere."""
    with flat.open("r+b") as file:
        for at, length in places:
            file.seek(at)
            file.write(os.urandom(length))


def house_with(house: House, name: str, **more: Any) -> House:
    backup = BackupSection(repository=house.folder / name, **more)
    return House(house.lab, house.folder / f"of {name}", backup=backup)


def a_disk(house: House, data_mib: int = 24) -> Path:
    flat = flat_of(house, SMALL)
    write(flat, (64 * MIB, data_mib * MIB))
    return flat


async def restored(house: House, backup_id: str, name: str) -> Any:
    await house.do("restore_vm", backup_id=backup_id, name=name, datastore="datastore1", hostname="again")
    return contents(flat_of(house, name))


@pytest.mark.slow
async def test_a_second_backup_sends_what_changed_and_stands_alone(house: House) -> None:
    flat = a_disk(house)
    first = await house.do("backup_vm", vm=SMALL)
    assert first["compared_with"] is None
    before = contents(flat)
    write(flat, (65 * MIB + 4096, 4096), (70 * MIB, 160 << 10), (200 * MIB + 512, 512))
    with flat.open("r+b") as file:
        file.seek(66 * MIB)
        file.write(bytes(MIB))
    now = contents(flat)
    preview = await house.preview("backup_vm", vm=SMALL)
    assert ("compared with", first["backup_id"]) in {(row.what, row.after) for row in preview.changes}
    (reading,) = [step for step in preview.steps if step.command.endswith(" changed")]
    assert f"digests of backup {first['backup_id']}" in (reading.stdin or "")
    job = await house.confirm(preview.confirm_token)
    assert job.state == "done", job.error
    second = job.result or {}
    assert second["compared_with"] == first["backup_id"]
    # 1 + 3 + 1 blocks changed; the MiB of zeros is a few bytes.
    assert 5 << 16 <= second["received_bytes"] < (5 << 16) + 1000
    assert second["added_bytes"] < first["added_bytes"] / 20
    assert await restored(house, first["backup_id"], "one") == before
    assert await restored(house, second["backup_id"], "two") == now
    # The first one goes, and all that only it named.
    (house.folder / "backups" / "backups" / first["backup_id"] / "manifest.json").unlink()
    pruned = await house.do("prune_repository")
    assert pruned["objects"] > 0
    assert (await house.ask("verify_backup", backup_id=second["backup_id"])).intact
    assert await restored(house, second["backup_id"], "three") == now


@pytest.mark.slow
async def test_everything_is_read_when_asked_for_or_when_the_disk_has_another_size(house: House) -> None:
    flat = a_disk(house, 4)
    first = await house.do("backup_vm", vm=SMALL)
    again = await house.do("backup_vm", vm=SMALL, read_all=True)
    assert again["compared_with"] is None
    assert again["received_bytes"] == first["received_bytes"]
    write(flat, (80 * MIB, 100))
    third = await house.do("backup_vm", vm=SMALL)
    assert third["compared_with"] == again["backup_id"]


@pytest.mark.slow
async def test_a_parent_that_vanishes_ends_the_run_before_anything_is_read(house: House) -> None:
    a_disk(house, 4)
    first = await house.do("backup_vm", vm=SMALL)
    manifest = house.folder / "backups" / "backups" / first["backup_id"] / "manifest.json"
    kept = manifest.read_bytes()
    # Between preview and confirmation: the plan is another one, and is shown anew.
    preview = await house.preview("backup_vm", vm=SMALL)
    manifest.unlink()
    job = await house.confirm(preview.confirm_token)
    assert job.state == "failed"
    assert (job.error or {})["code"] == "host_changed"
    # After the plan was made again: the run fails when it opens the disk.
    manifest.write_bytes(kept)
    preview = await house.preview("backup_vm", vm=SMALL)
    perform = type(house.ceso.desk()).perform

    async def losing(desk: Any, action: Any, captures: Any) -> Any:
        manifest.unlink(missing_ok=True)
        return await perform(desk, action, captures)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(type(house.ceso.desk()), "perform", losing)
        mark = house.mark()
        job = await house.confirm(preview.confirm_token)
    assert job.state == "failed"
    assert (job.error or {})["code"] == "no_such_backup"
    assert not any("python3" in line for line in house.executed(mark))
    assert (await house.ask("list_backups")).backups == []


@pytest.mark.slow
async def test_a_connection_cut_in_the_comparison_goes_on_where_it_was(house: House) -> None:
    flat = a_disk(house)
    await house.do("backup_vm", vm=SMALL)
    write(flat, *((64 * MIB + n * MIB, 200 << 10) for n in range(24)))
    preview = await house.preview("backup_vm", vm=SMALL)
    step = next(n for n, step in enumerate(preview.steps) if "changed" in step.command)
    fault = {"effect": "cut_stdout", "at_bytes": 3 * MIB}
    job, _ = await run_with_fault(house, "backup_vm", {"vm": SMALL}, fault, step)
    assert job.state == "done", job.error
    assert await restored(house, (job.result or {})["backup_id"], "again") == contents(flat)


@pytest.mark.slow
async def test_a_sealed_repository_is_compared_with_by_the_machine_that_wrote_it(house: House) -> None:
    identity = pyrage.x25519.Identity.generate()
    key_file = house.folder / "identity"
    key_file.write_text(f"{identity}\n")
    key_file.chmod(0o600)
    sealed = {"recipients": (str(identity.to_public()),)}
    writer = house_with(house, "sealed", **sealed)  # has no private key of the recipients
    flat = a_disk(writer, 4)
    first = await writer.do("backup_vm", vm=SMALL)
    write(flat, (65 * MIB, 100))
    second = await writer.do("backup_vm", vm=SMALL)
    assert second["compared_with"] == first["backup_id"]
    # Another machine has no key to the digests: it reads everything, and says so.
    other = House(
        house.lab,
        house.folder / "another machine",
        backup=BackupSection(repository=house.folder / "sealed", identity=SecretRef(file=key_file), **sealed),
    )
    preview = await other.preview("backup_vm", vm=SMALL)
    assert any("no key" in warning for warning in preview.warnings)
    third = await other.do("backup_vm", vm=SMALL)
    assert third["compared_with"] is None
    assert await restored(other, second["backup_id"], "again") == contents(flat)
    for each in (writer, other):
        await each.ceso.close()
