"""From a VM's metadata back to the request that made it: what to show, and where re-addressing starts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ceso_mcp.errors import Unreadable
from ceso_mcp.guest.cloudinit import GuestNic, metadata
from ceso_mcp.guest.network import NicAddressing

_WHAT = "the network in guestinfo.metadata"


def nics_of(document: Mapping[str, Any]) -> tuple[GuestNic, ...]:
    """The NICs that ceso's own metadata describes, in order; `()` if it has no network.

    Raises `Unreadable` unless writing the result again gives the very same network: metadata of
    another author may say things that `NicAddressing` cannot.
    """
    network = document.get("network")
    if network is None:
        return ()
    try:
        nics = tuple(_nic(entry) for entry in network["ethernets"].values())
        again = metadata("check", "check", nics).get("network")
    except (KeyError, TypeError, AttributeError, ValueError):
        raise Unreadable(_WHAT, "it is not in the form that ceso writes") from None
    if again != network:
        raise Unreadable(_WHAT, "it says more than ceso writes")
    return nics


def _nic(entry: Mapping[str, Any]) -> GuestNic:
    routes = {route["to"]: route["via"] for route in entry.get("routes", ())}
    nameservers = entry.get("nameservers", {})
    addressing = NicAddressing(
        dhcp4=entry["dhcp4"],
        dhcp6=entry["dhcp6"],
        addresses=tuple(entry.get("addresses", ())),
        gateway4=routes.get("0.0.0.0/0"),
        gateway6=routes.get("::/0"),
        nameservers=tuple(nameservers.get("addresses", ())),
        search=tuple(nameservers.get("search", ())),
        mtu=entry.get("mtu"),
    )
    return GuestNic(entry["match"]["macaddress"], addressing, entry.get("set-name"))
