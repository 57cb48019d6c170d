"""Whether a guest has become what was asked, judged by what its tools report (`vmsvc/get.guest`)."""

from __future__ import annotations

import ipaddress
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from typing import Literal, get_args

from ceso_mcp.errors import Unreadable
from ceso_mcp.guest.identity import mac_address
from ceso_mcp.guest.network import NicAddressing

Kind = Literal["tools", "host_name", "nic", "elsewhere", "address", "dhcp", "extra_address", "former_address"]
ORDER: tuple[Kind, ...] = get_args(Kind)
"""From what explains the rest to what is explained by it: without tools nothing else can be right."""


@dataclass(frozen=True)
class Reported:
    """What `vmsvc/get.guest` says: `addresses` maps each MAC address to its IP addresses, as text.

    `host_name` is None while it is `<unset>`.
    """

    tools_running: bool
    host_name: str | None
    addresses: Mapping[str, Sequence[str]]


@dataclass(frozen=True)
class Mismatch:
    """One thing that is not yet as asked; `text` says it to a person."""

    kind: Kind
    text: str
    mac: str | None = None
    address: IPv4Address | IPv6Address | None = None


def mismatches(
    hostname: str | None,
    nics: Sequence[tuple[str, NicAddressing]],
    reported: Reported,
    former: Collection[IPv4Address | IPv6Address] = (),
) -> list[Mismatch]:
    """What still differs from what was asked, in words; empty when all of it is there.

    `hostname` None: any. A full hostname is met by its short form, which is what an Ubuntu guest
    reports, and a short one by a full one that begins with it. A DHCP family is met by any address
    of that family that is not link-local. Further IPv6 addresses are no mismatch (link-local,
    temporary and advertised ones come and go); a further IPv4 address beside static ones is, as
    `extra_address`: it is what a leftover configuration of the template looks like. An address of
    `former` must not be reported on any card.
    Raises `Unreadable` for a reported address that is none.
    """
    if not reported.tools_running:
        return [Mismatch("tools", "tools are not running")]
    found: list[Mismatch] = []
    if hostname is not None and not _same_host(hostname, reported.host_name):
        shown = "not reported" if not reported.host_name else _safe(reported.host_name)
        found.append(Mismatch("host_name", f"host name is {shown}, asked {hostname}"))
    seen = {
        mac.lower().replace("-", ":"): [_address(text) for text in texts]
        for mac, texts in reported.addresses.items()
    }
    for mac, asked in nics:
        found += _nic_mismatches(mac_address(mac), asked, seen)
    told = {(mismatch.mac, mismatch.address) for mismatch in found}
    found += [
        Mismatch("former_address", f"address {address} is still on MAC {mac}", mac, address)
        for mac, there in seen.items()
        for address in there
        if address in former and (mac, address) not in told
    ]
    return found


def to_blame(found: Sequence[Mismatch]) -> Mismatch:
    """The mismatch that explains the others best."""
    return min(found, key=lambda mismatch: ORDER.index(mismatch.kind))


def _nic_mismatches(
    mac: str, asked: NicAddressing, seen: Mapping[str, list[IPv4Address | IPv6Address]]
) -> list[Mismatch]:
    silent = not (asked.addresses or asked.dhcp4 or asked.dhcp6)
    if mac not in seen:
        return [] if silent else [Mismatch("nic", f"MAC {mac} is not reported", mac)]
    there = seen[mac]
    found = [_missing(address.ip, mac, seen) for address in asked.addresses if address.ip not in there]
    routable = [address for address in there if not address.is_link_local]
    for wanted, family, version in ((asked.dhcp4, "IPv4", 4), (asked.dhcp6, "IPv6", 6)):
        if wanted and not any(address.version == version for address in routable):
            found.append(Mismatch("dhcp", f"no {family} address by DHCP yet on MAC {mac}", mac))
    if asked.ipv4:
        own = {address.ip for address in asked.ipv4}
        found += [
            Mismatch("extra_address", f"address {address} on MAC {mac} was not asked for", mac, address)
            for address in routable
            if isinstance(address, IPv4Address) and address not in own
        ]
    return found


def _missing(
    address: IPv4Address | IPv6Address, mac: str, seen: Mapping[str, list[IPv4Address | IPv6Address]]
) -> Mismatch:
    other = next((card for card, there in seen.items() if address in there), None)
    if other is None:
        return Mismatch("address", f"address {address} missing on MAC {mac}", mac, address)
    return Mismatch("elsewhere", f"address {address} is on MAC {other}, asked on MAC {mac}", mac, address)


def _same_host(asked: str, reported: str | None) -> bool:
    if not reported:
        return False
    mine, theirs = asked.lower(), reported.lower().rstrip(".")
    if "." in mine and "." in theirs:
        return mine == theirs
    return mine.partition(".")[0] == theirs.partition(".")[0]


def _address(text: str) -> IPv4Address | IPv6Address:
    try:
        return ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        raise Unreadable("get.guest", "this is not an IP address", line=text) from None


def _safe(text: str) -> str:
    """The guest's own words, fit to be shown: they are not to be trusted."""
    return "".join(char if char.isascii() and char.isprintable() else "?" for char in text[:64])
