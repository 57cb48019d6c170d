"""Pools as they are asked for: what may be given of one, and the plan that writes it."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ceso_mcp.addresses.actions import Ledger, WritePool, document
from ceso_mcp.addresses.pool import ExclusionText, Pool, ZoneName
from ceso_mcp.errors import InvalidArguments, Refused
from ceso_mcp.fact import Facts
from ceso_mcp.facts.addresses import Dns
from ceso_mcp.fields import PortgroupName
from ceso_mcp.plan import Plan, Step
from ceso_mcp.recipes.naming import require_zone


class PoolFields(BaseModel):
    """What goes with every address of a pool."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    exclude: tuple[ExclusionText, ...] | None = Field(
        None, max_length=256, description="addresses, or FIRST-LAST, that are never given out"
    )
    gateway4: str | None = Field(None, max_length=64, description="IPv4 gateway; never given out")
    gateway6: str | None = Field(None, max_length=64, description="IPv6 gateway; never given out")
    dns: tuple[str, ...] | None = Field(None, max_length=8, description="DNS servers; never given out")
    search: tuple[str, ...] | None = Field(None, max_length=32, description="DNS search domains")
    portgroup: PortgroupName | None = Field(
        None, description="network of every card that takes an address of the pool"
    )
    zone: ZoneName | None = Field(
        None, description="DNS zone that the VMs' names and addresses are added to, one of [dns]"
    )
    ping: bool | None = Field(
        None, description="ping an address from the host before it is given out, unless false [true]"
    )


def existing(ledger: Ledger, name: str) -> Pool:
    """The pool called `name`; raises Refused `no_such_pool`."""
    pool = ledger.pool(name)
    if pool is None:
        known = ", ".join(pool.name for pool in ledger.pools) or "none"
        raise Refused(f"there is no pool {name}", code="no_such_pool", hint=f"pools here: {known}")
    return pool


async def write(facts: Facts, ledger: Ledger, values: dict[str, Any], before: Pool | None) -> Plan:
    """A plan that writes the pool of `values` in place of `before`. Does not ask the host.

    Raises InvalidArguments for a pool that contradicts itself; Refused `pool_overlaps`, and those of DNS.
    """
    try:
        pool = Pool.model_validate({name: value for name, value in values.items() if value is not None})
    except ValidationError as error:
        problems = [e["msg"].removeprefix("Value error, ") for e in error.errors(include_url=False)]
        raise InvalidArguments("; ".join(problems)) from None
    for other in ledger.pools:
        if other.name != pool.name:
            pool.refuse_overlap(other)
    held = [item for item in ledger.reservations if item.pool == pool.name and item.state == "held"]
    for item in held:
        pool.refuse_left_out(item.address, item.vm)
    if pool.zone:
        require_zone(pool.zone, await facts.read(Dns()))
    free = {f"ipv{family}_addresses": pool.size(family) for family in pool.families()}
    return Plan(
        title=f"{'make' if before is None else 'change'} address pool {pool.name}",
        steps=(
            Step(
                "write the pool",
                here=WritePool(document(pool), "" if before is None else document(before)),
                completes=True,
            ),
        ),
        touches=(f"address pool {pool.name}",),
        warnings=("VMs that have an address of it keep what they were told.",) if held else (),
        before_after=((f"pool {pool.name}", "absent" if before is None else before.words(), pool.words()),),
        outcome={"pool": pool.name, "ranges": pool.ranges, **free},
    )
