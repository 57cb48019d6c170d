"""Real Linux guests on the lab: what cloud-init made of guestinfo, proved from outside the guest."""

from __future__ import annotations

import hashlib
import json
import mmap
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent.parent))

from lab_fixtures import HostShell

from ceso_mcp.errors import LabFault
from ceso_mcp.lab import Lab, golden, qemu_command

pytestmark = [pytest.mark.boot, pytest.mark.timeout(1200)]
BOOT_TIMEOUT_S = 400
STOP_TIMEOUT_S = 120
STORE = "/vmfs/volumes/datastore1"
# cloud-init leaves a clone its parent's machine-id.
OWN_MACHINE_ID = "rm -f /etc/machine-id /var/lib/dbus/machine-id; systemd-machine-id-setup"
MARK = "written after the snapshot\n"
TEMPLATE = f"{STORE}/ubuntu-24.04-golden/ubuntu-24.04-golden"


def until(holds: Callable[[], bool], timeout_s: float) -> None:
    end = time.monotonic() + timeout_s
    while not holds():
        assert time.monotonic() < end, "did not come true in time"
        time.sleep(1)


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    cache = golden.default_cache()
    try:
        qemu_command.needed()
        if not golden.place(cache).exists():
            golden.needed()
    except LabFault as fault:
        if os.environ.get("CI"):
            raise
        pytest.skip(fault.message)
    golden.build(cache)
    lab = Lab(tmp_path_factory.mktemp("lab"))
    lab.start(guests="qemu", golden_cache=cache)
    yield lab
    lab.stop()


@pytest.fixture(scope="module")
def host(lab: Lab) -> Iterator[HostShell]:
    shell = HostShell(lab)
    yield shell
    shell.close()


class Copy:
    """A VM made from the golden template, and the way into its guest."""

    def __init__(self, lab: Lab, host: HostShell, name: str, number: int, source: str, key: Path) -> None:
        self.lab, self.host, self.name, self.key = lab, host, name, key
        self.mac = f"00:50:56:01:02:{number:02x}"
        self.v4, self.v6 = f"192.0.2.{number}", f"2001:db8::{number}"
        nic = {"match": {"macaddress": self.mac}, "dhcp4": False, "accept-ra": False}
        nic["addresses"] = [f"{self.v4}/24", f"{self.v6}/64"]
        meta = {
            "instance-id": f"{name}-1",
            "local-hostname": f"{name}.example.test",
            "redact": ["userdata"],
            "network": {"version": 2, "ethernets": {"nic0": nic}},
        }
        user = "#cloud-config\n" + json.dumps(
            {
                "ssh_authorized_keys": [key.with_suffix(".pub").read_text().strip()],
                "bootcmd": [["cloud-init-per", "instance", "own-machine-id", "sh", "-c", OWN_MACHINE_ID]],
            }
        )
        lines = {
            "ethernet0.addressType": "static",
            "ethernet0.address": self.mac,
            "guestinfo.metadata": _packed(json.dumps(meta)),
            "guestinfo.metadata.encoding": "base64",
            "guestinfo.userdata": _packed(user),
            "guestinfo.userdata.encoding": "base64",
        }
        folder = f"{STORE}/{name}"
        host.ok(f"mkdir {folder} && vmkfstools -i {source}.vmdk -d thin {folder}/{name}.vmdk")
        host.ok(
            f"sed -e '/^uuid/d' -e '/^vc.uuid/d' -e '/^ethernet0.a/d' -e 's/ubuntu-24.04-golden/{name}/'"
            f" {TEMPLATE}.vmx > {folder}/{name}.vmx && cat >> {folder}/{name}.vmx",
            "".join(f'{word} = "{value}"\n' for word, value in lines.items()).encode(),
        )
        self.vmid = int(host.ok(f"vim-cmd solo/registervm {folder}/{name}.vmx"))

    def start(self) -> None:
        self.host.ok(f"vim-cmd vmsvc/power.on {self.vmid}")
        until(lambda: self.v4 in self.reported(), BOOT_TIMEOUT_S)
        until(lambda: self.ssh(self.v4, "true") == "", BOOT_TIMEOUT_S)

    def reported(self) -> str:
        return self.host.ok(f"vim-cmd vmsvc/get.guest {self.vmid}")

    def ssh(self, address: str, line: str) -> str | None:
        """The output of `line` in the guest; None when it cannot be reached."""
        argv = [*self.lab.guest_network_argv(), "ssh", "-F", "none", "-i", str(self.key)]
        for option in ("StrictHostKeyChecking=no", "UserKnownHostsFile=/dev/null", "BatchMode=yes"):
            argv += ["-o", option]
        argv += ["-o", "ConnectTimeout=10", "-o", "LogLevel=ERROR", f"debian@{address}", line]
        ran = subprocess.run(argv, capture_output=True, text=True, timeout=90)
        return ran.stdout if ran.returncode == 0 else None

    def boot_id(self) -> str | None:
        return self.ssh(self.v4, "cat /proc/sys/kernel/random/boot_id")

    def until_booted_anew(self, before: str | None) -> None:
        until(lambda: self.boot_id() not in (None, before), BOOT_TIMEOUT_S)
        until(lambda: self.v4 in self.reported(), BOOT_TIMEOUT_S)

    def shut_down(self) -> None:
        self.host.ok(f"vim-cmd vmsvc/power.shutdown {self.vmid}")
        off = f"vim-cmd vmsvc/power.getstate {self.vmid}"
        until(lambda: "Powered off" in self.host.ok(off), STOP_TIMEOUT_S)


