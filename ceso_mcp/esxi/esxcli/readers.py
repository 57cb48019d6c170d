"""Typed readers of single esxcli commands, from their text form (fact sheet esxcli-and-shell §2)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from ceso_mcp.errors import Unreadable
from ceso_mcp.esxi.esxcli.text import block, blocks, table


@dataclass(frozen=True, slots=True)
class Volume:
    """A mounted file system. `name` is "" for a nameless one; `type` as printed (`VMFS-6`, `NFS`, …)."""

    mount_point: str
    name: str
    uuid: str
    mounted: bool
    type: str
    size_bytes: int
    free_bytes: int


@dataclass(frozen=True, slots=True)
class Portgroup:
    """A portgroup of a standard switch. `vlan_id` is 0 without a VLAN, 4095 for all."""

    name: str
    virtual_switch: str
    active_clients: int
    vlan_id: int


@dataclass(frozen=True, slots=True)
class RunningVm:
    """A running VM. `world_id` is not its vmid; `config_file` is a real path by volume id."""

    world_id: int
    uuid: str
    display_name: str
    config_file: str


@dataclass(frozen=True, slots=True)
class Version:
    """Product, release and build of the host, all as text (`Releasebuild-` removed)."""

    product: str
    version: str
    build: str
    update: str
    patch: str


@dataclass(frozen=True, slots=True)
class CpuGlobal:
    """Processors of the host."""

    packages: int
    cores: int
    threads: int


@dataclass(frozen=True, slots=True)
class PhysicalNic:
    """A physical network card. `speed_mbit` is 0 without a link."""

    name: str
    pci_device: str
    driver: str
    link_up: bool
    speed_mbit: int
    mac: str
    mtu: int
    description: str


@dataclass(frozen=True, slots=True)
class PciDevice:
    """A PCI device by its address (`0000:af:00.0`). Texts are "" where the host names none."""

    address: str
    device_name: str
    vendor_name: str
    device_id: str
    vendor_id: str
    vmkernel_name: str
    configured_owner: str
    current_owner: str
    passthru_capable: bool


def filesystems(stdout: str) -> list[Volume]:
    """`esxcli storage filesystem list` (esxcli-filesystem-1, -2, -3)."""
    what = "storage filesystem list"
    return [
        Volume(
            mount_point=text(row, "Mount Point", what),
            name=text(row, "Volume Name", what, may_be_empty=True),
            uuid=text(row, "UUID", what),
            mounted=flag(row, "Mounted", what),
            type=text(row, "Type", what),
            size_bytes=number(row, "Size", what),
            free_bytes=number(row, "Free", what),
        )
        for row in table(stdout)
    ]


def portgroups(stdout: str) -> list[Portgroup]:
    """`esxcli network vswitch standard portgroup list` (esxcli-portgroup-1, -2)."""
    what = "portgroup list"
    return [
        Portgroup(
            name=text(row, "Name", what),
            virtual_switch=text(row, "Virtual Switch", what),
            active_clients=number(row, "Active Clients", what),
            vlan_id=number(row, "VLAN ID", what),
        )
        for row in table(stdout)
    ]


def vm_processes(stdout: str) -> list[RunningVm]:
    """`esxcli vm process list` (esxcli-vm-process-1, -3, -4); [] when no VM runs."""
    what = "vm process list"
    return [
        RunningVm(
            world_id=number(one.fields, "World ID", what),
            uuid=text(one.fields, "UUID", what),
            display_name=text(one.fields, "Display Name", what),
            config_file=text(one.fields, "Config File", what),
        )
        for one in blocks(stdout)
    ]


def version(stdout: str) -> Version:
    """`esxcli system version get` (esxcli-version-2, -4, -5)."""
    what = "system version get"
    fields = block(stdout)
    return Version(
        product=text(fields, "Product", what),
        version=text(fields, "Version", what),
        build=text(fields, "Build", what).removeprefix("Releasebuild-"),
        update=text(fields, "Update", what, may_be_empty=True),
        patch=text(fields, "Patch", what, may_be_empty=True),
    )


def hardware_memory(stdout: str) -> int:
    """Bytes of memory, from `esxcli hardware memory get` (esxcli-memory-3)."""
    memory = text(block(stdout), "Physical Memory", "hardware memory get")
    found = re.fullmatch("([0-9]{1,20}) Bytes", memory)
    if found is None:
        raise Unreadable("hardware memory get", "the memory is not in bytes", line=memory)
    return int(found.group(1))


def cpu_global(stdout: str) -> CpuGlobal:
    """`esxcli hardware cpu global get`."""
    what = "hardware cpu global get"
    fields = block(stdout)
    return CpuGlobal(
        packages=number(fields, "CPU Packages", what),
        cores=number(fields, "CPU Cores", what),
        threads=number(fields, "CPU Threads", what),
    )


def nics(stdout: str) -> list[PhysicalNic]:
    """`esxcli network nic list` (esxcli-nic-list-1 to -4)."""
    what = "network nic list"
    return [
        PhysicalNic(
            name=text(row, "Name", what),
            pci_device=text(row, "PCI Device", what),
            driver=text(row, "Driver", what),
            link_up=text(row, "Link Status", what) == "Up",
            speed_mbit=number(row, "Speed", what),
            mac=text(row, "MAC Address", what),
            mtu=number(row, "MTU", what),
            description=text(row, "Description", what, may_be_empty=True),
        )
        for row in table(stdout)
    ]


def pci_devices(stdout: str) -> list[PciDevice]:
    """`esxcli hardware pci list`.

    Labels are compared without regard to case: the only capture (esxcli-pci-list-1) has them in
    lower case and leaves most out, so only the address is required.
    """
    what = "hardware pci list"
    found: list[PciDevice] = []
    for one in blocks(stdout):
        fields = {label.lower(): value for label, value in one.fields.items()}
        found.append(
            PciDevice(
                address=text(fields, "address", what),
                device_name=fields.get("device name", ""),
                vendor_name=fields.get("vendor name", ""),
                device_id=fields.get("device id", ""),
                vendor_id=fields.get("vendor id", ""),
                vmkernel_name=fields.get("vmkernel name", ""),
                configured_owner=fields.get("configured owner", ""),
                current_owner=fields.get("current owner", ""),
                passthru_capable="passthru capable" in fields and flag(fields, "passthru capable", what),
            )
        )
    return found


def text(fields: Mapping[str, str], label: str, what: str, *, may_be_empty: bool = False) -> str:
    """The value of `label`; raises Unreadable if it is not there, or empty."""
    value = fields.get(label)
    if value is None or not (value or may_be_empty):
        raise Unreadable(what, f"it has no {label}", line=repr(dict(fields)))
    return value


def number(fields: Mapping[str, str], label: str, what: str) -> int:
    """The number under `label`; raises Unreadable if it is none."""
    found = text(fields, label, what)
    if not re.fullmatch("-?[0-9]{1,20}", found):
        raise Unreadable(what, f"{label} is not a number", line=found)
    return int(found)


def flag(fields: Mapping[str, str], label: str, what: str) -> bool:
    """True or false under `label`; raises Unreadable for anything else."""
    found = text(fields, label, what)
    if found not in ("true", "false"):
        raise Unreadable(what, f"{label} is neither true nor false", line=found)
    return found == "true"
