"""Pools and DNS, as this machine's book and the DNS server tell of them."""

from __future__ import annotations

from dataclasses import dataclass

from ceso_mcp.addresses.actions import (
    DnsConfigured,
    DnsLookup,
    DnsSettings,
    Leased,
    LeaseOf,
    Ledger,
    LedgerOf,
    NoLease,
    StrangerAt,
)
from ceso_mcp.addresses.pool import Family
from ceso_mcp.addresses.records import Record
from ceso_mcp.fact import Fact, Reading


@dataclass(frozen=True, slots=True)
class Addresses(Fact[Ledger]):
    """Pools, addresses that are not free, and the DNS records that ceso made."""

    def reading(self) -> Reading[Ledger]:
        (found,) = yield [LedgerOf()]
        assert isinstance(found, Ledger)
        return found


@dataclass(frozen=True, slots=True)
class Lease(Fact[Leased | NoLease]):
    """An address of a pool for one card of the preview `lease`; the same one whenever it plans again."""

    pool: str
    family: Family
    lease: str
    card: int
    wanted: str = ""
    avoid: tuple[str, ...] = ()

    def reading(self) -> Reading[Leased | NoLease]:
        (found,) = yield [LeaseOf(self.pool, self.family, self.lease, self.card, self.wanted, self.avoid)]
        assert isinstance(found, Leased | NoLease)
        return found


@dataclass(frozen=True, slots=True)
class Stranger(Fact[None]):
    """Somebody answers at an address that was drawn: it is noted, and the lease of it is over."""

    pool: str
    address: str
    lease: str

    def reading(self) -> Reading[None]:
        yield [StrangerAt(self.pool, self.address, self.lease)]


@dataclass(frozen=True, slots=True)
class Dns(Fact[DnsSettings]):
    """Which DNS server is configured, and for which zones."""

    def reading(self) -> Reading[DnsSettings]:
        (found,) = yield [DnsConfigured()]
        assert isinstance(found, DnsSettings)
        return found


@dataclass(frozen=True, slots=True)
class RecordsAt(Fact[tuple[Record, ...]]):
    """What the server of a zone says of names and types; raises Refused `dns_no_zone` if it has none."""

    zone: str
    names: tuple[tuple[str, str], ...]

    def reading(self) -> Reading[tuple[Record, ...]]:
        (found,) = yield [DnsLookup(self.zone, self.names)]
        return tuple(found)
