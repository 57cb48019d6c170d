"""How a guest is to be set up: the parameters that create, clone and restore share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Self

from pydantic import Field, model_validator

from ceso_mcp.guest.accounts import GuestUser, require_different
from ceso_mcp.guest.names import Hostname, LinuxUser, Package, RunCommand, SshPublicKey, TimeZone
from ceso_mcp.guest.network import MTU_DEFAULT, NicAddressing, check_together
from ceso_mcp.recipes.nics import NICS_MAX, AddressFields, FurtherNic, NicFields, VlanFields

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
    users: tuple[GuestUser, ...] = Field((), max_length=32, description="further users to create")
    vlans: tuple[VlanFields, ...] = Field(
        (),
        max_length=64,
        description="tagged VLANs inside the guest, on a card whose portgroup is a trunk",
    )
    prefer_fqdn: bool = Field(False, description="the guest's own name is the full host name")
    timezone: TimeZone | None = Field(None, description="time zone, Europe/Berlin")
    packages: tuple[Package, ...] = Field((), max_length=500, description="packages to install at first boot")
    run_commands: tuple[RunCommand, ...] = Field(
        (),
        max_length=200,
        description="shell lines that root runs once, at the end of the first boot",
    )
    grow_root: bool = Field(True, description="grow the root file system to the whole disk")
    user_data: str | None = Field(
        None,
        min_length=1,
        max_length=65_536,
        description="your own cloud-init user data beside this, beginning with #cloud-config or #!/bin/sh; "
        "shown and logged, so without secrets",
    )
    user_data_file: str | None = Field(
        None,
        min_length=1,
        max_length=4096,
        description="the same from a file where ceso runs, by its absolute path; never shown or logged",
    )
    new_machine_id: bool = Field(
        False,
        description="have the guest make a new machine-id at its first boot",
    )

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        cards, vlans = _addressed("nics", self.cards()), _addressed("vlans", (self, *self.vlans))[1:]
        check_together([*cards, *vlans])
        _check_vlans(self.vlans, cards)
        macs = [card.mac for card in self.cards() if card.mac is not None]
        if len(set(macs)) != len(macs):
            raise ValueError("two network cards are given the same MAC address")
        if self.user is not None and not self.ssh_keys:
            raise ValueError("a user without an SSH key could not log in: give ssh_keys too")
        first = [] if self.user is None else [GuestUser(name=self.user)]
        require_different([*first, *self.users])
        if self.prefer_fqdn and "." not in (self.hostname or ""):
            raise ValueError("prefer_fqdn needs hostname with its domain, web01.example.test")
        if self.user_data is not None and self.user_data_file is not None:
            raise ValueError("give either user_data or user_data_file")
        return self

    def sets_up(self) -> bool:
        """Whether anything is asked for that user data has to tell."""
        asked = (self.ssh_keys, self.users, self.prefer_fqdn, self.timezone, self.packages, self.run_commands)
        return any(asked) or not self.grow_root

    def cards(self) -> tuple[NicFields, ...]:
        """What is asked of the network cards, the first one included, in order."""
        return (self, *self.nics)


def _addressed(field: str, cards: Sequence[AddressFields]) -> list[NicAddressing]:
    """Their addresses; `cards` begins with the first network card, the rest is what `field` holds."""
    found = []
    for position, card in enumerate(cards):
        try:
            found.append(card.addressing())
        except ValueError as error:
            where = "" if position == 0 else f"{field}.{position - 1}: "
            raise ValueError(f"{where}{error}") from None
    return found


def _check_vlans(vlans: Sequence[VlanFields], cards: Sequence[NicAddressing]) -> None:
    if len({vlan.id for vlan in vlans}) != len(vlans):
        raise ValueError("the same VLAN id is given twice")
    for position, vlan in enumerate(vlans):
        if vlan.nic >= len(cards):
            raise ValueError(
                f"vlans.{position}: there is no such network card: 0 is the first, 1 the first of nics"
            )
        if (vlan.mtu or MTU_DEFAULT) > (cards[vlan.nic].mtu or MTU_DEFAULT):
            raise ValueError(f"vlans.{position}: its mtu is larger than that of its network card")
