"""The guests that only seem to run: a boot is a delay, a look at guestinfo, and a report by tools."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from ceso_mcp.lab import cloud_init, guest_block
from ceso_mcp.lab.cloud_init import Nic
from ceso_mcp.lab.disks.fault import DiskFault
from ceso_mcp.lab.power import Power, nic_mac, nic_numbers
from ceso_mcp.lab.storage import Storage
from ceso_mcp.lab.world import ON, Vm, World

POOL = "192.0.2."


class Guests:
    """Boots and stops guests in the background. `save` keeps the world after each change."""

    def __init__(self, world: World, storage: Storage, power: Power, save: Callable[[], None]) -> None:
        self._world = world
        self._storage = storage
        self._power = power
        self._save = save
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._leases: dict[str, str] = {}

    def stop_all(self) -> None:
        for task in self._tasks.values():
            task.cancel()
        self._tasks.clear()

    def boot(self, vm: Vm) -> None:
        """Let the guest of `vm` start; what it reports appears after the boot delay."""
        vm.guest = {}
        self._begin(vm, self._boot(vm))

    def restart(self, vm: Vm) -> None:
        """Ask the guest to start anew."""
        self.boot(vm)

    def halt(self) -> None:
        """The server ends; VMs stay on in the world."""
        self.stop_all()

    def shut_down(self, vm: Vm) -> None:
        """Ask the guest to stop; it does `shutdown_s` later."""
        self._begin(vm, self._shut_down(vm))

    def moving(self) -> int:
        """How many guests boot or go down just now."""
        return sum(not task.done() for task in self._tasks.values())

    def runs(self, vm: Vm) -> bool:
        """False when the guest of a VM that is on has to be booted at the server's start."""
        return bool(vm.guest)

    def has_tools(self, vm: Vm) -> bool:
        return bool(vm.guest.get("tools"))

    def _begin(self, vm: Vm, work: Any) -> None:
        running = self._tasks.pop(vm.vmid, None)
        if running is not None:
            running.cancel()
        self._tasks[vm.vmid] = asyncio.get_running_loop().create_task(work)

    def _lease(self, mac: str) -> str:
        if mac not in self._leases:
            taken = {
                address
                for vm in self._world.vms.values()
                for nic in vm.guest.get("net", [])
                for address in nic["addresses"]
            }
            while f"{POOL}{self._world.next_lease}" in taken:
                self._world.next_lease += 1
            self._leases[mac] = f"{POOL}{self._world.next_lease}"
            self._world.next_lease = 100 + (self._world.next_lease - 99) % 150
        return self._leases[mac]

    def _boot_disk(self, vm: Vm) -> str | None:
        disks = self._storage.disk_paths(vm)
        return self._storage.here(disks[min(disks)]) if disks else None

    async def _boot(self, vm: Vm) -> None:
        started = vm.booted_at
        await asyncio.sleep(self._world.boot_delay_s)
        if vm.state == ON and vm.booted_at == started:
            self.boot_now(vm)

    def boot_now(self, vm: Vm) -> None:
        """The boot itself: read guestinfo, write the disk, report."""
        disk = self._boot_disk(vm)
        if disk is None:
            return
        try:
            block = guest_block.read(disk, self._storage.here)
        except (DiskFault, OSError):
            return
        if block is None or not block.get("tools"):
            return
        settings = vm.settings
        networks = {group.name for group in self._world.portgroups}
        nics = [
            Nic(number, nic_mac(settings, number), settings.get(f"ethernet{number}.networkName"))
            for number in nic_numbers(settings)
            if settings.get(f"ethernet{number}.startConnected", "TRUE").upper() != "FALSE"
        ]
        booted = cloud_init.boot(settings, block, nics, self._lease)
        guest_block.write(disk, self._storage.here, booted.block)
        for name in booted.redact:
            if settings.get(f"guestinfo.{name}"):
                settings[f"guestinfo.{name}"] = cloud_init.REDACTED
                settings[f"guestinfo.{name}.encoding"] = " "
        if booted.redact:
            vm.config = settings.pairs()
            self._power.write_config(vm)
        vm.guest = {
            "tools": True,
            "os": booted.block["os"],
            "hostname": booted.block["hostname"],
            "net": [
                {
                    "mac": nic.mac,
                    "network": nic.network,
                    "addresses": (booted.addresses[nic.mac] if nic.network in networks else [])
                    + [link_local(nic.mac)],
                }
                for nic in nics
            ]
            + [
                {"mac": vlan.mac, "network": "", "addresses": [*vlan.addresses, link_local(vlan.mac)]}
                for vlan in booted.vlans
            ],
        }
        self._save()

    async def _shut_down(self, vm: Vm) -> None:
        await asyncio.sleep(self._world.shutdown_s)
        if vm.state == ON and vm.vmid in self._world.vms:
            self._power.switch_off(vm)


def link_local(mac: str) -> str:
    """The IPv6 link-local address that a card gives itself from its MAC."""
    octets = [int(part, 16) for part in mac.split(":")]
    octets[0] ^= 2
    words = [
        octets[0] << 8 | octets[1],
        octets[2] << 8 | 0xFF,
        0xFE00 | octets[3],
        octets[4] << 8 | octets[5],
    ]
    return "fe80::" + ":".join(f"{word:x}" for word in words)


def addresses_of(vm: Vm) -> list[str]:
    """All addresses that the guest reports, the primary one first."""
    found = [address for nic in vm.guest.get("net", []) for address in nic["addresses"]]
    return sorted(found, key=lambda address: (":" in address, address.startswith("fe80")))
