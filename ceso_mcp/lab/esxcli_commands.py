"""All esxcli commands of one host."""

from __future__ import annotations

from ceso_mcp.lab.esxcli import Esxcli
from ceso_mcp.lab.esxcli_advanced import AdvancedCommands
from ceso_mcp.lab.esxcli_firewall import FirewallCommands
from ceso_mcp.lab.esxcli_ground import Ground
from ceso_mcp.lab.esxcli_hardware import HardwareCommands
from ceso_mcp.lab.esxcli_network import NetworkCommands
from ceso_mcp.lab.esxcli_nfs import NfsCommands
from ceso_mcp.lab.esxcli_settings import SettingsCommands
from ceso_mcp.lab.esxcli_software import SoftwareCommands
from ceso_mcp.lab.esxcli_ssh import SshCommands
from ceso_mcp.lab.esxcli_storage import StorageCommands
from ceso_mcp.lab.esxcli_system import SystemCommands
from ceso_mcp.lab.esxcli_vm import VmProcessCommands
from ceso_mcp.lab.esxcli_vswitch import VswitchCommands

FAMILIES = (
    SystemCommands,
    AdvancedCommands,
    SettingsCommands,
    SshCommands,
    HardwareCommands,
    StorageCommands,
    NfsCommands,
    VswitchCommands,
    NetworkCommands,
    FirewallCommands,
    VmProcessCommands,
    SoftwareCommands,
)


def esxcli_of(ground: Ground) -> Esxcli:
    """The program with the commands that the host's release has."""
    cli = Esxcli(ground.world.version)
    for family in FAMILIES:
        cli.add(family(ground).commands())
    return cli
