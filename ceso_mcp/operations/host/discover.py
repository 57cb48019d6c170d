"""What there is on the host."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from ceso_mcp.fact import Facts
from ceso_mcp.facts.host import HostHardware, HostRelease
from ceso_mcp.facts.inventory import Inventory
from ceso_mcp.facts.network import PciDevices, Portgroups
from ceso_mcp.facts.storage import Datastores, DiskWays
from ceso_mcp.operation import Answer, Query
from ceso_mcp.recipes.templates import is_candidate, is_marked


class DatastoreView(Answer):
    """One datastore."""

    name: str
    type: str
    capacity_bytes: int
    free_bytes: int


class PortgroupView(Answer):
    """One portgroup."""

    name: str
    vswitch: str
    vlan: int


class PciView(Answer):
    """One PCI device that can be passed through."""

    address: str
    device: str
    vendor: str


class HostView(Answer):
    """The host and what is on it."""

    host_name: str
    version: str
    build: str
    vendor: str
    model: str
    cpu_cores: int
    cpu_threads: int
    memory_bytes: int
    maintenance_mode: bool
    datastores: list[DatastoreView]
    portgroups: list[PortgroupView]
    pci_devices: list[PciView] = Field(description="that can be passed through to a VM")
    vms_on: int
    vms_total: int
    invalid_vms: int
    templates: list[str] = Field(
        description="VMs that prepare_template has marked; list_templates tells more"
    )
    template_candidates: list[str] = Field(
        description="VMs that are off and called golden or template, but not marked"
    )
    cannot: list[str] = Field(description="what ceso cannot do on this host, and why")
    slower: list[str] = Field(description="what ceso does in a slower way on this host, and why")


class Discover(Query):
    """Show the host: version, hardware, datastores with free space, networks, VMs, templates.

    Start here. Also says what ceso cannot do on this host. Takes a few seconds on a real host.
    """

    title: ClassVar[str] = "Discover the host"
    toolset: ClassVar[str] = "host"
    result: ClassVar[type[Answer]] = HostView

    async def answer(self, facts: Facts) -> HostView:
        release, hardware, stores, portgroups, devices, inventory, ways = await facts.read(
            HostRelease(),
            HostHardware(),
            Datastores(),
            Portgroups(),
            PciDevices(),
            Inventory(),
            DiskWays(),
        )
        cannot, slower = [], []
        if ways.reading is None:
            cannot.append("back up: the host has neither python3 nor dd to read disks with")
        if ways.writing is None:
            cannot.append("restore: the host has no python3, nor a dd that ceso can write disks with")
        if ways.reading == "dd":
            slower.append(
                "back up and restore: the host has no python3, so whole disks cross the network to be backed"
                " up, and to be compared after a restore"
            )
        if release.major_minor not in ("7.0", "8.0"):
            cannot.append(f"promise anything: ESXi {release.version} is not one that ceso was built for")
        return HostView(
            host_name=hardware.host_name,
            version=release.version,
            build=str(release.build),
            vendor=hardware.vendor,
            model=hardware.model,
            cpu_cores=hardware.cpu_cores,
            cpu_threads=hardware.cpu_threads,
            memory_bytes=hardware.memory_bytes,
            maintenance_mode=hardware.maintenance_mode,
            datastores=[
                DatastoreView(name=v.name, type=v.type, capacity_bytes=v.size_bytes, free_bytes=v.free_bytes)
                for v in stores
            ],
            portgroups=[
                PortgroupView(name=p.name, vswitch=p.virtual_switch, vlan=p.vlan_id) for p in portgroups
            ],
            pci_devices=[
                PciView(address=d.address, device=d.device_name, vendor=d.vendor_name)
                for d in devices
                if d.passthru_capable
            ],
            vms_on=sum(vm.power == "on" for vm in inventory.vms),
            vms_total=len(inventory.vms),
            invalid_vms=len(inventory.invalid_ids),
            templates=[vm.name for vm in inventory.vms if is_marked(vm)],
            template_candidates=[vm.name for vm in inventory.vms if is_candidate(vm)],
            cannot=cannot,
            slower=slower,
        )
