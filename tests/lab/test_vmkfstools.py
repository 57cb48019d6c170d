"""vmkfstools: real disks, kept holes, numbered failures, locks, full datastores, half-done copies."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from lab_fixtures import HostShell

from ceso_mcp.lab import Fault, Lab
from ceso_mcp.lab.disks import sesparse

from conftest import BACKUP, DATASTORE1, GOLDEN  # isort: skip


def _info(path: Path) -> dict:
    ran = subprocess.run(["qemu-img", "info", "--output=json", path], capture_output=True, check=True)
    return json.loads(ran.stdout)


def test_every_seeded_disk_is_a_real_one(lab: Lab) -> None:
    disks = [
        path
        for name in ("datastore1", "Backup SSD (nvme)")
        for path in lab.volume(name).glob("*/*.vmdk")
        if not path.name.endswith(("-flat.vmdk", "-sesparse.vmdk"))
    ]
    assert len(disks) == 6
    for path in disks:
        assert _info(path)["format"] == "vmdk"


def test_a_clone_is_equal_and_keeps_its_holes(host_shell: HostShell, lab: Lab) -> None:
    ran = host_shell.run(f"vmkfstools -i {GOLDEN}.vmdk -d thin {DATASTORE1}/c.vmdk")
    assert (ran.exit, ran.stderr) == (0, b"")
    lines = ran.text.split("\n")
    assert lines[0] == "Destination disk format: VMFS thin-provisioned"
    assert lines[1] == f"Cloning disk '{GOLDEN}.vmdk'..."
    assert lines[2].startswith("\rClone: 0% done.\rClone: ")
    assert lines[2].endswith("\rClone: 100% done.")
    made = lab.volume("datastore1") / "c.vmdk"
    source = lab.volume("datastore1") / "ubuntu-24.04-golden" / "ubuntu-24.04-golden.vmdk"
    assert subprocess.run(["qemu-img", "compare", source, made], capture_output=True).returncode == 0
    flat = made.with_name("c-flat.vmdk").stat()
    assert flat.st_size == _info(source)["virtual-size"]
    assert flat.st_blocks * 512 < 40 << 20
    text = made.read_text()
    assert "\n# The Disk Data Base \n#DDB\n\nddb.adapterType" in text
    assert 'ddb.thinProvisioned = "1"' in text
    assert text.split("CID=")[1][:8] != source.read_text().split("CID=")[1][:8]


def test_a_thick_disk_takes_its_whole_place(host_shell: HostShell, lab: Lab) -> None:
    ran = host_shell.run(f"vmkfstools -c 16M -d eagerzeroedthick {DATASTORE1}/t.vmdk")
    assert ran.text.startswith(f"Creating disk '{DATASTORE1}/t.vmdk' and zeroing it out...\n")
    assert (lab.volume("datastore1") / "t-flat.vmdk").stat().st_blocks * 512 >= 16 << 20
    assert "thinProvisioned" not in (lab.volume("datastore1") / "t.vmdk").read_text()


def test_growing_changes_size_and_geometry(host_shell: HostShell, lab: Lab) -> None:
    assert host_shell.ok(f"vmkfstools -X 5G {GOLDEN}.vmdk") == "\rGrow: 100% done.\n"
    disk = lab.volume("datastore1") / "ubuntu-24.04-golden" / "ubuntu-24.04-golden.vmdk"
    assert _info(disk)["virtual-size"] == 5 << 30
    assert host_shell.run(f"vmkfstools -X 1G {GOLDEN}.vmdk").exit == 255


def test_renaming_and_deleting_are_silent(host_shell: HostShell) -> None:
    host_shell.ok(f"vmkfstools -c 1M -d thin {DATASTORE1}/a.vmdk")
    assert host_shell.ok(f"vmkfstools -E {DATASTORE1}/a.vmdk {DATASTORE1}/b.vmdk") == ""
    assert host_shell.ok(f"cd {DATASTORE1}; ls *.vmdk") == "b-flat.vmdk\nb.vmdk\n"
    assert host_shell.ok(f"vmkfstools -U {DATASTORE1}/b.vmdk") == ""
    assert host_shell.run(f"ls {DATASTORE1}/*.vmdk").exit == 1


def test_checks_say_what_the_host_says(host_shell: HostShell) -> None:
    assert host_shell.ok(f"vmkfstools -e {GOLDEN}.vmdk") == "Disk chain is consistent.\n"
    assert host_shell.ok(f"vmkfstools -x check {GOLDEN}.vmdk") == "Disk is error free\n"
    assert host_shell.ok(f"cd {DATASTORE1}/ubuntu*; vmkfstools -q *golden.vmdk").endswith(" is not an rdm\n")


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (f"-i {GOLDEN}-flat.vmdk {DATASTORE1}/x.vmdk", "The file specified is not a virtual disk (15)."),
        (f"-i {DATASTORE1}/no.vmdk {DATASTORE1}/x.vmdk", "The system cannot find the file specified (25)."),
        (f"-i {DATASTORE1}/Büro-Server/Büro-Server.vmdk {DATASTORE1}/x.vmdk", "lock the file (16392)."),
        (f"-U {DATASTORE1}/Büro-Server/Büro-Server.vmdk", "Failed to lock the file (16392)."),
        (f"-c 1M -d thin {GOLDEN}.vmdk", "(39)."),
        (f"-c 1M -d 1 {DATASTORE1}/x.vmdk", 'Incorrect disk option "1"'),
    ],
)
def test_failures_have_their_numbers_and_255(
    host_shell: HostShell, lab: Lab, arguments: str, text: str
) -> None:
    before = lab.fingerprint()
    ran = host_shell.run(f"vmkfstools {arguments}")
    assert ran.exit == 255
    assert ran.text.endswith(f"{text}\n")
    assert lab.fingerprint() == before


def test_a_changed_or_missing_parent_is_told_apart(host_shell: HostShell) -> None:
    stem = f"{BACKUP}/snapshotted/snapshotted"
    host_shell.ok(f"cp '{stem}.vmdk' /tmp/kept; sed -i 's/^CID=.*/CID=12345678/' '{stem}.vmdk'")
    assert "(18)." in host_shell.run(f"vmkfstools -e '{stem}-000001.vmdk'").text
    host_shell.ok(f"rm '{stem}.vmdk'")
    assert "(23)." in host_shell.run(f"vmkfstools -e '{stem}-000001.vmdk'").text
    host_shell.ok(f"cp /tmp/kept '{stem}.vmdk'")
    assert host_shell.run(f"vmkfstools -e '{stem}-000001.vmdk'").exit == 0


def test_a_full_datastore_leaves_a_partial_copy(host_shell: HostShell, lab: Lab) -> None:
    lab.fill("Backup SSD (nvme)", 9 << 20)
    target = f"'{BACKUP}/c.vmdk'"
    ran = host_shell.run(f"vmkfstools -i {GOLDEN}.vmdk -d thin {target}")
    assert ran.exit == 255
    assert ran.text.endswith("% done.Failed to clone disk: No space left on device (1835017).\n")
    flat = (lab.volume("Backup SSD (nvme)") / "c-flat.vmdk").stat()
    assert 0 < flat.st_blocks * 512 <= 10 << 20
    host_shell.ok(f"vmkfstools -U {target}")
    lab.unfill("Backup SSD (nvme)")
    host_shell.ok(f"vmkfstools -i {GOLDEN}.vmdk -d thin {target}")


def test_free_space_agrees_everywhere(host_shell: HostShell, lab: Lab) -> None:
    lab.fill("datastore1", 123 << 20)
    free = str(123 << 20)
    assert f" {free}\n" in host_shell.ok("esxcli storage filesystem list")
    assert f" {free} " in host_shell.ok("df")
    assert f"freeSpace = {free}, " in host_shell.ok("vim-cmd hostsvc/datastore/listsummary")


def test_a_killed_copy_leaves_its_last_percentage_and_no_error(host_shell: HostShell, lab: Lab) -> None:
    lab.add_fault(Fault(match=r"^vmkfstools -i", effect="kill", where="shim", percent=20))
    ran = host_shell.run(f"vmkfstools -i {GOLDEN}.vmdk -d thin {DATASTORE1}/c.vmdk; echo status $?")
    assert ran.text.rstrip().endswith("status 137")
    assert "Failed" not in ran.text
    assert (lab.volume("datastore1") / "c-flat.vmdk").exists()
    host_shell.ok(f"vmkfstools -i {GOLDEN}.vmdk -d thin {DATASTORE1}/d.vmdk")


def test_power_on_fails_while_the_disk_is_being_copied(host_shell: HostShell, lab: Lab) -> None:
    holder = (
        "import sys; sys.path.insert(0, '/usr/lib/vmware/lab'); from disks.wire import Line; import os;"
        f"line = Line(); line.ask('lock', 'read', os.path.realpath('{GOLDEN}-flat.vmdk')); sys.stdin.read()"
    )
    line = (
        f'mkfifo /tmp/f; python3 -c "{holder}" </tmp/f & exec 3>/tmp/f; sleep 0.2; vim-cmd vmsvc/power.on 1'
    )
    ran = host_shell.run(line)
    assert ran.exit == 1
    assert "Failed to lock the file" in ran.stderr.decode()
    host_shell.ok("sleep 0.1; vim-cmd vmsvc/power.on 1")


def test_the_frozen_base_of_a_running_vm_can_be_cloned_and_its_top_cannot(host_shell: HostShell) -> None:
    host_shell.ok("vim-cmd vmsvc/power.on 1; vim-cmd vmsvc/snapshot.create 1 hot '' 0 0")
    assert host_shell.ok(f"vmkfstools -D {GOLDEN}-flat.vmdk").splitlines()[1].startswith("gen 23, mode 2, ")
    host_shell.ok(f"vmkfstools -i {GOLDEN}.vmdk -d thin {DATASTORE1}/hot.vmdk")
    ran = host_shell.run(f"vmkfstools -i {GOLDEN}-000001.vmdk -d thin {DATASTORE1}/top.vmdk")
    assert (ran.exit, "(16392)" in ran.text) == (255, True)
    host_shell.ok("vim-cmd vmsvc/snapshot.removeall 1; vim-cmd vmsvc/power.off 1")


def test_a_regression_of_the_host_forbids_the_hot_clone(host_shell: HostShell, lab: Lab) -> None:
    lab.configure(base_exclusive=True, mapping=True)
    host_shell.ok("vim-cmd vmsvc/power.on 1; vim-cmd vmsvc/snapshot.create 1 hot '' 0 0")
    ran = host_shell.run(f"vmkfstools -i {GOLDEN}.vmdk -d thin {DATASTORE1}/hot.vmdk")
    assert (ran.exit, "(16392)" in ran.text) == (255, True)
    host_shell.ok("vim-cmd vmsvc/power.off 1")
    lab.configure(base_exclusive=False)
    lines = host_shell.ok(f"vmkfstools -t0 {GOLDEN}.vmdk").splitlines()
    assert {"VMFS --" in line for line in lines[1:]} == {True, False}
    lab.configure(mapping=False)


def test_written_grains_survive_and_others_fall_through(tmp_path: Path) -> None:
    path = str(tmp_path / "x-sesparse.vmdk")
    sesparse.create(path, 64 << 20)
    delta = sesparse.SeSparse(path, writable=True)
    for number in (0, 5000, 5000, 16383):
        delta.write_grain(number, bytes([number % 251]) * 4096)
    delta.close()
    again = sesparse.SeSparse(path)
    assert again.written() == [0, 5000, 16383]
    assert again.grain(5000) == bytes([5000 % 251]) * 4096
    assert again.grain(1) is None
    again.close()
