"""What a plan may ask about the keeping of backups, and do about it: words only (`ceso_mcp.keeping_desk`)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from ceso_mcp.backup.retention_policy import Policy
from ceso_mcp.fact import HereQuestion
from ceso_mcp.plan import Here


class KeepingQuestion(HereQuestion):
    """A question about how backups are kept."""


@dataclass(frozen=True, slots=True)
class StandingOf(KeepingQuestion):
    """Every backup with its notes, and the policy (`backup.standing.Standing`)."""


@dataclass(frozen=True, slots=True)
class GarbageWithout(KeepingQuestion):
    """What no backup would name if these were not listed any more."""

    backup_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class StructureOf(KeepingQuestion):
    """Whether every object that a backup names is there with its size."""


@dataclass(frozen=True, slots=True)
class RoomOf(KeepingQuestion):
    """How much room the backups take, by VM."""


@dataclass(frozen=True, slots=True)
class RepairableOf(KeepingQuestion):
    """What of the repository can be repaired."""


@dataclass(frozen=True, slots=True)
class VerificationOf(KeepingQuestion):
    """Read every byte of a backup, or a sample of its packs, check it, and note what was found."""

    backup_id: str
    sample_percent: float = 100


@dataclass(frozen=True, slots=True)
class BackupRun:
    """A run of a backup that ended; `vm` is the name it was asked for."""

    vm: str
    succeeded: bool
    message: str
    ended: datetime


@dataclass(frozen=True, slots=True)
class BackupRuns(HereQuestion):
    """The newest runs of backups by this machine that ended, newest first."""


class KeepingAction(Here):
    """An action on how backups are kept."""


@dataclass(frozen=True, slots=True)
class SetPolicy(KeepingAction):
    """Write the repository's retention policy."""

    repository: str
    policy: Policy
    before: str

    def shown(self) -> str:
        return f"write retention.json of {self.repository}: {self.policy.words()} (before: {self.before})"


@dataclass(frozen=True, slots=True)
class WriteRecipients(KeepingAction):
    """Write to whom new backups are sealed: the configured recipients, if they and the old ones are these."""

    repository: str
    before: tuple[str, ...]
    recipients: tuple[str, ...]

    def shown(self) -> str:
        return f"write ceso-repo.json of {self.repository}: recipients {', '.join(self.recipients)}"


@dataclass(frozen=True, slots=True)
class Forget(KeepingAction):
    """Remove the manifests of exactly these backups, if all is as `digest` says."""

    repository: str
    backup_ids: tuple[str, ...]
    digest: str

    def shown(self) -> str:
        return (
            f"remove {len(self.backup_ids)} manifest(s) from {self.repository}: {', '.join(self.backup_ids)}"
            f" (state {self.digest[:16]})"
        )


@dataclass(frozen=True, slots=True)
class Protect(KeepingAction):
    """Note that a backup stays until it is unprotected."""

    backup_id: str
    why: str
    since: str

    def shown(self) -> str:
        return f"note that backup {self.backup_id} is protected{': ' + self.why if self.why else ''}"


@dataclass(frozen=True, slots=True)
class Unprotect(KeepingAction):
    """Remove the note that a backup is protected."""

    backup_id: str

    def shown(self) -> str:
        return f"remove the note that backup {self.backup_id} is protected"


@dataclass(frozen=True, slots=True)
class Repair(KeepingAction):
    """Write the files for restoring by hand anew and remove notes that cannot be read."""

    repository: str
    files: tuple[str, ...]
    notes: tuple[str, ...]
    digest: str

    def shown(self) -> str:
        parts = [f"write {', '.join(self.files)}"] if self.files else []
        parts += [f"remove {', '.join(self.notes)}"] if self.notes else []
        return f"in {self.repository}: {'; '.join(parts)}"
