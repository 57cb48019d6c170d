"""Make an address pool."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from ceso_mcp.addresses.pool import PoolName, RangeText
from ceso_mcp.errors import Refused
from ceso_mcp.fact import Facts
from ceso_mcp.facts.addresses import Addresses
from ceso_mcp.operation import Change
from ceso_mcp.plan import Plan
from ceso_mcp.recipes.pools import PoolFields, write


class CreatePool(PoolFields, Change):
    """Make a pool of addresses that new VMs take theirs from, with gateway, DNS servers and network.

    create_vm, clone_vm and restore_vm take the pool's name in place of addresses. The book of pools is kept
    on this machine. The host is not asked.
    """

    title: ClassVar[str] = "Make an address pool"
    toolset: ClassVar[str] = "pool"

    name: PoolName = Field(description="name of the pool")
    ranges: tuple[RangeText, ...] = Field(
        min_length=1,
        max_length=64,
        description="IPv4 or IPv6, given out in this order: 192.0.2.100-192.0.2.150/24, or a whole"
        " network, 2001:db8::/64",
    )

    async def plan(self, facts: Facts) -> Plan:
        ledger = await facts.read(Addresses())
        if ledger.pool(self.name) is not None:
            raise Refused(
                f"there is a pool {self.name} already", code="pool_exists", hint="set_pool changes it"
            )
        return await write(facts, ledger, self.model_dump(), None)
