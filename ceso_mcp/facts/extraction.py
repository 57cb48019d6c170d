"""Where a disk of a backup goes as a file."""

from __future__ import annotations

from dataclasses import dataclass

from ceso_mcp.backup.extraction import ExtractionRoom, Room
from ceso_mcp.fact import Fact, Reading


@dataclass(frozen=True, slots=True)
class RoomForFile(Fact[Room]):
    """The place and the room for a file of that name in the folder for extracted disks."""

    file_name: str

    def reading(self) -> Reading[Room]:
        (room,) = yield [ExtractionRoom(self.file_name)]
        return room  # type: ignore[no-any-return]
