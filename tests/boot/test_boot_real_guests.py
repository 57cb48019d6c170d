"""Real Linux guests on the lab: what cloud-init made of guestinfo, proved from outside the guest."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent.parent))

from lab_fixtures import HostShell

from ceso_mcp.lab import Lab, golden

pytestmark = [pytest.mark.boot, pytest.mark.timeout(1200)]
BOOT_TIMEOUT_S = 400
STOP_TIMEOUT_S = 120
STORE = "/vmfs/volumes/datastore1"
TEMPLATE = f"{STORE}/ubuntu-24.04-golden/ubuntu-24.04-golden"


def until(holds: Callable[[], bool], timeout_s: float) -> None:
    end = time.monotonic() + timeout_s
    while not holds():
        assert time.monotonic() < end, "did not come true in time"
        time.sleep(1)


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    cache = golden.default_cache()
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
        user = "#cloud-config\nssh_authorized_keys:\n- " + key.with_suffix(".pub").read_text()
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


def test_a_copy_of_the_template_and_its_clone_each_become_what_their_metadata_says(
    lab: Lab, host: HostShell, key: Path
) -> None:
    first = Copy(lab, host, "web01", 10, TEMPLATE, key)
    first.start()
    for address in (first.v4, first.v6):
        assert first.ssh(address, "hostname") == "web01\n"
    assert f'         macAddress = "{first.mac}", ' in first.reported()
    assert '   hostName = "web01", \n' in first.reported()
    vmx = host.ok(f"cat {STORE}/web01/web01.vmx")
    assert 'guestinfo.userdata = "---"' in vmx
    assert first.ssh(first.v4, "systemd-detect-virt; ls /sys/class/net") == "vmware\nens192\nlo\n"
    keys = first.ssh(first.v4, "cat /etc/ssh/ssh_host_ed25519_key.pub")
    host.ok(f"vim-cmd vmsvc/snapshot.create {first.vmid} before")
    assert first.ssh(first.v4, "echo after > after; sync; cat after") == "after\n"
    first.shut_down()

    # The frozen link is the disk at the time of the snapshot; removing the snapshot brings the rest down.
    host.ok(f"vim-cmd vmsvc/snapshot.removeall {first.vmid}")
    second = Copy(lab, host, "db01", 20, f"{STORE}/web01/web01", key)
    second.start()
    for address in (second.v4, second.v6):
        assert second.ssh(address, "hostname; cat after") == "db01\nafter\n"
    assert second.ssh(second.v4, "cat /etc/ssh/ssh_host_ed25519_key.pub") != keys
    assert first.ssh(first.v4, "true") is None
    host.ok(f"vim-cmd vmsvc/power.off {second.vmid}")
