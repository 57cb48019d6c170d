"""Back up a VM, running or not."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from datetime import datetime
from typing import ClassVar, Literal

from pydantic import Field

from ceso_mcp.backup.actions import BeginBackup, CommitBackup
from ceso_mcp.backup.names import BackupId, vm_id
from ceso_mcp.errors import Refused
from ceso_mcp.esxi.paths import DatastorePath
from ceso_mcp.fact import Facts
from ceso_mcp.facts.backups import Parent, Repository, Signer
from ceso_mcp.facts.guest import SnapshotTree
from ceso_mcp.facts.host import HostRelease
from ceso_mcp.facts.inventory import Inventory, Vm
from ceso_mcp.facts.storage import Datastores, DiskWays
from ceso_mcp.fields import DatastoreName, ExistingVm
from ceso_mcp.operation import Change
from ceso_mcp.plan import Capture, Estimate, Plan, Step
from ceso_mcp.recipes.copying import nvram_of
from ceso_mcp.recipes.downtime import power_on_again, shut_down
from ceso_mcp.recipes.place import mounted_volume
from ceso_mcp.recipes.reading import Reading, TemporaryCopy, directly, readings_of
from ceso_mcp.recipes.room import watched
from ceso_mcp.recipes.secret_keys import read_without_secrets, secret_keys_in
from ceso_mcp.recipes.snapshots import drop_snapshot, take_snapshot
from ceso_mcp.recipes.transfer import note_times, read_file, unchanged
from ceso_mcp.recipes.ways import NOT_WRITABLE, read_slowly
from ceso_mcp.shell import Captured

How = Literal["auto", "hot", "restart", "cold"]
DELTA_SHARE = 0.15
DELTA_BYTES = 1 << 30
"""What may be written to a running VM's snapshot while it is there: a guess, with room to spare."""

_NOT_KEPT = "User data and vendor data of the guest, which may hold secrets, are left out of the kept .vmx."


