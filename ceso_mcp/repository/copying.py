"""Backups copied from one repository to a copy of it, object by object, as they are stored.

A copy has the settings of its origin, its id among them, so manifests are the same bytes in both, and
so is everything else. A manifest comes last, after all that it names was sent and read back; dying in
between leaves objects that no manifest names, as with a backup.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from ceso_mcp.backup.manifest import Manifest
from ceso_mcp.backup.names import BACKUPS, MANIFEST, PACKS, SIGNATURE
from ceso_mcp.backup.signature import Signature
from ceso_mcp.errors import RepositoryFault
from ceso_mcp.repository.lock import RepositoryLock
from ceso_mcp.repository.passphrase import KEY
from ceso_mcp.repository.prune import release_quietly
from ceso_mcp.repository.repository import Repository

_AT_ONCE = 2
"""Objects under way at a time: each is in memory, and a pack has some 32 MiB."""


@dataclass(frozen=True, slots=True)
class Part:
    """An object that a backup needs."""

    name: str
    sha256: str
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Missing:
    """Backups that the other place lacks, oldest first, and what they need that is not there."""

    manifests: tuple[Manifest, ...]
    parts: tuple[Part, ...]
    there_already: int
    mended: tuple[str, ...]
    damaged: tuple[str, ...]

    @property
    def size_bytes(self) -> int:
        return sum(part.size_bytes for part in self.parts)


@dataclass(frozen=True, slots=True)
class Copied:
    """What a copying sent."""

    backups: int
    objects: int
    size_bytes: int


def missing(source: Repository, destination: Repository | None, backup_id: str | None = None) -> Missing:
    """What `destination` lacks; None is a place where there is no copy yet. Reads no data.

    Raises RepositoryFault: `settings_differ` if it is no copy of `source`, `no_such_backup` if
    `backup_id` is not listed in `source`.
    """
    if destination is not None:
        _require_copy(source, destination)
    listing, signatures = source.list_with_signatures()
    forged = {i for i, signature in signatures.items() if signature.state == "bad"}
    wanted = [m for m in listing.manifests if backup_id in (None, m.id) and m.id not in forged]
    if backup_id is not None and not wanted:
        source.manifest(backup_id)  # says why
    there, theirs = destination.list_with_signatures() if destination is not None else (None, {})
    ids = {m.id for m in there.manifests} if there is not None else set()
    broken = {entry.id for entry in there.damaged} if there is not None else set()
    # A copy that lost its signature, or has another one, gets it and the manifest anew.
    for i in ids & signatures.keys():
        if _is_signed(signatures[i]) and not _is_signed(theirs[i]):
            broken.add(i)
    ids -= broken
    lacking = tuple(sorted((m for m in wanted if m.id not in ids), key=lambda m: (m.created, m.id)))
    return Missing(
        manifests=lacking,
        parts=_lacking(
            (part for m in lacking for part in _parts_of(source, m)), _there(destination) if lacking else {}
        ),
        there_already=len(ids) + len(broken),
        mended=tuple(m.id for m in lacking if m.id in broken),
        damaged=tuple(
            i for i in (*(entry.id for entry in listing.damaged), *sorted(forged)) if backup_id in (None, i)
        ),
    )


def _is_signed(signature: Signature) -> bool:
    return signature.state not in ("unsigned", "missing", "bad")


def copy_backups(source: Repository, destination: Repository, backup_ids: tuple[str, ...]) -> Copied:
    """Copy these backups, in this order. Takes the lock of `destination` only.

    Raises RepositoryFault `damaged` if an object of `source` is missing or changed, or what was read
    back is not what was sent; what was copied until then stays, and the message says how much.
    """
    _require_copy(source, destination)
    lock = RepositoryLock(destination.target, "copy")
    backups = objects = size_bytes = 0
    try:
        if source.target.exists(KEY) and not destination.target.exists(KEY):
            destination.target.replace(KEY, source.target.get(KEY))
        there = _there(destination)
        for backup_id in backup_ids:
            manifest, signature = source.manifest_and_signature(backup_id)
            if signature.state == "bad":
                raise RepositoryFault(
                    f"the signature of backup {backup_id} is bad: {signature.reason}", code="bad_signature"
                )
            needed = _parts_of(source, manifest)
            parts = _lacking(needed, there)
            with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="ceso-copy") as pool:
                for part in pool.map(lambda part: _send(source, destination, part), parts):
                    there[part.name] = part.size_bytes
                    objects += 1
                    size_bytes += part.size_bytes
            if not lock.never_free():
                # So much time passed that others may have held the lock, and pruned.
                lock.require()
                there = _there(destination)
                if _lacking(needed, there):
                    raise RepositoryFault("objects have gone from the copy meanwhile", code="damaged")
            _send_manifest(source, destination, manifest)
            if not lock.never_free() and not lock.held():
                destination.target.delete(manifest.backup_id.object(MANIFEST))
                lock.require()
            backups += 1
    except RepositoryFault as fault:
        raise RepositoryFault(
            f"{fault.message} ({backups} of {len(backup_ids)} backups had been copied)",
            code=fault.code,
            hint=fault.hint or "copy again: what is there already is not sent again",
            changed=f"{backups} of {len(backup_ids)} backups were copied." if backups else None,
        ) from fault
    finally:
        release_quietly(lock)
    return Copied(backups, objects, size_bytes)


def _require_copy(source: Repository, destination: Repository) -> None:
    if source.id != destination.id:
        raise RepositoryFault(
            f"{destination.target.title} is not a copy of {source.target.title}, but a repository of its own",
            code="settings_differ",
            hint="copy to a new or empty place",
        )


def _there(destination: Repository | None) -> dict[str, int]:
    """Name and size of every object that a backup can need."""
    if destination is None:
        return {}
    folders = (PACKS, BACKUPS)
    return {entry.name: entry.size_bytes for folder in folders for entry in destination.target.list(folder)}


def _lacking(needed: Iterable[Part], there: Mapping[str, int]) -> tuple[Part, ...]:
    """Each part once that is not there, or is there in another size: that one is damaged."""
    named = {part.name: part for part in needed}
    return tuple(part for part in named.values() if there.get(part.name) != part.size_bytes)


def _parts_of(source: Repository, manifest: Manifest) -> list[Part]:
    own = [part for disk in manifest.disks for part in (disk.map, disk.sums)]
    own += [manifest.files_object] if manifest.files_object is not None else []
    parts = [Part(manifest.backup_id.object(part.object), part.sha256, part.bytes) for part in own]
    packs = dict.fromkeys(pack for disk in manifest.disks for pack in disk.packs)
    parts += [Part(source.pack_name(pack), pack.sha256, pack.stored_bytes) for pack in packs]
    return parts


def _send(source: Repository, destination: Repository, part: Part) -> Part:
    stored = source.stored(part.name, part.sha256, part.size_bytes)
    if not destination.target.put(part.name, [stored]):
        destination.target.replace(part.name, stored)  # there, but of another size: damaged
    if hashlib.sha256(destination.target.get(part.name)).hexdigest() != part.sha256:
        raise RepositoryFault(f"{part.name} came back changed from the copy", code="damaged")
    return part


def _send_manifest(source: Repository, destination: Repository, manifest: Manifest) -> None:
    name, signature = manifest.backup_id.object(MANIFEST), manifest.backup_id.object(SIGNATURE)
    if source.target.exists(signature):
        # Before the manifest: with that the backup is there, and it must not be there unsigned.
        _put(destination, signature, source.target.get(signature))
    _put(destination, name, source.target.get(name))
    if destination.manifest(manifest.id) != manifest:
        raise RepositoryFault(f"{name} came back changed from the copy", code="damaged")


def _put(destination: Repository, name: str, content: bytes) -> None:
    if not destination.target.put(name, [content]):
        destination.target.replace(name, content)  # there, but another one
    if destination.target.get(name) != content:
        raise RepositoryFault(f"{name} came back changed from the copy", code="damaged")
