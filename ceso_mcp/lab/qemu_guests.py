"""Guests that truly run: a VM whose first disk has a boot sector boots it in QEMU.

The others stay as `guests` makes them. While a VM runs, its writes are in a qcow2 overlay; they go into the
top link of its disk when it is switched off, before a snapshot freezes that link, and, after the lab's
server was killed, at its next start: that is a power cut for the guest, and its file system recovers.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ceso_mcp.errors import LabFault
from ceso_mcp.lab import guest_block, qemu_command, qemu_firmware, qemu_overlay, qemu_report
from ceso_mcp.lab.disks.chain import Disk
from ceso_mcp.lab.disks.fault import DiskFault
from ceso_mcp.lab.guests import Guests
from ceso_mcp.lab.power import Power, nic_numbers
from ceso_mcp.lab.qemu_command import Channels
from ceso_mcp.lab.qemu_machine import QemuMachine
from ceso_mcp.lab.qemu_network import GuestNetwork
from ceso_mcp.lab.storage import Storage
from ceso_mcp.lab.world import ON, Vm, World

# The ACPI button is lost until the guest listens: it is pressed again and again.
PRESS_EVERY_S = 4.0


@dataclass
class Running:
    """One VM in QEMU: `overlays` of each disk, oldest first; only the last one takes writes."""

    machine: QemuMachine
    folder: Path
    overlays: dict[str, list[Path]]
    tasks: list[asyncio.Task[None]] = field(default_factory=list)
    report: asyncio.StreamWriter | None = None
    variables: Path | None = None


class QemuGuests(Guests):
    """`folder` holds overlays and consoles, one sub-folder for each VM."""

    def __init__(
        self, world: World, storage: Storage, power: Power, save: Callable[[], None], folder: Path
    ) -> None:
        super().__init__(world, storage, power, save)
        self._folder = folder
        self._running: dict[int, Running] = {}
        self._network: GuestNetwork | None = None
        power.before_off = self._settle
        power.before_freeze = self._freeze
        self._recover()

    # --- disks

    def _recover(self) -> None:
        """Overlays that a killed server left behind go into the links that their VMs stand on now.

        Oldest first: what a frozen link has already is not written again, so it makes no difference on which
        side of a snapshot the server died. Overlays that cannot be read, or whose disk cannot, are kept.
        """
        for place in self._folder.glob("*/overlays.json"):
            noted = json.loads(place.read_text())
            vm = self._world.vms.get(noted["vmid"])
            if vm is not None and not self._recovered(vm, noted["overlays"]):
                os.replace(place, place.with_name("overlays.kept.json"))
                place.parent.rename(place.parent.with_name(f"{place.parent.name}.kept-{int(time.time())}"))
            else:
                shutil.rmtree(place.parent)

    def _recovered(self, vm: Vm, noted: dict[str, list[str]]) -> bool:
        disks = self._storage.disk_paths(vm)
        try:
            for node, paths in noted.items():
                for overlay in map(Path, paths):
                    if overlay.exists() and node in disks:
                        place = self._storage.here(disks[node])
                        qemu_overlay.commit(overlay, place, self._storage.here)
            used = self._folder / str(vm.vmid) / qemu_firmware.USED
            self._keep_variables(vm, used if used.exists() else None)
        except (DiskFault, LabFault, OSError) as trouble:
            self._power.log_line(vm, f"What the guest wrote could not be put into its disk: {trouble}")
            return False
        return True

    @staticmethod
    def _note(vm: Vm, run_folder: Path, overlays: dict[str, list[Path]]) -> None:
        """Keep which overlays may hold what is in no disk yet."""
        noted = {node: [str(path) for path in paths[-2:]] for node, paths in overlays.items()}
        temporary = run_folder / "overlays.new"
        temporary.write_text(json.dumps({"vmid": vm.vmid, "overlays": noted}))
        os.replace(temporary, run_folder / "overlays.json")

    def _commit(self, vm: Vm, overlays: dict[str, Path]) -> None:
        disks = self._storage.disk_paths(vm)
        for node, overlay in overlays.items():
            if node not in disks:
                continue  # taken out while the guest ran
            qemu_overlay.commit(overlay, self._storage.here(disks[node]), self._storage.here)

    def _settle(self, vm: Vm) -> None:
        """End the VM's QEMU, if it has one, and let its disks hold what the guest wrote."""
        run = self._running.pop(vm.vmid, None)
        if run is None:
            return
        self._end(vm.vmid, run)
        self._commit(vm, {node: paths[-1] for node, paths in run.overlays.items()})
        self._keep_variables(vm, run.variables)
        shutil.rmtree(run.folder)

    def _nvram(self, vm: Vm) -> Path:
        name = vm.settings.get("nvram") or Path(vm.path).with_suffix(".nvram").name
        return Path(self._storage.here(self._storage.beside(vm, name)))

    def _keep_variables(self, vm: Vm, variables: Path | None) -> None:
        if variables is not None:
            qemu_firmware.keep(variables, self._nvram(vm))

    def _end(self, vmid: int, run: Running) -> None:
        for task in run.tasks:
            if task is not _current_task():
                task.cancel()
        run.machine.quit()
        if self._network is not None:
            vm = self._world.vms.get(vmid)
            for nic in nic_numbers(vm.settings) if vm is not None else []:
                self._network.unplug(qemu_command.tap(vmid, nic))

    def _freeze(self, vm: Vm) -> None:
        """Before a snapshot: what was written so far into the link that freezes, the rest goes on above."""
        run = self._running.get(vm.vmid)
        if run is None:
            return
        fresh = {
            node: run.folder / f"{_name(node)}-{len(paths)}.qcow2" for node, paths in run.overlays.items()
        }
        actions = [
            {
                "type": "blockdev-snapshot-sync",
                "data": {"device": _name(node), "snapshot-file": str(path), "format": "qcow2"},
            }
            for node, path in fresh.items()
        ]
        # Noted before it takes writes: a kill at any moment finds both.
        self._note(vm, run.folder, {node: [*paths, fresh[node]] for node, paths in run.overlays.items()})
        run.machine.ask("transaction", actions=actions)
        self._commit(vm, {node: paths[-1] for node, paths in run.overlays.items()})
        for node, path in fresh.items():
            run.overlays[node].append(path)
        self._keep_variables(vm, run.variables)

    # --- power

    def stop_all(self) -> None:
        """Throw away what runs: the world is about to be replaced."""
        super().stop_all()
        for vmid, run in list(self._running.items()):
            self._end(vmid, run)
            shutil.rmtree(run.folder)
        self._running.clear()
        if self._network is not None:
            self._network.close()
            self._network = None

    def halt(self) -> None:
        """The server ends: a power cut for the guests, with disks that hold what they had written."""
        for vmid in list(self._running):
            self._settle(self._world.vms[vmid])
        self.stop_all()

    def _bootable(self, vm: Vm) -> bool:
        disk = self._boot_disk(vm)
        if disk is None:
            return False
        try:
            if guest_block.read(disk, self._storage.here) is not None:
                return False  # a make-believe guest; its partition table is only looked at
            with Disk(disk, self._storage.here) as opened:
                return opened.size_bytes >= 4096 and opened.read(0, 4096)[510:512] == b"\x55\xaa"
        except (DiskFault, OSError):
            return False

    def runs(self, vm: Vm) -> bool:
        return vm.vmid in self._running or (super().runs(vm) and not self._bootable(vm))

    def boot(self, vm: Vm) -> None:
        run = self._running.get(vm.vmid)
        if run is not None and run.machine.running:
            vm.guest = {}
            run.machine.ask("system_reset")
            return
        if not self._bootable(vm):
            super().boot(vm)
            return
        vm.guest = {}
        try:
            self._start(vm)
        except (LabFault, OSError) as fault:
            self._power.log_line(vm, f"The guest did not start: {fault}")

    def restart(self, vm: Vm) -> None:
        run = self._running.get(vm.vmid)
        if run is None:
            super().restart(vm)
        elif run.report is not None:
            vm.guest = {}
            run.report.write(b"reboot\n")

    def shut_down(self, vm: Vm) -> None:
        run = self._running.get(vm.vmid)
        if run is None:
            super().shut_down(vm)
        else:
            run.tasks.append(asyncio.get_running_loop().create_task(self._press(run)))

    @staticmethod
    async def _press(run: Running) -> None:
        with contextlib.suppress(OSError, LabFault):
            while run.machine.running:
                run.machine.ask("system_powerdown")
                await asyncio.sleep(PRESS_EVERY_S)

    def _start(self, vm: Vm) -> None:
        folder = self._folder / str(vm.vmid)
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        overlays: dict[str, list[Path]] = {}
        for node, disk in self._storage.disk_paths(vm).items():
            overlays[node] = [folder / f"{_name(node)}-0.qcow2"]
            qemu_overlay.create(overlays[node][0], self._storage.here(disk))
        self._note(vm, folder, overlays)
        if self._network is None:
            self._network = GuestNetwork(self._folder)
        settings = vm.settings
        known = {group.name for group in self._world.portgroups}
        for nic in nic_numbers(settings):
            group = settings.get(f"ethernet{nic}.networkName")
            plugged = settings.get(f"ethernet{nic}.startConnected", "TRUE").upper() != "FALSE"
            self._network.plug(qemu_command.tap(vm.vmid, nic), group if plugged and group in known else None)
        tops = {node: paths[-1] for node, paths in overlays.items()}
        variables = None
        if qemu_firmware.wanted(settings):
            variables = qemu_firmware.begin(self._nvram(vm), folder)

        def command(qmp: int, rpc: int, report: int) -> list[str]:
            channels = Channels(qmp, rpc, report)
            return qemu_command.command(settings, vm.vmid, tops, channels, folder / "console.log", variables)

        machine = QemuMachine(self._network.entry, command, folder)
        run = Running(machine, folder, overlays, variables=variables)
        self._running[vm.vmid] = run
        loop = asyncio.get_running_loop()
        rpc = qemu_report.answer_rpc(
            run.machine.rpc, lambda key: vm.settings.get(key), lambda key, value: self._set(vm, key, value)
        )
        run.tasks += [loop.create_task(item) for item in (rpc, self._listen(vm, run), self._watch(vm, run))]

    def _set(self, vm: Vm, key: str, value: str) -> None:
        settings = vm.settings
        settings[key] = value
        vm.config = settings.pairs()
        self._power.write_config(vm)
        self._save()

    async def _listen(self, vm: Vm, run: Running) -> None:
        reader, run.report = await asyncio.open_connection(sock=run.machine.report)
        await qemu_report.follow_report(reader, lambda told: self._told(vm, told))

    def _told(self, vm: Vm, told: dict[str, Any]) -> None:
        vm.guest = qemu_report.as_guest(vm.settings, told)
        run = self._running.get(vm.vmid)
        self._keep_variables(vm, run.variables if run is not None else None)
        self._save()

    async def _watch(self, vm: Vm, run: Running) -> None:
        """A guest that switches itself off switches the VM off."""
        await run.machine.ended()
        if vm.state == ON and self._running.get(vm.vmid) is run:
            self._power.switch_off(vm)


def _name(node: str) -> str:
    return node.replace(":", "_")


def _current_task() -> asyncio.Task[Any] | None:
    try:
        return asyncio.current_task()
    except RuntimeError:
        return None
