"""hostd: the one that knows the VMs. Programs of the host talk to it over `program_socket`."""

from __future__ import annotations

import time

from ceso_mcp.lab import seed
from ceso_mcp.lab import world as worlds
from ceso_mcp.lab.blueprint import Blueprint
from ceso_mcp.lab.command_log import CommandLog
from ceso_mcp.lab.disk_desk import DiskDesk
from ceso_mcp.lab.esxcli_commands import esxcli_of
from ceso_mcp.lab.esxcli_ground import Ground
from ceso_mcp.lab.fault_rules import FaultRules
from ceso_mcp.lab.guests import Guests
from ceso_mcp.lab.inventory import Inventory
from ceso_mcp.lab.layout import Layout
from ceso_mcp.lab.locks import Locks
from ceso_mcp.lab.machine import Machine
from ceso_mcp.lab.power import Power
from ceso_mcp.lab.records import Fault
from ceso_mcp.lab.snapshots import Snapshots
from ceso_mcp.lab.storage import Storage
from ceso_mcp.lab.vim_cmd import VimCmd
from ceso_mcp.lab.vim_host import HostCommands
from ceso_mcp.lab.vim_vm import VmCommands
from ceso_mcp.lab.world import World


class Hostd:
    """The parts of hostd around one world; `rebuild()` after the world was replaced."""

    def __init__(self, layout: Layout, log: CommandLog, rules: FaultRules) -> None:
        self.layout = layout
        self.log = log
        self.rules = rules
        self.machine: Machine | None = None
        self.away_until = 0.0
        self._saving = True
        self.world: World
        self.guests: Guests | None = None
        self.rebuild(worlds.load(layout.world))

    def save(self) -> None:
        if self._saving:
            self.world.store(self.layout.world)

    def rebuild(self, world: World) -> None:
        """Take `world` as the one to serve."""
        if self.guests is not None:
            self.guests.stop_all()
        self.world = world
        self.storage = Storage(world, self.layout.volumes)
        self.storage.make_links()
        self.locks = Locks()
        self.disk_desk = DiskDesk(world, self.storage, self.locks)
        listing = self.layout.host / "etc" / "vmware" / "hostd" / "vmInventory.xml"
        self.inventory = Inventory(world, self.storage, listing, self.save)
        self.power = Power(world, self.storage, self.inventory, self.locks)
        self.guests = self._guests_of(world)
        self.snapshots = Snapshots(self.storage, self.inventory, self.power)
        self.vim = VimCmd(world.vim, self.save)
        VmCommands(world, self.storage, self.inventory, self.power, self.guests, self.snapshots).add_to(
            self.vim
        )
        HostCommands(world, self.storage).add_to(self.vim)
        self.ground = Ground(
            world, self.storage, self.power, self.save, self.layout.host, self.layout.exports
        )
        self.cli = esxcli_of(self.ground)
        self.inventory.save()

    def _guests_of(self, world: World) -> Guests:
        """Guests that truly run when the world was made with a real image, else guests that seem to."""
        if not any(item["image"] for item in world.blueprint.get("vms", ())):
            return Guests(world, self.storage, self.power, self.save)
        from ceso_mcp.lab.qemu_guests import QemuGuests

        return QemuGuests(world, self.storage, self.power, self.save, self.layout.guests)

    def seed_vms(self) -> None:
        """Make the seeded VMs in the world that was just taken; the folders must be empty."""
        assert self.guests is not None
        plans = Blueprint.from_json(self.world.blueprint).vms
        self._saving = False
        try:
            for item in plans:
                datastore = self.world.datastore(item.datastore)
                assert datastore is not None
                vm = self.inventory.register(seed.make_files(self.layout, item, datastore.uuid))
                for name in item.snapshots:
                    self.snapshots.create(vm, name, "made by the seed")
                if item.on:
                    self.power.switch_on(vm)
                    self.guests.boot_now(vm)
        finally:
            self._saving = True
        self.inventory.save()

    def boot_running(self) -> None:
        """Boot the guests of VMs that are on and whose guests do not run (after a start of the server)."""
        assert self.guests is not None
        for vm in self.world.vms.values():
            vm.question = None
            if vm.state == worlds.ON and not self.guests.runs(vm):
                self.guests.boot(vm)

    # --- faults that change the world

    def apply(self, fault: Fault) -> None:
        """The part of a fault that happens to the world before the command goes on."""
        if fault.effect == "fill":
            for datastore in self.world.datastores:
                if fault.datastore in ("", datastore.name):
                    self.fill(datastore.name, fault.at_bytes)
        elif fault.effect == "drop_vm":
            for vm in list(self.world.vms.values()):
                if vm.name == fault.vm:
                    del self.world.vms[vm.vmid]
                    self.inventory.save()
        elif fault.effect == "hostd_restart":
            self.restart(fault.seconds)

    def restart(self, away_s: float) -> None:
        """Be away for `away_s`: who asks meanwhile cannot connect; running VMs go on (fact sheet §3.2)."""
        self.away_until = time.monotonic() + away_s

    @property
    def away(self) -> bool:
        return time.monotonic() < self.away_until

    def fill(self, name: str, free_bytes: int) -> None:
        """Leave `free_bytes` free on the datastore `name`. Raises KeyError when there is none."""
        datastore = self.world.datastore(name)
        if datastore is None:
            raise KeyError(name)
        used = self.storage.used_bytes(datastore)
        datastore.reserve_bytes = datastore.size_bytes - used - free_bytes
        self.save()

    def unfill(self, name: str) -> None:
        datastore = self.world.datastore(name)
        if datastore is None:
            raise KeyError(name)
        datastore.reserve_bytes = 0
        self.save()
