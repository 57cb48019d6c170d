"""The structure of a repository: is everything there that its backups name? Listings only, no data."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ceso_mcp.backup.manifest import Manifest
from ceso_mcp.backup.names import BACKUPS, PACKS, pack_object
from ceso_mcp.backup.notes import MODELS, NOTES, parse
from ceso_mcp.errors import RepositoryFault, Unreadable
from ceso_mcp.repository.by_hand import RESTORE_SH
from ceso_mcp.repository.keeping import policy_of
from ceso_mcp.repository.prune import garbage_of
from ceso_mcp.repository.repository import Repository


@dataclass(frozen=True, slots=True)
class Structure:
    """What a structure check found. `problems` are (backup id, what is wrong), in order of ids.

    `notes` are problems that cost no backup; `loose_objects` and `loose_bytes` count what no backup
    names.
    """

    backups: int
    objects: int
    named_bytes: int
    problems: tuple[tuple[str, str], ...]
    notes: tuple[str, ...]
    loose_objects: int
    loose_bytes: int
    foreign_files: int


def check(repository: Repository) -> Structure:
    """Hold every manifest against the listing. Raises RepositoryFault if the place cannot be listed."""
    store = repository.store
    # Manifests first: what a backup under way adds after them is not missed.
    (manifests, damaged), signatures = repository.list_with_signatures()
    sizes = {entry.name: entry.size_bytes for entry in store.target.list(PACKS)}
    sizes |= {entry.name: entry.size_bytes for entry in store.target.list(BACKUPS)}
    problems = [(entry.id, f"its manifest cannot be read: {entry.reason}") for entry in damaged]
    named: dict[str, int] = {}
    for manifest in manifests:
        objects = dict(named_objects(manifest, store.suffix))
        named |= objects
        for name, size_bytes in sorted(objects.items()):
            if name not in sizes:
                problems.append((manifest.id, f"{name} is missing"))
            elif sizes[name] != size_bytes:
                problems.append((manifest.id, f"{name} has {sizes[name]} bytes, not {size_bytes}"))
        if signatures[manifest.id].state in ("bad", "missing"):
            problems.append((manifest.id, signatures[manifest.id].words()))
    loose = garbage_of(store.target, store.suffix, repository.list)
    unnamed = (*loose.entries, *loose.kept_packs)
    return Structure(
        backups=len(manifests) + len(damaged),
        objects=len(named),
        named_bytes=sum(named.values()),
        problems=tuple(sorted(problems)),
        notes=tuple(_notes(repository, sizes)),
        loose_objects=len(unnamed),
        loose_bytes=sum(entry.size_bytes for entry in unnamed),
        foreign_files=loose.foreign,
    )


def named_objects(manifest: Manifest, suffix: str) -> Iterator[tuple[str, int]]:
    """(name in the repository, stored bytes) of every object that the manifest names."""
    for disk in manifest.disks:
        for part in (disk.map, disk.sums):
            yield manifest.backup_id.object(part.object), part.bytes
        for pack in disk.packs:
            yield pack_object(pack.sha256, suffix), pack.stored_bytes
    if manifest.files_object is not None:
        yield manifest.backup_id.object(manifest.files_object.object), manifest.files_object.bytes


def _notes(repository: Repository, sizes: dict[str, int]) -> Iterator[str]:
    target = repository.store.target
    for name in sorted(sizes):
        if name.rpartition("/")[2] in NOTES:
            model = MODELS[name.rpartition("/")[2]]
            try:
                parse(model, target.get(name), name)
            except Unreadable as fault:
                yield fault.message
            except RepositoryFault as fault:
                if fault.code != "no_such_object":
                    raise
    try:
        policy_of(repository)
    except RepositoryFault as fault:
        if fault.code != "retention_unreadable":
            raise
        yield fault.message
    for name in ("RESTORE.txt", "restore.sh"):
        if not target.exists(name):
            yield f"{name} is missing; backups cannot be restored by hand as it says"
        elif name == "restore.sh" and target.get(name) != RESTORE_SH.encode():
            yield f"{name} is not the one of this version"
