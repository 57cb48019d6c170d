"""A plan for a new VM made from another one on the same host: create and clone are both this."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ceso_mcp.errors import Refused
from ceso_mcp.esxi.paths import DatastorePath
from ceso_mcp.esxi.vmx import Vmx
from ceso_mcp.fact import Facts
from ceso_mcp.facts.inventory import HostVms, Inventory, Vm
from ceso_mcp.facts.network import Portgroups
from ceso_mcp.facts.storage import Disk, DiskAt, Exists
from ceso_mcp.plan import Plan, Step, Undo
from ceso_mcp.recipes.addressing import addressed, new_owner
from ceso_mcp.recipes.bring_up import bring_up, outcome
from ceso_mcp.recipes.disks import copy_disk, grow_disk
from ceso_mcp.recipes.guest_setup import GuestFields, new_identity
from ceso_mcp.recipes.nics import Cards, cards_for, portgroup_rows, vlan_warnings
from ceso_mcp.recipes.place import Place, choose_place, portgroup_problem
from ceso_mcp.recipes.proving import ProofFields, refuse_taken
from ceso_mcp.recipes.reborn import Rebirth, reborn, refuse_uncopyable
from ceso_mcp.recipes.templates import require_template
from ceso_mcp.recipes.user_data import read_own_data
from ceso_mcp.shell import sh


@dataclass(frozen=True, slots=True)
class CopyWish:
    """What the new VM is to be. None keeps what the source has."""

    name: str
    source: str
    guest: GuestFields
    proof: ProofFields
    datastore: str | None
    portgroup: str | None
    power_on: bool
    wait_s: int
    cpus: int | None = None
    memory_mib: int | None = None
    disk_gib: int | None = None
    annotation: str | None = None
    golden: bool = False
    """Only from a source that has been prepared as a template."""


@dataclass(frozen=True, slots=True)
class Siblings:
    """What VMs that the same plan makes before this one take: MAC addresses and room."""

    macs: frozenset[str] = frozenset()
    copied_bytes: int = 0

    def and_one(self, plan: Plan) -> Siblings:
        """With the VM of `plan` too."""
        macs = plan.outcome["macs"]
        assert isinstance(macs, tuple)
        return Siblings(self.macs | set(macs), self.copied_bytes + plan.estimate.copy_bytes)


async def plan_copy(facts: Facts, wish: CopyWish, title: str, siblings: Siblings | None = None) -> Plan:
    """Every check first, then the steps; raises Refused with a reason of its own for each problem."""
    siblings = siblings or Siblings()
    own, notes = await read_own_data(facts, wish.guest)
    if wish.golden:
        await require_template(facts, wish.source)
    inventory = await facts.read(Inventory())
    source = inventory.named(wish.source)
    disks = await _source_disks(facts, source)
    place = await choose_place(facts, wish.name, wish.datastore or source.path.datastore, inventory)
    size = sum(disk.allocated_bytes for disk in disks)
    place.require_room(siblings.copied_bytes + size, f"the copy of {source.name!r}")
    owner = new_owner(place, wish.guest, facts.fixed.seed)
    given = await addressed(facts, wish.guest, wish.portgroup, owner, inventory)
    cards = cards_for(source.readable, given.guest, given.portgroup, given.guest.nics)
    await _require_portgroups(facts, source.readable, cards)
    notes += vlan_warnings(source.readable, cards, wish.guest.vlans, await facts.read(Portgroups()))
    macs = taken_macs(inventory) | siblings.macs
    identity = new_identity(given.guest, wish.name, cards.numbers, facts.fixed.seed, macs, own)
    notes += await refuse_taken(facts, wish.proof, identity.expectation, inventory)
    targets = {d.node: place.disk(i) for i, d in enumerate(source.readable.disks())}
    nvram = await nvram_of(facts, source)
    vmx, left_out = reborn(
        source.readable,
        Rebirth(
            name=wish.name,
            uuid_bios=identity.uuid_bios,
            macs=identity.macs,
            portgroups=cards.portgroups,
            added_nics=cards.added,
            disks={node: path.name for node, path in targets.items()},
            guestinfo=identity.guestinfo,
            nvram=place.nvram.name,
            cpus=wish.cpus,
            memory_mib=wish.memory_mib,
            annotation=wish.annotation,
        ),
    )
    made = _copies(source, disks, targets, facts.fixed.run_id)
    made += _growth(wish.disk_gib, disks, place)
    if nvram is not None:
        made.append(
            Step(
                "copy the firmware's settings",
                sh("cp", nvram, place.nvram),
                undo=Undo((sh("rm", "-f", place.nvram),)),
                repeatable=True,
            )
        )
    steps = [*given.steps, place.claim(), *place.owned(made)]
    steps += bring_up(place, vmx, identity, on=wish.power_on, wait_s=wish.wait_s, proof=wish.proof)
    rows = [(f"VM {wish.name}", "absent", f"in {place.folder}"), *identity.rows()]
    rows += _hardware_rows(wish, source) + portgroup_rows(source.readable, cards)
    return Plan(
        title=title,
        steps=tuple(steps),
        touches=(f"VM {wish.name} (new)", f"folder {place.folder} (new)"),
        warnings=(*identity.warnings, *given.warnings, *notes, *left_out),
        before_after=tuple(rows),
        estimate=place.estimate(size),
        outcome={**outcome(place, identity, on=wish.power_on, proof=wish.proof), **given.outcome},
    )


def taken_macs(inventory: HostVms) -> set[str]:
    """Every MAC address that a VM of the host has, powered off ones included."""
    return {mac for vm in inventory.vms for mac in vm.macs()}


async def _source_disks(facts: Facts, source: Vm) -> list[Disk]:
    refuse_uncopyable(source.readable)
    if source.power != "off":
        raise Refused(
            f"{source.name!r} is {source.power}; its disks can be copied only while it is off",
            code="vm_not_off",
            hint="shut it down first (power_vm with action shutdown)",
        )
    paths = source.disk_paths()
    if not paths:
        raise Refused(f"{source.name!r} has no disk", code="no_disk")
    disks = [await facts.read(DiskAt(path)) for path in paths]
    for disk in disks:
        if any(link.descriptor.encrypted for link in disk.links):
            raise Refused(f"the disk {disk.top.path} is encrypted", code="vm_encrypted")
        if any(link.descriptor.is_rdm for link in disk.links):
            raise Refused(
                f"the disk {disk.top.path} is a raw device mapping, which cannot be copied",
                code="raw_device_mapping",
                hint="detach it from the source first",
            )
    return disks


async def _require_portgroups(facts: Facts, source: Vmx, cards: Cards) -> None:
    known = await facts.read(Portgroups())
    names = {p.name for p in known}
    kept = {nic.index: nic.network_name or "" for nic in source.nics()}
    for number in cards.numbers:
        name = cards.portgroups.get(number) or kept.get(number, "")
        if name and name not in names:
            raise portgroup_problem(name, known)


async def nvram_of(facts: Facts, source: Vm) -> DatastorePath | None:
    """A VM's nvram, if it has been made: an EFI VM without it loses its boot entries."""
    name = source.readable.get("nvram")
    if not name:
        return None
    path = source.located(name)
    return path if await facts.read(Exists(path)) else None


