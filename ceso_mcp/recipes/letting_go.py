"""Letting go of the addresses and names that a VM has from pools, when it is deleted or gets others."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address

from ceso_mcp.addresses.actions import KeptRecord, Ledger, ReleaseAddress, Reservation
from ceso_mcp.fact import Facts
from ceso_mcp.facts.addresses import Addresses, Dns
from ceso_mcp.facts.inventory import HostVms, Vm
from ceso_mcp.plan import Step
from ceso_mcp.recipes.addressing import Addressed, Drawn, Owner, addressed
from ceso_mcp.recipes.guest_setup import GuestFields
from ceso_mcp.recipes.naming import named, removal


async def let_go(facts: Facts, vm: Vm, inventory: HostVms) -> list[Step]:
    """Steps that remove the VM's records, then release its addresses; none if it has none.

    They come before what cannot be undone, and each can be taken back: a released address is not given out
    again for a while.
    """
    ledger = await facts.read(Addresses())
    held, records = belongings(ledger, vm, inventory)
    steps = removal(records, await facts.read(Dns())) if records else []
    return [*steps, *(_release(item) for item in held)]


async def moved(
    facts: Facts,
    guest: GuestFields,
    portgroup: str | None,
    vm: Vm,
    inventory: HostVms,
    hostname: str | None,
    *,
    network_stays: bool,
) -> Addressed:
    """For a VM that gets another name or other addresses: the wish with addresses, and the steps for it.

    With `network_stays` its addresses stay and only its names change. Otherwise what it held and does not
    keep is released, after its old records are removed; new addresses are drawn as for a new VM. Raises what
    `addressed` raises.
    """
    ledger = await facts.read(Addresses())
    held, records = belongings(ledger, vm, inventory)
    if network_stays:
        same = [
            Drawn(pool, tuple(ip_address(item.address) for item in held if item.pool == pool.name))
            for pool in ledger.pools
            if any(item.pool == pool.name for item in held)
        ]
        names = await named(facts, hostname, str(vm.path), vm.uuid_bios, same, records)
        outcome = {"dns_name": names.name} if names.name else {}
        kept = tuple(item.address for item in held)
        return Addressed(guest, portgroup, names.steps, names.warnings, outcome, kept)
    owner = Owner(vm.name, str(vm.path), vm.uuid_bios, hostname)
    given = await addressed(facts, guest, portgroup, owner, inventory, held, records)
    released = [_release(item) for item in held if item.address not in given.kept]
    return replace(given, steps=(*given.steps, *released))


def _release(item: Reservation) -> Step:
    gone = ReleaseAddress(item.pool, item.address, item.vm, item.vmx, item.uuid_bios)
    return Step(f"release address {item.address}", here=gone)


def belongings(ledger: Ledger, vm: Vm, inventory: HostVms) -> tuple[list[Reservation], list[KeptRecord]]:
    """What the book says is this VM's: by its BIOS UUID, or by its .vmx if no other VM has the UUID noted."""
    others = {_digits(other.uuid_bios) for other in inventory.vms if other.vmid != vm.vmid}

    def is_its(host: str, vmx: str, uuid_bios: str) -> bool:
        if host != ledger.host or _digits(uuid_bios) in others - {""}:
            return False
        return _digits(uuid_bios) == _digits(vm.uuid_bios) or vmx == str(vm.path)

    held = [
        item
        for item in ledger.reservations
        if item.state == "held" and is_its(item.host, item.vmx, item.uuid_bios)
    ]
    return held, [item for item in ledger.records if is_its(item.host, item.vmx, item.uuid_bios)]


def _digits(uuid: str) -> str:
    return uuid.replace(" ", "").replace("-", "").lower()
