"""The audit of a VM as a golden image: from outside, and inside its disks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ceso_mcp.errors import Refused
from ceso_mcp.fact import Facts
from ceso_mcp.facts.guest_disk import GuestOnDisk
from ceso_mcp.facts.inventory import Vm
from ceso_mcp.facts.storage import Disk
from ceso_mcp.guest.disk.ranges import Unknown
from ceso_mcp.guest.golden import Finding, audit
from ceso_mcp.guest.golden_seen import Seen, os_release
from ceso_mcp.recipes.reborn import refuse_uncopyable
from ceso_mcp.recipes.templates import disks_of


@dataclass(frozen=True, slots=True)
class Audit:
    """What was found. `obstacle` is what no wish gets round: the VM cannot be a template as it is."""

    findings: tuple[Finding, ...]
    disks: tuple[Disk, ...]
    os: str
    obstacle: Refused | None

    def with_verdict(self, verdict: str) -> list[Finding]:
        return [finding for finding in self.findings if finding.verdict == verdict]

    def summary(self) -> str:
        """`11 ok, 1 warning (accounts)`."""
        parts = []
        for verdict in ("ok", "warning", "problem", "not_known"):
            found = self.with_verdict(verdict)
            if found:
                names = "" if verdict == "ok" else f" ({', '.join(one.check for one in found)})"
                parts.append(f"{len(found)} {verdict.replace('_', ' ')}{names}")
        return ", ".join(parts)

    def lines(self) -> tuple[str, ...]:
        """Every finding as a line to read."""
        return tuple(
            f"{one.verdict.replace('_', ' ')}: {one.check}: {one.text}"
            + (f" ({one.remedy})" if one.remedy else "")
            for one in self.findings
        )


async def audit_vm(facts: Facts, vm: Vm) -> Audit:
    """Audit a VM that is off; raises Refused `vm_not_off` otherwise, because its disks cannot be read."""
    if vm.power != "off":
        raise Refused(
            f"{vm.name!r} is {vm.power}; its disks can be looked into only while it is off",
            code="vm_not_off",
            hint="shut it down from inside, so that it is clean",
        )
    disks = await disks_of(facts, vm)
    obstacle = _obstacle(vm, disks)
    found = [
        Finding("fit to be copied", "ok", "off, without snapshots, all disks in its folder")
        if obstacle is None
        else Finding("fit to be copied", "problem", obstacle.message, obstacle.hint),
        *_hardware(vm, disks),
    ]
    seen = await _look(facts, disks)
    if isinstance(seen, Unknown):
        found.append(
            Finding(
                "inside of the disks",
                "not_known",
                seen.reason,
                "clean it up with the script of `ceso template script`, then give accept_unseen",
            )
        )
        return Audit(tuple(found), tuple(disks), "", obstacle)
    release = os_release(seen)
    found.append(Finding("inside of the disks", "ok", seen.where))
    return Audit((*found, *audit(seen)), tuple(disks), release.name if release else "", obstacle)


def _obstacle(vm: Vm, disks: Sequence[Disk]) -> Refused | None:
    try:
        refuse_uncopyable(vm.readable)
    except Refused as refused:
        return refused
    if not disks:
        return Refused(f"{vm.name!r} has no disk", code="no_disk")
    for disk in disks:
        path = disk.top.path
        if any(link.descriptor.encrypted for link in disk.links):
            return Refused(f"the disk {path} is encrypted", code="vm_encrypted")
        if any(link.descriptor.is_rdm for link in disk.links):
            return Refused(
                f"the disk {path} is a raw device mapping", code="raw_device_mapping", hint="detach it first"
            )
        if disk.has_snapshots:
            return Refused(
                f"{vm.name!r} has snapshots", code="template_has_snapshots", hint="remove them first"
            )
        if path.parent != vm.folder:
            return Refused(
                f"the disk {path} lies outside the VM's folder",
                code="disk_outside_folder",
                hint="move it, or detach it",
            )
    return None


def _hardware(vm: Vm, disks: Sequence[Disk]) -> list[Finding]:
    vmx = vm.readable
    firmware = (vmx.get("firmware") or "bios").upper()
    if vmx.flag("uefi.secureBoot.enabled"):
        firmware += " with secure boot"
    capacity, allocated = sum(d.capacity_bytes for d in disks), sum(d.allocated_bytes for d in disks)
    found = [
        Finding("firmware", "ok", f"{firmware}; copies have the same"),
        Finding("size", "ok", f"{_size(allocated)} taken of {_size(capacity)}"),
    ]
    if not vmx.nics():
        found.append(
            Finding("network card", "warning", "it has none, so copies get no address", "add a VMXNET3 card")
        )
    isos = [
        cd.file_name for cd in vmx.cdroms() if cd.file_name.lower().endswith(".iso") and cd.start_connected
    ]
    if isos:
        found.append(
            Finding(
                "CD drive",
                "warning",
                f"{isos[0]} is connected at power-on",
                "disconnect it; copies have it off",
            )
        )
    devices = [key for key in vmx.keys() if key.lower().startswith("pcipassthru")]  # noqa: SIM118
    if devices:
        found.append(
            Finding(
                "passthrough", "warning", "its PCI devices are not in copies", "remove them from the template"
            )
        )
    return found


def _size(count: int) -> str:
    return f"{count / 2**30:.1f} GiB" if count >= 1 << 30 else f"{count / 2**20:.0f} MiB"


async def _look(facts: Facts, disks: Sequence[Disk]) -> Seen | Unknown:
    """What is on the first disk that has a root file system, or why none can be seen."""
    reasons = []
    for number, disk in enumerate(disks):
        base = disk.links[-1].descriptor
        seen: Seen | Unknown
        if disk.has_snapshots:
            seen = Unknown("it has snapshots")
        elif not base.is_flat or len(base.extents) != 1:
            seen = Unknown("it is not one flat file")
        else:
            (flat,) = disk.extent_paths()
            seen = await facts.read(GuestOnDisk(flat, disk.capacity_bytes))
        if isinstance(seen, Seen):
            return seen
        reasons.append(f"disk {number}: {seen.reason}" if len(disks) > 1 else seen.reason)
    return Unknown("; ".join(reasons) or "there is no disk")
