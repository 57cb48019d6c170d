"""Addresses out of pools: from a wish that names pools to one with addresses, and the steps that hold them.

Before anything is made on the host, each address is leased in the book, looked for in the other VMs'
metadata, pinged from the host, and asked of the DNS. The steps come first in a plan: what can be refused
here is refused before a disk is copied.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pydantic import ValidationError

from ceso_mcp.addresses.actions import HoldAddress, KeptRecord, Ledger, NoLease, Reservation, lease_name
from ceso_mcp.addresses.pool import Address, Family, Pool
from ceso_mcp.errors import InvalidArguments, Refused, Unreadable
from ceso_mcp.fact import Facts
from ceso_mcp.facts.addresses import Addresses, Lease, Stranger
from ceso_mcp.facts.inventory import HostVms
from ceso_mcp.facts.ping import Answers
from ceso_mcp.guest.guestinfo import decode_guestinfo, static_addresses
from ceso_mcp.guest.identity import bios_uuid
from ceso_mcp.guest.names import default_hostname
from ceso_mcp.plan import Step
from ceso_mcp.recipes.guest_setup import GuestFields
from ceso_mcp.recipes.naming import named
from ceso_mcp.recipes.nics import NicFields
from ceso_mcp.recipes.place import Place

DRAWS = 16
"""So many strangers are met before a preview gives up; they are noted, so the next one starts behind them."""


@dataclass(frozen=True, slots=True)
class Owner:
    """The VM that is to hold the addresses. `hostname` is None if none can be made of its name."""

    vm: str
    vmx: str
    uuid_bios: str
    hostname: str | None


@dataclass(frozen=True, slots=True)
class Addressed:
    """The wish with addresses in place of pools, and what it takes to have them.

    `steps` come before all others of the plan. Without any pool the wish is as it was, and there are none.
    `kept` are addresses that the VM had already and goes on having.
    """

    guest: GuestFields
    portgroup: str | None
    steps: tuple[Step, ...] = ()
    warnings: tuple[str, ...] = ()
    outcome: Mapping[str, Any] = field(default_factory=dict)
    kept: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Drawn:
    """One card's pool and its addresses of it, `kept` those that the VM has already."""

    pool: Pool
    addresses: tuple[Address, ...]
    kept: tuple[Address, ...] = ()


def new_owner(place: Place, guest: GuestFields, seed: bytes) -> Owner:
    """The VM that is made at `place`."""
    host = guest.hostname or default_hostname(place.name)
    return Owner(place.name, str(place.vmx), bios_uuid(seed, "vm"), host)


async def addressed(
    facts: Facts,
    guest: GuestFields,
    portgroup: str | None,
    owner: Owner,
    inventory: HostVms,
    own: Sequence[Reservation] = (),
    going: Sequence[KeptRecord] = (),
) -> Addressed:
    """Draw an address for every card that names a pool.

    `own` are addresses that the VM holds already: a card on the same pool keeps one. `going` are its DNS
    records as they are now.

    Raises Refused, before anything is touched: `no_such_pool`, `pool_exhausted`, `address_outside_pool`,
    `address_taken`, `address_in_use` (it answers a ping), `portgroup_not_the_pools`, and those of `naming`.
    """
    if all(card.pool is None for card in guest.cards()):
        left = await named(facts, owner.hostname, owner.vmx, owner.uuid_bios, (), going)
        return Addressed(guest, portgroup, left.steps)
    ledger = await facts.read(Addresses())
    theirs, unknown = addresses_of(inventory, but=owner.vmx)
    drawn: dict[int, Drawn] = {}
    at_hand = list(own)
    warnings = [f"The addresses of {name!r} are not known: its metadata cannot be read." for name in unknown]
    for number, card in enumerate(guest.cards()):
        if card.pool is not None:
            drawn[number], said = await _draw(facts, ledger, number, card, theirs, at_hand)
            warnings += said
    cards, dropped = _cards(guest, portgroup, drawn)
    names = await named(facts, owner.hostname, owner.vmx, owner.uuid_bios, [*drawn.values()], going)
    lease = lease_name(facts.fixed.seed)
    holds = [
        Step(
            f"hold address {address}",
            here=HoldAddress(item.pool.name, str(address), lease, owner.vm, owner.vmx, owner.uuid_bios),
        )
        for item in drawn.values()
        for address in item.addresses
        if address not in item.kept
    ]
    return Addressed(
        _resolved(guest, cards),
        cards[0].get("portgroup", portgroup),
        (*holds, *names.steps),
        (*warnings, *dropped, *names.warnings),
        {
            "addresses": tuple(str(a) for item in drawn.values() for a in item.addresses),
            **({"dns_name": names.name} if names.name else {}),
        },
        tuple(str(a) for item in drawn.values() for a in item.kept),
    )


async def _draw(
    facts: Facts,
    ledger: Ledger,
    number: int,
    card: NicFields,
    theirs: Mapping[str, str],
    at_hand: list[Reservation],
) -> tuple[Drawn, list[str]]:
    pool = ledger.pool(card.pool or "")
    if pool is None:
        known = ", ".join(pool.name for pool in ledger.pools) or "none"
        raise Refused(f"there is no pool {card.pool}", code="no_such_pool", hint=f"pools here: {known}")
    families = [family for family in pool.families() if card.wanted(family) is not None]
    for family in (4, 6):
        if card.wanted(family) and family not in pool.families():
            raise _outside(str(card.wanted(family)), pool, "it has no range of that family")
    if not families:
        raise Refused(f"pool {pool.name} has no address of the family that is wanted", code="pool_has_none")
    found: list[Address] = []
    warnings: list[str] = []
    kept: list[Address] = []
    for family in families:
        wanted = card.wanted(family)
        mine = next(
            (
                item
                for item in at_hand
                if (item.pool, item.family) == (pool.name, family) and wanted in ("", item.address)
            ),
            None,
        )
        if mine is not None:
            at_hand.remove(mine)
            kept.append(ipaddress.ip_address(mine.address))
            found.append(kept[-1])
            continue
        address, told = await _free(facts, pool, family, number, card.wanted(family) or "", theirs)
        found.append(address)
        if told:
            warnings.append(told)
    return Drawn(pool, tuple(found), tuple(kept)), warnings


