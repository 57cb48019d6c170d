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
            mount_point=_text(row, "Mount Point", what),
            name=_text(row, "Volume Name", what, may_be_empty=True),
            uuid=_text(row, "UUID", what),
            mounted=_flag(row, "Mounted", what),
            type=_text(row, "Type", what),
            size_bytes=_number(row, "Size", what),
            free_bytes=_number(row, "Free", what),
        )
        for row in table(stdout)
    ]


def portgroups(stdout: str) -> list[Portgroup]:
    """`esxcli network vswitch standard portgroup list` (esxcli-portgroup-1, -2)."""
    what = "portgroup list"
    return [
        Portgroup(
            name=_text(row, "Name", what),
            virtual_switch=_text(row, "Virtual Switch", what),
            active_clients=_number(row, "Active Clients", what),
            vlan_id=_number(row, "VLAN ID", what),
        )
        for row in table(stdout)
    ]


def vm_processes(stdout: str) -> list[RunningVm]:
    """`esxcli vm process list` (esxcli-vm-process-1, -3, -4); [] when no VM runs."""
    what = "vm process list"
    return [
        RunningVm(
            world_id=_number(one.fields, "World ID", what),
            uuid=_text(one.fields, "UUID", what),
            display_name=_text(one.fields, "Display Name", what),
            config_file=_text(one.fields, "Config File", what),
        )
        for one in blocks(stdout)
    ]


def version(stdout: str) -> Version:
    """`esxcli system version get` (esxcli-version-2, -4, -5)."""
    what = "system version get"
    fields = block(stdout)
    return Version(
        product=_text(fields, "Product", what),
        version=_text(fields, "Version", what),
        build=_text(fields, "Build", what).removeprefix("Releasebuild-"),
        update=_text(fields, "Update", what, may_be_empty=True),
        patch=_text(fields, "Patch", what, may_be_empty=True),
    )


def hardware_memory(stdout: str) -> int:
    """Bytes of memory, from `esxcli hardware memory get` (esxcli-memory-3)."""
    text = _text(block(stdout), "Physical Memory", "hardware memory get")
    found = re.fullmatch("([0-9]{1,20}) Bytes", text)
    if found is None:
        raise Unreadable("hardware memory get", "the memory is not in bytes", line=text)
    return int(found.group(1))


def cpu_global(stdout: str) -> CpuGlobal:
    """`esxcli hardware cpu global get`."""
    what = "hardware cpu global get"
    fields = block(stdout)
    return CpuGlobal(
        packages=_number(fields, "CPU Packages", what),
        cores=_number(fields, "CPU Cores", what),
        threads=_number(fields, "CPU Threads", what),
    )


def nics(stdout: str) -> list[PhysicalNic]:
    """`esxcli network nic list` (esxcli-nic-list-1 to -4)."""
    what = "network nic list"
    return [
        PhysicalNic(
            name=_text(row, "Name", what),
            pci_device=_text(row, "PCI Device", what),
            driver=_text(row, "Driver", what),
            link_up=_text(row, "Link Status", what) == "Up",
            speed_mbit=_number(row, "Speed", what),
            mac=_text(row, "MAC Address", what),
            mtu=_number(row, "MTU", what),
            description=_text(row, "Description", what, may_be_empty=True),
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
                address=_text(fields, "address", what),
                device_name=fields.get("device name", ""),
                vendor_name=fields.get("vendor name", ""),
                device_id=fields.get("device id", ""),
                vendor_id=fields.get("vendor id", ""),
                vmkernel_name=fields.get("vmkernel name", ""),
                configured_owner=fields.get("configured owner", ""),
                current_owner=fields.get("current owner", ""),
                passthru_capable="passthru capable" in fields and _flag(fields, "passthru capable", what),
            )
        )
    return found


def _text(fields: Mapping[str, str], label: str, what: str, *, may_be_empty: bool = False) -> str:
    value = fields.get(label)
    if value is None or not (value or may_be_empty):
        raise Unreadable(what, f"it has no {label}", line=repr(dict(fields)))
    return value


def _number(fields: Mapping[str, str], label: str, what: str) -> int:
    text = _text(fields, label, what)
    if not re.fullmatch("-?[0-9]{1,20}", text):
        raise Unreadable(what, f"{label} is not a number", line=text)
    return int(text)


def _flag(fields: Mapping[str, str], label: str, what: str) -> bool:
    text = _text(fields, label, what)
    if text not in ("true", "false"):
        raise Unreadable(what, f"{label} is neither true nor false", line=text)
    return text == "true"
