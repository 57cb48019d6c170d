"""Back up a VM that is off."""

from __future__ import annotations

import hashlib
from datetime import datetime
from typing import ClassVar

from pydantic import Field

from ceso_mcp.backup.actions import BeginBackup, CommitBackup, DiskInto
from ceso_mcp.backup.names import BackupId, vm_id
from ceso_mcp.errors import Refused
from ceso_mcp.esxi.vmx import VmxDisk
from ceso_mcp.fact import Facts
from ceso_mcp.facts.backups import Repository
from ceso_mcp.facts.host import HostRelease
from ceso_mcp.facts.inventory import Inventory, Vm
from ceso_mcp.facts.storage import Datastores, Disk, DiskAt, HasProgram
from ceso_mcp.fields import ExistingVm
from ceso_mcp.operation import Change
from ceso_mcp.plan import Capture, Estimate, Plan, Recheck, Step, Undo
from ceso_mcp.recipes.copying import nvram_of
from ceso_mcp.recipes.disks import copy_disk, delete_disk
from ceso_mcp.recipes.place import is_gone, is_there, remove_marks, removed
from ceso_mcp.recipes.transfer import note_times, read_disk, read_file, unchanged
from ceso_mcp.shell import Captured, sh


class BackupVm(Change):
    """Back up a VM that is off: every disk, its configuration and its firmware settings.

    Only blocks that are not zero cross the network; they are compressed, sealed if the repository
    is, and verified on the way. The backup is listed only once it is complete. What could not be
    included (raw device mappings, shared disks) is named in it. Nothing is written to the VM; a VM
    with snapshots needs room for a temporary copy beside it. Takes minutes to hours.
    """

    title: ClassVar[str] = "Back up a VM"
    toolset: ClassVar[str] = "backup"

    vm: ExistingVm = Field(description="exact name of the VM; it must be off")

    async def plan(self, facts: Facts) -> Plan:
        vm = (await facts.read(Inventory())).named(self.vm)
        if vm.power != "off":
            raise Refused(
                f"{vm.name!r} is {vm.power}; it can be backed up only while it is off",
                code="vm_not_off",
                hint="shut it down first (power_vm with action shutdown)",
            )
        if vm.readable.encrypted:
            raise Refused("the VM is encrypted; a copy of its files could not be opened", code="vm_encrypted")
        state, release, python = await facts.read(Repository(), HostRelease(), HasProgram("python3"))
        if not state.as_configured:
            raise Refused(
                f"the repository {state.path} is sealed to other recipients than the configured ones",
                code="settings_differ",
                hint="use the recipients in its ceso-repo.json, or another repository",
            )
        if not python:
            raise Refused("the host has no python3 to read disks with", code="no_python")
        disks, missing = await self._disks(facts, vm)
        backup_id = str(BackupId(_identity(vm), datetime.fromisoformat(facts.fixed.now), facts.fixed.run_id))
        nvram = await nvram_of(facts, vm)
        watched = [vm.path, *(path for _, disk in disks for path in disk.extent_paths())]
        size = sum(disk.allocated_bytes for _, disk in disks)
        await self._require_room(facts, vm, disks, size, state.free_bytes)
        steps = [
            Step(
                "begin the backup",
                here=BeginBackup(backup_id, state.path, state.recipients),
            ),
            Step(
                "note the times of the VM's files",
                note_times(watched),
                capture=Capture("times", lambda reply: reply.stdout),
                reads_only=True,
            ),
            read_file(vm.path, "vm.vmx", "read the configuration"),
        ]
        if nvram is not None:
            steps.append(read_file(nvram, "vm.nvram", "read the firmware's settings"))
        for index, (node, disk) in enumerate(disks):
            steps += self._read(vm, index, node, disk, facts.fixed.run_id)
        steps += [
            Step(
                "see that nobody wrote meanwhile",
                note_times(watched),
                judge=unchanged("times"),
                reads_only=True,
            ),
            Step(
                "list the backup",
                here=CommitBackup(
                    backup_id=backup_id,
                    vm_name=vm.name,
                    vm_uuid=vm.uuid_bios,
                    vmx_path=str(vm.path),
                    host=release.version,
                    esxi_version=release.version,
                    esxi_build=str(release.build),
                    kind="cold",
                    not_included=tuple(missing),
                ),
                completes=True,
            ),
        ]
        return Plan(
            title=f"back up VM {vm.name}",
            steps=tuple(steps),
            touches=(f"repository {state.path}: backup {backup_id} (new)",),
            warnings=(
                *(f"Not included: {what}: {why}." for what, why in missing),
                *(() if state.encrypted else ("The repository is not encrypted.",)),
            ),
            before_after=(("backups of this VM", "", f"one more, {backup_id}"),),
            estimate=Estimate(copy_bytes=size),
            outcome={
                "vm": vm.name,
                "backup_id": backup_id,
                "repository": state.path,
                "complete": not missing,
                "not_included": tuple(f"{what}: {why}" for what, why in missing),
                "data_bytes": Captured("data_bytes", number=True),
                "stored_bytes": Captured("stored_bytes", number=True),
            },
        )

    async def _disks(self, facts: Facts, vm: Vm) -> tuple[list[tuple[VmxDisk, Disk]], list[tuple[str, str]]]:
        """The disks that can be read, and (what, why) for each that cannot."""
        found: list[tuple[VmxDisk, Disk]] = []
        missing: list[tuple[str, str]] = []
        for node, path in zip(vm.readable.disks(), vm.disk_paths(), strict=True):
            if (node.sharing or "").lower() == "multi-writer":
                missing.append((f"disk {node.node}", "other VMs may write to it at the same time"))
                continue
            disk = await facts.read(DiskAt(path))
            if any(link.descriptor.encrypted for link in disk.links):
                missing.append((f"disk {node.node}", "it is encrypted"))
            elif any(link.descriptor.is_rdm for link in disk.links):
                missing.append((f"disk {node.node}", "it is a raw device mapping"))
            else:
                found.append((node, disk))
        if not found:
            raise Refused(f"{vm.name!r} has no disk that can be backed up", code="no_disk")
        return found, missing

    async def _require_room(
        self, facts: Facts, vm: Vm, disks: list[tuple[VmxDisk, Disk]], size: int, repository_free: int | None
    ) -> None:
        if repository_free is not None and size > repository_free:
            raise Refused(
                f"the disks take {size / 2**30:.1f} GiB, the repository has {repository_free / 2**30:.1f} GiB"
                " left; compression may not save enough",
                code="repository_full",
            )
        temporary = max((d.allocated_bytes for _, d in disks if d.has_snapshots), default=0)
        if temporary:
            for volume in await facts.read(Datastores()):
                if volume.name == vm.folder.datastore and temporary * 1.05 + (256 << 20) > volume.free_bytes:
                    raise Refused(
                        f"the VM has snapshots, and datastore {volume.name!r} has no room for the temporary "
                        f"copy of {temporary / 2**30:.1f} GiB that reading them takes",
                        code="datastore_full",
                    )

    def _read(self, vm: Vm, index: int, node: VmxDisk, disk: Disk, run_id: str) -> list[Step]:
        """Steps that read one disk; through a temporary copy if it is a chain."""
        base = disk.links[-1]
        into = DiskInto(
            index=index,
            node=node.node,
            file_name=base.path.name,
            capacity_bytes=disk.capacity_bytes,
            descriptor=base.descriptor.render(),
        )
        if not disk.has_snapshots and base.descriptor.is_flat and len(base.descriptor.extents) == 1:
            (flat,) = disk.extent_paths()
            return [read_disk(flat, into, disk.allocated_bytes)]
        folder = vm.folder.joined(f".ceso-{run_id}-{index}")
        copy = folder.joined("disk.vmdk")
        return [
            Step(
                "make a temporary folder",
                sh("mkdir", folder),
                recheck=Recheck(sh("ls", "-d", folder), is_there),
                undo=Undo((sh("rmdir", folder),), when="succeeded", done=removed),
            ),
            *copy_disk(
                disk.top.path,
                copy,
                f"flatten disk {index} with its snapshots into a temporary copy",
                run_id,
                index,
            ),
            read_disk(folder.joined("disk-flat.vmdk"), into, disk.allocated_bytes),
            delete_disk(copy, "remove the temporary copy"),
            Step(
                "remove the temporary folder and the copy's notes",
                remove_marks(folder, run_id).then(sh("rmdir", folder)),
                recheck=Recheck(sh("ls", "-d", folder), is_gone),
            ),
        ]


def _identity(vm: Vm) -> str:
    """The VM's id in the repository: its BIOS UUID, or its place if it never had one."""
    if vm.uuid_bios:
        return vm_id(vm.uuid_bios)
    return "path-" + hashlib.sha256(str(vm.path).encode()).hexdigest()[:24]