def _copies(source: Vm, disks: list[Disk], targets: Mapping[str, DatastorePath], run_id: str) -> list[Step]:
    steps: list[Step] = []
    for number, (disk, target) in enumerate(zip(disks, targets.values(), strict=True), 1):
        which = "the disk" if len(disks) == 1 else f"disk {number} of {len(disks)}"
        steps += copy_disk(disk.top.path, target, f"copy {which} of {source.name}", run_id, number)
    return steps


def _growth(disk_gib: int | None, disks: list[Disk], place: Place) -> list[Step]:
    if disk_gib is None:
        return []
    now = disks[0].capacity_bytes
    wanted = disk_gib << 30
    if wanted < now:
        raise Refused(
            f"the template's disk has {now / 2**30:.1f} GiB and cannot shrink to {disk_gib} GiB",
            code="disk_too_small",
            hint="a disk can only grow",
        )
    return [grow_disk(place.disk(0), disk_gib)] if wanted > now else []


def _hardware_rows(wish: CopyWish, source: Vm) -> list[tuple[str, str, str]]:
    vmx = source.readable
    rows: list[tuple[str, str, str]] = []
    if wish.cpus is not None:
        rows.append(("CPUs", str(vmx.number("numvcpus") or 1), str(wish.cpus)))
    if wish.memory_mib is not None:
        rows.append(("memory MiB", str(vmx.get("memSize")), str(wish.memory_mib)))
    return [(what, before, after) for what, before, after in rows if before != after]
