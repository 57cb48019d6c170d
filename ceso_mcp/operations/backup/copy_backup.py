"""Copy backups to another repository of the configuration, or back from it."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from ceso_mcp.backup.copies import CopyBackups, CopyWork
from ceso_mcp.errors import Refused
from ceso_mcp.fact import Facts
from ceso_mcp.facts.copies import Uncopied
from ceso_mcp.fields import BackupName
from ceso_mcp.operation import Change
from ceso_mcp.plan import Estimate, Plan, Step
from ceso_mcp.shell import Captured


class CopyBackup(Change):
    """Copy backups to a second repository, or back from it: whole, sealed as they are, without any key.

    Only objects that are not there yet are sent, each is read back and compared, and a backup is
    listed there last of all. Protection goes with a backup, and to one that is there already; what was
    verified or drilled does not. A copy has the identity of the repository that it is a copy of. Nothing is
    removed at either place. Does not ask the host. Takes minutes to hours.
    """

    title: ClassVar[str] = "Copy backups"
    toolset: ClassVar[str] = "backup"

    name: str = Field(min_length=1, max_length=100, description="name of the copy in the configuration")
    direction: Literal["to_copy", "from_copy"] = Field(
        "to_copy", description="`from_copy` brings back what the repository has lost"
    )
    backup_id: BackupName | None = Field(None, description="only this backup; all that are missing if unset")

    async def plan(self, facts: Facts) -> Plan:
        back = self.direction == "from_copy"
        work = await facts.read(Uncopied(self.name, back, self.backup_id))
        if work.free_bytes is not None and work.size_bytes > work.free_bytes:
            raise Refused(
                f"{work.size_bytes / 2**30:.1f} GiB are missing in {work.destination}, which has"
                f" {work.free_bytes / 2**30:.1f} GiB left",
                code="repository_full",
            )
        count = len(work.backup_ids)
        warnings = [f"Backup {name} cannot be copied: its manifest is damaged." for name in work.damaged]
        warnings += [f"The damaged manifest of {name} there is replaced." for name in work.mended]
        return Plan(
            title=_title(work),
            steps=(
                Step(
                    "copy what is missing",
                    here=CopyBackups(
                        name=self.name,
                        back=back,
                        source=work.source,
                        destination=work.destination,
                        new_place=work.new_place,
                        backup_ids=work.backup_ids,
                        protected=work.protected,
                        objects=work.objects,
                        size_bytes=work.size_bytes,
                    ),
                ),
            ),
            touches=(
                f"repository {work.destination}: {count} backup(s) (new)",
                *(f"note there that backup {name} is protected" for name in work.protected),
            ),
            warnings=tuple(warnings),
            before_after=(
                (
                    f"backups in {work.destination}",
                    str(work.there_already),
                    str(work.there_already + count - len(work.mended)),
                ),
            ),
            estimate=Estimate(copy_bytes=work.size_bytes),
            outcome={
                "source": work.source,
                "destination": work.destination,
                "backups": Captured("copied_backups", number=True),
                "protections": Captured("copied_protections", number=True),
                "objects": Captured("sent_objects", number=True),
                "sent_bytes": Captured("sent_bytes", number=True),
                "damaged": work.damaged,
            },
        )


def _title(work: CopyWork) -> str:
    if work.backup_ids:
        return f"copy {len(work.backup_ids)} backup(s) to {work.destination}"
    if work.protected:
        return f"protect {len(work.protected)} backup(s) in {work.destination} as here"
    return "copy: nothing is missing"
