"""Room taken back: removing what no listed backup names, and nothing else.

Garbage is a pack that no manifest names, an object in the folder of a backup that has no manifest,
and a draft of a writer that died. Only names of ceso's own making count; other files are left alone.
A manifest that cannot be read may name any pack, so as long as there is one, all packs stay, and so
does all of its own folder. Every single removal is harmless by itself, so dying in between is too.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ceso_mcp.backup.names import BACKUPS, FILES, MANIFEST, PACKS, SIGNATURE, BackupId
from ceso_mcp.backup.notes import NOTES
from ceso_mcp.errors import InvalidArguments, RepositoryFault
from ceso_mcp.repository.lock import RepositoryLock, locked, who_holds
from ceso_mcp.repository.store import SETTINGS, Settings, Store
from ceso_mcp.repository.target import Entry, Target

if TYPE_CHECKING:
    from ceso_mcp.repository.repository import Listing

Lister = Callable[[], "Listing"]
_PACK = re.compile(rf"{PACKS}/([0-9a-f]{{2}})/(([0-9a-f]{{2}})[0-9a-f]{{62}})(\.zst|\.zst\.age|\.zst\.gpg)\Z")
_PART = re.compile(rf"(disk-[0-9]{{1,3}}\.(map|sums)|{re.escape(FILES)})(\.zst|\.zst\.age|\.zst\.gpg)\Z")
_BESIDE = frozenset({*NOTES, SIGNATURE})


@dataclass(frozen=True, slots=True)
class Garbage:
    """What may be removed, by kind, and what had to stay.

    `kept_packs` are packs that no readable manifest names, kept because of the `damaged` backups;
    `foreign` counts files that are not ceso's.
    """

    packs: tuple[Entry, ...]
    parts: tuple[Entry, ...]
    drafts: tuple[Entry, ...]
    kept_packs: tuple[Entry, ...] = ()
    damaged: tuple[str, ...] = field(default=())
    foreign: int = 0

    @property
    def entries(self) -> tuple[Entry, ...]:
        return (*self.drafts, *self.parts, *self.packs)

    @property
    def size_bytes(self) -> int:
        return sum(entry.size_bytes for entry in self.entries)

    @property
    def digest(self) -> str:
        """sha256, hex, over every name and size that would be removed."""
        lines = sorted(f"{entry.name} {entry.size_bytes}\n" for entry in self.entries)
        return hashlib.sha256("".join(lines).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Removed:
    """What a prune removed."""

    objects: int
    size_bytes: int


def garbage_of(
    target: Target,
    suffix: str,
    listing: Lister,
    *,
    require_free: bool = False,
    without: frozenset[str] = frozenset(),
) -> Garbage:
    """Find the garbage, as it is or as it would be `without` the manifests of some backups.

    With `require_free`, refuses (`repository_locked`) while a writer lives: what a backup under way
    has stored is named by nothing yet.
    """
    if require_free:
        holder = who_holds(target)
        if holder is not None:
            raise locked(holder)
    # Everything that could be removed is listed before the manifests are: what is listed here and
    # then named by no manifest is garbage, whatever happens in between.
    packs = list(target.list(PACKS))
    objects = list(target.list(BACKUPS))
    drafts = tuple(sorted(target.drafts()))
    manifests, damaged = listing()
    manifests = [manifest for manifest in manifests if manifest.id not in without]
    damaged = [entry for entry in damaged if entry.id not in without]
    going = {f"{BACKUPS}/{backup_id}/{MANIFEST}" for backup_id in without}
    objects = [entry for entry in objects if entry.name not in going]
    named = {f"{pack.sha256}" for m in manifests for disk in m.disks for pack in disk.packs}
    committed = {entry.name.rpartition("/")[0] for entry in objects if entry.name.endswith(f"/{MANIFEST}")}
    committed |= {f"{BACKUPS}/{m.id}" for m in manifests} | {f"{BACKUPS}/{entry.id}" for entry in damaged}
    loose, foreign = [], 0
    for entry in packs:
        match = _PACK.match(entry.name)
        if match is None or match[1] != match[3] or match[4] != suffix:
            foreign += 1
        elif match[2] not in named:
            loose.append(entry)
    parts = []
    for entry in objects:
        folder, _, name = entry.name.rpartition("/")
        if folder in committed:
            continue
        if _is_backup_folder(folder) and (_PART.match(name) or name in _BESIDE):
            parts.append(entry)
        else:
            foreign += 1
    return Garbage(
        packs=() if damaged else tuple(sorted(loose)),
        parts=tuple(sorted(parts)),
        drafts=drafts,
        kept_packs=tuple(sorted(loose)) if damaged else (),
        damaged=tuple(entry.id for entry in damaged),
        foreign=foreign,
    )


def prune(store: Store, listing: Lister, expected: str) -> Removed:
    """Take the lock, find the garbage again, and remove it if its digest is `expected`.

    Raises RepositoryFault: `repository_locked` while somebody else writes, `garbage_changed` (and
    nothing is removed) if it is not what was looked at; a failure in the middle says how far it came.
    """
    target = store.target
    lock = RepositoryLock(target, "prune")
    try:
        found = garbage_of(target, store.suffix, listing)
        if found.digest != expected:
            raise RepositoryFault(
                "there is other garbage in the repository now than was shown; nothing was removed",
                code="garbage_changed",
                hint="look at the new preview",
            )
        if Settings.load(target).id != store.settings.id:
            raise RepositoryFault(f"the {SETTINGS} is another one than before", code="repository_gone")
        return _sweep(target, lock, found.entries)
    finally:
        release_quietly(lock)


def _sweep(target: Target, lock: RepositoryLock, entries: tuple[Entry, ...]) -> Removed:
    removed = size_bytes = 0
    for entry in entries:
        try:
            lock.require()
            target.delete(entry.name)
        except RepositoryFault as fault:
            raise RepositoryFault(
                f"{fault.message} ({removed} of {len(entries)} objects had been removed; none of them"
                " belonged to a backup)",
                code=fault.code,
                hint=fault.hint or "repair the storage, then prune again",
                changed=f"{removed} of {len(entries)} objects were removed." if removed else None,
            ) from fault
        removed += 1
        size_bytes += entry.size_bytes
    return Removed(removed, size_bytes)


def release_quietly(lock: RepositoryLock) -> None:
    """Give the lock back after work that is done, whatever the storage says to that."""
    try:
        lock.release()
    except RepositoryFault:
        # Everything is done; a lock that cannot be removed goes stale by itself.
        return


def _is_backup_folder(folder: str) -> bool:
    try:
        return folder == BackupId.parse(folder.removeprefix(f"{BACKUPS}/")).folder
    except InvalidArguments:
        return False
