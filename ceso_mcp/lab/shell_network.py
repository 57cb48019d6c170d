"""Cards, switches, interfaces and ports as `esxcfg-*`, `lspci` and `net-stats` print them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Card:
    """One physical card. `capable`, `driven`, `interrupts`, `interrupting` are those of `esxcfg-nics -e`."""

    name: str
    pci: str
    driver: str
    link: str
    speed_mbps: int
    duplex: str
    mac: str
    mtu: int
    description: str
    capable: bool = False
    driven: bool = False
    interrupts: bool = False
    interrupting: bool = False


def nics(cards: list[Card]) -> str:
    """`esxcfg-nics -l` (shell-esxcfg-nics-1)."""
    text = "Name    PCI          Driver      Link Speed      Duplex MAC Address       MTU    Description\n"
    for card in cards:
        text += (
            f"{card.name:<7} {card.pci:<12} {card.driver:<11} {card.link:<4} {f'{card.speed_mbps}Mbps':<10}"
            f" {card.duplex:<6} {card.mac:<17} {card.mtu:<6} {card.description}\n"
        )
    return text


def ens(cards: list[Card]) -> str:
    """`esxcfg-nics -e` (shell-esxcfg-nics-2)."""
    text = (
        "Name    Driver      ENS Capable   ENS Driven    INTR Capable  INTR Enabled"
        "  MAC Address       Description\n"
    )
    for card in cards:
        flags = (card.capable, card.driven, card.interrupts, card.interrupting)
        cells = "".join(f"{flag!s:<14}" for flag in flags)
        text += f"{card.name:<7} {card.driver:<11} {cells}{card.mac:<17} {card.description}\n"
    return text


@dataclass(frozen=True)
class Switch:
    """A standard switch; `groups` are (name, VLAN, used ports)."""

    name: str
    ports: int
    used: int
    configured: int
    mtu: int
    uplinks: tuple[str, ...]
    groups: tuple[tuple[str, int, int], ...]


def switches(found: list[Switch]) -> str:
    """`esxcfg-vswitch -l` (shell-esxcfg-vswitch-2): one blank line between the parts."""
    texts = []
    for item in found:
        uplinks = ",".join(item.uplinks)
        text = "Switch Name      Num Ports   Used Ports  Configured Ports  MTU     Uplinks\n"
        text += f"{item.name:<16} {item.ports:<11} {item.used:<11} {item.configured:<17}"
        text += f" {item.mtu:<7} {uplinks}".rstrip() + "\n\n"
        text += "  PortGroup Name                            VLAN ID  Used Ports  Uplinks\n"
        for name, vlan, used in item.groups:
            text += f"  {name:<41} {vlan:<8} {used:<11} {uplinks}".rstrip() + "\n"
        texts.append(text)
    return "\n".join(texts)


@dataclass(frozen=True)
class Interface:
    """One address of a VMkernel interface; of IPv6 the mask is the length and `broadcast` is empty."""

    name: str
    portgroup: str
    family: str
    address: str
    mask: str
    broadcast: str
    mac: str
    mtu: int = 1500
    kind: str = "STATIC"
    stack: str = "defaultTcpipStack"


def interfaces(found: list[Interface]) -> str:
    """`esxcfg-vmknic -l` (shell-esxcfg-vmknic-1)."""
    text = (
        f"{'Interface':<10} {'Port Group/DVPort/Opaque Network':<39} {'IP Family':<9} {'IP Address':<39}"
        f" {'Netmask':<15} {'Broadcast':<15} {'MAC Address':<17} {'MTU':<7} {'TSO MSS':<9} {'Enabled':<7}"
        f" {'Type':<19} NetStack\n"
    )
    for item in found:
        text += (
            f"{item.name:<10} {item.portgroup:<39} {item.family:<9} {item.address:<39} {item.mask:<15}"
            f" {item.broadcast:<15} {item.mac:<17} {item.mtu:<7} {65535:<9} {'true':<7} {item.kind:<19}"
            f" {item.stack}\n"
        )
    return text


@dataclass(frozen=True)
class Port:
    """One port of a switch, its client named as `net-stats -l` names it."""

    number: int
    type: int
    subtype: int
    switch: str
    mac: str
    client: str


def ports(found: list[Port]) -> str:
    """`net-stats -l` (shell-netstats-1)."""
    text = "PortNum          Type SubType SwitchName       MACAddress         ClientName\n"
    for item in found:
        text += (
            f"{item.number:<16} {item.type:>4} {item.subtype:>7} {item.switch:<16} {item.mac:<17}"
            f"  {item.client}\n"
        )
    return text


@dataclass(frozen=True)
class Device:
    """A PCI device; vendor, device and class in hexadecimal digits without `0x`."""

    address: str
    vendor: str
    device: str
    name: str
    pci_class: str


def lspci_n(devices: list[Device]) -> str:
    """`lspci -n` (shell-lspci-n-1); a device without a name has no brackets (assumed)."""
    return "".join(
        f"{item.address} Class {item.pci_class}: {item.vendor}:{item.device}"
        f"{f' [{item.name}]' if item.name else ''}\n"
        for item in devices
    )
