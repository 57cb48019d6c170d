"""What a plan may ask of copies of the repository: words only, which `ceso_mcp.copy_desk` carries out."""

from __future__ import annotations

from dataclasses import dataclass

from ceso_mcp.fact import HereQuestion
from ceso_mcp.plan import Here


@dataclass(frozen=True, slots=True)
class CopyOf(HereQuestion):
    """What copying would have to do; `back` means from the copy to the repository.

    With `backup_id`, only that backup.
    """

    name: str
    back: bool
    backup_id: str | None


@dataclass(frozen=True, slots=True)
class CopyWork:
    """What one place has and the other has not: backups oldest first, and the objects they need.

    `protected` are those, or backups that are there already, whose protection is not noted there.
    `mended` are backups whose manifest is damaged there and will be replaced; `damaged` those that
    cannot be copied, because their manifest cannot be read here. `free_bytes` is None where the
    place does not know.
    """

    source: str
    destination: str
    new_place: bool
    backup_ids: tuple[str, ...]
    protected: tuple[str, ...]
    there_already: int
    mended: tuple[str, ...]
    damaged: tuple[str, ...]
    objects: int
    size_bytes: int
    free_bytes: int | None


@dataclass(frozen=True, slots=True)
class CopyBackups(Here):
    """Copy exactly these backups, with the objects that are not there yet, and these notes of protection."""

    name: str
    back: bool
    source: str
    destination: str
    new_place: bool
    backup_ids: tuple[str, ...]
    protected: tuple[str, ...]
    objects: int
    size_bytes: int

    def shown(self) -> str:
        made = "make a copy of the repository there and " if self.new_place else ""
        ids = ", ".join(self.backup_ids[:5]) + (", …" if len(self.backup_ids) > 5 else "")
        notes = f"; protect there too: {', '.join(self.protected)}" if self.protected else ""
        return (
            f"{made}copy {len(self.backup_ids)} backup(s), {self.objects} object(s), {self.size_bytes} bytes,"
            f" from {self.source} to {self.destination}{': ' if ids else ''}{ids}{notes}"
        )
