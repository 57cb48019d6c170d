"""Who a new guest is and what it must report: its identity, drawn from a seed, and its expectation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from ipaddress import IPv4Address, IPv6Address
from types import MappingProxyType

from ceso_mcp.errors import Refused
from ceso_mcp.esxi.guest import GuestInfo
from ceso_mcp.guest.cloudinit import GuestNic, GuestVlan, guestinfo, metadata
from ceso_mcp.guest.expectation import Mismatch, Reported, mismatches
from ceso_mcp.guest.identity import bios_uuid, instance_id, static_mac
from ceso_mcp.guest.names import default_hostname
from ceso_mcp.guest.network import NicAddressing
from ceso_mcp.guest.own_data import OwnUserData
from ceso_mcp.recipes.guest_documents import documents
from ceso_mcp.recipes.guest_fields import GuestFields, SshKeys
from ceso_mcp.recipes.nics import NicFields

__all__ = ["Expectation", "GuestFields", "NewIdentity", "SshKeys", "draw_macs", "new_identity", "reported"]


@dataclass(frozen=True, slots=True)
class Expectation:
    """What the guest must report before it counts as set up."""

    hostname: str
    nics: tuple[tuple[str, NicAddressing], ...]

    former: frozenset[IPv4Address | IPv6Address] = frozenset()
    """Addresses that it must not have any more."""

    vlans: tuple[tuple[str, NicAddressing], ...] = ()
    """VLANs by the MAC address of their card. Whether tools report their addresses is not known."""

    def mismatches(self, report: Reported) -> list[Mismatch]:
        """What is not as asked yet; empty when all is. Beside the addresses of a card may be its VLANs'."""
        shared = {mac for mac, _ in self.vlans}
        found = mismatches(self.hostname, self.nics, report, self.former)
        return [one for one in found if one.kind != "extra_address" or one.mac not in shared]

    def static(self) -> frozenset[IPv4Address | IPv6Address]:
        """The addresses that were given, not left to DHCP."""
        return frozenset(a.ip for _, asked in (*self.nics, *self.vlans) for a in asked.addresses)

    def address_asked(self) -> str | None:
        """The first address that was given, if any was."""
        return next((str(address.ip) for _, asked in self.nics for address in asked.addresses), None)

    def address(self, info: GuestInfo) -> str | None:
        """The address to reach it by: the one asked for, else the first the guest reports."""
        return self.address_asked() or info.ip_address

    def words(self) -> str:
        wanted = [str(a.ip) for _, asked in self.nics for a in asked.addresses]
        return f"host name {self.hostname}" + (f" with {', '.join(wanted)}" if wanted else " with an address")


def expected(
    host: str,
    cards: Sequence[GuestNic],
    vlans: Sequence[GuestVlan],
    former: frozenset[IPv4Address | IPv6Address] = frozenset(),
) -> Expectation:
    """What a guest must report that is told this; a `former` address only if it gets it again."""
    asked = Expectation(
        host,
        tuple((card.mac, card.addressing) for card in cards),
        vlans=tuple((cards[vlan.link].mac, vlan.addressing) for vlan in vlans),
    )
    return replace(asked, former=former - asked.static())


def reported(info: GuestInfo) -> Reported:
    """The guest's report in the form that expectations are compared with."""
    addresses: dict[str, Sequence[str]] = {}
    for nic in info.nics:
        if nic.mac:
            addresses[nic.mac.lower()] = [*addresses.get(nic.mac.lower(), ()), *nic.addresses]
    return Reported(info.tools_running, info.host_name, addresses)