async def _free(
    facts: Facts, pool: Pool, family: Family, number: int, wanted: str, theirs: Mapping[str, str]
) -> tuple[Address, str]:
    """An address that is nobody's, leased; and a warning if the host could not ask for it."""
    if wanted:
        reason = pool.why_not(ipaddress.ip_address(wanted))
        if reason:
            raise _outside(wanted, pool, reason)
        if wanted in theirs:
            raise Refused(
                f"VM {theirs[wanted]!r} has the address {wanted}",
                code="address_taken",
                hint="choose another address, or none for the next free one",
            )
    avoid = tuple(sorted(address for address in theirs if _in(pool, family, address)))
    lease = lease_name(facts.fixed.seed)
    met: list[str] = []
    while True:
        given = await facts.read(Lease(pool.name, family, lease, number, wanted, (*avoid, *met)))
        if isinstance(given, NoLease):
            raise Refused(given.message, code=given.code, hint=given.hint)
        answers = await facts.read(Answers(given.address)) if pool.ping else False
        if not answers:
            told = f"The host cannot tell whether anybody has {given.address} already: it has no way there."
            return ipaddress.ip_address(given.address), told if answers is None else ""
        await facts.read(Stranger(pool.name, given.address, lease))
        met.append(given.address)
        if wanted or not given.fresh or len(met) == DRAWS:
            raise Refused(
                f"somebody answers at {given.address}, whom neither pool {pool.name} nor the VMs of this host"
                " know" + (f"; so it was with {len(met)} addresses in a row" if len(met) == DRAWS else ""),
                code="address_in_use",
                hint="find out who it is, or exclude the address from the pool",
            )


def _outside(address: str, pool: Pool, reason: str) -> Refused:
    return Refused(
        f"{address} is no address that pool {pool.name} gives out: {reason}",
        code="address_outside_pool",
        hint=f"the pool is {', '.join(pool.ranges)}",
    )


def _in(pool: Pool, family: Family, text: str) -> bool:
    address = ipaddress.ip_address(text)
    return address.version == family and any(address in span for span in pool.spans())


def _cards(
    guest: GuestFields, portgroup: str | None, drawn: Mapping[int, Drawn]
) -> tuple[list[dict[str, Any]], list[str]]:
    """For each card what its pool says of it; only one card of a guest has a default gateway of a family."""
    changes: list[dict[str, Any]] = []
    warnings: list[str] = []
    routed: set[int] = set()
    for number, card in enumerate(guest.cards()):
        if card.gateway4:
            routed.add(4)
        if card.gateway6:
            routed.add(6)
        if number not in drawn:
            changes.append({})
            continue
        pool, addresses = drawn[number].pool, drawn[number].addresses
        change: dict[str, Any] = {"pool": None, "dns": pool.dns, "search": pool.search}
        for family, gateway in ((4, pool.gateway4), (6, pool.gateway6)):
            own = next((a for a in addresses if a.version == family), None)
            change[f"ipv{family}"] = "none" if own is None else pool.with_prefix(own)
            if own is None or gateway is None:
                continue
            if family in routed:
                warnings.append(
                    f"Network card {number + 1} does not use gateway {gateway} of pool {pool.name}: "
                    f"another card has the IPv{family} default gateway."
                )
            else:
                change[f"gateway{family}"] = gateway
                routed.add(family)
        given = portgroup if number == 0 else guest.nics[number - 1].portgroup
        if pool.portgroup is not None:
            if given is not None and given != pool.portgroup:
                raise Refused(
                    f"pool {pool.name} is for the portgroup {pool.portgroup!r}, not for {given!r}",
                    code="portgroup_not_the_pools",
                    hint="leave portgroup out, or choose another pool",
                )
            change["portgroup"] = pool.portgroup
        changes.append(change)
    return changes, warnings


def _resolved(guest: GuestFields, changes: Sequence[Mapping[str, Any]]) -> GuestFields:
    """The wish with addresses; checked anew, as if it had been given so."""
    values = {name: getattr(guest, name) for name in GuestFields.model_fields}
    first = {name: value for name, value in changes[0].items() if name != "portgroup"}
    nics = [
        {**{name: getattr(nic, name) for name in type(nic).model_fields}, **change}
        for nic, change in zip(guest.nics, changes[1:], strict=True)
    ]
    try:
        return GuestFields.model_validate({**values, **first, "nics": nics})
    except ValidationError as error:
        problems = [e["msg"].removeprefix("Value error, ") for e in error.errors(include_url=False)]
        raise InvalidArguments("; ".join(problems)) from None


def addresses_of(inventory: HostVms, *, but: str = "") -> tuple[dict[str, str], list[str]]:
    """Static addresses that VMs of the host were told to have, each with the VM's name; powered off ones too.

    The VM at the .vmx path `but` is left out. Also returns the names of VMs whose metadata cannot be read.
    """
    found: dict[str, str] = {}
    unknown: list[str] = []
    for vm in inventory.vms:
        if vm.vmx is None or str(vm.path) == but:
            continue
        try:
            document = decode_guestinfo(vm.vmx.get)
        except Unreadable:
            unknown.append(vm.name)
            continue
        for address in static_addresses(document):
            found.setdefault(str(address), vm.name)
    return found, unknown
