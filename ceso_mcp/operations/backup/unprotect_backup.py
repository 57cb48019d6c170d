"""Take the protection of a backup away."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from ceso_mcp.backup.keeping import Unprotect
from ceso_mcp.errors import Refused
from ceso_mcp.fact import Facts
from ceso_mcp.facts.keeping import KeptBackups
from ceso_mcp.fields import BackupName
from ceso_mcp.operation import Change
from ceso_mcp.plan import Plan, Step


class UnprotectBackup(Change):
    """Take the protection of a backup away. Removes nothing by itself. Does not ask the host."""

    title: ClassVar[str] = "Unprotect a backup"
    toolset: ClassVar[str] = "backup"

    backup_id: BackupName = Field(description="id of the backup, from list_backups")

    async def plan(self, facts: Facts) -> Plan:
        standing = await facts.read(KeptBackups())
        backup = standing.named(self.backup_id)
        if backup.protected is None:
            raise Refused("the backup is not protected", code="not_protected")
        return Plan(
            title=f"unprotect a backup of VM {backup.manifest.vm.name}",
            steps=(Step("remove the note", here=Unprotect(self.backup_id), completes=True),),
            touches=(f"repository {standing.repository}: note beside backup {self.backup_id}",),
            warnings=("The retention policy may remove this backup from now on.",),
            before_after=(
                (f"backup {self.backup_id}", f"protected {backup.protected}".strip(), "not protected"),
            ),
            outcome={"backup_id": self.backup_id, "protected": False},
        )
