"""What esxcli prints: its forms, its failures, and typed readers of single commands.

Everything is on standard output, failures included; exit status 0 is success and 1 any failure
(fact sheet esxcli-and-shell §1.3). The readers take the text form of a command that succeeded.
"""

from __future__ import annotations

from ceso_mcp.esxi.esxcli.failure import EsxcliError, esxcli_error
from ceso_mcp.esxi.esxcli.nfs import NfsMount, NfsVersion, nfs_mounts
from ceso_mcp.esxi.esxcli.readers import (
    CpuGlobal,
    PciDevice,
    PhysicalNic,
    Portgroup,
    RunningVm,
    Version,
    Volume,
    cpu_global,
    filesystems,
    hardware_memory,
    nics,
    pci_devices,
    portgroups,
    version,
    vm_processes,
)
from ceso_mcp.esxi.esxcli.structured import csv_rows, json_value, keyvalue_rows, xml_value
from ceso_mcp.esxi.esxcli.text import Block, block, blocks, table

__all__ = [
    "Block",
    "CpuGlobal",
    "EsxcliError",
    "NfsMount",
    "NfsVersion",
    "PciDevice",
    "PhysicalNic",
    "Portgroup",
    "RunningVm",
    "Version",
    "Volume",
    "block",
    "blocks",
    "cpu_global",
    "csv_rows",
    "esxcli_error",
    "filesystems",
    "hardware_memory",
    "json_value",
    "keyvalue_rows",
    "nfs_mounts",
    "nics",
    "pci_devices",
    "portgroups",
    "table",
    "version",
    "vm_processes",
    "xml_value",
]
