"""A disk of a backup as a file: whole or not there, never over another one."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import pytest

from .conftest import KEY, House
from .test_main_job import SMALL

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(60)]


def assert_same(path: Path, flat: Path) -> None:
    assert path.read_bytes() == flat.read_bytes()
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.stat().st_blocks * 512 < path.stat().st_size


async def test_a_disk_comes_out_of_an_incremental_backup_byte_equal(house: House) -> None:
    await house.do("create_vm", name="web01", template=SMALL, unprepared=True, ssh_keys=[KEY], power_on=False)
    await house.do("backup_vm", vm="web01")
    flat = house.lab.volume("datastore1") / "web01" / "web01-flat.vmdk"
    with flat.open("r+b") as disk:
        disk.seek(3 << 20)
        disk.write(os.urandom(70_000))
    backup = (await house.do("backup_vm", vm="web01"))["backup_id"]
    result = await house.do("extract_disk", backup_id=backup)
    assert_same(Path(result["path"]), flat)
    assert (await house.refusal("extract_disk", backup_id=backup)).code == "file_exists"
    assert (await house.refusal("extract_disk", backup_id=backup, disk=7)).code == "no_such_disk"


@pytest.mark.slow
async def test_a_full_disk_leaves_no_file(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    await house.do("create_vm", name="web01", template=SMALL, unprepared=True, ssh_keys=[KEY], power_on=False)
    backup = (await house.do("backup_vm", vm="web01"))["backup_id"]
    preview = await house.preview("extract_disk", backup_id=backup)

    def full(*_: Any) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("ceso_mcp.extract_desk.os.pwrite", full)
        job = await house.confirm(preview.confirm_token)
    assert job.state == "failed"
    assert (job.error or {})["code"] == "extract_full"
    assert not list((house.folder / "state" / "extracted").iterdir())
