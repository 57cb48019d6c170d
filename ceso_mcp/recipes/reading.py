"""Steps that bring the blocks of a VM's disks into a backup, directly or through a temporary copy.

A flat extent of a VM that is off is read as it is. A chain has to be flattened first, and a link that
a running VM's snapshot has frozen opens for `vmkfstools -i` only (fact sheet vmkfstools §3).
"""

from __future__ import annotations

from dataclasses import dataclass

from ceso_mcp.backup.actions import DiskInto, Way
from ceso_mcp.errors import Refused
from ceso_mcp.esxi.paths import DatastorePath
from ceso_mcp.esxi.vmx import VmxDisk
from ceso_mcp.fact import Facts
from ceso_mcp.facts.inventory import Vm
from ceso_mcp.facts.storage import Disk, DiskAt
from ceso_mcp.plan import Recheck, Step, Undo
from ceso_mcp.recipes.disks import copy_disk, delete_disk
from ceso_mcp.recipes.place import is_gone, is_there, remove_marks, removed
from ceso_mcp.recipes.transfer import read_disk
from ceso_mcp.shell import sh

LONGEST_CHAIN = 31
"""A snapshot more is the 32nd, the last that ESXi supports (fact sheet vmkfstools §6)."""


@dataclass(frozen=True, slots=True)
class Reading:
    """One disk on its way into a backup: where it hangs on the VM, and its links as they are.

    `parent` is the backup that it is compared with, if there is one; `way` is what the host reads it with.
    """

    index: int
    node: VmxDisk
    disk: Disk
    way: Way
    parent: str | None = None

    @property
    def is_plain(self) -> bool:
        """One flat extent and no snapshot: its file is the disk."""
        base = self.disk.links[-1].descriptor
        return not self.disk.has_snapshots and base.is_flat and len(base.extents) == 1

    def into(self) -> DiskInto:
        """The disk's place in the backup, described by its base."""
        base = self.disk.links[-1]
        return DiskInto(
            index=self.index,
            node=self.node.node,
            file_name=base.path.name,
            capacity_bytes=self.disk.capacity_bytes,
            descriptor=base.descriptor.render(),
            parent=self.parent,
            way=self.way,
        )


async def readings_of(
    facts: Facts, vm: Vm, way: Way, *, live: bool
) -> tuple[list[Reading], list[tuple[str, str]]]:
    """The disks that can be read, and (what, why) for each that cannot."""
    found: list[Reading] = []
    missing: list[tuple[str, str]] = []
    for node, path in zip(vm.readable.disks(), vm.disk_paths(), strict=True):
        what, mode = f"disk {node.node}", (node.mode or "").lower()
        if (node.sharing or "").lower() == "multi-writer":
            missing.append((what, "other VMs may write to it at the same time"))
            continue
        if live and mode.startswith("independent"):
            missing.append((what, "it is independent, so no snapshot holds it; back it up cold"))
            continue
        disk = await facts.read(DiskAt(path))
        if any(link.descriptor.encrypted for link in disk.links):
            missing.append((what, "it is encrypted"))
        elif any(link.descriptor.is_rdm for link in disk.links):
            missing.append((what, "it is a raw device mapping"))
        elif live and len(disk.links) > LONGEST_CHAIN:
            raise Refused(
                f"{what} stands on {len(disk.links) - 1} snapshots; another one may be too many",
                code="too_many_snapshots",
                hint="remove some of them first",
            )
        else:
            found.append(Reading(len(found), node, disk, way))
    if not found:
        raise Refused(f"{vm.name!r} has no disk that can be backed up", code="no_disk")
    return found, missing


def directly(reading: Reading) -> list[Step]:
    """Read the flat extent itself; only for a plain disk of a VM that is off."""
    (flat,) = reading.disk.extent_paths()
    return [read_disk(flat, reading.into(), reading.disk.allocated_bytes)]


@dataclass(frozen=True, slots=True)
class TemporaryCopy:
    """A thin copy of one disk with its snapshots flattened, in a folder of its own below `parent`."""

    reading: Reading
    parent: DatastorePath
    run_id: str

    @property
    def _folder(self) -> DatastorePath:
        return self.parent.joined(f".ceso-{self.run_id}-{self.reading.index}")

    @property
    def _disk(self) -> DatastorePath:
        return self._folder.joined("disk.vmdk")

    def make(self) -> list[Step]:
        """Make the folder and the copy in it."""
        index = self.reading.index
        return [
            Step(
                "make a temporary folder",
                sh("mkdir", self._folder),
                recheck=Recheck(sh("ls", "-d", self._folder), is_there),
                undo=Undo((sh("rmdir", self._folder),), when="succeeded", done=removed),
            ),
            *copy_disk(
                self.reading.disk.top.path,
                self._disk,
                f"copy disk {index} as it is now, its snapshots flattened",
                self.run_id,
                index,
            ),
        ]

    def read(self) -> list[Step]:
        """Read the copy, then remove it with its folder."""
        reading = self.reading
        return [
            read_disk(self._folder.joined("disk-flat.vmdk"), reading.into(), reading.disk.allocated_bytes),
            delete_disk(self._disk, "remove the temporary copy"),
            Step(
                "remove the temporary folder and the copy's notes",
                remove_marks([self._folder], self.run_id).then(sh("rmdir", self._folder)),
                recheck=Recheck(sh("ls", "-d", self._folder), is_gone),
            ),
        ]
