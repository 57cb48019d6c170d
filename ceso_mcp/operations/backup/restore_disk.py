"""Bring one disk of a backup back as an extra disk of a VM."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from ceso_mcp.errors import Refused
from ceso_mcp.esxi.paths import DatastorePath
from ceso_mcp.fact import Facts
from ceso_mcp.facts.backups import Manifest, SignatureWarnings
from ceso_mcp.facts.guest import SnapshotTree
from ceso_mcp.facts.inventory import Inventory, Vm
from ceso_mcp.facts.storage import DiskAt, Exists
from ceso_mcp.fields import BackupName, DatastoreName, ExistingVm, file_stem
from ceso_mcp.operation import Change
from ceso_mcp.plan import Plan, Step, Undo
from ceso_mcp.recipes.attaching import change_vmx, disk_keys, free_slot, own_identity, undone_unless_named
from ceso_mcp.recipes.place import Place, mounted_volume, removed
from ceso_mcp.recipes.reborn import refuse_uncopyable
from ceso_mcp.recipes.restored_disks import origin_keys
from ceso_mcp.recipes.restoring import restore_disk
from ceso_mcp.recipes.spreading import absolute
from ceso_mcp.recipes.ways import read_back_slowly, way_to_write
from ceso_mcp.shell import sh


class RestoreDisk(Change):
    """Add one disk of a backup to a VM as a further disk, beside those that it has.

    A new thin disk is made in the VM's folder (or on a given datastore), filled, read back and compared
    with the backup, and attached at the next free place of the VM's controllers. It has a disk
    identity of its own, so it can hang beside the disk it was made of; the file systems in it keep
    theirs. `show_vm` tells from then on which backup it came from. The VM must be off and have no
    snapshots. Takes minutes to hours.
    """

    title: ClassVar[str] = "Restore a disk"
    toolset: ClassVar[str] = "backup"

    backup_id: BackupName = Field(description="id of the backup, from list_backups")
    vm: ExistingVm = Field(description="exact name of the VM that gets the disk; it must be off")
    disk: int = Field(0, ge=0, lt=1000, description="number of the disk in the backup")
    datastore: DatastoreName | None = Field(
        None, description="where the disk goes; the VM's folder if left out"
    )

    async def plan(self, facts: Facts) -> Plan:
        manifest = await facts.read(Manifest(self.backup_id))
        record = manifest.disk(self.disk)
        if record is None:
            there = ", ".join(str(disk.index) for disk in manifest.disks)
            raise Refused(
                f"the backup has no disk {self.disk}", code="no_such_disk", hint=f"its disks: {there}"
            )
        way = await way_to_write(facts)
        vm = (await facts.read(Inventory())).named(self.vm)
        await self._refuse_unfit(facts, vm)
        node = free_slot(vm.readable, record.node)
        place = await self._place(facts, vm)
        place.require_room(record.data_bytes, "the restored disk")
        target = place.disk(0)
        identities: dict[str, str] = {}
        for path in vm.disk_paths():
            for link in (await facts.read(DiskAt(path))).links:
                identities[(link.descriptor.uuid or "").lower()] = str(link.path)
        if await facts.read(Exists(target)):
            raise Refused(f"{target} exists already", code="file_exists")
        elsewhere = place.folder != vm.folder
        file_name = absolute(target, place.volume) if elsewhere else target.name
        origin = origin_keys(node, manifest.id, self.disk, target)
        changed = vm.readable.with_set(disk_keys(node, file_name) | origin)
        steps = [_folder(place.folder)] if elsewhere else []
        steps += [
            undone_unless_named(step, vm, target.name)
            for step in restore_disk(self.backup_id, record, target, way)
        ]
        steps.append(
            Step(
                "see that the disk has an identity of its own",
                sh("cat", target),
                judge=own_identity(identities),
                reads_only=True,
            )
        )
        steps += change_vmx(vm, changed, target.name, facts.fixed.run_id)
        when = f"{manifest.created:%Y-%m-%d %H:%M} UTC"
        return Plan(
            title=f"add disk {self.disk} of {manifest.vm.name} of {when} to VM {vm.name}",
            steps=tuple(steps),
            touches=(f"VM {vm.name} ({vm.path})", f"disk {target} (new)"),
            warnings=(
                *await facts.read(SignatureWarnings(self.backup_id)),
                *read_back_slowly(way, [record.capacity_bytes]),
                "File systems in the disk keep their labels and UUIDs: a guest that mounts by them may take"
                " the restored one for the one it has.",
            ),
            before_after=((node, "absent", f"disk {record.node} of {when}"),),
            estimate=place.estimate(record.data_bytes),
            outcome={
                "vm": vm.name,
                "vmid": vm.vmid,
                "backup_id": manifest.id,
                "disk": self.disk,
                "node": node,
                "path": str(target),
                "capacity_bytes": record.capacity_bytes,
                "compared": True,
            },
        )

    async def _refuse_unfit(self, facts: Facts, vm: Vm) -> None:
        refuse_uncopyable(vm.readable)
        if vm.power != "off":
            raise Refused(
                f"{vm.name!r} is {vm.power}; a disk can be added only while it is off",
                code="vm_not_off",
                hint="shut it down first (power_vm with action shutdown)",
            )
        if await facts.read(SnapshotTree(vm.vmid)):
            raise Refused(
                f"{vm.name!r} has snapshots; going back to one would take the disk away again",
                code="vm_has_snapshots",
                hint="remove its snapshots first, or restore the backup as a new VM (restore_vm)",
            )

    async def _place(self, facts: Facts, vm: Vm) -> Place:
        """Where the disk goes; its name carries the run's id, so it is new."""
        name = self.datastore or vm.folder.datastore
        volume = await mounted_volume(facts, name)
        run_id = facts.fixed.run_id
        stem = f"{vm.path.name.removesuffix('.vmx')}-restored-{run_id}"
        folder = vm.folder
        if name != vm.folder.datastore:
            folder = DatastorePath(name, f"{file_stem(vm.name)}-restored-{run_id}")
            if await facts.read(Exists(folder)):
                raise Refused(f"{folder} exists already", code="folder_exists")
        return Place(vm.name, stem, volume, folder, run_id)


def _folder(folder: DatastorePath) -> Step:
    """The folder's name carries the run's id: if it is there after a lost answer, this run made it."""
    return Step(
        "make a folder for the disk",
        sh("mkdir", "-p", folder),
        undo=Undo((sh("rmdir", folder),), done=removed),
        repeatable=True,
    )
