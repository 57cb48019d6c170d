"""Keeping backups: their notes, the retention policy, and forgetting.

Whatever is decided from what is listed is done under the repository's lock and checked again there.
A verification's note is written without it: it only adds knowledge, and reading must not wait.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import TypeVar

from ceso_mcp.backup.names import BACKUPS, MANIFEST, BackupId
from ceso_mcp.backup.notes import (
    DRILLED,
    NOTES,
    PROTECTED,
    RETENTION,
    VERIFIED,
    Check,
    Drill,
    Protection,
    Verification,
    parse,
    render,
)
from ceso_mcp.backup.retention_policy import Policy
from ceso_mcp.backup.standing import Kept, Standing
from ceso_mcp.errors import InvalidArguments, RepositoryFault, Unreadable
from ceso_mcp.repository.lock import RepositoryLock
from ceso_mcp.repository.prune import Garbage, garbage_of
from ceso_mcp.repository.repository import Repository
from ceso_mcp.repository.store import SETTINGS, Settings
from ceso_mcp.repository.verify import VerifyReport

Note = TypeVar("Note", Verification, Drill)


def standing(repository: Repository) -> Standing:
    """How all backups stand. Raises RepositoryFault `retention_unreadable` if the policy cannot be read.

    A protection that cannot be read still protects; a verification that cannot be read is none.
    """
    target = repository.store.target
    (manifests, damaged), signatures = repository.list_with_signatures()
    notes = {entry.name for entry in target.list(BACKUPS) if entry.name.endswith(NOTES)}
    backups = []
    for manifest in manifests:
        protection = manifest.backup_id.object(PROTECTED)
        why = _why_protected(repository, protection) if protection in notes else None
        found = (
            verification(repository, manifest.backup_id)
            if manifest.backup_id.object(VERIFIED) in notes
            else None
        )
        drilled = (
            drill(repository, manifest.backup_id) if manifest.backup_id.object(DRILLED) in notes else None
        )
        signature = signatures[manifest.id]
        accepted = repository.trust.accepts(signature)
        backups.append(Kept(manifest, why, found, drilled, signature, accepted))
    return Standing(
        target.title,
        tuple(backups),
        tuple((entry.id, entry.reason) for entry in damaged),
        policy_of(repository),
    )


def _why_protected(repository: Repository, name: str) -> str:
    try:
        return parse(Protection, repository.store.target.get(name), name).why
    except Unreadable:
        return "(the note cannot be read)"


def verification(repository: Repository, backup_id: BackupId) -> Verification | None:
    """What verifying found, as noted; None if there is no readable note."""
    return _noted(repository, backup_id, VERIFIED, Verification)


def _noted(repository: Repository, backup_id: BackupId, name: str, model: type[Note]) -> Note | None:
    """The note called `name` beside a backup, if it can be read and is of this one."""
    path = backup_id.object(name)
    try:
        found = parse(model, repository.store.target.get(path), path)
    except Unreadable:
        return None
    except RepositoryFault as fault:
        if fault.code != "no_such_object":
            raise
        return None
    return found if found.backup == str(backup_id) else None


def note_verification(repository: Repository, report: VerifyReport) -> None:
    """Keep the outcome of a verification beside the manifest. Raises RepositoryFault."""
    backup_id = BackupId.parse(report.backup_id)
    before = verification(repository, backup_id) or Verification(backup=report.backup_id)
    check = Check(
        time=datetime.now(UTC),
        level=report.level,
        sample_percent=report.sample_percent,
        read_bytes=report.bytes_read,
        damage=len(report.damage),
    )
    repository.store.target.replace(backup_id.object(VERIFIED), render(before.with_check(check)))


def drill(repository: Repository, backup_id: BackupId) -> Drill | None:
    """The last restore drill, as noted; None if there is no readable note."""
    return _noted(repository, backup_id, DRILLED, Drill)


def note_drill(repository: Repository, note: Drill) -> None:
    """Keep the outcome of a drill beside the manifest. Raises RepositoryFault, if the backup is gone too."""
    backup_id = repository.manifest(note.backup).backup_id
    repository.store.target.replace(backup_id.object(DRILLED), render(note))


def suspect_packs(repository: Repository, vm_id: str) -> set[str]:
    """Hashes of all packs of a VM's backups that are noted as damaged: nothing new may lean on them."""
    target = repository.store.target
    packs: set[str] = set()
    for entry in target.list(f"{BACKUPS}/{vm_id}"):
        if not entry.name.endswith(f"/{VERIFIED}"):
            continue
        folder = entry.name.removeprefix(f"{BACKUPS}/").removesuffix(f"/{VERIFIED}")
        note = verification(repository, BackupId.parse(folder))
        if note is not None and note.damaged and target.exists(BackupId.parse(folder).object(MANIFEST)):
            packs |= {pack.sha256 for disk in repository.manifest(folder).disks for pack in disk.packs}
    return packs


