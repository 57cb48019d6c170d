"""Change an address pool."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from pydantic import Field

from ceso_mcp.addresses.pool import PoolName, RangeText
from ceso_mcp.errors import InvalidArguments
from ceso_mcp.fact import Facts
from ceso_mcp.facts.addresses import Addresses
from ceso_mcp.operation import Change
from ceso_mcp.plan import Plan
from ceso_mcp.recipes.pools import PoolFields, existing, write

Clearable = Literal["exclude", "gateway4", "gateway6", "dns", "search", "portgroup", "zone"]


class SetPool(PoolFields, Change):
    """Change a pool. What is not given stays; what is given replaces what was there.

    VMs that have an address of it keep it, and what they were told with it. Refused where an address that a
    VM holds would not be the pool's any more. The host is not asked.
    """

    title: ClassVar[str] = "Change an address pool"
    toolset: ClassVar[str] = "pool"

    name: PoolName = Field(description="name of the pool")
    ranges: tuple[RangeText, ...] | None = Field(
        None, min_length=1, max_length=64, description="all ranges that the pool has from now on"
    )
    clear: tuple[Clearable, ...] = Field((), max_length=7, description="what the pool has no longer")

    async def plan(self, facts: Facts) -> Plan:
        ledger = await facts.read(Addresses())
        before = existing(ledger, self.name)
        given: dict[str, Any] = self.model_dump(exclude={"name", "clear"}, exclude_none=True)
        if not given and not self.clear:
            raise InvalidArguments("nothing was given to be changed", hint=f"the pool is: {before.words()}")
        if set(given) & set(self.clear):
            raise InvalidArguments("the same thing is both given and cleared")
        values = before.model_dump() | given | dict.fromkeys(self.clear)
        return await write(facts, ledger, values, before)
