"""The .vmx: a VM's configuration file, and what hardware it describes."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import ClassVar, Self

from ceso_mcp.errors import Unreadable
from ceso_mcp.esxi.dictionary import Dictionary

_NODE = re.compile(r"((scsi|sata|ide|nvme)(\d{1,4})):(\d{1,4})\.(.+)", re.I)
_KINDS = ("scsi", "nvme", "sata", "ide")
_NIC = re.compile(r"ethernet(\d{1,4})\.(.+)", re.I)


@dataclass(frozen=True, slots=True)
class VmxDisk:
    """A hard disk. `node` is `scsi0:1`, its parts `controller` (`scsi0`), `bus` (0), `unit` (1).

    `file_name` is as written: relative to the VM's folder or absolute. `mode` and `sharing` are
    None where the file does not say.
    """

    node: str
    file_name: str
    mode: str | None
    device_type: str | None
    controller: str
    bus: int
    unit: int
    present: bool
    sharing: str | None


@dataclass(frozen=True, slots=True)
class VmxCdrom:
    """A CD drive. `file_name` is "" for an empty one (`emptyBackingString` in newer files)."""

    node: str
    device_type: str
    file_name: str
    present: bool
    start_connected: bool


@dataclass(frozen=True, slots=True)
class VmxNic:
    """A network card. `mac` is the address it has: the written one if static, else the generated one.

    `generated` says that the host or vCenter chose it. `network_name` is None on a distributed
    switch (ethernet-dvs-1).
    """

    index: int
    network_name: str | None
    virtual_dev: str | None
    address_type: str | None
    mac: str | None
    generated: bool
    present: bool
    pci_slot: int | None


class Vmx(Dictionary):
    """A .vmx document; `parse` also reads its disks and cards, so that what they hold is readable."""

    __slots__ = ()
    what: ClassVar[str] = ".vmx file"

    @classmethod
    def parse(cls, text: str) -> Self:
        vmx = super().parse(text)
        vmx.all_disks()
        vmx.cdroms()
        vmx.all_nics()
        return vmx

    def disks(self) -> list[VmxDisk]:
        """The hard disks that are present, ordered by controller (SCSI, NVMe, SATA, IDE), bus and unit."""
        return [disk for disk in self.all_disks() if disk.present]

    def all_disks(self) -> list[VmxDisk]:
        """All hard disks, those whose `present` is false included; without that key it is taken for true,
        so that no disk goes unseen.

        A node is a hard disk unless its device type is one of CD drives or of a raw SCSI device;
        without a type it is one (nvme-efi-hw21-esxi8) unless its file is an .iso.
        Raises Unreadable for a disk that is present and names no file.
        """
        found: list[VmxDisk] = []
        for node, controller, bus, unit in self._nodes():
            kind = self.get(f"{node}.deviceType")
            file_name = self.get(f"{node}.fileName") or ""
            present = self.flag(f"{node}.present") or not self.get(f"{node}.present")
            if _is_cdrom(kind, file_name) or (kind or "").lower() == "scsi-passthru":
                continue
            if not file_name:
                if self.flag(f"{node}.present"):
                    raise Unreadable(self.what, f"the disk {node} names no file")
                continue
            found.append(
                VmxDisk(
                    node=node,
                    file_name=file_name,
                    mode=self.get(f"{node}.mode") or None,
                    device_type=kind,
                    controller=controller,
                    bus=bus,
                    unit=unit,
                    present=present,
                    sharing=self.get(f"{node}.sharing") or None,
                )
            )
        return found

    def cdroms(self) -> list[VmxCdrom]:
        """The CD drives that are present."""
        found: list[VmxCdrom] = []
        for node, *_ in self._nodes():
            kind = self.get(f"{node}.deviceType")
            file_name = self.get(f"{node}.fileName") or ""
            if not (_is_cdrom(kind, file_name) and self.flag(f"{node}.present")):
                continue
            start = self.get(f"{node}.startConnected")
            found.append(
                VmxCdrom(
                    node=node,
                    device_type=kind or "",
                    file_name="" if file_name == "emptyBackingString" else file_name,
                    present=True,
                    start_connected=start is None or self.flag(f"{node}.startConnected"),
                )
            )
        return found

    def nics(self) -> list[VmxNic]:
        """The network cards that are present, by number."""
        return [nic for nic in self.all_nics() if nic.present]

    def all_nics(self) -> list[VmxNic]:
        """All network cards, those whose `present` is false included, by number."""
        numbers = {int(found.group(1)) for key in self.keys() if (found := _NIC.fullmatch(key))}
        return [self._nic(number) for number in sorted(numbers)]

    @property
    def encrypted(self) -> bool:
        """Whether the file or the VM is encrypted (any `encryption.*` key)."""
        return any(key.lower().startswith("encryption.") for key in self.keys())

    def _nic(self, index: int) -> VmxNic:
        prefix = f"ethernet{index}"
        kind = self.get(f"{prefix}.addressType") or None
        static = self.get(f"{prefix}.address") or None
        generated = self.get(f"{prefix}.generatedAddress") or None
        is_static = kind is not None and kind.lower() == "static"
        if kind is None and generated is None and static is not None:
            is_static = True
        return VmxNic(
            index=index,
            network_name=self.get(f"{prefix}.networkName") or None,
            virtual_dev=self.get(f"{prefix}.virtualDev") or None,
            address_type=kind,
            mac=static if is_static else generated,
            generated=not is_static,
            present=self.flag(f"{prefix}.present"),
            pci_slot=self.number(f"{prefix}.pciSlotNumber"),
        )

    def _nodes(self) -> list[tuple[str, str, int, int]]:
        """(node, controller, bus, unit) of every storage node, in the order of `disks`."""
        seen: dict[str, tuple[str, str, int, int]] = {}
        for key in self.keys():
            found = _NODE.fullmatch(key)
            if found:
                controller = found.group(1).lower()
                node = f"{controller}:{found.group(4)}"
                seen.setdefault(node, (node, controller, int(found.group(3)), int(found.group(4))))
        return sorted(seen.values(), key=lambda n: (_KINDS.index(n[1].rstrip("0123456789")), n[2], n[3]))


def _is_cdrom(kind: str | None, file_name: str) -> bool:
    if kind is None:
        return file_name.lower().endswith(".iso")
    return kind.lower().startswith(("cdrom", "atapi-cdrom"))
