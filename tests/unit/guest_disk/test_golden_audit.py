"""What makes a guest unfit to be copied is found on its disk; the script takes it away."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from disk_images import CLEAN, MIB, MKE2FS, drive, ext4, put

from ceso_mcp.guest.disk.look import look
from ceso_mcp.guest.golden import Finding, audit
from ceso_mcp.guest.golden_seen import Seen, os_release
from ceso_mcp.lab import guest_system

pytestmark = pytest.mark.skipif(MKE2FS is None, reason="needs e2fsprogs")
SCRIPT = Path(__file__).parents[3] / "ceso_mcp" / "guest" / "golden_image.sh"

INSTALLED: dict[str, Any] = {
    **CLEAN,
    "etc/machine-id": "0123456789abcdef0123456789abcdef\n",
    "var/lib/dbus/machine-id": "0123456789abcdef0123456789abcdef\n",
    "etc/cloud/cloud.cfg.d/90-installer-network.cfg": "network: {version: 2}\n",
    "etc/cloud/cloud.cfg.d/99-installer.cfg": "datasource_list: [None]\n",
    "etc/cloud/cloud.cfg.d/subiquity-disable-cloudinit-networking.cfg": "network: {config: disabled}\n",
    "etc/cloud/cloud-init.disabled": "",
    "etc/cloud/ds-identify.cfg": "datasource: NoCloud\n",
    "etc/netplan/00-installer-config.yaml": "network: {version: 2}\n",
    "etc/netplan/50-cloud-init.yaml": "network: {version: 2}\n",
    "etc/passwd": "root:x:0:0::/root:/bin/sh\nbuilder:x:1000:1000::/home/builder:/bin/bash\n",
    "etc/shadow": "root:*:1:0:9:7:::\nbuilder:$6$x:1:0:9:7:::\n",
    "etc/sudoers.d/90-cloud-init-users": "builder ALL=(ALL) NOPASSWD:ALL\n",
    "home/builder/.ssh/authorized_keys": "ssh-ed25519 AAAA\n",
    "root/.ssh/authorized_keys": "ssh-ed25519 AAAA\n",
    "etc/ssh/ssh_host_ed25519_key": "secret",
    "etc/ssh/ssh_host_ed25519_key.pub": "ssh-ed25519 AAAA\n",
    "etc/ssh/sshd_config.d/50-cloud-init.conf": "PasswordAuthentication yes\n",
    "etc/hostname": "builder\n",
    "var/lib/cloud/instance": "-> /var/lib/cloud/instances/iid-datasource-none",
    "var/lib/cloud/instances/iid-datasource-none/user-data.txt": "secret\n",
    "var/lib/cloud/data/instance-id": "iid-datasource-none\n",
    "var/lib/systemd/random-seed": b"\1" * 512,
    "var/lib/systemd/credential.secret": b"\2" * 64,
    "var/lib/dhcp/dhclient.leases": "lease\n",
    "var/log/syslog": "what was done\n",
    "tmp/x": "y",
}
"""What Ubuntu's installer and a first boot leave (fact sheet cloud-init-guestinfo §5, §7)."""


def seen_in(tmp_path: Path, files: dict[str, Any]) -> Seen:
    root = tmp_path / "root"
    put(root, files)
    return seen_below(tmp_path, root)


def seen_below(tmp_path: Path, root: Path) -> Seen:
    image = ext4(tmp_path, root, 8 * MIB)
    return drive(look(len(image)), image)


def by_check(findings: list[Finding]) -> dict[str, Finding]:
    return {finding.check: finding for finding in findings}


def not_ok(seen: Seen) -> dict[str, str]:
    return {finding.check: finding.verdict for finding in audit(seen) if finding.verdict != "ok"}


def test_a_clean_guest_has_nothing_to_find(tmp_path: Path) -> None:
    seen = seen_in(tmp_path, CLEAN)
    assert not_ok(seen) == {}
    release = os_release(seen)
    assert release is not None
    assert (release.name, release.supported_for_long) == ("Ubuntu 24.04.1 LTS", True)


def test_the_guest_that_the_lab_seeds_is_clean() -> None:
    image = guest_system.image()
    assert not_ok(drive(look(len(image)), image)) == {}


