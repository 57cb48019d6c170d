"""The main job with the repository somewhere else: on a datastore of the host itself, and copied."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from ceso_mcp.config import BackupSection, CopySection
from ceso_mcp.errors import CesoError
from ceso_mcp.lab import Lab

from .conftest import KEY, House, settled
from .dying import die, recover
from .test_main_job import SMALL

pytestmark = [pytest.mark.anyio, pytest.mark.slow]


@pytest.fixture
async def on_datastore(shared_lab: Lab, tmp_path: Path) -> AsyncIterator[House]:
    await asyncio.to_thread(shared_lab.reset)
    await asyncio.to_thread(settled, shared_lab)
    backup = BackupSection(
        repository="datastore:[datastore1] ceso backups",
        copies={"second": CopySection(repository=tmp_path / "second")},
    )
    house = House(shared_lab, tmp_path, backup=backup)
    yield house
    await house.ceso.close()


async def test_a_datastore_of_the_host_keeps_backups_and_gives_them_back(on_datastore: House) -> None:
    house = on_datastore
    await house.do("create_vm", name="web01", template=SMALL, unprepared=True, ssh_keys=[KEY], power_on=False)
    assert (await house.ask("list_backups")).backups == []
    made = await house.do("backup_vm", vm="web01")
    assert made["repository"] == "[datastore1] ceso backups"
    listed = await house.ask("list_backups")
    assert [row.backup_id for row in listed.backups] == [made["backup_id"]]
    assert (await house.ask("verify_backup", backup_id=made["backup_id"])).intact is True
    copied = await house.do("copy_backup", name="second")
    assert copied["backups"] == 1
    assert (await house.do("copy_backup", name="second"))["backups"] == 0
    await house.do("delete_vm", vm="web01")
    await house.do("restore_vm", backup_id=made["backup_id"], name="web02", datastore="datastore1")
    assert (await house.do("prune_repository"))["objects"] == 0


async def test_a_folder_of_a_vm_or_a_datastore_that_is_not_there_is_no_place(
    shared_lab: Lab, tmp_path: Path
) -> None:
    for folder in ("datastore:[datastore1] ubuntu-24.04-golden/backups", "datastore:[nowhere] backups"):
        house = House(shared_lab, tmp_path, backup=BackupSection(repository=folder))
        job = await house.confirm((await house.preview("backup_vm", vm="ubuntu-24.04-golden")).confirm_token)
        assert job.state == "failed"
        assert "not_a_repository" in str(job.error)
        await house.ceso.close()


@pytest.mark.parametrize("when", ["before", "after"])
async def test_a_worker_that_dies_while_copying_is_settled_and_copying_again_ends_it(
    on_datastore: House, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    house = on_datastore
    await house.do("create_vm", name="web01", template=SMALL, unprepared=True, ssh_keys=[KEY], power_on=False)
    made = await house.do("backup_vm", vm="web01")
    before = house.lab.fingerprint()
    shown = await house.preview("copy_backup", name="second")
    assert made["backup_id"] in shown.steps[0].command
    await die(house, shown.confirm_token, 1, when, monkeypatch)
    with contextlib.suppress(CesoError):
        await recover(house)
    assert not house.ceso.journal.open_runs(house.ceso.host_identity())
    assert (await house.do("copy_backup", name="second"))["backups"] == (1 if when == "before" else 0)
    assert (await house.do("copy_backup", name="second", direction="from_copy"))["backups"] == 0
    assert house.lab.fingerprint() == before
