"""Steps that bring the blocks of a VM's disks into a backup, directly or through a temporary copy.

A flat extent of a VM that is off is read as it is. A chain has to be flattened first, and a link that
a running VM's snapshot has frozen opens for `vmkfstools -i` only (fact sheet vmkfstools §3).
"""

from __future__ import annotations

from dataclasses import dataclass

from ceso_mcp.backup.actions import DiskInto
from ceso_mcp.esxi.paths import DatastorePath
from ceso_mcp.esxi.vmx import VmxDisk
from ceso_mcp.facts.storage import Disk
from ceso_mcp.plan import Recheck, Step, Undo
from ceso_mcp.recipes.disks import copy_disk, delete_disk
from ceso_mcp.recipes.place import is_gone, is_there, remove_marks, removed
from ceso_mcp.recipes.transfer import read_disk
from ceso_mcp.shell import sh


@dataclass(frozen=True, slots=True)
class Reading:
    """One disk on its way into a backup: where it hangs on the VM, and its links as they are."""

    index: int
    node: VmxDisk
    disk: Disk

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
        )


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
                remove_marks(self._folder, self.run_id).then(sh("rmdir", self._folder)),
                recheck=Recheck(sh("ls", "-d", self._folder), is_gone),
            ),
        ]
