"""A restored VM is one that this host can start: what is not here is disconnected or left out, and told."""

from __future__ import annotations

import re

import pytest

from .conftest import KEY, House
from .test_main_job import SMALL

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(120)]

FOREIGN = """serial0.present = "TRUE"
serial0.fileType = "file"
serial0.fileName = "/vmfs/volumes/nowhere/console.log"
usb.autoConnect.device0 = "path:0/1/2 autoclean:1"
floppy0.present = "TRUE"
floppy0.fileType = "file"
floppy0.fileName = "/vmfs/volumes/nowhere/boot.flp"
ide1:0.present = "TRUE"
ide1:0.deviceType = "cdrom-image"
ide1:0.fileName = "/vmfs/volumes/nowhere/live.iso"
pciPassthru0.present = "TRUE"
pciPassthru0.id = "00000:099:00.0"
pciPassthru0.deviceId = "0x1234"
pciPassthru0.vendorId = "0x8086"
"""


async def foreign_backup(house: House) -> str:
    """A backup of a VM from a newer host that had other things than this one."""
    await house.do("create_vm", name="web01", template=SMALL, unprepared=True, ssh_keys=[KEY], power_on=False)
    path = house.lab.volume("datastore1") / "web01" / "web01.vmx"
    text = re.sub(r'(virtualHW.version = )"\d+"', r'\1"99"', path.read_text())
    text = re.sub(r'(ethernet0.networkName = )"[^"]*"', r'\1"Nowhere"', text)
    path.write_text("".join(line + "\n" for line in text.splitlines() if "floppy0" not in line) + FOREIGN)
    return str((await house.do("backup_vm", vm="web01"))["backup_id"])


async def test_a_vm_of_another_host_is_restored_as_this_one_can_start_it(house: House) -> None:
    backup = await foreign_backup(house)
    new = {"backup_id": backup, "name": "again", "datastore": "datastore1"}
    refusal = await house.refusal("restore_vm", **new)
    assert refusal.code == "hardware_too_new"
    assert "hardware_version" in refusal.hint
    refusal = await house.refusal("restore_vm", **new, hardware_version=13, power_on=True)
    assert refusal.code == "no_such_portgroup"
    result = await house.do("restore_vm", **new, hardware_version=13)
    told = " ".join(result["left_out"])
    for word in (
        "from 99 to 13",
        "serial0",
        "floppy0",
        "USB",
        "Network card 0",
        "live.iso",
        "PCI passthrough",
    ):
        assert word in told
    vmx = (house.lab.volume("datastore1") / "again" / "again.vmx").read_text()
    for device in ("serial0", "floppy0", "ide1:0", "ethernet0"):
        assert f'{device}.startConnected = "FALSE"' in vmx
    assert "pciPassthru0" not in vmx
    assert "autoConnect" not in vmx
    await house.do("power_vm", vm="again", action="on")


@pytest.mark.slow
async def test_in_place_too_and_a_drill_names_it(house: House) -> None:
    backup = await foreign_backup(house)
    refusal = await house.refusal("restore_in_place", backup_id=backup, vm="web01")
    assert refusal.code == "hardware_too_new"
    result = await house.do(
        "restore_in_place", backup_id=backup, vm="web01", hardware_version=13, power_on=True
    )
    told = " ".join(result["left_out"])
    for word in ("serial0", "floppy0", "USB", "Network card 0", "live.iso", "pciPassthru0 is left out"):
        assert word in told
    result = await house.do("drill_backup", backup_id=backup, hardware_version=13, wait_s=5)
    assert result["drill"] == "started"
