"""Several backups of a VM on the lab: policy, preview, confirm; what is left restores, and status tells."""

from __future__ import annotations

import hashlib
import secrets
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

import ceso_mcp.app
from ceso_mcp.fact import Fixed

from .conftest import KEY, TEMPLATE, House

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(120)]
SMALL = "it's a test [old]"
"""A VM of the seeded world with a small disk."""


def as_of(patch: pytest.MonkeyPatch, days_ago: float) -> None:
    """From now on, requests are made so long ago."""

    def draw() -> Fixed:
        moment = datetime.now(UTC).replace(microsecond=0) - timedelta(days=days_ago)
        return Fixed(moment.isoformat(), secrets.token_bytes(32))

    patch.setattr(ceso_mcp.app, "_draw", draw)


async def disk_of(house: House, name: str) -> str:
    """sha256 of the VM's first disk as it is on the host."""
    shown = await house.ask("show_vm", vm=name)
    datastore, _, path = shown.disks[0].path.partition("] ")
    flat = house.lab.volume(datastore[1:]) / path.replace(".vmdk", "-flat.vmdk")
    return hashlib.sha256(flat.read_bytes()).hexdigest()


async def test_status_names_every_vm_that_has_no_backup(house: House) -> None:
    names = {vm.name for vm in (await house.ask("list_vms")).vms}
    status = await house.ask("backup_status", ignore=[TEMPLATE])
    assert {row.vm for row in status.vms} == names - {TEMPLATE}
    assert {row.status for row in status.vms} == {"warning"}
    assert (status.exit_status, status.damaged) == (1, [])
    assert (await house.ask("backup_status", ask_host=False)).exit_status == 0


@pytest.mark.slow
async def test_policy_preview_confirm_and_what_is_left_restores(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    await house.do("create_vm", name="web01", template=SMALL, unprepared=True, ssh_keys=[KEY], power_on=False)
    made: list[dict[str, Any]] = []
    for days_ago in (3.2, 3.1, 1.1, 0.01):
        as_of(monkeypatch, days_ago)
        made.append(await house.do("backup_vm", vm="web01"))
    as_of(monkeypatch, 0)
    ids = [backup["backup_id"] for backup in made]
    verified = await house.ask("verify_backup", backup_id=ids[2])
    assert (verified.intact, verified.not_noted) == (True, None)

    await house.do("protect_backup", backup_id=ids[0], why="the first")
    await house.do("set_retention", keep_last=1)
    preview = await house.preview("forget_backups")
    told = {row.what: row.after for row in preview.changes}
    assert told[f"web01: {ids[0]}"] == "stays: protected"
    assert told[f"web01: {ids[1]}"] == "GOES: no rule keeps it"
    assert told[f"web01: {ids[2]}"] == "stays: newest verified"
    assert preview.destructive
    job = await house.confirm(preview.confirm_token)
    assert (job.state, (job.result or {})["forgotten"]) == ("done", 1), job.error
    listed = await house.ask("list_backups")
    assert [row.backup_id for row in listed.backups] == [ids[3], ids[2], ids[0]]
    check = await house.ask("check_repository")
    assert (check.intact, check.loose_objects) == (True, 0)

    status = await house.ask("backup_status", ignore=[TEMPLATE])
    rows = {row.vm: row for row in status.vms}
    assert (rows["web01"].status, rows["web01"].backups) == ("ok", 3)
    assert rows[SMALL].problems == ["it has no backup"]
    assert TEMPLATE not in rows
    assert status.exit_status == 1

    for number, backup_id in enumerate((ids[3], ids[0])):
        await house.do("restore_vm", backup_id=backup_id, name=f"back{number}", datastore="datastore1")
        assert await disk_of(house, f"back{number}") == await disk_of(house, "web01")
