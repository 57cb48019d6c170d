"""The network configuration inside the metadata: version 2, which netplan takes as it is.

Fact sheet cloud-init §5. `ValueError` is raised for arguments that the types of `network` would have refused.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, NamedTuple

from ceso_mcp.guest.identity import mac_address
from ceso_mcp.guest.network import NicAddressing, check_together

_INTERFACE_NAME = re.compile(r"[a-z][a-z0-9_-]{0,14}")
FIRST_METRIC = 100
"""What netplan gives to routes learnt by DHCP; a smaller metric wins."""


class GuestNic(NamedTuple):
    """One NIC as the guest will see it; `set_name` None leaves the kernel's name."""

    mac: str
    addressing: NicAddressing
    set_name: str | None = None


class GuestVlan(NamedTuple):
    """A tagged VLAN inside the guest, on the NIC at position `link` of the list of NICs."""

    number: int
    link: int
    addressing: NicAddressing

    @property
    def name(self) -> str:
        """The interface's name in the guest."""
        return f"vlan{self.number}"


def network_config(nics: Sequence[GuestNic], vlans: Sequence[GuestVlan] = ()) -> dict[str, Any]:
    """The `network` of the metadata.

    NICs are matched by MAC address, which is known before the first power-on while the interface
    name is not. Of several that use DHCP, the first in the list has the better route: NICs come before VLANs.
    """
    check_together([*(nic.addressing for nic in nics), *(vlan.addressing for vlan in vlans)])
    if len({mac_address(nic.mac) for nic in nics}) != len(nics):
        raise ValueError("two NICs are given the same MAC address")
    config: dict[str, Any] = {
        "version": 2,
        "ethernets": {f"nic{index}": _ethernet(nic, index) for index, nic in enumerate(nics)},
    }
    if vlans:
        if len({vlan.number for vlan in vlans}) != len(vlans):
            raise ValueError("a VLAN is given twice")
        config["vlans"] = {
            vlan.name: _vlan(vlan, len(nics), position) for position, vlan in enumerate(vlans, len(nics))
        }
    return config


def _ethernet(nic: GuestNic, position: int) -> dict[str, Any]:
    entry: dict[str, Any] = {"match": {"macaddress": mac_address(nic.mac)}}
    if nic.set_name is not None:
        if not _INTERFACE_NAME.fullmatch(nic.set_name):
            raise ValueError("an interface name has at most 15 lower-case letters, digits, - and _")
        entry["set-name"] = nic.set_name
    return entry | _addressing(nic.addressing, position)


def _vlan(vlan: GuestVlan, nic_count: int, position: int) -> dict[str, Any]:
    if not 1 <= vlan.number <= 4094:
        raise ValueError("a VLAN id is a number from 1 to 4094")
    if not 0 <= vlan.link < nic_count:
        raise ValueError("a VLAN is on a NIC that there is not")
    return {"id": vlan.number, "link": f"nic{vlan.link}"} | _addressing(vlan.addressing, position)


def _addressing(asked: NicAddressing, position: int) -> dict[str, Any]:
    entry: dict[str, Any] = {"dhcp4": asked.dhcp4, "dhcp6": asked.dhcp6}
    if asked.dhcp4 or asked.dhcp6:
        # Clones of a booted VM share a machine-id, from which networkd would make the same client
        # identifier and get the same lease (fact sheet cloud-init §6).
        entry["dhcp-identifier"] = "mac"
    for family, used in (("dhcp4", asked.dhcp4), ("dhcp6", asked.dhcp6)):
        if used and position:
            entry[f"{family}-overrides"] = {"route-metric": FIRST_METRIC * (position + 1)}
    if asked.router_advertisements is not None:
        entry["accept-ra"] = asked.router_advertisements
    if asked.addresses:
        entry["addresses"] = [str(address) for address in asked.addresses]
    elif not asked.dhcp4 and not asked.dhcp6:
        # Boot must not wait for a link that is not going to have an address.
        entry["optional"] = True
    # `to: default` breaks cloud-init before 22.4, `gateway4` is deprecated (fact sheet cloud-init §1).
    routes = [
        {"to": to, "via": str(via)}
        for to, via in (("0.0.0.0/0", asked.gateway4), ("::/0", asked.gateway6))
        if via is not None
    ]
    if routes:
        entry["routes"] = routes
    nameservers: dict[str, list[str]] = {}
    if asked.nameservers:
        nameservers["addresses"] = [str(server) for server in asked.nameservers]
    if asked.search:
        nameservers["search"] = list(asked.search)
    if nameservers:
        entry["nameservers"] = nameservers
    if asked.mtu is not None:
        entry["mtu"] = asked.mtu
    return entry
