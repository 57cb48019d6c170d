"""What a copy of the repository lacks."""

from __future__ import annotations

from dataclasses import dataclass

from ceso_mcp.backup.copies import CopyOf, CopyWork
from ceso_mcp.fact import Fact, Reading


@dataclass(frozen=True, slots=True)
class Uncopied(Fact[CopyWork]):
    """What copying to, or `back` from, the copy `name` would have to do."""

    name: str
    back: bool
    backup_id: str | None

    def reading(self) -> Reading[CopyWork]:
        (work,) = yield [CopyOf(self.name, self.back, self.backup_id)]
        return work  # type: ignore[no-any-return]
