"""How backups are kept: their notes, the policy, the room they take, whether all of them is there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ceso_mcp.backup.keeping import (
    BackupRun,
    BackupRuns,
    GarbageWithout,
    RepairableOf,
    RoomOf,
    StandingOf,
    StructureOf,
)
from ceso_mcp.backup.standing import Standing
from ceso_mcp.fact import Fact, Reading


@dataclass(frozen=True, slots=True)
class KeptBackups(Fact[Standing]):
    """Every backup with its notes, and the policy."""

    def reading(self) -> Reading[Standing]:
        (found,) = yield [StandingOf()]
        assert isinstance(found, Standing)
        return found


@dataclass(frozen=True, slots=True)
class GarbageAfter(Fact[Any]):
    """What nobody would name once these backups are not listed any more (`repository.prune.Garbage`)."""

    backup_ids: tuple[str, ...]

    def reading(self) -> Reading[Any]:
        (found,) = yield [GarbageWithout(self.backup_ids)]
        return found


@dataclass(frozen=True, slots=True)
class RepositoryStructure(Fact[Any]):
    """Whether everything is there (`repository.check.Structure`)."""

    def reading(self) -> Reading[Any]:
        (found,) = yield [StructureOf()]
        return found


@dataclass(frozen=True, slots=True)
class RepairableIn(Fact[Any]):
    """What of the repository can be repaired (`repository.repair.Repairable`)."""

    def reading(self) -> Reading[Any]:
        (found,) = yield [RepairableOf()]
        return found


@dataclass(frozen=True, slots=True)
class RepositoryRoom(Fact[Any]):
    """How much room the backups take (`repository.room.Room`)."""

    def reading(self) -> Reading[Any]:
        (found,) = yield [RoomOf()]
        return found


@dataclass(frozen=True, slots=True)
class LastBackupRuns(Fact[tuple[BackupRun, ...]]):
    """Runs of backups by this machine that ended, newest first."""

    def reading(self) -> Reading[tuple[BackupRun, ...]]:
        (found,) = yield [BackupRuns()]
        return tuple(found)
