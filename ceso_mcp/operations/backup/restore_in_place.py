"""Restore a backup over the VM that it was made of."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, ClassVar

from pydantic import Field

from ceso_mcp.backup.names import vm_id
from ceso_mcp.errors import Refused, Unreadable
from ceso_mcp.esxi.vmx import Vmx
from ceso_mcp.fact import Facts
from ceso_mcp.facts.backups import BackupFile, Manifest, SignatureWarnings
from ceso_mcp.facts.inventory import HostVms, Inventory, Vm
from ceso_mcp.facts.storage import Datastores, Exists
from ceso_mcp.fields import BackupName, ExistingVm, HardwareVersion, file_stem
from ceso_mcp.guest.guestinfo import SECRET_KEYS, decode_guestinfo, secrets_pending
from ceso_mcp.operation import Change
from ceso_mcp.plan import Plan
from ceso_mcp.recipes.bring_up import VMID, power_on, write_vmx
from ceso_mcp.recipes.fitting import fitted, without_lost_networks
from ceso_mcp.recipes.place import Place, mounted_volume
from ceso_mcp.recipes.reborn import refuse_uncopyable
from ceso_mcp.recipes.restored_disks import without_origins
from ceso_mcp.recipes.restoring import has_nvram, restore_files, without_lost_disks
from ceso_mcp.recipes.spreading import Spread, SpreadFields, spread
from ceso_mcp.recipes.swapping import kept_aside, register_in_its_place, swap
from ceso_mcp.recipes.templates import unmarked
from ceso_mcp.recipes.ways import read_back_slowly, way_to_write

_OF_A_RUN = re.compile(r"checkpoint\.vmstate.*|sched\.swap\.derivedname|.*\.redo|(.*\.)?ctkenabled", re.I)
"""Keys that tell of a run of the VM, or of change tracking files, which a backup does not hold."""


class RestoreInPlace(SpreadFields, Change):
    """Put a VM back to what it was in a backup, with the identity that it has.

    The backup is first restored into a folder of its own, every block read back and compared, while
    the VM stays untouched. Then the two are swapped: the VM keeps its name, place, BIOS UUID and
    MAC addresses and gets the disks and settings of the backup; what it was before is kept aside
    beside it, snapshots included, until `settle_restore` removes it or puts it back. A disk that lies on
    another datastore now comes back on that one, in a new folder, if there is room. The VM must be
    off. Needs room for both. Takes minutes to hours.
    """

    title: ClassVar[str] = "Restore a VM in place"
    toolset: ClassVar[str] = "backup"

    backup_id: BackupName = Field(description="id of the backup, from list_backups")
    vm: ExistingVm = Field(description="exact name of the VM that is replaced; it must be off")
    power_on: bool = Field(False, description="power it on afterwards")
    hardware_version: HardwareVersion | None = Field(
        None, description="lower its virtual hardware to this version, for an older host"
    )

    async def plan(self, facts: Facts) -> Plan:
        manifest, data = await facts.read(Manifest(self.backup_id), BackupFile(self.backup_id, "vm.vmx"))
        way = await way_to_write(facts)
        inventory = await facts.read(Inventory())
        vm = inventory.named(self.vm)
        self._refuse_unfit(vm, manifest.vm.uuid_bios, inventory)
        source, lost = without_lost_disks(_plain(Vmx.parse_bytes(data)), manifest)
        refuse_uncopyable(source)
        source, left_out = await fitted(
            facts, source, hardware_version=self.hardware_version, folder=vm.folder
        )
        source, lonely = await without_lost_networks(facts, source)
        left_out += lonely
        aside = kept_aside(vm, facts.fixed.run_id)
        staging = await self._place(facts, vm)
        final = Place(vm.name, staging.stem, staging.volume, vm.folder, facts.fixed.run_id)
        if await facts.read(Exists(aside)):
            raise Refused(f"{aside} exists already", code="folder_exists")
        disks, moved = await self._spread(facts, vm, staging, manifest.disks)
        disks.require_room("the restored VM beside the one there is")
        changes = {"displayName": vm.name, "uuid.bios": vm.uuid_bios}
        location = vm.readable.get("uuid.location")
        if location:  # where the VM was when it got its UUID; another place makes the host ask
            changes["uuid.location"] = location
        changes |= _not_read_yet(vm, source)
        changes |= {f"{d.node}.fileName": disks.file_name(i) for i, d in enumerate(manifest.disks)}
        if has_nvram(manifest):
            changes["nvram"] = staging.nvram.name
        dropped = [key for key in source.keys() if _OF_A_RUN.fullmatch(key)]  # noqa: SIM118
        steps = [
            *restore_files(manifest, disks, way),
            *staging.owned([write_vmx(staging, source.without(dropped).with_set(changes))]),
            *swap(vm, staging.folder, aside),
            register_in_its_place(final.vmx, aside),
            *(power_on() if self.power_on else ()),
            disks.hand_over(final),
        ]
        outside = [path for path in vm.disk_paths() if path.parent != vm.folder]
        return Plan(
            title=f"put VM {vm.name} back to {manifest.created:%Y-%m-%d %H:%M} UTC",
            steps=tuple(steps),
            touches=(f"VM {vm.name}", f"folder {vm.folder}", f"folder {aside} (new)", *disks.touches()),
            warnings=(
                *await facts.read(SignatureWarnings(self.backup_id)),
                *read_back_slowly(way, [disk.capacity_bytes for disk in manifest.disks]),
                f"What the VM is now is kept in {aside}; settle_restore removes it or puts it back.",
                *(_unread(vm, source)),
                *left_out,
                *moved,
                *(f"The disk {node} is not in the backup and is left out." for node in lost),
                *(f"The disk {path} stays where it is; the VM will not use it." for path in outside),
                *(f"Not in the backup: {item.what}: {item.why}." for item in manifest.not_included),
            ),
            before_after=(
                (f"VM {vm.name}", "as it is now", f"as in backup {self.backup_id}"),
                *self._rows(vm, disks, final),
            ),
            estimate=disks.estimate(),
            outcome={
                "vm": vm.name,
                "vmid": VMID,
                "backup_id": self.backup_id,
                "compared": True,
                "kept_aside": str(aside),
                "left_out": tuple(left_out),
                "power": "on" if self.power_on else "off",
            },
        )

    async def _spread(
        self, facts: Facts, vm: Vm, staging: Place, records: Sequence[Any]
    ) -> tuple[Spread, list[str]]:
        """Each disk on the datastore that was asked for, or on that where the VM has it now.

        A datastore that cannot take its disks, and was not asked for, is named: they go into the VM's folder.
        """
        asked = {node.lower(): name for node, name in self.disk_datastores.items()}
        nodes = zip(vm.readable.disks(), vm.disk_paths(), strict=True)
        now = {disk.node.lower(): path.datastore for disk, path in nodes}
        known = {store.name: store for store in await facts.read(Datastores()) if store.mounted}
        wanted = dict(self.disk_datastores)
        moved = []
        for name in dict.fromkeys(now.values()):
            mine = [d for d in records if d.node.lower() not in asked and now.get(d.node.lower()) == name]
            size = sum(disk.data_bytes for disk in mine)
            size += sum(disk.data_bytes for disk in records if asked.get(disk.node.lower()) == name)
            if name == staging.volume.name or not mine:
                continue
            if name in known and replace(staging, volume=known[name]).has_room(size):
                wanted |= {disk.node: name for disk in mine}
            else:
                moved += [
                    f"The disk {disk.node} goes into the VM's folder: {name} has no room for it."
                    for disk in mine
                ]
        folder = f"{file_stem(vm.name)}-{facts.fixed.run_id}"
        return await spread(facts, staging, records, wanted, folder), moved

    def _rows(self, vm: Vm, disks: Spread, final: Place) -> list[tuple[str, str, str]]:
        """Where disks are and will be, if not all are in the VM's folder."""
        nodes = zip(vm.readable.disks(), vm.disk_paths(), strict=True)
        now = {disk.node.lower(): str(path) for disk, path in nodes}
        rows = [(node, now.get(node.lower(), ""), path) for node, _, path in disks.rows()]
        staged = str(disks.main.folder)
        return [(node, was, path.replace(staged, str(final.folder))) for node, was, path in rows]

    def _refuse_unfit(self, vm: Vm, backed_up: str, inventory: HostVms) -> None:
        if vm.power != "off":
            raise Refused(
                f"{vm.name!r} is {vm.power}; it can be replaced only while it is off",
                code="vm_not_off",
                hint="shut it down first (power_vm with action shutdown)",
            )
        if not vm.uuid_bios or not backed_up or vm_id(vm.uuid_bios) != vm_id(backed_up):
            raise Refused(
                f"the backup is not one of {vm.name!r}: the BIOS UUIDs differ",
                code="another_vm",
                hint="restore it as a new VM instead (restore_vm)",
            )
        inside = f"{vm.folder.posix()}/"
        others = [other for other in inventory.vms if other.vmid != vm.vmid]
        if not vm.folder.path or any(other.path.posix().startswith(inside) for other in others):
            raise Refused(
                f"{vm.name!r} does not have its folder to itself",
                code="folder_shared",
                hint="restore it as a new VM instead (restore_vm)",
            )

    async def _place(self, facts: Facts, vm: Vm) -> Place:
        """The folder that the backup is restored into before it takes the VM's place."""
        volume = await mounted_volume(facts, vm.folder.datastore)
        run_id = facts.fixed.run_id
        folder = vm.folder.sibling(f"{vm.folder.name}.restore-{run_id}")
        if await facts.read(Exists(folder)):
            raise Refused(f"{folder} exists already", code="folder_exists")
        return Place(vm.name, vm.path.name.removesuffix(".vmx"), volume, folder, run_id)


def _plain(vmx: Vmx) -> Vmx:
    """The .vmx without what ceso notes in it about a template or about disks: those will be others."""
    return without_origins(unmarked(vmx))


def _not_read_yet(vm: Vm, source: Vmx) -> dict[str, str]:
    """Documents that the VM's guest has not read yet, which a backup does not hold: the VM keeps them.

    Only if the backup is of the same instance: to another one they were never said.
    """
    now = vm.readable
    if not secrets_pending(now.get) or _instance(now) is None or _instance(now) != _instance(source):
        return {}
    return {key: value for key in SECRET_KEYS if (value := now.get(key)) is not None}


def _unread(vm: Vm, source: Vmx) -> list[str]:
    if not secrets_pending(vm.readable.get) or _not_read_yet(vm, source):
        return []
    return [
        "User data that the guest has not read yet is not part of a backup: the VM starts without it;"
        " readdress_vm can give it keys anew."
    ]


def _instance(vmx: Vmx) -> object:
    try:
        return decode_guestinfo(vmx.get).get("instance-id")
    except Unreadable:
        return None
