"""Portgroups and the devices that can be passed through."""

from __future__ import annotations

from dataclasses import dataclass

from ceso_mcp.esxi import esxcli
from ceso_mcp.fact import Fact, Reading
from ceso_mcp.shell import sh


@dataclass(frozen=True, slots=True)
class Portgroups(Fact[tuple[esxcli.Portgroup, ...]]):
    """The portgroups of the standard switches."""

    def reading(self) -> Reading[tuple[esxcli.Portgroup, ...]]:
        (reply,) = yield [sh("esxcli", "network", "vswitch", "standard", "portgroup", "list")]
        return tuple(esxcli.portgroups(reply.require("listing the portgroups")))


@dataclass(frozen=True, slots=True)
class PciDevices(Fact[tuple[esxcli.PciDevice, ...]]):
    """The host's PCI devices."""

    def reading(self) -> Reading[tuple[esxcli.PciDevice, ...]]:
        (reply,) = yield [sh("esxcli", "hardware", "pci", "list")]
        return tuple(esxcli.pci_devices(reply.require("listing the PCI devices")))
