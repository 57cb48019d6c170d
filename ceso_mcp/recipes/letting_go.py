"""Letting go of the addresses and names that a VM has from pools, when it is deleted or gets others."""

from __future__ import annotations

from ceso_mcp.addresses.actions import KeptRecord, Ledger, ReleaseAddress, Reservation
from ceso_mcp.fact import Facts
from ceso_mcp.facts.addresses import Addresses, Dns
from ceso_mcp.facts.inventory import HostVms, Vm
from ceso_mcp.plan import Step
from ceso_mcp.recipes.naming import removal


async def let_go(facts: Facts, vm: Vm, inventory: HostVms) -> list[Step]:
    """Steps that remove the VM's records, then release its addresses; none if it has none.

    They come before what cannot be undone, and each can be taken back: a released address is not given out
    again for a while.
    """
    ledger = await facts.read(Addresses())
    held, records = belongings(ledger, vm, inventory)
    steps = removal(records, await facts.read(Dns())) if records else []
    return steps + [
        Step(
            f"release address {item.address}",
            here=ReleaseAddress(item.pool, item.address, item.vm, item.vmx, item.uuid_bios),
        )
        for item in held
    ]


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