@dataclass(frozen=True, slots=True)
class NewIdentity:
    """Who the new VM is, to host and guest. `hidden` are keys of `guestinfo` that must not be shown."""

    uuid_bios: str
    instance_id: str
    hostname: str
    macs: Mapping[int, str]
    guestinfo: Mapping[str, str] = field(repr=False)
    expectation: Expectation
    warnings: tuple[str, ...]
    hidden: Mapping[str, str]
    own_data: OwnUserData | None

    def rows(self) -> list[tuple[str, str, str]]:
        """What a reader should see of it; nothing of it was there before."""
        before = ""
        rows = [("BIOS UUID", before, self.uuid_bios), ("instance-id", before, self.instance_id)]
        rows += [(f"MAC of network card {index}", before, mac) for index, mac in self.macs.items()]
        rows.append(("host name", before, self.hostname))
        for _, asked in self.expectation.nics:
            rows += [("address", before, str(address)) for address in asked.addresses]
            rows += [("address", before, "by DHCP")] if asked.dhcp4 or asked.dhcp6 else []
        if self.own_data is not None:
            rows.append(("your user data", before, self.own_data.shown or self.own_data.text))
        return rows


def new_identity(
    wish: GuestFields,
    name: str,
    nic_numbers: Sequence[int],
    seed: bytes,
    taken_macs: set[str],
    own: OwnUserData | None = None,
) -> NewIdentity:
    """Draw a new identity from `seed` that collides with nothing in `taken_macs`.

    The network cards `nic_numbers`, in order, get what the wish says of its cards; what is left of them
    is up without an address. `own` is the user data that the wish brings along, as `recipes.user_data`
    reads it. Raises Refused: `hostname_needed`, `mac_taken`, `guestinfo_too_large`.
    """
    host = wish.hostname or default_hostname(name)
    if host is None:
        raise Refused(
            "no host name can be made from this VM name", code="hostname_needed", hint="give hostname"
        )
    wanted = dict(zip(nic_numbers, wish.cards(), strict=False))
    macs = draw_macs(wanted, nic_numbers, seed, taken_macs)
    uuid = bios_uuid(seed, "vm")
    identity = instance_id(name, uuid)
    cards = [
        GuestNic(mac, wanted[number].addressing() if number in wanted else NicAddressing())
        for number, mac in macs.items()
    ]
    warnings: list[str] = []
    if not cards and wish.vlans:
        raise Refused(
            "the VM has no network card that a VLAN could be on",
            code="portgroup_needed",
            hint="give portgroup, so that a card is added",
        )
    if not cards:
        warnings.append("The VM has no network card, so it gets no address.")
    vlans = [GuestVlan(vlan.id, vlan.nic, vlan.addressing()) for vlan in wish.vlans]
    users, vendor, told = documents(wish, host, own)
    info = guestinfo(metadata(identity, host, cards, vlans), users, vendor)
    return NewIdentity(
        uuid_bios=uuid,
        instance_id=identity,
        hostname=host,
        macs=macs,
        guestinfo=info.values,
        expectation=expected(host, cards, vlans),
        warnings=(*warnings, *told, *info.warnings),
        hidden={} if own is None or own.shown is None else {"guestinfo.userdata": own.shown},
        own_data=own,
    )


def draw_macs(
    wanted: Mapping[int, NicFields],
    numbers: Sequence[int],
    seed: bytes,
    taken_macs: set[str],
    has: Mapping[int, str] = MappingProxyType({}),
    *,
    new: bool = False,
) -> dict[int, str]:
    """A MAC address for each card: the one it was given, or (unless `new`) it has, or one that is drawn.

    Raises Refused `mac_taken`.
    """
    in_use = {mac.lower().replace("-", ":") for mac in taken_macs}
    given = {number: card.mac for number, card in wanted.items() if card.mac is not None}
    for mac in given.values():
        if mac in in_use:
            raise Refused(
                f"the MAC address {mac} belongs to another VM of this host",
                code="mac_taken",
                hint="leave mac out, so that a free one is drawn",
            )
    in_use.update(given.values(), has.values())
    macs: dict[int, str] = {}
    for number in numbers:
        kept = None if new else has.get(number)
        macs[number] = given.get(number) or kept or static_mac(seed, f"nic{number}", in_use)
        in_use.add(macs[number])
    return macs