def policy_of(repository: Repository) -> Policy | None:
    """The policy that stands in the repository, or None."""
    try:
        content = repository.store.target.get(RETENTION)
    except RepositoryFault as fault:
        if fault.code == "no_such_object":
            return None
        raise
    try:
        return Policy.model_validate_json(content)
    except ValueError:
        raise RepositoryFault(
            f"{RETENTION} is not a policy that this version knows",
            code="retention_unreadable",
            hint=f"repair or remove {RETENTION}, then set the policy anew",
        ) from None


def set_policy(repository: Repository, policy: Policy, before: str) -> None:
    """Write the policy, if the one before still reads `before` (`Policy.words`, "none")."""
    with locked(repository, "set retention"):
        found = policy_of(repository)
        if before != ("none" if found is None else found.words()):
            raise _changed("the policy is another one now")
        repository.store.target.replace(RETENTION, (policy.model_dump_json(indent=1) + "\n").encode())


def protect(repository: Repository, backup_id: str, why: str, since: datetime) -> None:
    """Note that the backup stays. Raises RepositoryFault `no_such_backup`."""
    with locked(repository, "protect"):
        manifest = repository.manifest(backup_id)
        note = Protection(backup=backup_id, since=since, why=why)
        repository.store.target.replace(manifest.backup_id.object(PROTECTED), render(note))


def unprotect(repository: Repository, backup_id: str) -> None:
    """Remove that note."""
    with locked(repository, "unprotect"):
        repository.store.target.delete(BackupId.parse(backup_id).object(PROTECTED))


def garbage_without(repository: Repository, backup_ids: Sequence[str]) -> Garbage:
    """What no backup would name once these are forgotten; the manifests themselves are not in it.

    Raises RepositoryFault `repository_locked` while somebody writes.
    """
    store = repository.store
    return garbage_of(
        store.target, store.suffix, repository.list, require_free=True, without=frozenset(backup_ids)
    )


def forget(repository: Repository, backup_ids: Sequence[str], expected: str) -> int:
    """Remove the manifests of these backups, oldest first; returns how many.

    Each removal takes one whole backup off the list and touches no other, so dying in between
    leaves nothing half. Raises RepositoryFault `backups_changed`, and nothing is removed, if the
    digest of how their VMs' backups stand (`Standing.digest`) is not `expected`.
    """
    try:
        doomed = sorted((BackupId.parse(text) for text in backup_ids), key=lambda b: (b.taken, b.run))
    except InvalidArguments as fault:
        raise RepositoryFault(fault.message, code="no_such_backup") from fault
    target, done = repository.store.target, 0
    with locked(repository, "forget") as lock:
        if standing(repository).digest(backup_id.vm_id for backup_id in doomed) != expected:
            raise _changed("the backups are not as they were shown")
        for backup_id in doomed:
            try:
                lock.require()
                target.delete(backup_id.object(MANIFEST))
            except RepositoryFault as fault:
                raise RepositoryFault(
                    f"{fault.message} ({done} of {len(doomed)} backups had been forgotten)",
                    code=fault.code,
                    hint=fault.hint or "repair the storage, then begin again",
                    changed=f"{done} of {len(doomed)} backups were forgotten." if done else None,
                ) from fault
            done += 1
    return done


@contextlib.contextmanager
def locked(repository: Repository, what: str) -> Iterator[RepositoryLock]:
    """Hold the repository's lock, and know that this still is the repository that was opened."""
    lock = RepositoryLock(repository.store.target, what)
    try:
        if Settings.load(repository.store.target).id != repository.id:
            raise RepositoryFault(f"the {SETTINGS} is another one than before", code="repository_gone")
        yield lock
    finally:
        # What was to be done is done; a lock that cannot be removed goes stale by itself.
        with contextlib.suppress(RepositoryFault):
            lock.release()


def _changed(what: str) -> RepositoryFault:
    return RepositoryFault(
        f"{what}; nothing was changed", code="backups_changed", hint="look at the new preview"
    )