def _packed(text: str) -> str:
    import base64

    return base64.b64encode(text.encode()).decode()


@pytest.fixture(scope="module")
def key(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("key") / "id"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(place)], check=True)
    return place


def holds(file: Path, what: bytes) -> bool:
    with open(file, "rb") as opened, mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ) as content:
        return content.find(what) >= 0


def digest(file: Path) -> str:
    with open(file, "rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def said(title: str, since: float) -> None:
    print(f"{time.monotonic() - since:6.0f} s  {title}", flush=True)


def test_a_real_guest_from_its_first_boot_to_its_clone_and_through_a_killed_server(
    lab: Lab, host: HostShell, key: Path, tmp_path: Path
) -> None:
    since = time.monotonic()
    first = Copy(lab, host, "web01", 10, TEMPLATE, key)
    first.start()
    said("the copy of the template is up", since)
    ids = is_what_its_metadata_says(first, host)
    writes_after_a_snapshot_come_down_with_it(first, host, lab.volume("datastore1") / "web01", tmp_path)
    said("its snapshot is merged", since)

    second = Copy(lab, host, "db01", 20, f"{STORE}/web01/web01", key)
    second.start()
    said("its clone is up", since)
    for address in (second.v4, second.v6):
        assert second.ssh(address, "hostname; head -n 1 after") == "db01\n" + MARK
    assert not set(ids) & set(identity(second))
    assert first.ssh(first.v4, "true") is None

    if os.environ.get("CESO_BOOT") == "all":  # two boots and more, five minutes
        a_reset_is_sudden_and_a_reboot_is_not(second, host)
        said("reset and rebooted", since)
        a_killed_server_loses_nothing_that_was_synced(second, lab)
        said("on again after the server was killed", since)
    second.shut_down()
    flat = lab.volume("datastore1") / "db01" / "db01-flat.vmdk"
    checked = subprocess.run(
        ["/sbin/e2fsck", "-fn", f"{flat}?offset={golden.PARTITION_AT}"], capture_output=True
    )
    assert checked.returncode == 0, checked.stdout
    said("shut down", since)


def identity(guest: Copy) -> list[str]:
    """The machine-id and the public host keys."""
    text = guest.ssh(guest.v4, "cat /etc/machine-id; cut -d' ' -f2 /etc/ssh/ssh_host_*_key.pub")
    assert text is not None
    found = text.split()
    assert len(found) == 3
    return found


def is_what_its_metadata_says(guest: Copy, host: HostShell) -> list[str]:
    for address in (guest.v4, guest.v6):
        assert guest.ssh(address, "hostname") == "web01\n"
    assert f'         macAddress = "{guest.mac}", ' in guest.reported()
    assert '   hostName = "web01", \n' in guest.reported()
    assert 'guestinfo.userdata = "---"' in host.ok(f"cat {STORE}/web01/web01.vmx")
    assert guest.ssh(guest.v4, "systemd-detect-virt; ls /sys/class/net") == "vmware\nens192\nlo\n"
    told = guest.ssh(guest.v4, "cloud-init status --wait --long || true")
    assert told is not None
    assert "status: done\n" in told, told
    return identity(guest)


def writes_after_a_snapshot_come_down_with_it(
    guest: Copy, host: HostShell, folder: Path, tmp_path: Path
) -> None:
    flat, delta = folder / "web01-flat.vmdk", folder / "web01-000001.vmdk"
    host.ok(f"vim-cmd vmsvc/snapshot.create {guest.vmid} before")
    frozen = digest(flat)
    wrote = f"yes '{MARK.strip()}' | head -c 100000 > after; sync; head -n 1 after"
    assert guest.ssh(guest.v4, wrote) == MARK
    guest.shut_down()
    pattern = MARK.encode() * 100
    assert holds(folder / "web01-000001-sesparse.vmdk", pattern)
    assert digest(flat) == frozen
    assert not holds(flat, pattern)
    subprocess.run(["qemu-img", "convert", "-O", "raw", str(delta), str(tmp_path / "whole")], check=True)
    wanted = digest(tmp_path / "whole")
    (tmp_path / "whole").unlink()
    host.ok(f"vim-cmd vmsvc/snapshot.removeall {guest.vmid}")
    assert digest(flat) == wanted
    assert not delta.exists()


def a_reset_is_sudden_and_a_reboot_is_not(guest: Copy, host: HostShell) -> None:
    # A unit that leaves a trace when it is stopped tells an orderly end from a power cut.
    stop = "ExecStop=/bin/touch /var/tmp/stopped"
    mark = f"sudo -n systemd-run -q --unit=mark -p RemainAfterExit=yes -p '{stop}' true && sync"
    for command, orderly in (("reset", ""), ("reboot", "/var/tmp/stopped\n")):
        assert guest.ssh(guest.v4, mark) == ""
        before = guest.boot_id()
        host.ok(f"vim-cmd vmsvc/power.{command} {guest.vmid}")
        guest.until_booted_anew(before)
        assert guest.ssh(guest.v4, "ls /var/tmp/stopped 2>/dev/null || true") == orderly, command


def a_killed_server_loses_nothing_that_was_synced(guest: Copy, lab: Lab) -> None:
    assert guest.ssh(guest.v4, "echo kept > kept; sync") == ""
    before, pid = guest.boot_id(), lab.status().pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    until(lambda: not lab.status().running, STOP_TIMEOUT_S)
    lab.start()
    assert "Powered on" in guest.host.ok(f"vim-cmd vmsvc/power.getstate {guest.vmid}")
    guest.until_booted_anew(before)
    assert guest.ssh(guest.v4, "cat kept; hostname") == "kept\ndb01\n"
