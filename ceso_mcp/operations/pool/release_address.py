"""Release an address by hand."""

from __future__ import annotations

import ipaddress
from typing import ClassVar

from pydantic import Field, field_validator

from ceso_mcp.addresses.actions import KeptRecord, Ledger, Reservation
from ceso_mcp.addresses.actions import ReleaseAddress as Release
from ceso_mcp.addresses.records import pointer, words
from ceso_mcp.errors import Refused
from ceso_mcp.fact import Facts
from ceso_mcp.facts.addresses import Addresses, Dns
from ceso_mcp.operation import Change
from ceso_mcp.plan import Plan, Step
from ceso_mcp.recipes.naming import removal


class ReleaseAddress(Change):
    """Free an address of a pool, with the DNS records that ceso made for it, whose VM ceso did not delete.

    Deleting a VM with delete_vm does this by itself. The host is not asked, so be sure that the VM is gone
    or has another address. Also frees at once what was released a short while ago, and what a stranger had.
    """

    title: ClassVar[str] = "Release an address"
    toolset: ClassVar[str] = "pool"

    address: str = Field(max_length=64, description="the address, without prefix")

    @field_validator("address")
    @classmethod
    def _an_address(cls, value: str) -> str:
        try:
            return str(ipaddress.ip_address(value.strip()))
        except ValueError:
            raise ValueError("this is not an IPv4 or IPv6 address") from None

    async def plan(self, facts: Facts) -> Plan:
        ledger = await facts.read(Addresses())
        item = next((row for row in ledger.reservations if row.address == self.address), None)
        if item is None:
            raise Refused(
                f"nobody has {self.address}", code="not_held", hint="`list_pools` shows who has which address"
            )
        if item.state == "leased":
            raise Refused(
                f"a preview has {self.address}",
                code="address_leased",
                hint="it is free again by itself when the preview's token has expired",
            )
        records = _records(ledger, item)
        steps = removal(records, await facts.read(Dns())) if records else []
        release = Release(item.pool, item.address, item.vm, item.vmx, item.uuid_bios, at_once=True)
        steps.append(Step(f"release {item.address}", here=release, completes=True))
        who = f"held by VM {item.vm} ({item.vmx})" if item.state == "held" else item.state
        return Plan(
            title=f"release address {item.address} of pool {item.pool}",
            steps=tuple(steps),
            touches=(f"address {item.address}", *(f"DNS record {words([kept.record])}" for kept in records)),
            warnings=(
                (f"If VM {item.vm} still uses {item.address}, two machines will have it in the end.",)
                if item.state == "held"
                else ()
            ),
            before_after=((f"address {item.address}", who, "free"),),
            outcome={"address": item.address, "pool": item.pool, "released": True},
        )


def _records(ledger: Ledger, item: Reservation) -> list[KeptRecord]:
    """Records of the VM that name this address, or point from it."""
    back = pointer("", ipaddress.ip_address(item.address))[0]
    return [
        kept
        for kept in ledger.records
        if (kept.vmx, kept.uuid_bios) == (item.vmx, item.uuid_bios)
        and (kept.record[2] == item.address or kept.record[0] == back)
    ]