CASES: dict[str, tuple[dict[str, Any], dict[str, str]]] = {
    "no cloud-init": ({"usr/bin/cloud-init": None}, {}),
    "cloud-init disabled": ({"etc/cloud/cloud-init.disabled": ""}, {"cloud-init": "problem"}),
    "cloud-init masked": (
        {"etc/systemd/system/cloud-init.service": "-> /dev/null"},
        {"cloud-init": "problem"},
    ),
    "cloud-init of 20.04's media": (
        {"usr/lib/python3/dist-packages/cloudinit/version.py": "_PACKAGED_VERSION = '20.1-10-g71af48df'\n"},
        {"cloud-init": "problem"},
    ),
    "tools masked": (
        {"etc/systemd/system/open-vm-tools.service": "-> /dev/null"},
        {"open-vm-tools": "problem"},
    ),
    "machine-id": ({"etc/machine-id": "ab" * 16 + "\n"}, {"machine-id": "problem"}),
    "machine-id of D-Bus": ({"var/lib/dbus/machine-id": "ab" * 16}, {"machine-id": "problem"}),
    "machine-id empty": ({"etc/machine-id": "", "var/lib/dbus/machine-id": "-> /etc/machine-id"}, {}),
    "cloud-init has run": (
        {"var/lib/cloud/instance": "-> /var/lib/cloud/instances/gone"},
        {"cloud-init's state": "problem"},
    ),
    "host keys": ({"etc/ssh/ssh_host_rsa_key": "x"}, {"SSH host keys": "problem"}),
    "netplan": ({"etc/netplan/00-installer-config.yaml": ""}, {"netplan": "problem"}),
    "netplan of cloud-init": ({"etc/netplan/50-cloud-init.yaml": ""}, {"netplan": "warning"}),
    "network in cloud.cfg.d": (
        {"etc/cloud/cloud.cfg.d/90-installer-network.cfg": "network:\n  version: 2\n"},
        {"cloud-init's configuration": "problem"},
    ),
    "network that is a comment, or not at the top": (
        {"etc/cloud/cloud.cfg.d/10.cfg": "# network:\nx:\n  network: y\n"},
        {},
    ),
    "another datasource": (
        {"etc/cloud/cloud.cfg.d/99-installer.cfg": "datasource_list: [ None ]\n"},
        {"cloud-init's configuration": "problem"},
    ),
    "a list of several lines": (
        {"etc/cloud/cloud.cfg.d/99.cfg": "datasource_list:\n- VMware\n"},
        {"cloud-init's configuration": "problem"},
    ),
    "pinned": ({"etc/cloud/cloud.cfg.d/95-ceso.cfg": "datasource_list: [VMware, None]\n"}, {}),
    "manual cache": (
        {"etc/cloud/cloud.cfg.d/9.cfg": "manual_cache_clean: True\n"},
        {"cloud-init's configuration": "problem"},
    ),
    "ds-identify": (
        {"etc/cloud/ds-identify.cfg": "datasource: NoCloud\n"},
        {"cloud-init's configuration": "problem"},
    ),
    "ds= in grub.cfg": (
        {"boot/grub/grub.cfg": "  linux /vmlinuz ro ds=nocloud\\;s=/cdrom/ quiet\n"},
        {"kernel command line": "problem"},
    ),
    "ds= in a drop-in": (
        {"etc/default/grub.d/50.cfg": 'GRUB_CMDLINE_LINUX="ds=nocloud"\n'},
        {"kernel command line": "problem"},
    ),
    "words= is another key": ({"boot/grub/grub.cfg": "linux /vmlinuz words=1 x.ds=2\n"}, {}),
    "no boot loader": ({"boot/grub/grub.cfg": None}, {"kernel command line": "warning"}),
    "account": (
        {"etc/passwd": "builder:x:1000:1000::/home/builder:/bin/bash\n"},
        {"accounts": "warning"},
    ),
    "root's keys": ({"root/.ssh/authorized_keys": "ssh-ed25519 AAAA\n"}, {"accounts": "warning"}),
    "passwords": (
        {"etc/ssh/sshd_config.d/50-cloud-init.conf": "PasswordAuthentication yes\n"},
        {"SSH passwords": "warning"},
    ),
    "random seed": ({"var/lib/systemd/random-seed": b"x"}, {"random seed": "warning"}),
    "not LTS": (
        {"usr/lib/os-release": 'ID=ubuntu\nVERSION_ID="24.10"\nNAME=Ubuntu\n'},
        {"system": "warning"},
    ),
    "not Ubuntu": (
        {"usr/lib/os-release": 'ID=debian\nVERSION_ID="13"\nNAME=Debian\n'},
        {"system": "warning"},
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_what_is_wrong_is_found_and_nothing_else(tmp_path: Path, case: str) -> None:
    changes, expected = CASES[case]
    files = {**CLEAN, **changes}
    for name, content in changes.items():
        if content is None:
            del files[name]
            expected = expected or {"cloud-init": "problem"}
    assert not_ok(seen_in(tmp_path, files)) == expected


def test_a_guest_without_tools_is_refused(tmp_path: Path) -> None:
    files = {name: content for name, content in CLEAN.items() if name != "usr/bin/vmtoolsd"}
    assert not_ok(seen_in(tmp_path, files)) == {"open-vm-tools": "problem"}


def test_every_finding_that_is_not_ok_says_what_to_do(tmp_path: Path) -> None:
    findings = [f for f in audit(seen_in(tmp_path, INSTALLED)) if f.verdict != "ok"]
    assert len(findings) >= 9
    assert all(finding.remedy for finding in findings)


def test_what_was_not_seen_is_not_known_and_never_ok() -> None:
    unseen = Seen(unseen={"/var/lib/cloud/instance": "/var is on /dev/sdb (xfs), which cannot be read"})
    finding = by_check(audit(unseen))["cloud-init's state"]
    assert (finding.verdict, finding.text) == ("not_known", unseen.unseen["/var/lib/cloud/instance"])


SHELLS = [[found] for name in ("dash", "bash") if (found := shutil.which(name))]


@pytest.mark.parametrize("shell", SHELLS, ids=lambda words: Path(words[0]).name)
def test_the_script_makes_an_installed_guest_a_golden_one(tmp_path: Path, shell: list[str]) -> None:
    root = tmp_path / "root"
    put(root, INSTALLED)
    assert not_ok(seen_below(tmp_path, root)) == {
        "cloud-init": "problem",
        "machine-id": "problem",
        "cloud-init's state": "problem",
        "SSH host keys": "problem",
        "netplan": "problem",
        "cloud-init's configuration": "problem",
        "accounts": "warning",
        "SSH passwords": "warning",
        "random seed": "warning",
    }
    os.utime(root / "tmp" / "x", (1, 1))
    for _ in range(2):  # twice is as good as once
        ran = subprocess.run(
            [*shell, str(SCRIPT), "--pin-datasource", "--remove-user", "builder"],
            env={"PATH": os.environ["PATH"], "GOLDEN_ROOT": str(root)},
            capture_output=True,
            text=True,
            timeout=30,
        )
        assert ran.returncode == 0, ran.stderr
        assert ran.stderr == ""
        assert not_ok(seen_below(tmp_path, root)) == {}
    left = {str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()}
    assert not left & {"home/builder/.ssh/authorized_keys", "tmp/x", "var/lib/cloud/data/instance-id"}
    assert (root / "etc/shadow").read_text() == "root:*:1:0:9:7:::\n"
    assert (root / "var/log/syslog").read_bytes() == b""
    assert (root / "etc/machine-id").read_bytes() == b""


@pytest.mark.parametrize(
    ("more", "says"),
    [
        (
            {"etc/cloud/cloud.cfg.d/10-own.cfg": "network: {version: 2}\n"},
            "10-own.cfg competes with guestinfo",
        ),
        ({"etc/default/grub": 'GRUB_CMDLINE_LINUX="ds=nocloud"\n'}, "take ds="),
        ({"boot/grub/grub.cfg": "linux /vmlinuz autoinstall\n"}, "take ds="),
    ],
)
def test_the_script_says_what_it_leaves_to_a_person(tmp_path: Path, more: dict[str, Any], says: str) -> None:
    put(tmp_path, {**CLEAN, **more})
    ran = subprocess.run(
        ["sh", str(SCRIPT)],
        env={"PATH": os.environ["PATH"], "GOLDEN_ROOT": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert ran.returncode == 1
    assert says in ran.stderr


def test_the_script_has_no_fault_that_shellcheck_knows() -> None:
    program = shutil.which("shellcheck")
    if program is None:
        pytest.skip("needs shellcheck")
    ran = subprocess.run([program, str(SCRIPT)], capture_output=True, text=True, timeout=60)
    assert ran.returncode == 0, ran.stdout
