"""What a plan may ask about a disk of a backup as a file here: words only, carried out by `extract_desk`."""

from __future__ import annotations

from dataclasses import dataclass

from ceso_mcp.fact import HereQuestion
from ceso_mcp.plan import Here


@dataclass(frozen=True, slots=True)
class ExtractionRoom(HereQuestion):
    """Where a file called `file_name` would go, whether it is there already, and the room left."""

    file_name: str


@dataclass(frozen=True, slots=True)
class Room:
    """The answer to `ExtractionRoom`."""

    path: str
    taken: bool
    free_bytes: int


@dataclass(frozen=True, slots=True)
class ExtractDisk(Here):
    """Write one disk of a backup to a new sparse file on this machine."""

    backup_id: str
    index: int
    capacity_bytes: int
    path: str

    def shown(self) -> str:
        return (
            f"write disk {self.index} of backup {self.backup_id} to {self.path}"
            f" ({self.capacity_bytes} bytes, sparse)"
        )

    def undo_shown(self) -> str:
        return f"remove {self.path}"
