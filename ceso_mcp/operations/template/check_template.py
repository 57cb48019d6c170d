"""Audit a VM as a golden template."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from ceso_mcp.fact import Facts
from ceso_mcp.facts.inventory import Inventory
from ceso_mcp.fields import ExistingVm
from ceso_mcp.operation import Answer, Query
from ceso_mcp.recipes.golden_audit import audit_vm
from ceso_mcp.recipes.templates import mark_of, problem_with


class FindingView(Answer):
    """One answer of the audit."""

    check: str
    verdict: Literal["ok", "warning", "problem", "not_known"]
    text: str
    remedy: str = Field("", description="what to do about it")


class TemplateAudit(Answer):
    """What the audit found. `fit`: prepare_template marks the VM without being told to accept anything."""

    vm: str
    fit: bool
    os: str = Field(description="as the guest's os-release names it; empty if it cannot be seen")
    prepared: str = Field(description="when it was marked as a template, UTC; empty if it is not")
    changed: str = Field(description="why the mark does not hold any more; empty if it does or there is none")
    findings: list[FindingView]


class CheckTemplate(Query):
    """Look into a VM that is off and say whether it is fit to be a golden template; changes nothing.

    Reads the guest's own files from its disk on the host (MBR or GPT, plain or LVM2, ext4): cloud-init and
    open-vm-tools, machine-id, SSH host keys, netplan and cloud-init leftovers, kernel command line. Each
    finding comes with what to do. What cannot be read (LUKS, btrfs, XFS) is said to be not known.
    """

    title: ClassVar[str] = "Check a template"
    toolset: ClassVar[str] = "template"
    result: ClassVar[type[Answer]] = TemplateAudit

    vm: ExistingVm = Field(description="exact name of the VM; it must be off")

    async def answer(self, facts: Facts) -> TemplateAudit:
        vm = (await facts.read(Inventory())).named(self.vm)
        found = await audit_vm(facts, vm)
        mark = mark_of(vm.readable)
        return TemplateAudit(
            vm=vm.name,
            fit=not found.with_verdict("problem") and not found.with_verdict("not_known"),
            os=found.os,
            prepared=mark.prepared if mark else "",
            changed=await problem_with(facts, vm) if mark else "",
            findings=[
                FindingView(check=one.check, verdict=one.verdict, text=one.text, remedy=one.remedy)
                for one in found.findings
            ],
        )
