"""Restore a VM from a backup, as a new VM."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from ceso_mcp.esxi.vmx import Vmx
from ceso_mcp.fact import Facts
from ceso_mcp.facts.backups import BackupFile, Manifest, SignatureWarnings
from ceso_mcp.facts.inventory import Inventory
from ceso_mcp.facts.network import Portgroups
from ceso_mcp.fields import BackupName, DatastoreName, HardwareVersion, PortgroupName, VmName
from ceso_mcp.operation import Change
from ceso_mcp.plan import Plan
from ceso_mcp.recipes.addressing import addressed, new_owner
from ceso_mcp.recipes.bring_up import bring_up, outcome
from ceso_mcp.recipes.copying import taken_macs
from ceso_mcp.recipes.fitting import fitted, without_lost_networks
from ceso_mcp.recipes.guest_setup import GuestFields, new_identity
from ceso_mcp.recipes.nics import Cards, cards_for, vlan_warnings
from ceso_mcp.recipes.place import choose_place, portgroup_problem
from ceso_mcp.recipes.proving import ProofFields, refuse_taken
from ceso_mcp.recipes.reborn import Rebirth, reborn
from ceso_mcp.recipes.restoring import restore_files, without_lost_disks
from ceso_mcp.recipes.spreading import SpreadFields, spread
from ceso_mcp.recipes.user_data import read_own_data
from ceso_mcp.recipes.ways import read_back_slowly, way_to_write


class RestoreVm(GuestFields, ProofFields, SpreadFields, Change):
    """Restore a backup as a new VM beside whatever is there, with an identity of its own.

    Disks are made thin, only blocks that are not zero are written, and each block is read back on
    the host and compared with the backup. The VM gets a new BIOS UUID, MAC addresses, instance-id,
    host name and addresses; its contents are those of the backup, byte for byte. What this host does
    not have (network, CD image, port, passed-through device) is disconnected or left out, and named.
    Takes minutes to hours. `list_backups` shows the backups.
    """

    title: ClassVar[str] = "Restore a VM"
    toolset: ClassVar[str] = "backup"

    backup_id: BackupName = Field(description="id of the backup, from list_backups")
    name: VmName = Field(description="name of the restored VM")
    datastore: DatastoreName = Field(description="where it goes, but for disks named in disk_datastores")
    portgroup: PortgroupName | None = Field(
        None, description="network of its first card, and of any whose network is not here"
    )
    hardware_version: HardwareVersion | None = Field(
        None, description="lower its virtual hardware to this version, for an older host"
    )
    new_machine_id: bool = Field(True, description="have the guest make a new machine-id at its first boot")
    power_on: bool = Field(False, description="power it on and wait for its address")
    wait_s: int = Field(300, ge=10, le=3600, description="how long to wait for the guest, in seconds")

    async def plan(self, facts: Facts) -> Plan:
        own, notes = await read_own_data(facts, self)
        manifest, data = await facts.read(Manifest(self.backup_id), BackupFile(self.backup_id, "vm.vmx"))
        way = await way_to_write(facts)
        source = Vmx.parse_bytes(data)
        inventory = await facts.read(Inventory())
        place = await choose_place(facts, self.name, self.datastore, inventory)
        disks = await spread(facts, place, manifest.disks, self.disk_datastores, place.stem)
        disks.require_room("the restored VM")
        source, lost = without_lost_disks(source, manifest)
        source, unfit = await fitted(facts, source, hardware_version=self.hardware_version)
        owner = new_owner(place, self, facts.fixed.seed)
        given = await addressed(facts, self, self.portgroup, owner, inventory)
        cards = cards_for(source, given.guest, given.portgroup, given.guest.nics)
        portgroups = await self._portgroups(facts, source, cards)
        source, lonely = await without_lost_networks(facts, source, portgroups)
        notes += vlan_warnings(source, cards, self.vlans, await facts.read(Portgroups()))
        identity = new_identity(
            given.guest, self.name, cards.numbers, facts.fixed.seed, taken_macs(inventory), own
        )
        notes += await refuse_taken(facts, self, identity.expectation, inventory)
        vmx, dropped = reborn(
            source,
            Rebirth(
                name=self.name,
                uuid_bios=identity.uuid_bios,
                macs=identity.macs,
                portgroups=portgroups,
                disks={disk.node: disks.file_name(i) for i, disk in enumerate(manifest.disks)},
                guestinfo=identity.guestinfo,
                nvram=place.nvram.name,
                added_nics=cards.added,
            ),
        )
        left_out = (*unfit, *lonely, *dropped)
        steps = [*given.steps, *restore_files(manifest, disks, way)]
        steps += bring_up(
            place,
            vmx,
            identity,
            on=self.power_on,
            wait_s=self.wait_s,
            proof=self,
            others=disks.others,
        )
        return Plan(
            title=f"restore {manifest.vm.name} of {manifest.created:%Y-%m-%d %H:%M} UTC as VM {self.name}",
            steps=tuple(steps),
            touches=(f"VM {self.name} (new)", f"folder {place.folder} (new)", *disks.touches()),
            warnings=(
                *await facts.read(SignatureWarnings(self.backup_id)),
                *read_back_slowly(way, [disk.capacity_bytes for disk in manifest.disks]),
                *identity.warnings,
                *notes,
                *given.warnings,
                *left_out,
                *(f"The disk {node} is not in the backup and is left out." for node in lost),
                *(f"Not in the backup: {item.what}: {item.why}." for item in manifest.not_included),
            ),
            before_after=(
                (f"VM {self.name}", "absent", f"in {place.folder}"),
                *disks.rows(),
                *identity.rows(),
            ),
            estimate=disks.estimate(),
            outcome={
                **outcome(place, identity, on=self.power_on, proof=self),
                **given.outcome,
                "backup_id": self.backup_id,
                "compared": True,
                "left_out": left_out,
            },
        )

    async def _portgroups(self, facts: Facts, source: Vmx, cards: Cards) -> dict[int, str]:
        known = await facts.read(Portgroups())
        names = {portgroup.name for portgroup in known}
        kept = {nic.index: nic.network_name or "" for nic in source.nics()}
        if self.portgroup is not None and self.portgroup not in names:
            raise portgroup_problem(self.portgroup, known)
        chosen: dict[int, str] = {}
        for position, number in enumerate(cards.numbers):
            given, name = cards.portgroups.get(number), kept.get(number, "")
            if given is not None:
                if given not in names:
                    raise portgroup_problem(given, known)
                chosen[number] = given
            elif name in names:
                continue
            elif self.portgroup is not None:
                chosen[number] = self.portgroup
            elif self.power_on and position < len(self.cards()):
                raise portgroup_problem(name, known)  # without a network no address can be waited for
        return chosen
