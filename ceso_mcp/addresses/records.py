"""DNS records as text, and which zone they go to."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Sequence

from ceso_mcp.addresses.pool import Address

Record = tuple[str, str, str]
"""Name (absolute, lower case), type, and data: `("web01.lab.example.", "A", "192.0.2.10")`."""


def host_records(name: str, addresses: Iterable[Address]) -> tuple[Record, ...]:
    """A and AAAA records of a host."""
    return tuple((_absolute(name), "A" if a.version == 4 else "AAAA", str(a)) for a in addresses)


def pointer(name: str, address: Address) -> Record:
    """The PTR record of an address."""
    return (_absolute(ipaddress.ip_address(address).reverse_pointer), "PTR", _absolute(name))


def zone_of(name: str, zones: Sequence[str]) -> str | None:
    """The longest of `zones` that `name` is in."""
    absolute = _absolute(name)
    fitting = [
        zone for zone in zones if absolute == _absolute(zone) or absolute.endswith(f".{_absolute(zone)}")
    ]
    return max(fitting, key=len, default=None)


def words(records: Iterable[Record]) -> str:
    """`A web01.lab.example 192.0.2.10, …`"""
    return ", ".join(
        f"{kind} {name.removesuffix('.')} {data.removesuffix('.')}" for name, kind, data in records
    )


def _absolute(name: str) -> str:
    return name.lower().removesuffix(".") + "."
