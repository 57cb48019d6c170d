"""Worlds: releases, many VMs, a world file, and what a reset brings back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from lab_fixtures import HostShell

from ceso_mcp.errors import LabFault
from ceso_mcp.lab import Lab, world_file
from ceso_mcp.lab.blueprint import Blueprint, crowd

DESCRIBED = """
[host]
release = "8.0"
hostname = "esxi07.lab.example"
memory_mib = 131072
cpu_packages = 2
cpu_cores = 32
cpu_threads = 64

[[datastore]]
name = "fast"
size_gib = 500

[[datastore]]
name = "old"
type = "VMFS-5"
size_gib = 100.5

[[datastore]]
name = "share"
type = "NFS"
size_gib = 1000

[[portgroup]]
name = "VM Network"

[[portgroup]]
name = "Storage"
vswitch = "vSwitch2"
vlan = 42

[[vm]]
name = "web 01"
cpus = 4
memory_mib = 4096
firmware = "efi"
networks = ["VM Network", "Storage"]
state = "on"
guest = true
snapshots = ["first", "second"]

[[vm.disk]]
size_gib = 20
data_mib = 4

[[vm.disk]]
size_gib = 0.25
data_mib = 0
kind = "eagerzeroedthick"

[[vm]]
name = "archive"
datastore = "share"
guest_os = "debian12-64"
"""


@pytest.fixture
def described(tmp_path: Path) -> Path:
    place = tmp_path / "world.toml"
    place.write_text(DESCRIBED)
    return place


def test_a_world_file_makes_the_host_that_it_describes(described: Path, tmp_path: Path) -> None:
    lab = Lab(tmp_path / "lab")
    lab.start(world_file=described, boot_delay_s=0)
    shell = HostShell(lab)
    try:
        assert shell.ok("hostname") == "esxi07.lab.example\n"
        rows = shell.ok("vim-cmd vmsvc/getallvms").splitlines()
        assert [row.split()[0] for row in rows[1:]] == ["1", "2"]
        assert "[fast] web 01/web 01.vmx" in rows[1]
        assert "[share] archive/archive.vmx" in rows[2]
        assert "Powered on" in shell.ok("vim-cmd vmsvc/power.getstate 1")
        tree = shell.ok("vim-cmd vmsvc/snapshot.get 1")
        assert tree.index("first") < tree.index("second")
        vmx = shell.ok("cat '/vmfs/volumes/fast/web 01/web 01.vmx'")
        for line in (
            'scsi0:1.fileName = "web 01_1-000002.vmdk"',
            'ethernet1.networkName = "Storage"',
            'numvcpus = "4"',
        ):
            assert line in vmx
        facts = (lab.volume("fast") / "web 01" / "web 01_1-flat.vmdk").stat()
        assert facts.st_size == 256 << 20
        assert len(lab.volume("share").name) == 17
        assert "VMFS-5" in shell.ok("df -h")
        before = lab.fingerprint()
        shell.ok("vim-cmd vmsvc/power.off 1 && vim-cmd vmsvc/destroy 2")
        lab.reset()
        after = lab.fingerprint()
        assert [vm["name"] for vm in after["inventory"].values()] == ["web 01", "archive"]
        assert after["networks"] == before["networks"]
        with pytest.raises(LabFault, match="has a world already"):
            lab.start(vms=3)
    finally:
        shell.close()
        lab.stop()


WRONG: list[tuple[str, str, str]] = [
    ('release = "8.0"', 'release = "6.0"', "host: release must be one of 7.0, 8.0, 9.0, not '6.0'"),
    ("size_gib = 500", 'size_gib = "500"', "datastore 1: size_gib must be a number, not '500'"),
    ("size_gib = 500", "size_gib = 1", "datastore 1: size_gib must be at least 2, not 1"),
    ('name = "old"', 'name = "fast"', "two datastores are named 'fast'"),
    ('type = "NFS"', 'type = "SMB"', "datastore 3: type must be one of"),
    ("vlan = 42", "vlan = 5000", "portgroup 2: vlan must be from 0 to 4095"),
    ('"Storage"]', '"Nowhere"]', "vm 'web 01': networks names 'Nowhere', which is no portgroup"),
    ("memory_mib = 4096", "memory_mib = 4095", "vm 'web 01': memory_mib must be a multiple of 4"),
    ('state = "on"', 'state = "up"', "vm 'web 01': state must be one of off, on, not 'up'"),
    ("cpus = 4", "cpu = 4", "vm 'web 01': cpu is not known"),
    ("cpus = 4", "cpus = 0", "vm 'web 01': cpus must be at least 1"),
    ("size_gib = 20", "size_gib = true", "vm 'web 01', disk 1: size_gib must be a number"),
    ('kind = "eager', 'kind = "lazy', "vm 'web 01', disk 2: kind must be one of"),
    ('name = "archive"', 'name = ""', "must not be empty"),
    ('datastore = "share"', 'datastore = "gone"', "vm 'archive': datastore must be one of fast, old, share"),
    ("[host]", "[hosts]", "the top: hosts is not known"),
    ("[host]", "[host", "is not TOML"),
]


@pytest.mark.parametrize(("old", "new", "said"), WRONG, ids=[new for _, new, _ in WRONG])
def test_a_mistake_in_a_world_file_is_named_with_its_place(
    tmp_path: Path, old: str, new: str, said: str
) -> None:
    place = tmp_path / "world.toml"
    assert old in DESCRIBED
    place.write_text(DESCRIBED.replace(old, new, 1))
    with pytest.raises(LabFault) as caught:
        world_file.read(place)
    assert said in caught.value.message


def test_the_example_in_the_documentation_is_a_world_file(tmp_path: Path) -> None:
    text = (Path(__file__).parents[2] / "docs" / "lab.md").read_text()
    place = tmp_path / "world.toml"
    place.write_text(text.split("```toml\n", 1)[1].split("```", 1)[0])
    plan = world_file.read(place)
    assert plan.vms
    assert plan.datastores


def test_a_file_that_is_not_there_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(LabFault, match="cannot be read"):
        Lab(tmp_path / "lab").start(world_file=tmp_path / "none.toml")


def test_a_blueprint_goes_through_json_unchanged() -> None:
    plan = Blueprint("7.0")
    whole = Blueprint("9.0", vms=(*plan.vms, *crowd(9, plan)))
    assert Blueprint.from_json(whole.to_json()) == whole


def test_two_hundred_vms_are_there_and_answer(tmp_path: Path) -> None:
    lab = Lab(tmp_path / "lab")
    lab.start(vms=200, boot_delay_s=0)
    shell = HostShell(lab)
    try:
        rows = shell.ok("vim-cmd vmsvc/getallvms").splitlines()
        assert len([row for row in rows[1:] if row[:1].isdigit()]) >= 205
        assert len({vm for vm, _, state in lab.status().vms if state == "poweredOn"}) == 21
        shell.ok("vim-cmd vmsvc/power.on 6 && vim-cmd vmsvc/power.off 6 && df && esxcli vm process list")
    finally:
        shell.close()
        lab.stop()


@pytest.mark.parametrize(
    ("release", "said"),
    [
        pytest.param(
            "7.0",
            "VMware ESXi 7.0.3 build-24784741\nVMware ESXi 7.0 Update 3\n",
            marks=pytest.mark.slow,
        ),
        ("9.0", "VMware ESXi 9.0.0 build-24755229\nVMware ESXi 9.0 GA\n"),
    ],
)
def test_each_release_says_what_it_is_and_stays_it(tmp_path: Path, release: str, said: str) -> None:
    lab = Lab(tmp_path / "lab")
    try:
        for options in ({"release": release}, {}):
            options: dict[str, Any]
            lab.start(**options)
            shell = HostShell(lab)
            assert shell.ok("vmware -lv") == said
            shell.close()
            lab.stop()
    finally:
        lab.stop()
