"""Delete one backup."""

from __future__ import annotations

from datetime import datetime
from typing import ClassVar

from pydantic import Field

from ceso_mcp.backup.standing import Standing
from ceso_mcp.errors import Refused
from ceso_mcp.fact import Facts
from ceso_mcp.facts.keeping import KeptBackups
from ceso_mcp.fields import BackupName
from ceso_mcp.operation import Change
from ceso_mcp.plan import Plan
from ceso_mcp.recipes.forgetting import forget_steps
from ceso_mcp.shell import Captured


class DeleteBackup(Change):
    """Delete one backup for good, whatever the retention policy says. No other backup needs it.

    A protected backup is refused; so is the newest complete or newest verified one of its VM, unless
    even_the_last says that this is meant. Does not ask the host.
    """

    title: ClassVar[str] = "Delete a backup"
    toolset: ClassVar[str] = "backup"
    may_destroy: ClassVar[bool] = True

    backup_id: BackupName = Field(description="id of the backup, from list_backups")
    even_the_last: bool = Field(
        False, description="also if it is the newest complete or the newest verified backup of its VM"
    )

    async def plan(self, facts: Facts) -> Plan:
        standing = await facts.read(KeptBackups())
        unreadable = any(entry == self.backup_id for entry, _ in standing.damaged)
        what = (
            "a backup whose manifest cannot be read" if unreadable else self._refuse_or_name(standing, facts)
        )
        steps, freed_bytes, warnings = await forget_steps(facts, standing, (self.backup_id,))
        return Plan(
            title=f"delete {what}",
            steps=steps,
            touches=(f"repository {standing.repository}: backup {self.backup_id}",),
            warnings=warnings,
            before_after=((f"backup {self.backup_id}", "listed", f"gone, {freed_bytes} bytes freed"),),
            outcome={
                "backup_id": self.backup_id,
                "forgotten": Captured("forgotten", number=True),
                "freed_bytes": Captured("freed_bytes", number=True),
            },
        )

    def _refuse_or_name(self, standing: Standing, facts: Facts) -> str:
        backup = standing.named(self.backup_id)
        if backup.protected is not None:
            raise Refused(
                f"the backup is protected{': ' + backup.protected if backup.protected else ''}",
                code="protected",
                hint="take the protection away first (unprotect_backup)",
            )
        group = next(g for g in standing.groups() if backup in g.backups)
        now = datetime.fromisoformat(facts.fixed.now)
        verified = next((b for b in group.backups if b.verified is not None), None)
        lasts = {"complete": group.newest(now), "verified": verified}
        which = [kind for kind, newest in lasts.items() if newest is not None and newest.id == backup.id]
        if which and not self.even_the_last:
            raise Refused(
                f"it is the newest {' and newest '.join(which)} backup of {group.name!r}",
                code="last_backup",
                hint="if that is what you want, say even_the_last",
            )
        return f"a backup of VM {backup.manifest.vm.name}"
