"""Take back the room of what no backup names."""

from __future__ import annotations

from typing import ClassVar

from ceso_mcp.fact import Facts
from ceso_mcp.facts.backups import Garbage, Repository
from ceso_mcp.operation import Change
from ceso_mcp.plan import Plan
from ceso_mcp.recipes.forgetting import remove_garbage
from ceso_mcp.shell import Captured


class PruneRepository(Change):
    """Remove from the repository what no listed backup names: leftovers of interrupted backups.

    Backups are never removed. While a backup is being written nothing is, and while the manifest of
    a backup cannot be read no pack is, because it may belong to that backup. Does not ask the host.
    """

    title: ClassVar[str] = "Prune the repository"
    toolset: ClassVar[str] = "backup"
    may_destroy: ClassVar[bool] = True

    async def plan(self, facts: Facts) -> Plan:
        state, found = await facts.read(Repository(), Garbage())
        objects = len(found.entries)
        warnings = []
        if found.damaged:
            warnings.append(
                f"{len(found.kept_packs)} pack(s) that no readable backup names are kept, because the"
                f" manifests of these backups cannot be read: {', '.join(found.damaged[:10])}."
            )
        if found.foreign:
            warnings.append(f"{found.foreign} file(s) that are not ceso's are left alone.")
        return Plan(
            title=f"prune repository {state.path}" if objects else "prune: there is nothing to remove",
            steps=(remove_garbage(state.path, found),),
            touches=(f"repository {state.path}: {objects} object(s) that no backup names",),
            warnings=tuple(warnings),
            before_after=(("bytes that no backup names", str(found.size_bytes), "0"),) if objects else (),
            outcome={
                "repository": state.path,
                "objects": Captured("removed_objects", number=True),
                "freed_bytes": Captured("freed_bytes", number=True),
                "kept_packs": len(found.kept_packs),
                "damaged": found.damaged,
            },
        )
