"""Remove an address pool."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from ceso_mcp.addresses.actions import RemovePool
from ceso_mcp.addresses.pool import PoolName
from ceso_mcp.errors import Refused
from ceso_mcp.fact import Facts
from ceso_mcp.facts.addresses import Addresses
from ceso_mcp.operation import Change
from ceso_mcp.plan import Plan, Step
from ceso_mcp.recipes.pools import existing


class DeletePool(Change):
    """Remove a pool of which no VM has an address. The host is not asked."""

    title: ClassVar[str] = "Remove an address pool"
    toolset: ClassVar[str] = "pool"

    name: PoolName = Field(description="name of the pool")

    async def plan(self, facts: Facts) -> Plan:
        ledger = await facts.read(Addresses())
        pool = existing(ledger, self.name)
        busy = [
            item
            for item in ledger.reservations
            if item.pool == pool.name and item.state in ("held", "leased")
        ]
        if busy:
            who = ", ".join(f"{item.address} ({item.vm or 'a preview'})" for item in busy[:5])
            more = f" and {len(busy) - 5} more" if len(busy) > 5 else ""
            raise Refused(
                f"addresses of pool {pool.name} are taken: {who}{more}",
                code="pool_in_use",
                hint="delete those VMs, or release_address; a preview's lease ends with its token",
            )
        return Plan(
            title=f"remove address pool {pool.name}",
            steps=(Step("remove the pool", here=RemovePool(pool.name), completes=True),),
            touches=(f"address pool {pool.name}",),
            before_after=((f"pool {pool.name}", pool.words(), "gone"),),
            outcome={"pool": pool.name, "deleted": True},
        )
