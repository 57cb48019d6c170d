"""Real guests side by side: each becomes what was asked, and no two share what tells them apart."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from e2e.conftest import House

from ceso_mcp.lab import Lab

from .real_guests import BOOT_TIMEOUT_S, Door, said, until

pytestmark = [pytest.mark.anyio, pytest.mark.boot, pytest.mark.timeout(2400)]
GOLDEN = "ubuntu-24.04-golden"
DMZ = "DMZ (vlan 20)"
LEASES = ("192.0.2.150", "192.0.2.180")


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@dataclass(frozen=True)
class Identity:
    """What a guest is, read from inside and, for its host keys, from outside."""

    instance_id: str
    hostname: str
    machine_id: str
    host_keys: frozenset[str]
    addresses: frozenset[str]


class Outside:
    """What somebody on the guests' network sees."""

    def __init__(self, lab: Lab, key: Path) -> None:
        self._lab, self._key = lab, key

    def run(self, address: str, line: str) -> str:
        """The output of `line` in the guest at `address`, once its SSH server is up."""
        return Door(self._lab, self._key, address).run(line)

    def silent(self, address: str) -> bool:
        return not Door(self._lab, self._key, address).open()

    def identity(self, address: str) -> Identity:
        status = self.run(address, "cloud-init status --wait --long || true")
        assert "status: done" in status, status
        words = self.run(
            address,
            "cat /run/cloud-init/.instance-id /etc/machine-id; echo; hostname;"
            " ip -o address show scope global",
        ).split("\n")
        lines = [line for line in words if line]
        argv = [*self._lab.guest_network_argv(), "ssh-keyscan", "-T", "30", address]
        scanned = subprocess.run(argv, capture_output=True, text=True, timeout=90).stdout
        keys = frozenset(line.split()[2] for line in scanned.splitlines() if not line.startswith("#"))
        assert keys, scanned
        return Identity(
            instance_id=lines[0],
            machine_id=lines[1],
            hostname=lines[2],
            host_keys=keys,
            addresses=frozenset(line.split()[3] for line in lines[3:]),
        )


@pytest.fixture
def leases(lab: Lab, tmp_path: Path) -> Iterator[Any]:
    """Starts a DHCP server on the guests' first network, once there is one."""
    running: list[subprocess.Popen[bytes]] = []

    def start() -> None:
        options = [
            "--keep-in-foreground",
            "--log-facility=-",
            "--log-dhcp",
            "--conf-file=/dev/null",
            "--port=0",
            "--user=",
            "--group=",
            "--pid-file=",
        ]
        options += [
            "--interface=br0",
            "--bind-interfaces",
            f"--dhcp-range={','.join(LEASES)},255.255.255.0,1h",
        ]
        options += [f"--dhcp-leasefile={tmp_path / 'leases'}"]
        argv = [*lab.guest_network_argv(), "/usr/sbin/dnsmasq", *options]
        with open(tmp_path / "dnsmasq", "wb") as output:
            running.append(
                subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT)
            )
        until(lambda: (tmp_path / "leases").exists(), 60, "the DHCP server is up")

    yield start
    for process in running:
        process.kill()
        process.wait(30)
        print((tmp_path / "dnsmasq").read_text())  # shown when the test fails


