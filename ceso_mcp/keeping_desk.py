"""The keeping of backups in the configured repository: answers for whoever plans, and actions."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from ceso_mcp.backup.drills import NO_ANSWER, BeginDrill, NoteDrill
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
    WriteRecipients,
)
from ceso_mcp.backup.notes import Drill, DrillState
from ceso_mcp.backup.standing import Standing
from ceso_mcp.errors import CesoError, RepositoryFault
from ceso_mcp.repository_access import RepositoryAccess

NOT_THE_BACKUPS = frozenset(
    ("cancelled", "unreachable", "connection_lost", "auth_failed", "host_key", "hostd_down")
)
"""A drill that ends this way tells nothing about the backup, so it is not noted as failed."""


class KeepingDesk:
    """Blocking; `desk` runs it in threads."""

    def __init__(self, access: RepositoryAccess) -> None:
        self._access = access
        self._drill_began: float | None = None

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

    def perform(self, action: KeepingAction, captures: Mapping[str, str]) -> Mapping[str, str]:
        from ceso_mcp.repository import keeping, repair

        repository = self._access.open(private=False)
        match action:
            case SetPolicy(policy=policy, before=policy_before):
                keeping.set_policy(repository, policy, policy_before)
            case WriteRecipients(before=before, recipients=recipients):
                self._access.set_recipients(before, recipients)
            case Forget(backup_ids=backup_ids, digest=digest):
                return {"forgotten": str(keeping.forget(repository, backup_ids, digest))}
            case Protect(backup_id=backup_id, why=why, since=since):
                keeping.protect(repository, backup_id, why, datetime.fromisoformat(since))
            case Repair(digest=digest):
                repair.repair(repository, digest)
            case Unprotect(backup_id=backup_id):
                keeping.unprotect(repository, backup_id)
            case BeginDrill():
                self._drill_began = time.monotonic()
            case NoteDrill(backup_id=backup_id, host=host):
                said = captures["guest"]
                state: DrillState = "started" if said == NO_ANSWER else "passed"
                hostname = "" if said == NO_ANSWER else said
                note = self._drill(backup_id, host, state, hostname=hostname)
                self._drill_began = None
                return {"drill": state, "seconds": str(round(note.seconds))}
            case _:
                raise TypeError(f"cannot perform {type(action).__name__}")
        return {}

    def undo(self, action: KeepingAction, why: CesoError | None) -> None:
        """Note a drill that failed; if the repository cannot take the note, only the job tells."""
        began = isinstance(action, BeginDrill) and self._drill_began is not None
        if not began or why is None or why.code in NOT_THE_BACKUPS:
            return
        assert isinstance(action, BeginDrill)
        with contextlib.suppress(RepositoryFault):
            self._drill(action.backup_id, action.host, "failed", why=why.message)

    def _drill(
        self, backup_id: str, host: str, state: DrillState, *, hostname: str = "", why: str = ""
    ) -> Drill:
        from ceso_mcp.repository import keeping

        assert self._drill_began is not None
        note = Drill(
            backup=backup_id,
            time=datetime.now(UTC),
            state=state,
            seconds=round(time.monotonic() - self._drill_began, 1),
            host=host,
            hostname=hostname[:255],
            why=why[:500],
        )
        keeping.note_drill(self._access.open(private=False), note)
        return note
