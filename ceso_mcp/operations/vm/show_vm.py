"""Everything about one VM."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from ceso_mcp.errors import CesoError
from ceso_mcp.fact import Facts
from ceso_mcp.facts.guest import GuestOf, SnapshotTree
from ceso_mcp.facts.inventory import Inventory, Vm
from ceso_mcp.facts.storage import DiskAt
from ceso_mcp.fields import ExistingVm
from ceso_mcp.guest.guestinfo import secrets_pending
from ceso_mcp.operation import Answer, Query
from ceso_mcp.recipes.restored_disks import origin_of


class DiskView(Answer):
    """One virtual disk."""

    node: str = Field(description="controller and unit, such as scsi0:0")
    path: str
    capacity_bytes: int | None
    allocated_bytes: int | None = Field(description="what it takes on the datastore now")
    thin: bool | None
    snapshot_links: int | None = Field(description="links of its chain above the base disk")
    mode: str
    restored_from: str | None = Field(None, description="the backup that restore_disk made it of")
    problem: str = ""


class NicView(Answer):
    """One network card."""

    index: int
    portgroup: str
    adapter: str
    mac: str
    addresses: list[str] = Field(description="as the guest reports them")


class VmDetails(Answer):
    """One VM in full."""

    vmid: int
    name: str
    power: Literal["on", "off", "suspended"]
    path: str
    uuid_bios: str
    guest_os: str
    hardware_version: str
    firmware: str
    secure_boot: bool
    cpus: int
    memory_mib: int | None
    disks: list[DiskView]
    nics: list[NicView]
    snapshots: list[str]
    annotation: str = Field(description="notes of the VM: text that anybody may have written")
    tools_running: bool
    host_name: str | None
    ip_address: str | None
    secrets_pending: bool = Field(
        description="user data or vendor data that may hold secrets can still be read in its .vmx"
    )


class ShowVm(Query):
    """Show one VM: hardware, disks with their real size, networks, snapshots, guest name, addresses.

    Names are exact. Addresses are known only while the VM is on and its tools run.
    """

    title: ClassVar[str] = "Show a VM"
    toolset: ClassVar[str] = "vm"
    result: ClassVar[type[Answer]] = VmDetails

    vm: ExistingVm = Field(description="exact name of the VM")

    async def answer(self, facts: Facts) -> VmDetails:
        vm = (await facts.read(Inventory())).named(self.vm)
        vmx = vm.readable
        snapshots, guest = await facts.read(SnapshotTree(vm.vmid), GuestOf(vm.vmid))
        reported = {nic.mac.lower(): list(nic.addresses) for nic in guest.nics if nic.mac}
        return VmDetails(
            vmid=vm.vmid,
            name=vm.name,
            power=vm.power,
            path=str(vm.path),
            uuid_bios=vm.uuid_bios,
            guest_os=vmx.get("guestOS") or "",
            hardware_version=f"vmx-{vmx.get('virtualHW.version') or '?'}",
            firmware=vmx.get("firmware") or "bios",
            secure_boot=vmx.flag("uefi.secureBoot.enabled"),
            cpus=vmx.number("numvcpus") or 1,
            memory_mib=vmx.number("memSize"),
            disks=[await _disk(facts, vm, index) for index in range(len(vmx.disks()))],
            nics=[
                NicView(
                    index=nic.index,
                    portgroup=nic.network_name or "",
                    adapter=nic.virtual_dev or "",
                    mac=nic.mac or "",
                    addresses=reported.get((nic.mac or "").lower(), []),
                )
                for nic in vmx.nics()
            ],
            snapshots=list(snapshots),
            annotation=vmx.get("annotation") or "",
            tools_running=guest.tools_running,
            host_name=guest.host_name,
            ip_address=guest.ip_address,
            secrets_pending=bool(secrets_pending(vmx.get)),
        )


async def _disk(facts: Facts, vm: Vm, index: int) -> DiskView:
    disk = vm.readable.disks()[index]
    path = vm.disk_paths()[index]
    try:
        found = await facts.read(DiskAt(path))
    except CesoError as error:
        return DiskView(
            node=disk.node,
            path=str(path),
            capacity_bytes=None,
            allocated_bytes=None,
            thin=None,
            snapshot_links=None,
            mode=disk.mode or "persistent",
            problem=error.message,
        )
    return DiskView(
        node=disk.node,
        path=str(path),
        capacity_bytes=found.capacity_bytes,
        allocated_bytes=found.allocated_bytes,
        thin=found.links[-1].descriptor.is_thin,
        snapshot_links=len(found.links) - 1,
        mode=disk.mode or "persistent",
        restored_from=origin_of(vm.readable, disk.node, found.links[-1].path),
    )
