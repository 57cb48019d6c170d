"""List the VMs of the host."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from ceso_mcp.fact import Facts
from ceso_mcp.facts.inventory import Inventory, Vm
from ceso_mcp.guest.guestinfo import secrets_pending
from ceso_mcp.operation import Answer, Query


class VmRow(Answer):
    """One VM."""

    vmid: int
    name: str
    power: Literal["on", "off", "suspended"]
    cpus: int | None
    memory_mib: int | None
    disks: int | None
    guest_os: str
    datastore: str
    path: str = Field(description="where its .vmx lies")
    secrets_pending: bool = Field(
        description="user data or vendor data that may hold secrets can still be read in its .vmx"
    )
    problem: str = Field("", description="why its .vmx could not be read, if so")


class VmList(Answer):
    """VMs, by id. `invalid_ids` are registered but unusable: their files are gone or broken."""

    vms: list[VmRow]
    total: int
    next_offset: int | None = Field(None, description="pass it as `offset` for the next page")
    invalid_ids: list[int]


class ListVms(Query):
    """List the VMs registered on the host, one page, by id.

    For each: id, name, power state, CPUs, memory, number of disks, guest OS and where it lies.
    Takes about two seconds on a real host, however many VMs there are. For one VM's disks,
    networks and addresses use show_vm.
    """

    title: ClassVar[str] = "List VMs"
    toolset: ClassVar[str] = "vm"
    result: ClassVar[type[Answer]] = VmList

    power: Literal["on", "off", "suspended"] | None = Field(None, description="only VMs in this state")
    contains: str | None = Field(None, max_length=80, description="only VMs whose name contains this text")
    limit: int = Field(50, ge=1, le=200, description="page size")
    offset: int = Field(0, ge=0, description="how many VMs to skip")

    async def answer(self, facts: Facts) -> VmList:
        inventory = await facts.read(Inventory())
        wanted = (self.contains or "").casefold()
        found = [
            vm
            for vm in inventory.vms
            if (self.power is None or vm.power == self.power) and wanted in vm.name.casefold()
        ]
        page = found[self.offset : self.offset + self.limit]
        end = self.offset + len(page)
        return VmList(
            vms=[_row(vm) for vm in page],
            total=len(found),
            next_offset=end if end < len(found) else None,
            invalid_ids=list(inventory.invalid_ids),
        )


def _row(vm: Vm) -> VmRow:
    vmx = vm.vmx
    return VmRow(
        vmid=vm.vmid,
        name=vm.name,
        power=vm.power,
        cpus=(vmx.number("numvcpus") or 1) if vmx else None,
        memory_mib=vmx.number("memSize") if vmx else None,
        disks=len(vmx.disks()) if vmx else None,
        guest_os=(vmx.get("guestOS") or "") if vmx else "",
        datastore=vm.path.datastore,
        path=str(vm.path),
        secrets_pending=vmx is not None and bool(secrets_pending(vmx.get)),
        problem=vm.problem,
    )
