"""List address pools and who has which address."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from ceso_mcp.addresses.actions import Ledger, Reservation, State
from ceso_mcp.addresses.pool import Pool, PoolName
from ceso_mcp.fact import Facts
from ceso_mcp.facts.addresses import Addresses
from ceso_mcp.operation import Answer, Query
from ceso_mcp.recipes.pools import existing


class PoolUse(Answer):
    """How many addresses of one family a pool has."""

    family: str
    size: int
    free: int
    held: int
    leased: int
    released: int
    strangers: int


class AddressRow(Answer):
    """One address that is not free. `leased` is by a preview; at a `stranger` somebody unknown answers."""

    address: str
    state: State
    vm: str
    path: str
    dns_records: list[str]


class PoolRow(Answer):
    name: str
    ranges: list[str]
    exclude: list[str]
    gateways: list[str]
    dns: list[str]
    search: list[str]
    portgroup: str | None
    zone: str | None
    ping: bool
    use: list[PoolUse]
    addresses: list[AddressRow]


class Pools(Answer):
    pools: list[PoolRow]


class ListPools(Query):
    """List address pools: how many addresses are free, and who has the others.

    What is known is what ceso gave out from this machine; the host is not asked.
    """

    title: ClassVar[str] = "List address pools"
    toolset: ClassVar[str] = "pool"
    result: ClassVar[type[Answer]] = Pools

    pool: PoolName | None = Field(None, description="only this one")

    async def answer(self, facts: Facts) -> Pools:
        ledger = await facts.read(Addresses())
        chosen = ledger.pools if self.pool is None else (existing(ledger, self.pool),)
        return Pools(pools=[_row(ledger, pool) for pool in chosen])


def _row(ledger: Ledger, pool: Pool) -> PoolRow:
    mine = [item for item in ledger.reservations if item.pool == pool.name]
    return PoolRow(
        name=pool.name,
        ranges=list(pool.ranges),
        exclude=list(pool.exclude),
        gateways=[gateway for gateway in (pool.gateway4, pool.gateway6) if gateway],
        dns=list(pool.dns),
        search=list(pool.search),
        portgroup=pool.portgroup,
        zone=pool.zone,
        ping=pool.ping,
        use=[
            _use(pool, family, [item for item in mine if item.family == family]) for family in pool.families()
        ],
        addresses=[_address(ledger, item) for item in mine],
    )


def _use(pool: Pool, family: int, taken: list[Reservation]) -> PoolUse:
    states = [item.state for item in taken]
    size = pool.size(4 if family == 4 else 6)
    return PoolUse(
        family=f"ipv{family}",
        size=size,
        free=size - len(states),
        held=states.count("held"),
        leased=states.count("leased"),
        released=states.count("released"),
        strangers=states.count("stranger"),
    )


def _address(ledger: Ledger, item: Reservation) -> AddressRow:
    records = [
        kept.record
        for kept in ledger.records
        if kept.vmx and (kept.vmx, kept.uuid_bios) == (item.vmx, item.uuid_bios)
    ]
    return AddressRow(
        address=item.address,
        state=item.state,
        vm=item.vm,
        path=item.vmx,
        dns_records=[
            f"{kind} {name.removesuffix('.')} {data.removesuffix('.')}" for name, kind, data in records
        ],
    )
