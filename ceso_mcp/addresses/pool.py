"""A pool of addresses: its ranges, what goes with every address of it, and which address comes next.

A range is written with its prefix length, `192.0.2.100-192.0.2.150/24`, or is a whole network,
`192.0.2.0/24`. All ranges of one family lie in one subnet. No message repeats a value.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from ceso_mcp.errors import Refused
from ceso_mcp.guest.names import domain_name
from ceso_mcp.guest.network import NicAddressing, interface_address

Family = Literal[4, 6]
Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network


@dataclass(frozen=True, slots=True)
class Range:
    """Addresses from `first` to `last`, both in it, of one subnet."""

    first: Address
    last: Address
    network: Network

    @property
    def family(self) -> Family:
        return 4 if self.first.version == 4 else 6

    def __contains__(self, address: Address) -> bool:
        return address.version == self.first.version and int(self.first) <= int(address) <= int(self.last)

    def overlaps(self, other: Range) -> bool:
        return (self.family == other.family and self.first in other) or other.first in self


def address_range(text: str) -> Range:
    """Read `FIRST-LAST/PREFIX` or `NETWORK/PREFIX`; raises ValueError with one sentence for each mistake."""
    span, slash, prefix = text.replace(" ", "").partition("/")
    if not slash:
        raise ValueError("a range needs its prefix length, as in 192.0.2.100-192.0.2.150/24")
    first_text, dash, last_text = span.partition("-")
    if not re.fullmatch(r"[0-9]{1,3}", prefix):
        raise ValueError("what follows the slash is a prefix length")
    if not dash:
        try:
            network = ipaddress.ip_network(f"{first_text}/{prefix}")
        except ValueError:
            raise ValueError(
                "this is neither a range, FIRST-LAST/PREFIX, nor a network's address with its prefix length"
            ) from None
        first, last = network[0], network[-1]
        _usable(first + 1 if network.num_addresses > 2 else first, network.prefixlen)
        return Range(first, last, network)
    first, last = _usable(first_text, int(prefix)), _usable(last_text, int(prefix))
    if first.version != last.version:
        raise ValueError("a range begins and ends with addresses of one family")
    if int(last) < int(first):
        raise ValueError("a range ends before it begins")
    network = ipaddress.ip_interface(f"{first}/{prefix}").network
    if last not in network:
        raise ValueError("a range begins and ends in one subnet")
    return Range(first, last, network)


def _usable(address: str | Address, prefix: int) -> Address:
    return interface_address(f"{address}/{prefix}").ip


def exclusion(text: str) -> tuple[Address, Address]:
    """Read `ADDRESS` or `FIRST-LAST`; raises ValueError."""
    first_text, dash, last_text = text.replace(" ", "").partition("-")
    try:
        first = ipaddress.ip_address(first_text)
        last = ipaddress.ip_address(last_text) if dash else first
    except ValueError:
        raise ValueError("an exclusion is an address, or two with a dash between them") from None
    if first.version != last.version or int(last) < int(first):
        raise ValueError("an exclusion begins and ends with addresses of one family, the lower one first")
    return first, last


def _range_text(text: str) -> str:
    found = address_range(text)
    whole = found.first == found.network[0] and found.last == found.network[-1]
    return str(found.network) if whole else f"{found.first}-{found.last}/{found.network.prefixlen}"


def _exclusion_text(text: str) -> str:
    first, last = exclusion(text)
    return str(first) if first == last else f"{first}-{last}"


def _zone(text: str) -> str:
    return domain_name(text.removesuffix("."), "a zone").lower()


RangeText = Annotated[str, AfterValidator(_range_text), Field(max_length=100)]
ExclusionText = Annotated[str, AfterValidator(_exclusion_text), Field(max_length=100)]
ZoneName = Annotated[str, AfterValidator(_zone), Field(max_length=253)]
PoolName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=64)]


class Pool(BaseModel):
    """One pool. `ranges` are in the order in which addresses are given out."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    name: PoolName
    ranges: tuple[RangeText, ...] = Field(min_length=1, max_length=64)
    exclude: tuple[ExclusionText, ...] = Field((), max_length=256)
    gateway4: str | None = None
    gateway6: str | None = None
    dns: tuple[str, ...] = Field((), max_length=8)
    search: tuple[str, ...] = Field((), max_length=32)
    portgroup: str | None = None
    zone: ZoneName | None = None
    ping: bool = True

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        spans = self.spans()
        for number, span in enumerate(spans):
            if any(span.overlaps(other) for other in spans[:number]):
                raise ValueError("two ranges of the pool overlap")
        for family in (4, 6):
            if len({span.network for span in spans if span.family == family}) > 1:
                raise ValueError(f"all IPv{family} ranges of a pool lie in one subnet")
        for family, gateway in ((4, self.gateway4), (6, self.gateway6)):
            if gateway and not any(span.family == family for span in spans):
                raise ValueError(f"gateway{family} needs an IPv{family} range")
        for family in self.families():
            self._try(family)
        return self

    def _try(self, family: Family) -> None:
        """Have the rules of a network card look at gateway, DNS servers and search domains."""
        from pydantic import ValidationError

        sample = next((a for a in self.candidates(family) if str(a) not in self._gateways()), None)
        if sample is None:
            raise ValueError(f"no IPv{family} address is left to be given out")
        try:
            self.card((sample,))
        except ValidationError as error:
            problems = [e["msg"].removeprefix("Value error, ") for e in error.errors(include_url=False)]
            raise ValueError("; ".join(problems)) from None

    def card(self, addresses: Collection[Address]) -> NicAddressing:
        """A network card that has these addresses of the pool, and all else from it."""
        have = {address.version for address in addresses}
        return NicAddressing.model_validate(
            {
                "addresses": tuple(self.with_prefix(address) for address in addresses),
                "gateway4": self.gateway4 if 4 in have else None,
                "gateway6": self.gateway6 if 6 in have else None,
                "nameservers": self.dns,
                "search": self.search,
            }
        )

    def spans(self) -> tuple[Range, ...]:
        return tuple(address_range(text) for text in self.ranges)

    def families(self) -> tuple[Family, ...]:
        have = {span.family for span in self.spans()}
        return tuple(family for family in (4, 6) if family in have)

    def with_prefix(self, address: Address) -> str:
        """`192.0.2.10/24`; the address is of one of the pool's subnets."""
        network = next(span.network for span in self.spans() if span.family == address.version)
        return f"{address}/{network.prefixlen}"

    def _gateways(self) -> set[str]:
        return {str(ipaddress.ip_address(g)) for g in (self.gateway4, self.gateway6) if g and _is_address(g)}

    def why_not(self, address: Address) -> str | None:
        """Why an address cannot be given out, in words; None if it can, as far as the pool itself goes."""
        span = next((span for span in self.spans() if address in span), None)
        if span is None:
            return "it is in none of its ranges"
        network = span.network
        if network.max_prefixlen - network.prefixlen >= 2 and address == network.network_address:
            return "it is the address of the network itself"
        if network.version == 4 and network.prefixlen <= 30 and address == network.broadcast_address:
            return "it is the network's broadcast address"
        if str(address) in self._gateways():
            return "it is the gateway"
        if str(address) in {str(ipaddress.ip_address(server)) for server in self.dns if _is_address(server)}:
            return "it is a DNS server"
        if any(_within(address, exclusion(text)) for text in self.exclude):
            return "it is excluded"
        return None

    def candidates(self, family: Family) -> Iterator[Address]:
        """Every address that may be given out, in order; of IPv6 there may be more than anybody can count."""
        skipped = [exclusion(text) for text in self.exclude]
        for span in self.spans():
            if span.family != family:
                continue
            number = int(span.first)
            while number <= int(span.last):
                address = _of(family, number)
                over = next((last for first, last in skipped if _within(address, (first, last))), None)
                if over is not None:
                    number = int(over) + 1
                    continue
                if self.why_not(address) is None:
                    yield address
                number += 1

    def size(self, family: Family) -> int:
        """How many addresses of a family can be given out."""
        never = [exclusion(text) for text in self.exclude]
        named = [*self._gateways(), *(server for server in self.dns if _is_address(server))]
        never += [(address, address) for address in map(ipaddress.ip_address, named)]
        total = 0
        for span in self.spans():
            if span.family != family:
                continue
            ends = {span.network.network_address, span.network.broadcast_address}
            bare = [(end, end) for end in ends if end in span and self.why_not(end) is not None]
            total += int(span.last) - int(span.first) + 1
            reached = int(span.first)
            for first, last in sorted((int(a), int(b)) for a, b in (*never, *bare) if a.version == family):
                low, high = max(first, reached), min(last, int(span.last))
                if low <= high:
                    total -= high - low + 1
                    reached = high + 1
        return total

    def refuse_overlap(self, other: Pool) -> None:
        """Raise Refused `pool_overlaps` if two pools share an address."""
        theirs = other.spans()
        if any(mine.overlaps(its) for mine in self.spans() for its in theirs):
            raise Refused(
                f"pool {self.name} would share addresses with pool {other.name}",
                code="pool_overlaps",
                hint="one address can be in one pool only",
            )

    def refuse_left_out(self, address: str, vm: str) -> None:
        """Raise Refused `pool_in_use` if the pool could not give out an address that a VM holds."""
        reason = self.why_not(ipaddress.ip_address(address))
        if reason:
            raise Refused(
                f"VM {vm} holds {address}, which the pool could not give out any more: {reason}",
                code="pool_in_use",
                hint="release that address first, or keep it in the pool",
            )

    def words(self) -> str:
        """The pool in one line."""
        parts = [", ".join(self.ranges)]
        parts += [f"without {', '.join(self.exclude)}"] if self.exclude else []
        parts += [f"gateway {g}" for g in (self.gateway4, self.gateway6) if g]
        parts += [f"DNS {', '.join(self.dns)}"] if self.dns else []
        parts += [f"search {', '.join(self.search)}"] if self.search else []
        parts += [f"portgroup {self.portgroup}"] if self.portgroup else []
        parts += [f"zone {self.zone}"] if self.zone else []
        parts += [] if self.ping else ["no ping"]
        return "; ".join(parts)


def _of(family: Family, number: int) -> Address:
    return IPv4Address(number) if family == 4 else IPv6Address(number)


def _within(address: Address, span: tuple[Address, Address]) -> bool:
    return address.version == span[0].version and int(span[0]) <= int(address) <= int(span[1])


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True
