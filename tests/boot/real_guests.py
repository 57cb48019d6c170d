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
STOP_TIMEOUT_S = 300
STORE = "/vmfs/volumes/datastore1"
TEMPLATE = f"{STORE}/ubuntu-24.04-golden/ubuntu-24.04-golden"
# cloud-init leaves a clone its parent's machine-id.
OWN_MACHINE_ID = "rm -f /etc/machine-id /var/lib/dbus/machine-id; systemd-machine-id-setup"


# What ssh says with this code, the guest did not.
NO_CONNECTION = 255
LINE_TIMEOUT_S = 300


def until(holds: Callable[[], bool], timeout_s: float, what: str) -> None:
    since = time.monotonic()
    while not holds():
        assert time.monotonic() < since + timeout_s, f"{what}: did not come true in {timeout_s:.0f} s"
        time.sleep(1)


class Door:
    """The way into the guest at `address`, for who has the key."""

    def __init__(self, lab: Lab, key: Path, address: str) -> None:
        self.lab, self.key, self.address = lab, key, address
        self._complained = ""

    def _once(self, line: str) -> subprocess.CompletedProcess[str]:
        argv = [*self.lab.guest_network_argv(), "ssh", "-F", "none", "-i", str(self.key)]
        for option in ("StrictHostKeyChecking=no", "UserKnownHostsFile=/dev/null", "BatchMode=yes"):
            argv += ["-o", option]
        argv += ["-o", "ConnectTimeout=30", "-o", "LogLevel=ERROR", f"debian@{self.address}", line]
        try:
            ran = subprocess.run(argv, capture_output=True, text=True, timeout=LINE_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            ran = subprocess.CompletedProcess(argv, NO_CONNECTION, "", f"no end within {LINE_TIMEOUT_S} s")
        complaint = ran.stderr.strip() if ran.returncode == NO_CONNECTION else ""
        if complaint != self._complained:  # shown when the test fails
            print(f"{time.strftime('%H:%M:%S')} {self.address}: {complaint or 'answers'}", flush=True)
            self._complained = complaint
        return ran

    def open(self) -> bool:
        """Whether a login works now."""
        return self._once("true").returncode == 0

    def run(self, line: str) -> str:
        """The output of `line`, which must end with 0; a guest that has yet to come up is waited for.

        One that let us in may refuse the next connection: with `ssh_pwauth` cloud-init starts sshd once more.
        """
        end = time.monotonic() + BOOT_TIMEOUT_S
        while (ran := self._once(line)).returncode == NO_CONNECTION:
            assert time.monotonic() < end, f"{self.address} cannot be reached: {ran.stderr}"
            time.sleep(1)
        assert ran.returncode == 0, f"{self.address}: {line}: {ran.returncode}: {ran.stdout}{ran.stderr}"
        return ran.stdout

    def root(self, script: str) -> str:
        """Run a script as root; it must end with 0."""
        packed = base64.b64encode(script.encode()).decode()
        return self.run(f"echo {packed} | base64 -d | sudo -n sh -es")


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
        self.host, self.name = host, name
        self.mac = f"00:50:56:01:02:{number:02x}"
        self.v4, self.v6 = f"192.0.2.{number}", f"2001:db8::{number}"
        self.door, self.door6 = Door(lab, key, self.v4), Door(lab, key, self.v6)
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
        self._until_reported()
        self.door.run("true")

    def _until_reported(self) -> None:
        until(lambda: self.v4 in self.reported(), BOOT_TIMEOUT_S, f"{self.name} reports {self.v4}")

    def reported(self) -> str:
        return self.host.ok(f"vim-cmd vmsvc/get.guest {self.vmid}")

    def run(self, line: str) -> str:
        """The output of `line` in the guest."""
        return self.door.run(line)

    def boot_id(self) -> str:
        return self.run("cat /proc/sys/kernel/random/boot_id")

    def until_booted_anew(self, before: str) -> None:
        until(lambda: self.boot_id() != before, BOOT_TIMEOUT_S, f"{self.name} boots anew")
        self._until_reported()

    def shut_down(self) -> None:
        self.host.ok(f"vim-cmd vmsvc/power.shutdown {self.vmid}")
        line = f"vim-cmd vmsvc/power.getstate {self.vmid}"
        until(lambda: "Powered off" in self.host.ok(line), STOP_TIMEOUT_S, f"{self.name} goes down")


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
