"""From a VM's metadata back to the request that made it: what to show, and where re-addressing starts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ceso_mcp.errors import Unreadable
from ceso_mcp.guest.netplan import GuestNic, GuestVlan, network_config
from ceso_mcp.guest.network import NicAddressing

_WHAT = "the network in guestinfo.metadata"


def nics_of(document: Mapping[str, Any]) -> tuple[GuestNic, ...]:
    """The NICs that ceso's own metadata describes, in order; `()` if it has no network.

    Raises `Unreadable` unless writing the result again gives the very same network: metadata of
    another author may say things that `NicAddressing` cannot.
    """
    return _read(document)[0]


def vlans_of(document: Mapping[str, Any]) -> tuple[GuestVlan, ...]:
    """The VLANs inside the guest that ceso's own metadata describes; raises as `nics_of` does."""
    return _read(document)[1]


def _read(document: Mapping[str, Any]) -> tuple[tuple[GuestNic, ...], tuple[GuestVlan, ...]]:
    network = document.get("network")
    if network is None:
        return (), ()
    try:
        links = list(network["ethernets"])
        nics = tuple(_nic(entry) for entry in network["ethernets"].values())
        vlans = tuple(
            GuestVlan(entry["id"], links.index(entry["link"]), _addressing(entry))
            for entry in network.get("vlans", {}).values()
        )
        again = network_config(nics, vlans)
    except (KeyError, TypeError, AttributeError, ValueError):
        raise Unreadable(_WHAT, "it is not in the form that ceso writes") from None
    if again != network:
        raise Unreadable(_WHAT, "it says more than ceso writes")
    return nics, vlans


def _nic(entry: Mapping[str, Any]) -> GuestNic:
    return GuestNic(entry["match"]["macaddress"], _addressing(entry), entry.get("set-name"))


def _addressing(entry: Mapping[str, Any]) -> NicAddressing:
    routes = {route["to"]: route["via"] for route in entry.get("routes", ())}
    nameservers = entry.get("nameservers", {})
    accept_ra = entry.get("accept-ra")
    if accept_ra is False and any(":" in address for address in entry.get("addresses", ())):
        accept_ra = None  # it goes without saying
    return NicAddressing(
        dhcp4=entry["dhcp4"],
        dhcp6=entry["dhcp6"],
        addresses=tuple(entry.get("addresses", ())),
        gateway4=routes.get("0.0.0.0/0"),
        gateway6=routes.get("::/0"),
        nameservers=tuple(nameservers.get("addresses", ())),
        search=tuple(nameservers.get("search", ())),
        mtu=entry.get("mtu"),
        accept_ra=accept_ra,
    )
