"""Where a further disk goes, and which hardware a release runs."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any, cast

import pytest

from ceso_mcp.backup.notes import Check, Drill, DrillState, Verification
from ceso_mcp.backup.standing import Kept
from ceso_mcp.errors import Refused
from ceso_mcp.esxi.hardware import newest_hardware
from ceso_mcp.esxi.host import Release
from ceso_mcp.esxi.vmx import Vmx
from ceso_mcp.recipes.attaching import disk_keys, free_slot

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def vm_with(controller: str, units: range, **more: str) -> Vmx:
    keys = {f"{controller}.present": "TRUE", **more}
    for unit in units:
        keys |= {f"{controller}:{unit}.present": "TRUE", f"{controller}:{unit}.fileName": f"{unit}.vmdk"}
    return Vmx.parse("").with_set(keys)


@pytest.mark.parametrize(
    ("controller", "used", "free"),
    [
        ("scsi0", 1, "scsi0:1"),
        ("scsi0", 7, "scsi0:8"),
        ("nvme0", 14, "nvme0:14"),
        ("sata0", 29, "sata0:29"),
    ],
)
def test_the_next_free_unit_is_taken_but_never_the_controllers_own(
    controller: str, used: int, free: str
) -> None:
    assert free_slot(vm_with(controller, range(used)), f"{controller}:0") == free


def test_a_full_or_shared_controller_is_left_alone() -> None:
    both = vm_with("nvme0", range(15), **{"sata0.present": "TRUE"})
    assert free_slot(both, "nvme0:3") == "sata0:0"
    with pytest.raises(Refused):
        free_slot(vm_with("nvme0", range(15)), "nvme0:3")
    with pytest.raises(Refused):
        free_slot(vm_with("scsi0", range(1), **{"scsi0.sharedBus": "virtual"}), "scsi0:0")


def test_an_empty_drive_and_a_disk_that_is_not_present_keep_their_places() -> None:
    vmx = vm_with("sata0", range(1), **{"sata0:1.present": "FALSE", "sata0:2.deviceType": "cdrom-raw"})
    assert free_slot(vmx, "scsi0:0") == "sata0:3"


def test_only_scsi_and_sata_disks_name_their_type() -> None:
    assert disk_keys("nvme0:1", "a.vmdk") == {"nvme0:1.present": "TRUE", "nvme0:1.fileName": "a.vmdk"}
    assert disk_keys("scsi0:1", "a.vmdk")["scsi0:1.deviceType"] == "scsi-hardDisk"


@pytest.mark.parametrize(
    ("version", "update", "newest"),
    [
        ("6.7.0", 0, 14),
        ("6.7.0", 3, 15),
        ("7.0.3", 3, 19),
        ("8.0.1", 1, 20),
        ("8.0.0", None, 20),
        ("9.9.0", 0, None),
    ],
)
def test_the_newest_hardware_follows_the_update(version: str, update: int | None, newest: int | None) -> None:
    assert newest_hardware(Release(version, 1, update)) == newest


def kept(state: DrillState, damage: int | None) -> Kept:
    drill = Drill(backup="b", time=NOW, state=state, seconds=1)
    check = Check(time=NOW - timedelta(1), level="data", sample_percent=100, read_bytes=1, damage=damage or 0)
    verification = None if damage is None else Verification(backup="b", full=check)
    return Kept(cast("Any", SimpleNamespace(state="complete")), None, verification, drill)


@pytest.mark.parametrize("state", ["passed", "started"])
def test_a_drill_that_brought_it_up_verifies_a_backup_unless_damage_is_known(state: DrillState) -> None:
    assert kept(state, None).verified == NOW
    assert kept(state, 0).verified == NOW
    assert kept(state, 1).verified is None


def test_a_failed_drill_verifies_nothing_and_takes_nothing_back() -> None:
    assert kept("failed", None).verified is None
    assert kept("failed", 0).verified == NOW - timedelta(1)
