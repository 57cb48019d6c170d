"""Repair without inventing anything: the files for restoring by hand, and notes that cannot be read.

Data cannot be made anew from nothing. A damaged pack is stored anew by the next backup that holds the
same data and reads it; until then the backups that need it are damaged.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from ceso_mcp.backup.names import BACKUPS
from ceso_mcp.backup.notes import DRILLED, MODELS, VERIFIED, parse
from ceso_mcp.errors import RepositoryFault, Unreadable
from ceso_mcp.repository.by_hand import RESTORE_SH, RESTORE_TXT
from ceso_mcp.repository.keeping import locked
from ceso_mcp.repository.repository import Repository

_BY_HAND = {"RESTORE.txt": RESTORE_TXT.encode(), "restore.sh": RESTORE_SH.encode()}


@dataclass(frozen=True, slots=True)
class Repairable:
    """Files that would be written anew, and notes that say nothing and would be removed."""

    files: tuple[str, ...]
    notes: tuple[str, ...]

    @property
    def digest(self) -> str:
        """sha256, hex, over what would be done."""
        return hashlib.sha256("\n".join((*self.files, "", *self.notes)).encode()).hexdigest()


def repairable(repository: Repository) -> Repairable:
    """What can be repaired. Raises RepositoryFault if the place cannot be read."""
    target = repository.store.target
    files = [name for name, content in _BY_HAND.items() if not _is(repository, name, content)]
    notes = []
    for entry in target.list(BACKUPS):
        kind = entry.name.rpartition("/")[2]
        if kind in (VERIFIED, DRILLED):
            try:
                parse(MODELS[kind], target.get(entry.name), entry.name)
            except Unreadable:
                notes.append(entry.name)
    return Repairable(tuple(files), tuple(sorted(notes)))


def repair(repository: Repository, expected: str) -> int:
    """Do what `repairable` shows if its digest is `expected`; returns how many things were repaired.

    Raises RepositoryFault `backups_changed` otherwise, and nothing is done.
    """
    with locked(repository, "repair"):
        found = repairable(repository)
        if found.digest != expected:
            raise RepositoryFault(
                "other things are to be repaired than were shown; nothing was changed",
                code="backups_changed",
                hint="look at the new preview",
            )
        for name in found.files:
            repository.store.target.replace(name, _BY_HAND[name])
        for name in found.notes:
            repository.store.target.delete(name)
    return len(found.files) + len(found.notes)


def _is(repository: Repository, name: str, content: bytes) -> bool:
    try:
        return repository.store.target.get(name) == content
    except RepositoryFault as fault:
        if fault.code != "no_such_object":
            raise
        return False
