"""Prove a backup by bringing it up."""

from __future__ import annotations

import re
from typing import ClassVar

from pydantic import Field

from ceso_mcp.backup.drills import BeginDrill, NoteDrill
from ceso_mcp.errors import Refused
from ceso_mcp.esxi.paths import DatastorePath
from ceso_mcp.esxi.vmx import Vmx
from ceso_mcp.fact import Facts
from ceso_mcp.facts.backups import BackupFile, Manifest, SignatureWarnings
from ceso_mcp.facts.host import HostHardware
from ceso_mcp.facts.inventory import Inventory
from ceso_mcp.facts.network import Portgroups
from ceso_mcp.facts.storage import Datastores
from ceso_mcp.fields import BackupName, DatastoreName, HardwareVersion, PortgroupName
from ceso_mcp.guest.identity import bios_uuid, static_mac
from ceso_mcp.guest.names import Hostname
from ceso_mcp.operation import Change
from ceso_mcp.plan import Plan, Step
from ceso_mcp.recipes.bring_up import power_on, register, write_vmx
from ceso_mcp.recipes.copying import taken_macs
from ceso_mcp.recipes.drilling import hear_guest, remove_scratch, see_it_runs
from ceso_mcp.recipes.fitting import fitted
from ceso_mcp.recipes.place import choose_place, portgroup_problem
from ceso_mcp.recipes.reborn import Rebirth, reborn
from ceso_mcp.recipes.restoring import restore_files, without_lost_disks
from ceso_mcp.recipes.spreading import SpreadFields, spread
from ceso_mcp.recipes.ways import read_back_slowly, way_to_write
from ceso_mcp.shell import Captured


class DrillBackup(SpreadFields, Change):
    """Prove that a backup comes up: restore it to a scratch VM, start it, hear its guest, remove it all.

    The scratch VM has a name, UUID and MAC addresses of its own and its network cards disconnected,
    unless a portgroup is given; the guest keeps its settings. Every block is checked, read back and
    compared. The outcome is kept beside the backup: `passed` if the guest's tools answered, `started`
    if it ran but no tools answered in time (no proof of the guest), `failed` with the reason if
    something did not work. Takes as long as a restore, and room for it.
    """

    title: ClassVar[str] = "Drill a restore"
    toolset: ClassVar[str] = "backup"

    backup_id: BackupName = Field(description="id of the backup, from list_backups")
    datastore: DatastoreName | None = Field(
        None, description="where the scratch VM lies for the time; that of the backed-up VM if left out"
    )
    portgroup: PortgroupName | None = Field(
        None, description="isolated network for its cards; they are disconnected if left out"
    )
    hostname: Hostname | None = Field(
        None, max_length=253, description="what the guest must call itself; anything else fails the drill"
    )
    hardware_version: HardwareVersion | None = Field(
        None, description="lower its virtual hardware to this version, for an older host"
    )
    wait_s: int = Field(300, ge=1, le=3600, description="how long to wait for the guest's tools, in seconds")

    async def plan(self, facts: Facts) -> Plan:
        manifest, data = await facts.read(Manifest(self.backup_id), BackupFile(self.backup_id, "vm.vmx"))
        way = await way_to_write(facts)
        inventory = await facts.read(Inventory())
        place = await choose_place(
            facts,
            f"drill-{_plain(manifest.vm.name)}-{facts.fixed.run_id}",
            self.datastore or await self._datastore(facts, manifest.vm.vmx_path),
            inventory,
        )
        disks = await spread(facts, place, manifest.disks, self.disk_datastores, place.stem)
        source, lost = without_lost_disks(Vmx.parse_bytes(data), manifest)
        memory_mib = source.number("memSize") or 0
        disks.require_room("the scratch VM with its swap file", memory_mib << 20)
        source, unfit = await fitted(facts, source, hardware_version=self.hardware_version)
        seed, taken = facts.fixed.seed, set(taken_macs(inventory))
        macs: dict[int, str] = {}
        for nic in source.nics():
            macs[nic.index] = static_mac(seed, f"nic{nic.index}", taken)
            taken.add(macs[nic.index])
        source, portgroups = await self._networks(facts, source)
        vmx, dropped = reborn(
            source,
            Rebirth(
                name=place.name,
                uuid_bios=bios_uuid(seed, "vm"),
                macs=macs,
                portgroups=portgroups,
                disks={disk.node: disks.file_name(i) for i, disk in enumerate(manifest.disks)},
                guestinfo={k: v for k, v in source.items() if k.lower().startswith("guestinfo.")},
                nvram=place.nvram.name,
            ),
        )
        host = (await facts.read(HostHardware())).host_name
        steps = [
            Step("begin the drill", here=BeginDrill(manifest.id, host)),
            *restore_files(manifest, disks, way),
            *place.owned([write_vmx(place, vmx), register(place.vmx), *power_on()]),
            hear_guest(self.wait_s, self.hostname),
            see_it_runs(),
            Step("note the outcome beside the backup", here=NoteDrill(manifest.id, host)),
            *remove_scratch(place, disks.others),
        ]
        return Plan(
            title=f"drill the restore of {manifest.vm.name} of {manifest.created:%Y-%m-%d %H:%M} UTC",
            steps=tuple(steps),
            touches=(
                f"VM {place.name} (new, removed again)",
                *(f"folder {one.folder} (new, removed again)" for one in (place, *disks.others)),
                f"the note of the last drill of backup {manifest.id}",
            ),
            warnings=(
                *await facts.read(SignatureWarnings(self.backup_id)),
                *read_back_slowly(way, [disk.capacity_bytes for disk in manifest.disks]),
                *([] if self.portgroup is None else ["Its guest may take addresses of the VM it is of."]),
                *unfit,
                *dropped,
                *(
                    f"The disk {node} is not in the backup; the guest has to start without it."
                    for node in lost
                ),
            ),
            before_after=((f"backup {manifest.id}", "", "drilled"), *disks.rows()),
            estimate=disks.estimate(),
            outcome={
                "backup_id": manifest.id,
                "drill": Captured("drill"),
                "guest": Captured("guest"),
                "seconds": Captured("seconds", number=True),
                "compared": True,
                "left_out": (*unfit, *dropped),
            },
        )

    async def _datastore(self, facts: Facts, vmx_path: str) -> str:
        wanted = DatastorePath.parse(vmx_path).datastore
        known = [store.name for store in await facts.read(Datastores())]
        if wanted not in known:
            raise Refused(
                f"this host has no datastore {wanted!r}, where the VM was",
                code="no_such_datastore",
                hint=f"give datastore; datastores here: {', '.join(map(repr, known))}",
            )
        return wanted

    async def _networks(self, facts: Facts, source: Vmx) -> tuple[Vmx, dict[int, str]]:
        """The .vmx with its cards disconnected, or the portgroup for all of them."""
        numbers = [nic.index for nic in source.nics()]
        if self.portgroup is None:
            return source.with_set({f"ethernet{n}.startConnected": "FALSE" for n in numbers}), {}
        known = await facts.read(Portgroups())
        if self.portgroup not in {portgroup.name for portgroup in known}:
            raise portgroup_problem(self.portgroup, known)
        return source, dict.fromkeys(numbers, self.portgroup)


def _plain(name: str) -> str:
    """A VM's name as a part of another one: what a new name may not hold is replaced."""
    return re.sub(r"[^A-Za-z0-9._-]", "_", name)[:48]
