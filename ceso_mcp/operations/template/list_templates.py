"""List golden templates."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from ceso_mcp.errors import CesoError
from ceso_mcp.fact import Facts
from ceso_mcp.facts.inventory import Inventory, Vm
from ceso_mcp.operation import Answer, Query
from ceso_mcp.recipes.templates import disks_of, is_candidate, mark_of, problem_with


class TemplateRow(Answer):
    """One template, or a VM that looks like one."""

    name: str
    vmid: int
    state: Literal["prepared", "spent", "candidate"] = Field(
        description="prepared: VMs can be made from it; spent: changed since; candidate: not marked yet"
    )
    os: str = Field(description="as the guest named itself when it was prepared")
    firmware: Literal["bios", "efi"]
    capacity_bytes: int | None
    allocated_bytes: int | None = Field(description="what a VM made from it takes at first")
    datastore: str
    prepared: str = Field(description="when, UTC")
    findings: str = Field(description="how the audit went then")
    problem: str = Field("", description="why it cannot be used as it is, if so")


class TemplateList(Answer):
    """Templates by name: prepared ones, and candidates that prepare_template could mark."""

    templates: list[TemplateRow]


class ListTemplates(Query):
    """List golden templates, and VMs that look like one.

    For each: operating system, size, firmware, when it was prepared, and whether it still is as it was
    then. VMs that are off and called golden or template are listed as candidates for prepare_template.
    """

    title: ClassVar[str] = "List templates"
    toolset: ClassVar[str] = "template"
    result: ClassVar[type[Answer]] = TemplateList

    async def answer(self, facts: Facts) -> TemplateList:
        inventory = await facts.read(Inventory())
        wanted = [vm for vm in inventory.vms if vm.vmx is not None and (mark_of(vm.vmx) or is_candidate(vm))]
        rows = [await _row(facts, vm) for vm in wanted]
        return TemplateList(templates=sorted(rows, key=lambda row: (row.state != "prepared", row.name)))


async def _row(facts: Facts, vm: Vm) -> TemplateRow:
    mark = mark_of(vm.readable)
    problem = ""
    capacity: int | None = None
    allocated: int | None = None
    try:
        disks = await disks_of(facts, vm)
        capacity = sum(disk.capacity_bytes for disk in disks)
        allocated = sum(disk.allocated_bytes for disk in disks)
        if mark is not None:
            problem = await problem_with(facts, vm)
    except CesoError as error:
        problem = error.message
    return TemplateRow(
        name=vm.name,
        vmid=vm.vmid,
        state="candidate" if mark is None else "spent" if problem else "prepared",
        os=mark.os if mark else "",
        firmware="efi" if (vm.readable.get("firmware") or "bios").lower() == "efi" else "bios",
        capacity_bytes=capacity,
        allocated_bytes=allocated,
        datastore=vm.path.datastore,
        prepared=mark.prepared if mark else "",
        findings=mark.findings if mark else "",
        problem=problem,
    )
