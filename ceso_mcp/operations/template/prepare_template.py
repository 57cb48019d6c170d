"""Mark a VM as a golden template, after an audit."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from ceso_mcp.errors import Refused
from ceso_mcp.fact import Facts
from ceso_mcp.facts.inventory import Inventory
from ceso_mcp.fields import ExistingVm
from ceso_mcp.guest.golden import Finding
from ceso_mcp.operation import Change
from ceso_mcp.plan import Plan
from ceso_mcp.recipes.attaching import replace_vmx, unless_named
from ceso_mcp.recipes.golden_audit import Audit, audit_vm
from ceso_mcp.recipes.templates import Mark, state_of, unmarked


class PrepareTemplate(Change):
    """Audit a VM as a golden template and mark it, so that VMs are made from it and it is not run any more.

    The audit is that of check_template. The mark is kept in the VM's .vmx, whose `guestinfo` keys are
    taken out; nothing on its disk changes. Refused when the audit finds a problem, or cannot see into
    the disk, unless that is accepted. Doing it again audits and marks anew.
    """

    title: ClassVar[str] = "Prepare a template"
    toolset: ClassVar[str] = "template"

    vm: ExistingVm = Field(description="exact name of the VM; it must be off")
    accept_problems: bool = Field(
        False, description="mark it in spite of problems that the audit finds in the guest"
    )
    accept_unseen: bool = Field(False, description="mark it although the audit cannot see all of the guest")

    async def plan(self, facts: Facts) -> Plan:
        vm = (await facts.read(Inventory())).named(self.vm)
        found = await audit_vm(facts, vm)
        self._refuse(vm.name, found)
        vmx = vm.readable
        mark = Mark(
            prepared=facts.fixed.now,
            os=found.os or "not known",
            findings=found.summary(),
            state=state_of(vmx, found.disks),
        )
        dropped = [key for key in vmx.keys() if key.lower().startswith("guestinfo.")]  # noqa: SIM118
        changed = unmarked(vmx).without(dropped).with_set(mark.keys())
        return Plan(
            title=f"mark VM {vm.name} as a template",
            steps=tuple(
                replace_vmx(
                    vm, changed, lambda command: unless_named(vm, mark.line, command), facts.fixed.run_id
                )
            ),
            touches=(f"configuration of VM {vm.name} ({vm.path})",),
            warnings=tuple(
                f"{_verdict(one)}: {one.check}: {one.text}." for one in found.findings if one.verdict != "ok"
            ),
            before_after=(
                *((key, vmx.get(key) or "", value) for key, value in mark.keys().items()),
                *((key, "set", "taken out") for key in dropped),
            ),
            outcome={
                "vm": vm.name,
                "vmid": vm.vmid,
                "prepared": mark.prepared,
                "os": mark.os,
                "findings": found.lines(),
                "guestinfo_taken_out": tuple(dropped),
            },
        )

    def _refuse(self, name: str, found: Audit) -> None:
        if found.obstacle is not None:
            raise found.obstacle
        problems, unseen = found.with_verdict("problem"), found.with_verdict("not_known")
        if problems and not self.accept_problems:
            raise Refused(
                f"{name!r} is not fit to be a template: {_sentences(problems)}",
                code="not_golden",
                hint="start it, mend that inside, shut it down and try again; or give accept_problems",
            )
        if unseen and not self.accept_unseen:
            raise Refused(
                f"it is not known whether {name!r} is fit to be a template: {_sentences(unseen)}",
                code="guest_unseen",
                hint="clean it up with the script of `ceso template script`, then give accept_unseen",
            )


def _sentences(findings: list[Finding]) -> str:
    return "; ".join(f"{one.text} [{one.remedy}]" if one.remedy else one.text for one in findings)


def _verdict(finding: Finding) -> str:
    return {"not_known": "Not known", "problem": "Accepted problem"}.get(finding.verdict, "Warning")
