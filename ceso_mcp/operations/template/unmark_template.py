"""Take the mark off a template."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from ceso_mcp.errors import Refused
from ceso_mcp.fact import Facts
from ceso_mcp.facts.inventory import Inventory
from ceso_mcp.fields import ExistingVm
from ceso_mcp.operation import Change
from ceso_mcp.plan import Plan
from ceso_mcp.recipes.attaching import replace_vmx
from ceso_mcp.recipes.templates import mark_of, unmarked
from ceso_mcp.shell import Command, sh


class UnmarkTemplate(Change):
    """Take the mark of a template off a VM, so that it can be powered on again, to update it say.

    Its guest, disks and VMs made from it stay as they are. prepare_template marks it again.
    """

    title: ClassVar[str] = "Unmark a template"
    toolset: ClassVar[str] = "template"

    vm: ExistingVm = Field(description="exact name of the template")

    async def plan(self, facts: Facts) -> Plan:
        vm = (await facts.read(Inventory())).named(self.vm)
        vmx = vm.readable
        mark = mark_of(vmx)
        if mark is None:
            raise Refused(f"{vm.name!r} is not marked as a template", code="not_a_template")
        if vm.power != "off":
            raise Refused(
                f"{vm.name!r} is {vm.power}; its configuration can be changed only while it is off",
                code="vm_not_off",
                hint="shut it down first (power_vm with action shutdown)",
            )
        line = mark.line

        def while_old(command: Command) -> Command:
            return sh("grep", "-q", "-F", line, vm.path).then(command)

        return Plan(
            title=f"take the template's mark off VM {vm.name}",
            steps=tuple(replace_vmx(vm, unmarked(vmx), while_old, facts.fixed.run_id)),
            touches=(f"configuration of VM {vm.name} ({vm.path})",),
            before_after=tuple((key, value, "taken out") for key, value in mark.keys().items()),
            outcome={"vm": vm.name, "vmid": vm.vmid, "was_prepared": mark.prepared},
        )
