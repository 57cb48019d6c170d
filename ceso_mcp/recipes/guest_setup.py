"""How a new guest is to be set up: the parameters that create, clone and restore share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Self

from pydantic import Field, model_validator

from ceso_mcp.errors import Refused
from ceso_mcp.esxi.guest import GuestInfo
from ceso_mcp.guest.cloudinit import GuestNic, guestinfo, metadata, user_data
from ceso_mcp.guest.expectation import Reported, mismatches
from ceso_mcp.guest.identity import bios_uuid, instance_id, static_mac
from ceso_mcp.guest.names import Hostname, LinuxUser, SshPublicKey, default_hostname
from ceso_mcp.guest.network import NicAddressing, check_together
from ceso_mcp.recipes.nics import NICS_MAX, FurtherNic, NicFields

SshKeys = tuple[SshPublicKey, ...]


class GuestFields(NicFields):
    """Parameters of the guest. Without any address the first network card uses DHCP for IPv4."""

    dhcp_by_default: ClassVar[bool] = True

    hostname: Hostname | None = Field(
        None, description="host name, short or full; made from the VM's name if left out", max_length=253
    )
    ipv4: str | None = Field(
        None,
        description="IPv4 of the first network card: 'dhcp', 'none' or an address with prefix, 192.0.2.10/24",
        max_length=64,
    )
    ipv6: str | None = Field(
        None,
        description="IPv6 of the first network card: 'dhcp', 'none' or 2001:db8::10/64",
        max_length=64,
    )
    nics: tuple[FurtherNic, ...] = Field(
        (),
        max_length=NICS_MAX - 1,
        description="network cards after the first, in order; cards that are missing are added",
    )
    user: LinuxUser | None = Field(
        None, description="user to create, with sudo and without password", max_length=32
    )
    ssh_keys: SshKeys = Field((), description="SSH public keys that may log in", max_length=32)

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        check_together(_addressed(self.cards()))
        macs = [card.mac for card in self.cards() if card.mac is not None]
        if len(set(macs)) != len(macs):
            raise ValueError("two network cards are given the same MAC address")
        if self.user is not None and not self.ssh_keys:
            raise ValueError("a user without an SSH key could not log in: give ssh_keys too")
        return self

    def cards(self) -> tuple[NicFields, ...]:
        """What is asked of the network cards, the first one included, in order."""
        return (self, *self.nics)


def _addressed(cards: Sequence[NicFields]) -> list[NicAddressing]:
    found = []
    for position, card in enumerate(cards):
        try:
            found.append(card.addressing())
        except ValueError as error:
            where = "" if position == 0 else f"network card {position + 1}: "
            raise ValueError(f"{where}{error}") from None
    return found


@dataclass(frozen=True, slots=True)
class Expectation:
    """What the guest must report before it counts as set up."""

    hostname: str
    nics: tuple[tuple[str, NicAddressing], ...]

    def missing(self, info: GuestInfo) -> list[str]:
        """What is not as asked yet, in words; empty when all is."""
        return [
            m.text for m in mismatches(self.hostname, self.nics, reported(info)) if m.kind != "extra_address"
        ]

    def address(self, info: GuestInfo) -> str | None:
        """The address to reach it by: the one asked for, else the first the guest reports."""
        for _, asked in self.nics:
            for address in asked.addresses:
                return str(address.ip)
        return info.ip_address

    def words(self) -> str:
        wanted = [str(a.ip) for _, asked in self.nics for a in asked.addresses]
        return f"host name {self.hostname}" + (f" with {', '.join(wanted)}" if wanted else " with an address")


def reported(info: GuestInfo) -> Reported:
    """The guest's report in the form that expectations are compared with."""
    addresses: dict[str, Sequence[str]] = {}
    for nic in info.nics:
        if nic.mac:
            addresses[nic.mac.lower()] = [*addresses.get(nic.mac.lower(), ()), *nic.addresses]
    return Reported(info.tools_running, info.host_name, addresses)


@dataclass(frozen=True, slots=True)
class NewIdentity:
    """Who the new VM is, to host and guest."""

    uuid_bios: str
    instance_id: str
    hostname: str
    macs: Mapping[int, str]
    guestinfo: Mapping[str, str]
    expectation: Expectation
    warnings: tuple[str, ...]

    def rows(self) -> list[tuple[str, str, str]]:
        """What a reader should see of it; nothing of it was there before."""
        before = ""
        rows = [("BIOS UUID", before, self.uuid_bios), ("instance-id", before, self.instance_id)]
        rows += [(f"MAC of network card {index}", before, mac) for index, mac in self.macs.items()]
        rows.append(("host name", before, self.hostname))
        for _, asked in self.expectation.nics:
            rows += [("address", before, str(address)) for address in asked.addresses]
            rows += [("address", before, "by DHCP")] if asked.dhcp4 or asked.dhcp6 else []
        return rows


def new_identity(
    wish: GuestFields, name: str, nic_numbers: Sequence[int], seed: bytes, taken_macs: set[str]
) -> NewIdentity:
    """Draw a new identity from `seed` that collides with nothing in `taken_macs`.

    The network cards `nic_numbers`, in order, get what the wish says of its cards; what is left of them
    is up without an address. Raises Refused: `hostname_needed`, `mac_taken`.
    """
    host = wish.hostname or default_hostname(name)
    if host is None:
        raise Refused(
            "no host name can be made from this VM name", code="hostname_needed", hint="give hostname"
        )
    wanted = dict(zip(nic_numbers, wish.cards(), strict=False))
    macs = _macs(wanted, nic_numbers, seed, taken_macs)
    uuid = bios_uuid(seed, "vm")
    identity = instance_id(name, uuid)
    cards = [
        GuestNic(mac, wanted[number].addressing() if number in wanted else NicAddressing())
        for number, mac in macs.items()
    ]
    warnings: list[str] = []
    if not cards:
        warnings.append("The VM has no network card, so it gets no address.")
    document = metadata(identity, host, cards)
    users = user_data(hostname=host, user=wish.user, ssh_keys=wish.ssh_keys) if wish.ssh_keys else None
    info = guestinfo(document, users)
    return NewIdentity(
        uuid_bios=uuid,
        instance_id=identity,
        hostname=host,
        macs=macs,
        guestinfo=info.values,
        expectation=Expectation(host, tuple((card.mac, card.addressing) for card in cards)),
        warnings=(*warnings, *info.warnings),
    )


def _macs(
    wanted: Mapping[int, NicFields], numbers: Sequence[int], seed: bytes, taken_macs: set[str]
) -> dict[int, str]:
    """A MAC address for each card: the one it was given, else one that is drawn."""
    in_use = {mac.lower().replace("-", ":") for mac in taken_macs}
    given = {number: card.mac for number, card in wanted.items() if card.mac is not None}
    for mac in given.values():
        if mac in in_use:
            raise Refused(
                f"the MAC address {mac} belongs to another VM of this host",
                code="mac_taken",
                hint="leave mac out, so that a free one is drawn",
            )
    in_use.update(given.values())
    macs: dict[int, str] = {}
    for number in numbers:
        macs[number] = given.get(number) or static_mac(seed, f"nic{number}", in_use)
        in_use.add(macs[number])
    return macs
