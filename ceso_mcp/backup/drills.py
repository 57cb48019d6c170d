"""What a plan may do about restore drills: words only (`ceso_mcp.keeping_desk`)."""

from __future__ import annotations

from dataclasses import dataclass

from ceso_mcp.backup.keeping import KeepingAction

NO_ANSWER = "no tools"
"""What stands for the guest's host name if its tools did not answer; no host name holds a space."""


@dataclass(frozen=True, slots=True)
class BeginDrill(KeepingAction):
    """From here on a failure is the drill's, and noted when everything is taken back."""

    backup_id: str
    host: str

    def shown(self) -> str:
        return f"begin a restore drill of backup {self.backup_id}"

    def undo_shown(self) -> str:
        return f"note that the drill of backup {self.backup_id} failed, and why"


@dataclass(frozen=True, slots=True)
class NoteDrill(KeepingAction):
    """Note that the drill's VM runs, and what its guest has said (the captured `guest`)."""

    backup_id: str
    host: str

    def shown(self) -> str:
        return f"note beside backup {self.backup_id} that the drill brought it up, and what the guest said"
