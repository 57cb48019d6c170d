"""A golden template: its mark in the .vmx, and whether the VM is still what was marked.

The mark is a few keys of the .vmx that ESXi keeps and does not look at. It holds a digest of what
changes when the VM is used: the content id of each disk is drawn anew by the first write after the
disk was opened, so a template that has been powered on since is noticed without reading its disk.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from ceso_mcp.errors import CesoError, Refused
from ceso_mcp.esxi.vmx import Vmx
from ceso_mcp.fact import Facts
from ceso_mcp.facts.inventory import Inventory, Vm
from ceso_mcp.facts.storage import Disk, DiskAt

PREFIX = "ceso.template."


@dataclass(frozen=True, slots=True)
class Mark:
    """What the .vmx of a template says: when it was prepared (UTC), what is on it, how the audit went."""

    prepared: str
    os: str
    findings: str
    state: str

    def keys(self) -> dict[str, str]:
        """The .vmx keys that it is kept in."""
        named = {"prepared": self.prepared, "os": self.os, "findings": self.findings, "state": self.state}
        return {f"{PREFIX}{name}": value for name, value in named.items()}

    @property
    def line(self) -> str:
        """The beginning of a line of the .vmx that only this mark has."""
        return f'{PREFIX}prepared = "{self.prepared}"'


def mark_of(vmx: Vmx) -> Mark | None:
    """The mark of a template; None if the .vmx has none."""
    prepared = vmx.get(f"{PREFIX}prepared")
    if not prepared:
        return None
    rest = [vmx.get(f"{PREFIX}{name}") or "" for name in ("os", "findings", "state")]
    return Mark(prepared, *rest)


def unmarked(vmx: Vmx) -> Vmx:
    """The .vmx without a mark."""
    return vmx.without([key for key in vmx.keys() if key.lower().startswith(PREFIX)])  # noqa: SIM118


def is_marked(vm: Vm) -> bool:
    return vm.vmx is not None and mark_of(vm.vmx) is not None


def is_candidate(vm: Vm) -> bool:
    """Whether a VM looks like a template that nobody has prepared yet: off, and called golden or template."""
    name = vm.name.casefold()
    named = "golden" in name or "template" in name
    return vm.power == "off" and vm.vmx is not None and named and not is_marked(vm)


async def disks_of(facts: Facts, vm: Vm) -> list[Disk]:
    """The VM's disks, in the order of its .vmx."""
    paths = [DiskAt(path) for path in vm.disk_paths()]
    if len(paths) > 1:
        await facts.read(*paths)  # all of them in the same rounds
    return [await facts.read(path) for path in paths]


def state_of(vmx: Vmx, disks: Sequence[Disk]) -> str:
    """A digest of what a template is: firmware and, for each disk, its place, name, size and content id."""
    lines = [vmx.get("firmware") or "bios", str(vmx.flag("uefi.secureBoot.enabled"))]
    for node, disk in zip(vmx.disks(), disks, strict=True):
        lines.append(f"{node.node} {node.file_name} {disk.capacity_bytes} {disk.top.descriptor.cid}")
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]


def refuse_if_used(vm: Vm, disks: Sequence[Disk]) -> None:
    """Raise Refused unless the template `vm` is off, without snapshots and what was prepared."""
    if vm.power != "off":
        raise Refused(
            f"the template {vm.name!r} is {vm.power}, so it is no golden image any more",
            code="template_not_off",
            hint="shut it down, clean it up inside and prepare it again (prepare_template)",
        )
    if any(disk.has_snapshots for disk in disks):
        raise Refused(
            f"the template {vm.name!r} has snapshots",
            code="template_has_snapshots",
            hint="remove them, then prepare it again (prepare_template)",
        )
    mark = mark_of(vm.readable)
    if mark is None:
        raise Refused(
            f"{vm.name!r} has not been prepared as a template, so nobody knows whether a copy of it would set"
            " itself up",
            code="template_unprepared",
            hint="prepare_template looks into it and marks it; or give unprepared",
        )
    if mark.state != state_of(vm.readable, disks):
        raise Refused(
            f"the template {vm.name!r} was changed after it was prepared ({mark.prepared}): its disk was"
            " written to or its hardware is another",
            code="template_changed",
            hint="prepare it again (prepare_template), which looks into it anew",
        )


async def require_template(facts: Facts, name: str) -> None:
    """Raise Refused unless the VM `name` is a template as it was prepared."""
    vm = (await facts.read(Inventory())).named(name)
    refuse_if_used(vm, await disks_of(facts, vm))


async def problem_with(facts: Facts, vm: Vm) -> str:
    """Why a marked template cannot be used as it is, in words; "" if it can."""
    try:
        refuse_if_used(vm, await disks_of(facts, vm))
    except CesoError as error:
        return error.message
    return ""


def refuse_running(vm: Vm) -> None:
    """Raise Refused if the VM is marked as a template: a boot would spend it."""
    if is_marked(vm):
        raise Refused(
            f"{vm.name!r} is a template; once it has run, its copies would be no fresh machines any more",
            code="template_marked",
            hint="make a VM from it (create_vm), or take the mark away first (unmark_template)",
        )