async def test_guests_made_in_every_way_run_side_by_side_and_share_nothing(
    lab: Lab, key: Path, leases: Any, tmp_path: Path
) -> None:
    since = time.monotonic()
    outside = Outside(lab, key)
    house = House(lab, tmp_path)
    asked: dict[str, Any] = {
        "ssh_keys": [key.with_suffix(".pub").read_text().strip()],
        "wait_s": BOOT_TIMEOUT_S,
    }
    try:
        await house.do("prepare_template", vm=GOLDEN)
        # One by DHCP and one with everything given start together.
        await house.do("create_vm", name="leased", template=GOLDEN, memory_mib=512, power_on=False, **asked)
        await house.do("power_vm", vm="leased", action="on")
        leases()
        await house.do(
            "create_vm",
            name="one",
            template=GOLDEN,
            hostname="one.example.test",
            memory_mib=512,
            ipv4="192.0.2.61/24",
            gateway4="192.0.2.1",
            ipv6="2001:db8::61/64",
            gateway6="2001:db8::1",
            nics=[{"portgroup": DMZ, "ipv4": "198.51.100.61/24", "ipv6": "2001:db8:1::61/64"}],
            **asked,
        )
        said("one has its four addresses on two cards", since)
        one = outside.identity("192.0.2.61")
        assert outside.run("2001:db8::61", "hostname -f") == "one.example.test\n"
        assert one.addresses == {
            "192.0.2.61/24",
            "2001:db8::61/64",
            "198.51.100.61/24",
            "2001:db8:1::61/64",
        }
        until(lambda: (tmp_path / "leases").read_text() != "", BOOT_TIMEOUT_S, "there is a lease")
        lease = (tmp_path / "leases").read_text().split()[2]
        leased = outside.identity(lease)
        said("the leased one answers", since)

        # Off, scrubbed, and copied in both ways.
        await house.do("power_vm", vm="one", action="shutdown")
        vmx = (lab.volume("datastore1") / "one" / "one.vmx").read_text()
        assert "guestinfo.userdata" not in vmx
        assert "guestinfo.metadata = " in vmx
        backup = await house.do("backup_vm", vm="one")
        await house.do("clone_vm", source="one", name="cloned", ipv4="192.0.2.64/24", **asked)
        said("one is off, scrubbed, backed up and cloned", since)

        # It starts again while the leased one gets an address of its own.
        await house.do("power_vm", vm="one", action="on")
        await house.do(
            "readdress_vm", vm="leased", hostname="moved", ipv4="192.0.2.65/24", restart=True, **asked
        )
        moved = outside.identity("192.0.2.65")
        said("the leased one is readdressed", since)
        assert (moved.hostname, moved.addresses) == ("moved", {"192.0.2.65/24"})
        assert moved.instance_id != leased.instance_id
        assert not moved.host_keys & leased.host_keys
        assert moved.machine_id == leased.machine_id
        assert outside.silent(lease)
        again = outside.identity("192.0.2.61")
        assert again == one, "a scrubbed VM that boots again is the same instance"
        assert outside.run("192.0.2.61", "cat /run/cloud-init/cloud-id") == "vmware\n"
        said("one is on again, the same instance", since)

        # Both copies start beside their source.
        await house.do("power_vm", vm="cloned", action="on")
        await house.do(
            "restore_vm",
            backup_id=backup["backup_id"],
            name="restored",
            datastore="datastore1",
            ipv4="192.0.2.63/24",
            power_on=True,
            **asked,
        )
        restored = outside.identity("192.0.2.63")
        cloned = outside.identity("192.0.2.64")
        said("its copies run beside it", since)

        guests = {"one": one, "restored": restored, "cloned": cloned, "moved": moved}
        assert len({guest.instance_id for guest in guests.values()}) == 4
        assert len({guest.hostname for guest in guests.values()}) == 4
        for facts in ("host_keys", "addresses"):
            found = [item for guest in guests.values() for item in getattr(guest, facts)]
            assert len(found) == len(set(found)), facts
        shown = [await house.ask("show_vm", vm=name) for name in ("one", "restored", "cloned", "leased")]
        assert len({vm.uuid_bios for vm in shown}) == 4
        macs = [nic.mac for vm in shown for nic in vm.nics]
        assert len(macs) == len(set(macs))
        assert one.machine_id != moved.machine_id
        print({name: guest.machine_id for name, guest in guests.items()}, flush=True)
        for name in ("one", "cloned", "restored", "leased"):
            await house.do("power_vm", vm=name, action="off")
    finally:
        await house.ceso.close()
