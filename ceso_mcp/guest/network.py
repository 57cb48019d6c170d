"""How one NIC of a guest gets its addresses, checked as far as it can be without the network.

No message repeats a value: pydantic names the field, the sentence names the mistake.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Interface, IPv6Address, IPv6Interface
from typing import Annotated, Any, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema, model_validator

from ceso_mcp.guest.names import domain_name

MTU_MIN = 576
MTU_DEFAULT = 1500
MTU_MIN_IPV6 = 1280
MTU_MAX = 9000

_THIS_NETWORK = ipaddress.IPv4Network("0.0.0.0/8")


def _plain(value: Any, what: str) -> str:
    if not isinstance(value, str | IPv4Interface | IPv6Interface | IPv4Address | IPv6Address):
        raise ValueError(f"{what} is given as text")
    text = str(value).strip()
    if "%" in text:
        raise ValueError(f"{what} is given without a zone (the part after %)")
    return text


def _unicast(address: IPv4Address | IPv6Address, what: str) -> None:
    if address.is_unspecified:
        raise ValueError(f"{what} must not be the unspecified address")
    if address.is_multicast:
        raise ValueError(f"{what} must not be a multicast address")
    if address.is_loopback:
        raise ValueError(f"{what} must not be a loopback address")
    if isinstance(address, IPv6Address):
        if address.ipv4_mapped is not None:
            raise ValueError(f"{what} must not be an IPv4 address in IPv6 notation")
    elif address in _THIS_NETWORK or address.is_reserved:
        raise ValueError(f"{what} must not be in a reserved range (0.0.0.0/8 or 240.0.0.0/4)")


def interface_address(value: Any) -> IPv4Interface | IPv6Interface:
    """An address a NIC can bear, with its prefix length, from text such as `192.0.2.10/24`.

    Raises `ValueError`, one sentence for each mistake: no prefix, a netmask in its place, prefix 0,
    the network's or broadcast address, and addresses no NIC can be given (unspecified, multicast,
    loopback, reserved, link-local).
    """
    text = _plain(value, "an address")
    host, slash, prefix = text.partition("/")
    if not slash:
        raise ValueError("an address needs its prefix length, as in 192.0.2.10/24 or 2001:db8::10/64")
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        raise ValueError("this is not an IPv4 or IPv6 address") from None
    if not re.fullmatch(r"[0-9]{1,3}", prefix) or int(prefix) > address.max_prefixlen:
        raise ValueError("what follows the slash is a prefix length: 1 to 32 for IPv4, 1 to 128 for IPv6")
    if int(prefix) == 0:
        raise ValueError("prefix length 0 would put every address of the world on this link")
    _unicast(address, "an address")
    if address.is_link_local:
        raise ValueError("an address must not be link-local: the guest makes those itself")
    interface = ipaddress.ip_interface(f"{address}/{int(prefix)}")
    if address.max_prefixlen - int(prefix) >= 2:
        if address == interface.network.network_address:
            raise ValueError("this is the address of the network itself, not of a host in it")
        if isinstance(address, IPv4Address) and address == interface.network.broadcast_address:
            raise ValueError("this is the network's broadcast address")
    return interface


def _address(value: Any, what: str) -> IPv4Address | IPv6Address:
    text = _plain(value, what)
    if "/" in text:
        raise ValueError(f"{what} is given without a prefix length")
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        raise ValueError(f"{what} is an IPv4 or IPv6 address") from None
    _unicast(address, what)
    return address


def _gateway4(value: Any) -> IPv4Address | None:
    if value is None:
        return None
    address = _address(value, "gateway4")
    if not isinstance(address, IPv4Address):
        raise ValueError("gateway4 is an IPv4 address: an IPv6 gateway goes into gateway6")
    return address


def _gateway6(value: Any) -> IPv6Address | None:
    if value is None:
        return None
    address = _address(value, "gateway6")
    if not isinstance(address, IPv6Address):
        raise ValueError("gateway6 is an IPv6 address: an IPv4 gateway goes into gateway4")
    return address


def _nameserver(value: Any) -> IPv4Address | IPv6Address:
    return _address(value, "a nameserver")


def _search_domain(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError("a search domain is given as text")
    return domain_name(value, "a search domain")


_TEXT = WithJsonSchema({"type": "string", "maxLength": 64})
_TEXT_OR_NULL = WithJsonSchema({"anyOf": [{"type": "string", "maxLength": 64}, {"type": "null"}]})
InterfaceAddress = Annotated[IPv4Interface | IPv6Interface, BeforeValidator(interface_address), _TEXT]
Nameserver = Annotated[IPv4Address | IPv6Address, BeforeValidator(_nameserver), _TEXT]
SearchDomain = Annotated[
    str, BeforeValidator(_search_domain), WithJsonSchema({"type": "string", "maxLength": 253})
]


class NicAddressing(BaseModel):
    """The addresses of one NIC: by DHCP or given, for each of IPv4 and IPv6.

    With neither, the NIC is up without an address of that family (for IPv6: with whatever a router
    advertises). Given IPv6 addresses are exactly what the NIC has: router advertisements are off, unless
    `accept_ra` says otherwise.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    dhcp4: bool = Field(default=False, description="Get the IPv4 address, gateway and DNS by DHCP.")
    dhcp6: bool = Field(default=False, description="Get an IPv6 address by DHCPv6.")
    addresses: tuple[InterfaceAddress, ...] = Field(
        default=(),
        max_length=32,
        description="Static addresses, each with its prefix length: 192.0.2.10/24, 2001:db8::10/64.",
    )
    gateway4: Annotated[IPv4Address | None, BeforeValidator(_gateway4), _TEXT_OR_NULL] = Field(
        default=None, description="IPv4 default gateway, inside the subnet of one of the addresses."
    )
    gateway6: Annotated[IPv6Address | None, BeforeValidator(_gateway6), _TEXT_OR_NULL] = Field(
        default=None,
        description="IPv6 default gateway, inside the subnet of one of the addresses or link-local (fe80::).",
    )
    nameservers: tuple[Nameserver, ...] = Field(
        default=(), max_length=8, description="DNS servers, IPv4 or IPv6, in order of preference."
    )
    search: tuple[SearchDomain, ...] = Field(
        default=(), max_length=32, description="DNS search domains, in order."
    )
    mtu: int | None = Field(
        default=None,
        ge=MTU_MIN,
        le=MTU_MAX,
        description="MTU in bytes; at least 1280 with IPv6. Leave out for the default (1500).",
    )

    accept_ra: bool | None = Field(
        default=None,
        description="Take IPv6 router advertisements; if left out, only without static IPv6 addresses.",
    )

    @property
    def router_advertisements(self) -> bool | None:
        """Whether router advertisements are taken; None leaves it to the guest, which takes them."""
        return False if self.accept_ra is None and self.ipv6 else self.accept_ra

    @property
    def ipv4(self) -> tuple[IPv4Interface, ...]:
        """The static IPv4 addresses, in order."""
        return tuple(address for address in self.addresses if isinstance(address, IPv4Interface))

    @property
    def ipv6(self) -> tuple[IPv6Interface, ...]:
        """The static IPv6 addresses, in order."""
        return tuple(address for address in self.addresses if isinstance(address, IPv6Interface))

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        _no_duplicates((address.ip for address in self.addresses), "the same address is given twice")
        _no_duplicates(self.nameservers, "the same nameserver is given twice")
        _no_duplicates((name.lower() for name in self.search), "the same search domain is given twice")
        if self.dhcp4 and self.ipv4:
            raise ValueError("give either dhcp4 or static IPv4 addresses, not both")
        if self.dhcp6 and self.ipv6:
            raise ValueError("give either dhcp6 or static IPv6 addresses, not both")
        _check_gateway("gateway4", "IPv4", self.gateway4, self.ipv4, dhcp=self.dhcp4)
        _check_gateway("gateway6", "IPv6", self.gateway6, self.ipv6, dhcp=self.dhcp6)
        if self.accept_ra is False and self.dhcp6:
            raise ValueError("DHCPv6 needs router advertisements: they tell that there is a server")
        if self.mtu is not None and self.mtu < MTU_MIN_IPV6 and (self.ipv6 or self.dhcp6):
            raise ValueError(f"IPv6 needs an mtu of at least {MTU_MIN_IPV6}")
        return self


