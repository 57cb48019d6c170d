"""A copy is never mistaken for its source: on every captured .vmx of a real VM."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from ceso_mcp.errors import CesoError, Refused
from ceso_mcp.esxi.vmx import Vmx
from ceso_mcp.recipes.reborn import Rebirth, reborn

SAMPLES = sorted((Path(__file__).parents[2] / "transcripts" / "samples").glob("*.vmx"))
UUID = "56 4d aa aa aa aa aa aa-aa aa aa aa aa aa aa aa"


def birth(source: Vmx) -> Rebirth:
    return Rebirth(
        name='new "one"',
        uuid_bios=UUID,
        macs={nic.index: f"00:50:56:00:00:{nic.index:02x}" for nic in source.nics()},
        portgroups={},
        disks={disk.node: f"new_{number}.vmdk" for number, disk in enumerate(source.disks())},
        guestinfo={"guestinfo.metadata": "e30=", "guestinfo.metadata.encoding": "base64"},
        nvram="new.nvram",
    )


def readable(path: Path) -> Vmx:
    try:
        return Vmx.parse_bytes(path.read_bytes())
    except CesoError:
        pytest.skip("the capture was broken by its author")


def test_a_copy_of_a_template_is_no_template() -> None:
    source = Vmx.parse('ceso.template.prepared = "2026-08-01T09:00:00+00:00"\nmemSize = "512"\n')
    copy, _ = reborn(source, birth(source))
    assert "ceso.template" not in copy.render()


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.stem)
def test_nothing_that_identifies_the_source_is_carried_over(path: Path) -> None:
    source = readable(path)
    try:
        new, _ = reborn(source, birth(source))
    except Refused:
        assert source.encrypted or "dvs." in source.render()
        return
    text = new.render().lower()
    for key, value in source.items():
        identifies = re.fullmatch(
            r"uuid\.(bios|location)|vc\.uuid|ethernet\d+\.(generated)?address|vmci0\.id|scsi\d+\.saswwid"
            r"|sched\.swap\.derivedname|migrate\.hostlog|displayname|guestinfo\..*(?<!encoding)",
            key.lower(),
        )
        if identifies and len(value) > 3 and value.lower() not in ("true", "none"):
            assert f'"{value.lower()}"' not in text, key
    assert new.get("displayName") == 'new "one"'
    assert new.get("uuid.bios") == UUID
    assert [disk.file_name for disk in new.disks()] == [
        f"new_{number}.vmdk" for number in range(len(source.disks()))
    ]
    assert all(nic.mac == f"00:50:56:00:00:{nic.index:02x}" for nic in new.nics())


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.stem)
def test_hardware_is_kept(path: Path) -> None:
    source = readable(path)
    try:
        new, _ = reborn(source, birth(source))
    except Refused:
        return
    for key in ("numvcpus", "memSize", "firmware", "guestOS", "virtualHW.version", "scsi0.virtualDev"):
        assert new.get(key) == source.get(key)
    for nic in source.nics():
        assert new.get(f"ethernet{nic.index}.pciSlotNumber") == source.get(
            f"ethernet{nic.index}.pciSlotNumber"
        )


def test_cores_per_socket_must_divide_the_cpus() -> None:
    source = Vmx.parse('numvcpus = "4"\ncpuid.coresPerSocket = "4"\n')
    wish = Rebirth("n", UUID, {}, {}, {}, {}, None, cpus=6)
    new, _ = reborn(source, wish)
    assert (new.get("numvcpus"), new.get("cpuid.coresPerSocket")) == ("6", "1")