class BackupVm(Change):
    """Back up a VM: every disk, its configuration and its firmware settings.

    A VM that is off is read as it is. A running one is backed up hot: one snapshot freezes all its
    disks at one instant, temporary copies of the frozen disks are read, then copies and snapshot are
    removed and that is proved. What the guest had not written by then is lost in such a backup, as
    after a power cut, unless `quiesce` lets the guest's tools bring its file systems to rest first;
    `restart` shuts the guest down for the moment of the snapshot instead. Snapshots that were there
    before stay as they are.

    Only blocks that changed since the VM's last backup cross the network, or those that are not zero
    if there is none to compare with (of a host without python3, whole disks do); they are compressed
    and sealed if the repository is. Every backup is complete by itself. The backup is listed only once
    it is complete. What could not be included (raw device mappings, shared disks) is named in it. Takes
    minutes to hours.
    """

    title: ClassVar[str] = "Back up a VM"
    toolset: ClassVar[str] = "backup"

    vm: ExistingVm = Field(description="exact name of the VM")
    how: How = Field(
        "auto",
        description="`auto`: hot if it is on; `hot`, `cold`; `restart`: shut down, snapshot, power on, read",
    )
    quiesce: bool = Field(False, description="hot only: let the guest's tools quiesce its file systems")
    temporary_datastore: DatastoreName | None = Field(
        None, description="where temporary copies of disks go; beside the VM if left out"
    )
    read_all: bool = Field(False, description="read everything, comparing with no earlier backup")

    async def plan(self, facts: Facts) -> Plan:
        vm = (await facts.read(Inventory())).named(self.vm)
        live = self._is_live(vm)
        if vm.readable.encrypted:
            raise Refused("the VM is encrypted; a copy of its files could not be opened", code="vm_encrypted")
        state, release, ways = await facts.read(Repository(), HostRelease(), DiskWays())
        if not state.as_configured:
            raise Refused(
                f"the repository {state.path} is sealed to other recipients than the configured ones",
                code="settings_differ",
                hint="let set_recipients take over the configured ones, or use those in its ceso-repo.json",
            )
        if ways.reading is None:
            raise Refused("the host has neither python3 nor dd to read disks with", code="no_disk_reader")
        readings, missing = await readings_of(facts, vm, ways.reading, live=live)
        backup_id = str(BackupId(_identity(vm), datetime.fromisoformat(facts.fixed.now), facts.fixed.run_id))
        parent, readings, why_full = await self._compared(facts, vm, readings)
        size = sum(reading.disk.allocated_bytes for reading in readings if not reading.parent)
        if state.free_bytes is not None and size > state.free_bytes:
            raise Refused(
                f"the disks take {size / 2**30:.1f} GiB, the repository has "
                f"{state.free_bytes / 2**30:.1f} GiB left; compression may not save enough",
                code="repository_full",
            )
        nvram = await nvram_of(facts, vm)
        signer = await facts.read(Signer())
        begin = Step("begin the backup", here=BeginBackup(backup_id, state.path, state.recipients, signer))
        settings = [read_without_secrets(vm)]
        firmware = [read_file(nvram, "vm.nvram", "read the firmware's settings")] if nvram is not None else []
        if live:
            body = await self._frozen(facts, vm, readings, settings, firmware)
        else:
            body = await self._at_rest(facts, vm, readings, [*settings, *firmware])
        commit = CommitBackup(
            backup_id=backup_id,
            vm_name=vm.name,
            vm_uuid=vm.uuid_bios,
            vmx_path=str(vm.path),
            host=release.version,
            esxi_version=release.version,
            esxi_build=str(release.build),
            kind="hot" if live and self.how != "restart" else "cold",
            consistency=self._consistency(live),
            not_included=tuple(missing),
            parent=parent,
        )
        return Plan(
            title=f"back up VM {vm.name}" + (", which is on" if live else ""),
            steps=(begin, *body, Step("list the backup", here=commit, completes=True)),
            touches=(
                f"repository {state.path}: backup {backup_id} (new)",
                *((f"VM {vm.name}: a snapshot while its disks are copied",) if live else ()),
                *((f"power of VM {vm.name}: off for a moment",) if live and self.how == "restart" else ()),
            ),
            warnings=(
                *read_slowly(ways.reading, [reading.disk.capacity_bytes for reading in readings]),
                *(() if ways.writing else (f"{NOT_WRITABLE}: a backup can be restored elsewhere only.",)),
                *(f"Not included: {what}: {why}." for what, why in missing),
                *((_NOT_KEPT,) if secret_keys_in(vm.readable) else ()),
                *(() if state.encrypted else ("The repository is not encrypted.",)),
                *(
                    ()
                    if state.provable
                    else ("No private key is configured: nothing here can prove that backups can be opened.",)
                ),
                *(
                    ("The backup is crash-consistent: as after a power cut.",)
                    if commit.consistency == "crash"
                    else ()
                ),
                *((f"Everything is read: {why_full}.",) if why_full and not parent else ()),
            ),
            before_after=(
                ("backups of this VM", "", f"one more, {backup_id}"),
                *((("compared with", "", parent),) if parent else ()),
            ),
            estimate=Estimate(copy_bytes=size),
            outcome={
                "vm": vm.name,
                "backup_id": backup_id,
                "repository": state.path,
                "signed_by": signer or None,
                "consistency": commit.consistency,
                "complete": not missing,
                "not_included": tuple(f"{what}: {why}" for what, why in missing),
                "data_bytes": Captured("data_bytes", number=True),
                "stored_bytes": Captured("stored_bytes", number=True),
                "compared_with": parent,
                "received_bytes": Captured("received_bytes", number=True),
                "added_bytes": Captured("added_bytes", number=True),
            },
        )

    def _is_live(self, vm: Vm) -> bool:
        """Whether a running VM is to be backed up; raises Refused where that is not what was asked."""
        if vm.power == "suspended":
            raise Refused(
                f"{vm.name!r} is suspended; its memory is not part of a backup",
                code="vm_suspended",
                hint="resume it, or power it off, first",
            )
        on = vm.power == "on"
        if self.how == "cold" and on:
            raise Refused(
                f"{vm.name!r} is on, so it cannot be backed up cold",
                code="vm_not_off",
                hint="shut it down first (power_vm with action shutdown), or let ceso back it up hot",
            )
        if self.how in ("hot", "restart") and not on:
            raise Refused(f"{vm.name!r} is off; back it up cold", code="vm_not_on")
        if self.quiesce and (not on or self.how == "restart"):
            raise Refused("only a hot backup can be quiesced", code="not_hot")
        return on

    def _consistency(self, live: bool) -> str:
        if not live or self.how == "restart":
            return "powered_off"
        return "filesystem" if self.quiesce else "crash"

    async def _compared(
        self, facts: Facts, vm: Vm, readings: list[Reading]
    ) -> tuple[str | None, list[Reading], str]:
        """The backup to compare with, the disks that can be, and why not if there is none."""
        if self.read_all:
            return None, readings, ""
        disks = tuple((reading.node.node, reading.disk.capacity_bytes) for reading in readings)
        choice = await facts.read(Parent(_identity(vm), disks))
        chosen = [
            replace(reading, parent=choice.backup_id if same else None)
            for reading, same in zip(readings, choice.disks, strict=True)
        ]
        return choice.backup_id, chosen, choice.reason

    async def _at_rest(self, facts: Facts, vm: Vm, readings: list[Reading], files: list[Step]) -> list[Step]:
        """Steps that read the disks of a VM that is off, and see that nobody wrote meanwhile."""
        watched = [vm.path, *(path for reading in readings for path in reading.disk.extent_paths())]
        chains = [reading for reading in readings if not reading.is_plain]
        sizes = [reading.disk.allocated_bytes for reading in chains]
        place = await self._room(facts, vm, max(sizes), {}) if chains else vm.folder
        steps = [
            Step(
                "note the times of the VM's files",
                note_times(watched),
                capture=Capture("times", lambda reply: reply.stdout),
                reads_only=True,
            ),
            *files,
        ]
        for reading in readings:
            if reading.is_plain:
                steps += directly(reading)
            else:
                copy = TemporaryCopy(reading, place, facts.fixed.run_id)
                steps += [*copy.make(), *copy.read()]
        nobody_wrote = Step(
            "see that nobody wrote meanwhile",
            note_times(watched),
            judge=unchanged("times"),
            reads_only=True,
        )
        return [*steps, nobody_wrote]

    async def _frozen(
        self, facts: Facts, vm: Vm, readings: list[Reading], settings: list[Step], firmware: list[Step]
    ) -> list[Step]:
        """Steps that read a running VM as it is at one instant.

        The .vmx is read just before the snapshot, which changes its disks' names; the nvram, which a
        running VM may write at any time, right after it, or while the VM is down for it. Where there is room
        for a copy of every disk at once, the snapshot goes before they are read.
        """
        run_id = facts.fixed.run_id
        sizes = [reading.disk.allocated_bytes for reading in readings]
        growth = {
            reading.disk.top.path.datastore: int(reading.disk.allocated_bytes * DELTA_SHARE) + DELTA_BYTES
            for reading in readings
        }
        try:
            place, at_once = await self._room(facts, vm, sum(sizes), growth), True
        except Refused:
            place, at_once = await self._room(facts, vm, max(sizes), growth), False
        copies = [TemporaryCopy(reading, place, run_id) for reading in readings]
        freeze = [*settings, *take_snapshot(vm, run_id, quiesce=self.quiesce), *firmware]
        if self.how == "restart":
            freeze = [*await shut_down(facts, vm), *freeze, *power_on_again(vm)]
        watch = {*growth, place.datastore}
        thaw = drop_snapshot(vm, run_id, len(await facts.read(SnapshotTree(vm.vmid))))
        if at_once:
            made = watched((step for copy in copies for step in copy.make()), watch)
            return [*freeze, *made, *thaw, *(step for copy in copies for step in copy.read())]
        one_by_one = (step for copy in copies for step in (*copy.make(), *copy.read()))
        return [*freeze, *watched(one_by_one, watch), *thaw]

    async def _room(self, facts: Facts, vm: Vm, copies: int, growth: dict[str, int]) -> DatastorePath:
        """Where temporary copies of `copies` bytes go; raises Refused `datastore_full` if they cannot."""
        where = self.temporary_datastore or vm.folder.datastore
        wanted = growth | {where: growth.get(where, 0) + int(copies * 1.05) + (256 << 20)}
        await mounted_volume(facts, where)
        free = {volume.name: volume.free_bytes for volume in await facts.read(Datastores())}
        for name, size in wanted.items():
            if size > free.get(name, 0):
                raise Refused(
                    f"datastore {name!r} has {free.get(name, 0) / 2**30:.1f} GiB free, but temporary copies"
                    f" and what is written meanwhile need {size / 2**30:.1f} GiB",
                    code="datastore_full",
                    hint="free some space, or let the copies go elsewhere with temporary_datastore",
                )
        return vm.folder if where == vm.folder.datastore else DatastorePath(where, "")


def _identity(vm: Vm) -> str:
    """The VM's id in the repository: its BIOS UUID, or its place if it never had one."""
    if vm.uuid_bios:
        return vm_id(vm.uuid_bios)
    return "path-" + hashlib.sha256(str(vm.path).encode()).hexdigest()[:24]
