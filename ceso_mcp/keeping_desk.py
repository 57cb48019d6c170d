"""The keeping of backups in the configured repository: answers for whoever plans, and actions."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from ceso_mcp.backup.keeping import (
    Forget,
    GarbageWithout,
    KeepingAction,
    KeepingQuestion,
    Protect,
    Repair,
    RepairableOf,
    RoomOf,
    SetPolicy,
    StandingOf,
    StructureOf,
    Unprotect,
    VerificationOf,
)
from ceso_mcp.backup.standing import Standing
from ceso_mcp.errors import RepositoryFault
from ceso_mcp.repository_access import RepositoryAccess


class KeepingDesk:
    """Blocking; `desk` runs it in threads."""

    def __init__(self, access: RepositoryAccess) -> None:
        self._access = access

    def answer(self, question: KeepingQuestion) -> Any:
        from ceso_mcp.repository import check, keeping, repair, room

        match question:
            case StandingOf():
                if not self._access.exists():
                    return Standing(str(self._access.title()), ())
                return keeping.standing(self._access.open(private=False))
            case GarbageWithout(backup_ids):
                return keeping.garbage_without(self._access.open(private=False), backup_ids)
            case StructureOf():
                return check.check(self._access.open(private=False))
            case RepairableOf():
                return repair.repairable(self._access.open(private=False))
            case RoomOf():
                return room.room(self._access.open(private=False))
            case VerificationOf(backup_id, sample_percent):
                return self._verified(backup_id, sample_percent)
        raise TypeError(f"no answer to {type(question).__name__}")

    def _verified(self, backup_id: str, sample_percent: float) -> tuple[Any, str]:
        """The report, and why it could not be noted ("" if it was)."""
        from ceso_mcp.repository import keeping

        repository = self._access.open()
        report = repository.verify(backup_id, sample_percent=sample_percent)
        try:
            keeping.note_verification(repository, report)
        except RepositoryFault as fault:
            # The repository may be mounted read-only; what was found is no less true.
            return report, fault.message
        return report, ""

    def perform(self, action: KeepingAction) -> Mapping[str, str]:
        from ceso_mcp.repository import keeping, repair

        repository = self._access.open(private=False)
        match action:
            case SetPolicy(policy=policy, before=before):
                keeping.set_policy(repository, policy, before)
            case Forget(backup_ids=backup_ids, digest=digest):
                return {"forgotten": str(keeping.forget(repository, backup_ids, digest))}
            case Protect(backup_id=backup_id, why=why, since=since):
                keeping.protect(repository, backup_id, why, datetime.fromisoformat(since))
            case Repair(digest=digest):
                repair.repair(repository, digest)
            case Unprotect(backup_id=backup_id):
                keeping.unprotect(repository, backup_id)
            case _:
                raise TypeError(f"cannot perform {type(action).__name__}")
        return {}
