"""Protect a backup from being removed."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from ceso_mcp.backup.keeping import Protect
from ceso_mcp.fact import Facts
from ceso_mcp.facts.keeping import KeptBackups
from ceso_mcp.fields import BackupName
from ceso_mcp.operation import Change
from ceso_mcp.plan import Plan, Step


class ProtectBackup(Change):
    """Protect a backup: neither forget_backups nor delete_backup removes it until it is unprotected.

    The note stands in the repository, so every machine that writes to it heeds it. A protected backup
    takes no place of another under the retention policy. Does not ask the host.
    """

    title: ClassVar[str] = "Protect a backup"
    toolset: ClassVar[str] = "backup"

    backup_id: BackupName = Field(description="id of the backup, from list_backups")
    why: str = Field("", max_length=200, pattern=r"^[^\x00-\x1f\x7f]*$", description="reason, for people")

    async def plan(self, facts: Facts) -> Plan:
        standing = await facts.read(KeptBackups())
        backup = standing.named(self.backup_id)
        before = "not protected" if backup.protected is None else f"protected {backup.protected}".strip()
        return Plan(
            title=f"protect a backup of VM {backup.manifest.vm.name}",
            steps=(
                Step(
                    "write the note",
                    here=Protect(self.backup_id, self.why, facts.fixed.now),
                    completes=True,
                ),
            ),
            touches=(f"repository {standing.repository}: note beside backup {self.backup_id}",),
            before_after=((f"backup {self.backup_id}", before, f"protected {self.why}".strip()),),
            outcome={"backup_id": self.backup_id, "protected": True, "why": self.why},
        )
