"""Repair what of a repository can be repaired."""

from __future__ import annotations

from typing import ClassVar

from ceso_mcp.backup.keeping import Repair
from ceso_mcp.errors import Refused
from ceso_mcp.fact import Facts
from ceso_mcp.facts.keeping import KeptBackups, RepairableIn, RepositoryStructure
from ceso_mcp.operation import Change
from ceso_mcp.plan import Plan, Step


class RepairRepository(Change):
    """Write missing or changed files for restoring by hand anew, and remove notes that cannot be read.

    Lost data cannot be made from nothing: the backups that miss some are named. A damaged pack is
    stored anew by the next backup that reads the same data. Removes no backup; does not ask the host.
    """

    title: ClassVar[str] = "Repair the repository"
    toolset: ClassVar[str] = "backup"

    async def plan(self, facts: Facts) -> Plan:
        standing, found, structure = await facts.read(KeptBackups(), RepairableIn(), RepositoryStructure())
        damaged = {backup_id for backup_id, _ in structure.problems}
        damaged |= {backup.id for backup in standing.backups if backup.state == "damaged"}
        names = ", ".join(sorted(damaged)[:10])
        if not found.files and not found.notes:
            raise Refused(
                f"there is nothing that can be repaired; damaged beyond repair: {names or 'nothing'}",
                code="nothing_to_repair",
                hint="make a new backup of these VMs" if damaged else "",
            )
        repaired = (*found.files, *found.notes)
        return Plan(
            title="repair the repository",
            steps=(
                Step(
                    "write the files anew and remove unreadable notes",
                    here=Repair(standing.repository, found.files, found.notes, found.digest),
                    completes=True,
                ),
            ),
            touches=tuple(
                f"repository {standing.repository}: {name}" for name in (*found.files, *found.notes)
            ),
            warnings=(f"Damaged beyond repair: {names}.",) if damaged else (),
            outcome={
                "repository": standing.repository,
                "repaired": repaired,
                "damaged": tuple(sorted(damaged)),
            },
        )
