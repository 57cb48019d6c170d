"""Get a disk out of a backup as a file."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from ceso_mcp.backup.extraction import ExtractDisk as WriteFile
from ceso_mcp.errors import Refused
from ceso_mcp.fact import Facts
from ceso_mcp.facts.backups import Manifest, SignatureWarnings
from ceso_mcp.facts.extraction import RoomForFile
from ceso_mcp.fields import BackupName
from ceso_mcp.operation import Change
from ceso_mcp.plan import Estimate, Plan, Step
from ceso_mcp.shell import Captured


class ExtractDisk(Change):
    """Write one disk of a backup to a raw, sparse file on the machine that ceso runs on.

    Every block is checked on the way. The file goes to the folder for extracted disks of the
    configuration, under a name made of the backup's; it never replaces a file, and appears only
    once it is whole. Its file systems can then be looked into (guestmount, losetup) without
    touching any VM. Does not ask the host. Takes as long as reading the disk.
    """

    title: ClassVar[str] = "Extract a disk"
    toolset: ClassVar[str] = "backup"

    backup_id: BackupName = Field(description="id of the backup, from list_backups")
    disk: int = Field(0, ge=0, lt=1000, description="number of the disk in the backup")

    async def plan(self, facts: Facts) -> Plan:
        manifest = await facts.read(Manifest(self.backup_id))
        record = manifest.disk(self.disk)
        if record is None:
            there = ", ".join(str(disk.index) for disk in manifest.disks)
            raise Refused(
                f"the backup has no disk {self.disk}", code="no_such_disk", hint=f"its disks: {there}"
            )
        room = await facts.read(RoomForFile(f"{manifest.id.replace('/', '-')}-disk{self.disk}.raw"))
        if room.taken:
            raise Refused(f"{room.path} exists already", code="file_exists", hint="remove or rename it")
        if record.data_bytes > room.free_bytes:
            raise Refused(
                f"the disk holds {record.data_bytes / 2**30:.1f} GiB, there are"
                f" {room.free_bytes / 2**30:.1f} GiB left for {room.path}",
                code="extract_full",
            )
        action = WriteFile(manifest.id, self.disk, record.capacity_bytes, room.path)
        return Plan(
            title=f"write disk {self.disk} of {manifest.vm.name} to a file",
            steps=(Step("write the disk to a file", here=action, completes=True),),
            touches=(f"file {room.path} (new)",),
            warnings=await facts.read(SignatureWarnings(self.backup_id)),
            before_after=(
                (room.path, "absent", f"disk {record.node} of {manifest.created:%Y-%m-%d %H:%M} UTC"),
            ),
            estimate=Estimate(copy_bytes=record.data_bytes),
            outcome={
                "backup_id": manifest.id,
                "disk": self.disk,
                "path": room.path,
                "capacity_bytes": record.capacity_bytes,
                "written_bytes": Captured("written_bytes", number=True),
            },
        )
