"""How a new guest is to be set up: the parameters that create, clone and restore share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from ceso_mcp.errors import Refused
from ceso_mcp.esxi.guest import GuestInfo
from ceso_mcp.guest.cloudinit import GuestNic, guestinfo, metadata, user_data
from ceso_mcp.guest.expectation import Mismatch, Reported, mismatches
from ceso_mcp.guest.identity import bios_uuid, instance_id, static_mac
from ceso_mcp.guest.names import Hostname, LinuxUser, SshPublicKey, default_hostname
from ceso_mcp.guest.network import NicAddressing

_DHCP = "dhcp"
SshKeys = tuple[SshPublicKey, ...]


class GuestFields(BaseModel):
    """Parameters of the guest. Without any address the first network card uses DHCP for IPv4."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    hostname: Hostname | None = Field(
        None, description="host name, short or full; made from the VM's name if left out", max_length=253
    )
    ipv4: str | None = Field(
        None,
        description="IPv4 of the first network card: 'dhcp' or an address with prefix, 192.0.2.10/24",
        max_length=64,
    )
    gateway4: str | None = Field(None, description="IPv4 gateway, for a static address", max_length=64)
    ipv6: str | None = Field(
        None, description="IPv6 of the first network card: 'dhcp' or 2001:db8::10/64", max_length=64
    )
    gateway6: str | None = Field(None, description="IPv6 gateway, for a static address", max_length=64)
    dns: tuple[str, ...] = Field((), description="DNS servers", max_length=8)
    search: tuple[str, ...] = Field((), description="DNS search domains", max_length=32)
    user: LinuxUser | None = Field(
        None, description="user to create, with sudo and without password", max_length=32
    )
    ssh_keys: SshKeys = Field((), description="SSH public keys that may log in", max_length=32)

    @model_validator(mode="after")
    def _addresses_fit(self) -> Self:
        self.addressing()
        if self.user is not None and not self.ssh_keys:
            raise ValueError("a user without an SSH key could not log in: give ssh_keys too")
        return self

    def addressing(self) -> NicAddressing:
        """The first network card's addresses; raises ValueError where they contradict each other."""
        static = [text for text in (self.ipv4, self.ipv6) if text and text.strip().lower() != _DHCP]
        asked: dict[str, Any] = {
            "dhcp4": _is_dhcp(self.ipv4) or (not self.ipv4 and not self.ipv6),
            "dhcp6": _is_dhcp(self.ipv6),
            "addresses": tuple(static),
            "gateway4": self.gateway4,
            "gateway6": self.gateway6,
            "nameservers": self.dns,
            "search": self.search,
        }
        from pydantic import ValidationError

        try:
            found = NicAddressing.model_validate(asked)
        except ValidationError as error:
            problems = [
                f"{'.'.join(map(str, e['loc']))}: {e['msg'].removeprefix('Value error, ')}".removeprefix(": ")
                for e in error.errors(include_url=False, include_input=False, include_context=False)
            ]
            raise ValueError("; ".join(problems)) from None
        if self.ipv4 and not _is_dhcp(self.ipv4) and not found.ipv4:
            raise ValueError("ipv4 is an IPv6 address")
        if self.ipv6 and not _is_dhcp(self.ipv6) and not found.ipv6:
            raise ValueError("ipv6 is an IPv4 address")
        return found


def _is_dhcp(text: str | None) -> bool:
    return text is not None and text.strip().lower() == _DHCP


@dataclass(frozen=True, slots=True)
class Expectation:
    """What the guest must report before it counts as set up."""

    hostname: str
    nics: tuple[tuple[str, NicAddressing], ...]

    former: frozenset[IPv4Address | IPv6Address] = frozenset()
    """Addresses that it must not have any more."""

    def mismatches(self, report: Reported) -> list[Mismatch]:
        """What is not as asked yet; empty when all is."""
        return mismatches(self.hostname, self.nics, report, self.former)

    def static(self) -> frozenset[IPv4Address | IPv6Address]:
        """The addresses that were given, not left to DHCP."""
        return frozenset(address.ip for _, asked in self.nics for address in asked.addresses)

    def address_asked(self) -> str | None:
        """The first address that was given, if any was."""
        return next((str(address.ip) for _, asked in self.nics for address in asked.addresses), None)

    def address(self, info: GuestInfo) -> str | None:
        """The address to reach it by: the one asked for, else the first the guest reports."""
        return self.address_asked() or info.ip_address

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
    """Draw a new identity from `seed` that collides with nothing in `taken_macs`."""
    host = wish.hostname or default_hostname(name)
    if host is None:
        raise Refused(
            "no host name can be made from this VM name", code="hostname_needed", hint="give hostname"
        )
    taken = set(taken_macs)
    macs: dict[int, str] = {}
    for number in nic_numbers:
        macs[number] = static_mac(seed, f"nic{number}", taken)
        taken.add(macs[number])
    uuid = bios_uuid(seed, "vm")
    identity = instance_id(name, uuid)
    cards = [
        GuestNic(mac, wish.addressing() if position == 0 else NicAddressing())
        for position, mac in enumerate(macs.values())
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