def check_together(nics: Iterable[NicAddressing]) -> None:
    """Raise `ValueError` if these NICs of one guest contradict each other.

    One default gateway per family (fact sheet cloud-init §5), no address on two NICs.
    """
    nics = list(nics)
    _no_duplicates(
        (address.ip for nic in nics for address in nic.addresses), "two NICs are given the same address"
    )
    for family, gateways in (
        ("IPv4", [nic.gateway4 for nic in nics if nic.gateway4]),
        ("IPv6", [nic.gateway6 for nic in nics if nic.gateway6]),
    ):
        if len(gateways) > 1:
            raise ValueError(f"only one NIC can have the {family} default gateway")


def _no_duplicates(values: Iterable[object], message: str) -> None:
    listed = list(values)
    if len(set(listed)) != len(listed):
        raise ValueError(message)


def _check_gateway(
    field: str,
    family: str,
    gateway: IPv4Address | IPv6Address | None,
    own: tuple[IPv4Interface, ...] | tuple[IPv6Interface, ...],
    *,
    dhcp: bool,
) -> None:
    if gateway is None:
        return
    if not own:
        hint = ": DHCP brings its own gateway" if dhcp else ""
        raise ValueError(f"{field} needs a static {family} address on the same NIC{hint}")
    if any(gateway == address.ip for address in own):
        raise ValueError(f"{field} is the NIC's own address")
    if isinstance(gateway, IPv6Address) and gateway.is_link_local:
        return
    homes = [address.network for address in own if gateway in address.network]
    if not homes:
        raise ValueError(f"{field} is not in the subnet of any {family} address of this NIC")
    if isinstance(gateway, IPv4Address):
        for net in homes:
            if net.prefixlen <= 30 and gateway in (net.network_address, net.broadcast_address):
                raise ValueError(f"{field} is the network's own or its broadcast address")
