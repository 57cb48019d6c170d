"""Sequences that people run in the field, unchanged, through OpenSSH's own `ssh`."""

from __future__ import annotations

import hashlib
import os
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest
from lab_fixtures import HostShell

from ceso_mcp.lab import Lab

pytestmark = pytest.mark.skipif(shutil.which("ssh") is None, reason="needs OpenSSH's client")
FIELD = Path(__file__).parent / "field"
BACKUP = "/vmfs/volumes/Backup SSD (nvme)"
BUILDERS_VMX = """.encoding = "UTF-8"
config.version = "8"
virtualHW.version = "14"
displayName = "%s"
guestOS = "ubuntu-64"
memsize = "512"
numvcpus = "1"
scsi0.present = "TRUE"
scsi0.virtualDev = "lsilogic"
scsi0:0.present = "TRUE"
scsi0:0.fileName = "disk.vmdk"
ethernet0.present = "TRUE"
ethernet0.virtualDev = "e1000"
ethernet0.networkName = "VM Network"
ethernet0.addressType = "generated"
"""


def content(path: Path) -> str:
    """The digest of all that is read from a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def put(host_shell: HostShell, name: str) -> str:
    """The script, put where people put theirs; the path on the host."""
    place = f"/vmfs/volumes/datastore1/{name}"
    host_shell.ok(f"cat > {place} && chmod 755 {place}", (FIELD / name).read_bytes())
    return place


def ssh(lab: Lab, line: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    return subprocess.run([*lab.shell_argv(), line], input=stdin, capture_output=True, timeout=30)


@pytest.mark.slow
def test_a_backup_script_saves_a_running_vm_and_rotates(lab: Lab, host_shell: HostShell) -> None:
    script = put(host_shell, "hot_backup.sh")
    name = "it's a test [old]"
    host_shell.ok("vim-cmd vmsvc/power.on 2")
    for _ in range(3):
        ran = ssh(lab, f"sh {script} {shlex.quote(name)} '{BACKUP}/saved' 2")
        assert ran.returncode == 0, ran
        assert ran.stdout.startswith(f"backed up {name} to ".encode())
    copies = sorted((lab.volume("Backup SSD (nvme)") / "saved" / name).iterdir())
    assert len(copies) == 2
    assert sorted(os.listdir(copies[0])) == [f"{name}-flat.vmdk", f"{name}.vmdk", f"{name}.vmx"]
    live = lab.volume("datastore1") / name
    assert not list(live.glob("*sesparse*"))
    saved = copies[1] / f"{name}-flat.vmdk"
    assert content(saved) == content(live / f"{name}-flat.vmdk")


def test_a_backup_script_leaves_a_vm_with_snapshots_alone(lab: Lab, host_shell: HostShell) -> None:
    script = put(host_shell, "hot_backup.sh")
    ran = ssh(lab, f"{script} snapshotted /vmfs/volumes/datastore1/saved")
    assert (ran.returncode, ran.stdout) == (3, b"snapshotted has snapshots, skipped\n")
    assert ssh(lab, f"{script} 'no such VM' /vmfs/volumes/datastore1/saved").returncode == 2


def test_a_cold_clone_by_hand_starts_with_its_own_address(lab: Lab, host_shell: HostShell) -> None:
    script = put(host_shell, "cold_clone.sh")
    golden = "/vmfs/volumes/datastore1/ubuntu-24.04-golden"
    host_shell.ok("vim-cmd vmsvc/power.on 1 && vim-cmd vmsvc/power.off 1")
    ran = ssh(lab, f"{script} {golden} twin")
    assert ran.returncode == 0, ran
    assert b"Clone: 100% done.\n" in ran.stdout
    assert b"registered as 6\n" in ran.stdout
    assert ran.stdout.endswith(b"Powered on\n")
    macs = host_shell.ok(
        f"sed -n 's/^ethernet0.generatedAddress = //p' {golden}*/*.vmx {golden}/../twin/twin.vmx"
    )
    assert len(set(macs.split())) == 2


def test_an_image_builders_steps_leave_nothing_behind(lab: Lab, host_shell: HostShell) -> None:
    script = put(host_shell, "build_create.sh")
    before = lab.fingerprint()
    ran = ssh(lab, f"{script} datastore1 packed", (BUILDERS_VMX % "packed").encode())
    assert ran.returncode == 0, ran
    assert ran.stdout.endswith(b"built and gone: 6\n")
    assert lab.fingerprint() == before


@pytest.mark.slow
def test_a_hot_clone_copies_the_frozen_base_and_not_the_locked_disk(lab: Lab, host_shell: HostShell) -> None:
    script = put(host_shell, "hot_clone.sh")
    ran = ssh(lab, f"{script} 4 hot-copy")
    assert ran.returncode == 0, ran
    assert ran.stdout.rstrip().endswith(b"6")
    folder = lab.volume("datastore1")
    assert content(folder / "hot-copy" / "hot-copy-flat.vmdk") == content(
        folder / "Büro-Server" / "Büro-Server-flat.vmdk"
    )
    assert not list((folder / "Büro-Server").glob("*-00000*"))
    host_shell.ok("vim-cmd vmsvc/power.on 6")
