"""Real guests for the tests that boot them: a VM made from the golden template, and the way into it."""

from __future__ import annotations

import base64
import hashlib
import json
import mmap
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from lab_fixtures import HostShell

from ceso_mcp.lab import Lab

BOOT_TIMEOUT_S = 900
STOP_TIMEOUT_S = 120
STORE = "/vmfs/volumes/datastore1"
TEMPLATE = f"{STORE}/ubuntu-24.04-golden/ubuntu-24.04-golden"
# cloud-init leaves a clone its parent's machine-id.
OWN_MACHINE_ID = "rm -f /etc/machine-id /var/lib/dbus/machine-id; systemd-machine-id-setup"


def until(holds: Callable[[], bool], timeout_s: float) -> None:
    end = time.monotonic() + timeout_s
    while not holds():
        assert time.monotonic() < end, "did not come true in time"
        time.sleep(1)


def ssh(lab: Lab, key: Path, address: str, line: str) -> str | None:
    """The output of `line` in the guest at `address`; None when it cannot be reached or fails."""
    argv = [*lab.guest_network_argv(), "ssh", "-F", "none", "-i", str(key)]
    for option in ("StrictHostKeyChecking=no", "UserKnownHostsFile=/dev/null", "BatchMode=yes"):
        argv += ["-o", option]
    argv += ["-o", "ConnectTimeout=10", "-o", "LogLevel=ERROR", f"debian@{address}", line]
    ran = subprocess.run(argv, capture_output=True, text=True, timeout=90)
    return ran.stdout if ran.returncode == 0 else None


class Copy:
    """A VM made from the golden template, and the way into its guest.

    `hardware` are lines of the VMX that stand for the template's SCSI controller and disk.
    """

    def __init__(
        self,
        lab: Lab,
        host: HostShell,
        name: str,
        number: int,
        source: str,
        key: Path,
        hardware: dict[str, str] | None = None,
    ) -> None:
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
            **(hardware or {}),
        }
        without = "-e '/^scsi0/d' " if hardware else ""
        folder = f"{STORE}/{name}"
        host.ok(f"mkdir {folder} && vmkfstools -i {source}.vmdk -d thin {folder}/{name}.vmdk")
        host.ok(
            f"sed {without}-e '/^uuid/d' -e '/^vc.uuid/d'"
            f" -e '/^ethernet0.a/d' -e 's/ubuntu-24.04-golden/{name}/'"
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
        return ssh(self.lab, self.key, address, line)

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
    return base64.b64encode(text.encode()).decode()


def holds(file: Path, what: bytes) -> bool:
    with open(file, "rb") as opened, mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ) as content:
        return content.find(what) >= 0


def digest(file: Path) -> str:
    with open(file, "rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def said(title: str, since: float) -> None:
    print(f"{time.monotonic() - since:6.0f} s  {title}", flush=True)
