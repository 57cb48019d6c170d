"""What is configured on the host itself: networks, firewall, accounts, settings, hardware, software.

Rows are kept as the host reports them: label to value, in the order of the text form. So a stated world
can hold what a capture of another release shows.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from typing import Any

from ceso_mcp.lab import host_defaults as defaults
from ceso_mcp.lab import service_defaults as services

Labelled = dict[str, Any]


@dataclass
class Vswitch:
    """The settings of one standard switch; its name is in `World.vswitches`."""

    uplinks: list[str] = field(default_factory=list)
    num_ports: int = 2560
    ports: int = 128
    mtu: int = 1500
    cdp: str = "listen"
    beacon: bool = False
    beacon_interval: int = 1
    beacon_threshold: int = 3
    # Port ids begin here (esxcli-vm-port-list-1, esxcli-ip-interface-list-1).
    portset: int = 0
    uplink_port: int = 2
    security: dict[str, bool] = field(default_factory=dict)


@dataclass
class Ruleset:
    """One rule set of the firewall; no addresses in `allowed` means all."""

    name: str
    enabled: bool
    rules: list[list[Any]] = field(default_factory=list)
    allowed: list[str] = field(default_factory=list)


@dataclass
class Account:
    name: str
    description: str
    role: str = ""
    shell: bool = True
    password: str = ""


@dataclass
class Setting:
    """An advanced setting. `hidden` ones are set but not listed (fact sheet §3.3)."""

    path: str
    value: int | str
    default: int | str
    low: int = 0
    high: int = 0
    characters: str = ""
    description: str = ""
    hidden: bool = False
    host_specific: bool = False
    impact: str = "none"
    added: bool = False


@dataclass
class HostConfig:
    """The configuration of one host; the defaults are the seeded world's."""

    vendor: str = "Lab Systems"
    model: str = "Make-Believe 1U"
    serial: str = "LAB0001"
    asset_tag: str = ""
    ipmi: bool = True
    hardware_uuid: str = ""
    hyperthreading: bool = True
    numa_nodes: int = 0
    nics: list[Labelled] = field(default_factory=lambda: copy.deepcopy(defaults.NICS))
    nic_details: dict[str, Labelled] = field(default_factory=dict)
    nic_stats: dict[str, Labelled] = field(default_factory=dict)
    cpus: list[Labelled] = field(default_factory=list)
    pci: list[Labelled] = field(default_factory=lambda: copy.deepcopy(defaults.PCI))
    passthru: dict[str, bool] = field(default_factory=lambda: {"0000:0d:00.0": False})
    usb: list[Labelled] = field(default_factory=list)
    devices: list[Labelled] = field(default_factory=list)
    capacity: list[Labelled] = field(default_factory=list)
    smart: dict[str, list[Labelled]] = field(default_factory=dict)
    vaai: dict[str, Labelled] = field(default_factory=dict)
    boot_volumes: list[Labelled] = field(default_factory=list)
    extents: list[Labelled] = field(default_factory=list)
    nfs41: list[Labelled] = field(default_factory=list)
    vswitches: dict[str, Vswitch] = field(default_factory=dict)
    dvs: list[Labelled] = field(default_factory=list)
    portgroup_security: dict[str, dict[str, bool]] = field(default_factory=dict)
    interfaces: list[Labelled] = field(default_factory=lambda: copy.deepcopy(defaults.INTERFACES))
    ipv4: list[Labelled] = field(default_factory=lambda: copy.deepcopy(defaults.IPV4))
    connections: list[Labelled] = field(default_factory=lambda: copy.deepcopy(defaults.CONNECTIONS))
    port_ids: dict[str, int] = field(default_factory=dict)
    vf: dict[str, list[Labelled]] = field(default_factory=dict)
    firewall: Labelled = field(default_factory=lambda: dict(defaults.FIREWALL))
    rulesets: list[Ruleset] = field(
        default_factory=lambda: [Ruleset(name, on, list(rules)) for name, on, rules in defaults.RULESETS]
    )
    accounts: list[Account] = field(default_factory=lambda: [Account(*item) for item in services.ACCOUNTS])
    settings: list[Setting] = field(default_factory=lambda: [Setting(*item) for item in services.SETTINGS])
    kernel: list[Labelled] = field(default_factory=lambda: copy.deepcopy(services.KERNEL))
    syslog: Labelled = field(default_factory=lambda: dict(services.SYSLOG))
    sshd: dict[str, str] = field(default_factory=lambda: dict(services.SSHD))
    fips_ssh: bool = True
    acceptance: str = "PartnerSupported"
    vibs: list[Labelled] = field(default_factory=list)

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> HostConfig:
        kinds: dict[str, type[Any]] = {"rulesets": Ruleset, "accounts": Account, "settings": Setting}
        for name, kind in kinds.items():
            if name in value:
                value[name] = [kind(**item) for item in value[name]]
        if "vswitches" in value:
            value["vswitches"] = {name: Vswitch(**item) for name, item in value["vswitches"].items()}
        return cls(**value)

    def vswitch(self, name: str, number: int = 0) -> Vswitch:
        """The settings of a switch, made when asked for the first time: one uplink by its number."""
        if name not in self.vswitches:
            nics = [str(nic["Name"]) for nic in self.nics]
            uplinks = nics[number : number + 1]
            self.vswitches[name] = Vswitch(uplinks, portset=(number + 1) << 25)
        return self.vswitches[name]
