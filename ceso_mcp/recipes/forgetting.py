"""The steps that take backups off the list and give back the room that only they took."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ceso_mcp.backup.actions import RemoveGarbage
from ceso_mcp.backup.keeping import Forget
from ceso_mcp.backup.standing import Standing
from ceso_mcp.fact import Facts
from ceso_mcp.facts.keeping import GarbageAfter
from ceso_mcp.plan import Step


def remove_garbage(repository: str, garbage: Any, *, keep_on_failure: bool = False) -> Step:
    """Remove exactly this `garbage` (`repository.prune.Garbage`), which may be none."""
    return Step(
        "remove what no backup names",
        here=RemoveGarbage(
            repository=repository,
            packs=len(garbage.packs),
            parts=len(garbage.parts),
            drafts=len(garbage.drafts),
            size_bytes=garbage.size_bytes,
            digest=garbage.digest,
        ),
        destroys=bool(garbage.entries),
        keep_on_failure=keep_on_failure,
    )


async def forget_steps(
    facts: Facts, standing: Standing, backup_ids: Sequence[str]
) -> tuple[tuple[Step, ...], int, tuple[str, ...]]:
    """(steps, bytes that become free, warnings) of forgetting exactly these backups.

    The manifests go first, each removal a whole one, then what no manifest names any more. When the
    second step fails, the backups are forgotten all the same and pruning gives the room back.
    """
    garbage = await facts.read(GarbageAfter(tuple(sorted(backup_ids))))
    warnings = []
    if garbage.damaged:
        warnings.append(
            f"{len(garbage.kept_packs)} pack(s) stay, because these backups cannot be read and may need"
            f" them: {', '.join(garbage.damaged[:10])}."
        )
    sweep = remove_garbage(standing.repository, garbage, keep_on_failure=True)
    if not backup_ids:
        return (sweep,), garbage.size_bytes, tuple(warnings)
    digest = standing.digest(backup_id.split("/")[0] for backup_id in backup_ids)
    forget = Step(
        "take the backups off the list",
        here=Forget(standing.repository, tuple(sorted(backup_ids)), digest),
        destroys=True,
        completes=True,
    )
    return (forget, sweep), garbage.size_bytes, tuple(warnings)
