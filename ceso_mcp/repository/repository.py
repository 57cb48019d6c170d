"""A repository of backups: made, opened, listed, written, read, verified."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from ceso_mcp.backup import manifest_text
from ceso_mcp.backup.manifest import Manifest, PackRef
from ceso_mcp.backup.names import BACKUPS, MANIFEST, SIGNATURE, BackupId
from ceso_mcp.backup.pack import PACK_STORED_BYTES
from ceso_mcp.backup.signature import Signature, Trust
from ceso_mcp.errors import ConfigFault, InvalidArguments, RepositoryFault, Unreadable
from ceso_mcp.repository import openpgp
from ceso_mcp.repository.backup_reader import BackupReader
from ceso_mcp.repository.backup_writer import BackupWriter
from ceso_mcp.repository.index_key import index_key
from ceso_mcp.repository.making import made
from ceso_mcp.repository.parent import Choice, ParentDisk, choose, parent_disk, same_disk
from ceso_mcp.repository.prune import Garbage, Removed, garbage_of, prune
from ceso_mcp.repository.signing import SigningKey, judge
from ceso_mcp.repository.store import Settings, Store
from ceso_mcp.repository.target import Target
from ceso_mcp.repository.verify import VerifyReport, verify


class DamagedBackup(NamedTuple):
    """A listed backup whose manifest cannot be read; `id` is its folder's name."""

    id: str
    reason: str


class Listing(NamedTuple):
    """The backups, newest first, and those whose manifests are damaged."""

    manifests: list[Manifest]
    damaged: list[DamagedBackup]


class Repository:
    """Backups on one target. Reading needs no lock; writing takes it."""

    def __init__(self, target: Target, settings: Settings, identities: Sequence[str] = ()) -> None:
        self._target = target
        self._store = Store(target, settings, identities)
        self.trust = Trust()
        """Whose signatures count here; nobody's unless it is set."""
        self.sign_with: SigningKey | None = None
        """What new backups are signed with, if they are."""

    @classmethod
    def init_at(
        cls,
        target: Target,
        *,
        recipients: Sequence[str] = (),
        pack_bytes: int = PACK_STORED_BYTES,
        like: Settings | None = None,
        passphrase: str | None = None,
    ) -> Repository:
        """Make a repository at `target`, sealed to `recipients` if there are any; or open the one there.

        With a `passphrase` it also gets an identity of its own (`repository.passphrase`).
        With `like` it gets exactly these settings, its id among them: it is to be a copy. What is above
        the place must exist: a mount that is missing must not be mistaken for a new repository. Raises
        InvalidArguments for a bad recipient; RepositoryFault `not_a_repository` for a place with other
        things in it, `settings_differ` for a repository with other recipients or, with `like`, of
        another id.
        """
        return Repository(target, made(target, recipients, pack_bytes, like, passphrase))

    @classmethod
    def open_at(cls, target: Target, *, identities: Sequence[str] = ()) -> Repository:
        """Open an existing repository; `identities` (private keys) are needed to read sealed data.

        Raises RepositoryFault: `not_a_repository`, or `wrong_identity` for a text that is no key.
        """
        return Repository(target, Settings.load(target), identities)

    @property
    def id(self) -> str:
        return self._store.settings.id

    @property
    def settings(self) -> Settings:
        return self._store.settings

    @property
    def target(self) -> Target:
        return self._target

    def free_bytes(self) -> int | None:
        """Room left for this user, in bytes; None where the place does not know."""
        return self._target.free_bytes()

    @property
    def store(self) -> Store:
        """Where its objects are, and how they are sealed."""
        return self._store

    @property
    def recipients(self) -> tuple[str, ...]:
        """The public keys everything is sealed to; none if the repository is not encrypted."""
        return self._store.settings.recipients

    def use_index_key(self, folder: Path, *, make: bool = False) -> None:
        """Let this machine read and write maps and digests with its own key (`repository.index_key`).

        A repository that is not sealed needs none. Raises ConfigFault with `make`; for reading, a key
        that cannot be used is like none, because restoring must not depend on it.
        """
        if self._store.sealed:
            with contextlib.nullcontext() if make else contextlib.suppress(ConfigFault):
                self._store.index_key = index_key(folder, self.id, make=make)

    def use_keyring(self, passphrase: str | None = None) -> None:
        """Open with gpg's secret keys what is sealed to OpenPGP keys (`repository.openpgp`)."""
        self._store.use_keyring(openpgp.Keyring(passphrase))

    def parent_for(self, vm_id: str, disks: Sequence[tuple[str, int]]) -> Choice:
        """What a new backup of a VM with `disks` is compared with (`repository.parent.choose`)."""
        listing, signatures = self.list_with_signatures(vm_id)
        untrusted = {i: s.words() for i, s in signatures.items() if not self.trust.leans_on(s)}
        return choose(self._store, listing.manifests, disks, untrusted)

    def parent_disk(self, backup_id: BackupId | str, node: str, capacity_bytes: int) -> ParentDisk:
        """The disk of an earlier backup to compare with (`repository.parent.parent_disk`).

        Raises RepositoryFault `no_such_backup`, `no_such_disk` if the backup has none like that, or
        `bad_signature` if it is not signed as one to lean on must be.
        """
        manifest, signature = self.manifest_and_signature(backup_id)
        if not self.trust.leans_on(signature):
            raise RepositoryFault(
                f"backup {backup_id} is no one to compare with: {signature.words()}", code="bad_signature"
            )
        index = same_disk(manifest, node, capacity_bytes)
        if index is None:
            raise RepositoryFault(
                f"backup {backup_id} has no disk {node} of {capacity_bytes} bytes", code="no_such_disk"
            )
        from ceso_mcp.repository.keeping import suspect_packs

        suspect = suspect_packs(self, manifest.backup_id.vm_id)
        return parent_disk(self._store, manifest, index, damaged=suspect)

    def writer(self, backup_id: BackupId | str) -> BackupWriter:
        """Begin a backup. Raises RepositoryFault `repository_locked` while another one is written."""
        if isinstance(backup_id, str):
            backup_id = BackupId.parse(backup_id)
        return BackupWriter(self._store, backup_id, self.sign_with)

    def list(self, vm_id: str | None = None) -> Listing:
        """Every backup that was committed, or those of one VM. Reads no data and needs no key."""
        return self._listing(vm_id, None)

    def list_with_signatures(self, vm_id: str | None = None) -> tuple[Listing, dict[str, Signature]]:
        """`list`, and how each of the manifests is signed, by id."""
        signatures: dict[str, Signature] = {}
        return self._listing(vm_id, signatures), signatures

    def _listing(self, vm_id: str | None, signatures: dict[str, Signature] | None) -> Listing:
        manifests, damaged = [], []
        entries = list(self._target.list(BACKUPS if vm_id is None else f"{BACKUPS}/{vm_id}"))
        names = {entry.name for entry in entries}
        for entry in entries:
            folder, _, last = entry.name.rpartition("/")
            if last != MANIFEST:
                continue
            backup_id = folder.removeprefix(f"{BACKUPS}/")
            try:
                manifest, content = self._read_manifest(backup_id)
                if signatures is not None:
                    # A listing made while a backup was committed may show the manifest alone.
                    there = manifest.signature is not None or f"{folder}/{SIGNATURE}" in names
                    stored = self._stored_signature(manifest) if there else None
                    signatures[backup_id] = self._judge(manifest, content, stored)
                manifests.append(manifest)
            except (RepositoryFault, Unreadable, InvalidArguments) as fault:
                damaged.append(DamagedBackup(backup_id, fault.message))
        manifests.sort(key=lambda manifest: (manifest.created, manifest.id), reverse=True)
        return Listing(manifests, sorted(damaged))

    def manifest(self, backup_id: BackupId | str) -> Manifest:
        """The manifest of exactly this backup.

        Raises RepositoryFault: `no_such_backup` if it is not listed, `damaged` if it cannot be read.
        """
        return self._manifest(backup_id)[0]

    def manifest_and_signature(self, backup_id: BackupId | str) -> tuple[Manifest, Signature]:
        """The manifest, and how it is signed. Raises RepositoryFault as `manifest` does."""
        manifest, content = self._manifest(backup_id)
        return manifest, self._judge(manifest, content, self._stored_signature(manifest))

    def restorable(self, backup_id: BackupId | str) -> Manifest:
        """The manifest of a backup that may be restored (`backup.signature.Trust`).

        Raises RepositoryFault as `manifest` does, and `bad_signature`, `unknown_signer` or `not_signed`.
        """
        manifest, signature = self.manifest_and_signature(backup_id)
        refusal = self.trust.refusal(manifest.id, signature)
        if refusal is not None:
            raise refusal
        return manifest

    def _judge(self, manifest: Manifest, content: bytes, stored: bytes | None) -> Signature:
        return judge(content, stored, self.trust, promised=manifest.signature is not None)

    def _stored_signature(self, manifest: Manifest) -> bytes | None:
        try:
            return self._target.get(manifest.backup_id.object(SIGNATURE))
        except RepositoryFault as fault:
            if fault.code == "no_such_object":
                return None
            raise

    def _manifest(self, backup_id: BackupId | str) -> tuple[Manifest, bytes]:
        text = str(backup_id)
        try:
            return self._read_manifest(text)
        except Unreadable as fault:
            raise RepositoryFault(f"backup {text}: {fault.message}", code="damaged") from fault
        except InvalidArguments as fault:
            raise _no_such_backup("there is no backup of that id") from fault
        except RepositoryFault as fault:
            if fault.code == "no_such_object":
                raise _no_such_backup(f"there is no backup {text}") from fault
            raise

    def _read_manifest(self, backup_id: str) -> tuple[Manifest, bytes]:
        """The manifest, and the bytes that it was read from: those are what is signed."""
        content = self._target.get(BackupId.parse(backup_id).object(MANIFEST))
        manifest = manifest_text.parse(content)
        if manifest.id != backup_id:
            raise Unreadable("manifest", "it is of another backup than its folder says")
        if manifest.repository != self.id:
            raise Unreadable("manifest", "it is of another repository")
        if manifest.encryption != self._store.settings.encryption:
            raise Unreadable("manifest", "it is encrypted differently from its repository")
        return manifest, content

    def pack_name(self, pack: PackRef) -> str:
        """The object that holds this pack."""
        return self._store.pack_name(pack)

    def stored(self, name: str, sha256: str, size_bytes: int) -> bytes:
        """An object as it is stored, checked; RepositoryFault `damaged` if missing or different."""
        return self._store.fetch(name, sha256, size_bytes)

    def garbage(self) -> Garbage:
        """What no listed backup names (`repository.prune`). Removes nothing.

        Raises RepositoryFault `repository_locked` while somebody writes.
        """
        return garbage_of(self._target, self._store.suffix, self.list, require_free=True)

    def prune(self, expected: str) -> Removed:
        """Remove the garbage, if it still is the one with the digest `expected` (`repository.prune`)."""
        return prune(self._store, self.list, expected)

    def reader(self, backup_id: BackupId | str) -> BackupReader:
        """To read a backup's data; raises RepositoryFault as `restorable` does."""
        return BackupReader(self._store, self.restorable(backup_id))

    def verify(
        self,
        backup_id: BackupId | str,
        *,
        storage_only: bool = False,
        sample_percent: float = 100,
        progress: Callable[[int, int], None] | None = None,
    ) -> VerifyReport:
        """Read and check every byte of a backup, or a sample of its packs (`repository.verify`).

        A signature that is bad or missing is damage too.
        """
        manifest, signature = self.manifest_and_signature(backup_id)
        report = verify(
            self._store,
            manifest,
            signature,
            storage_only=storage_only,
            sample_percent=sample_percent,
            progress=progress,
        )
        refusal = self.trust.refusal(manifest.id, signature)
        return report if refusal is None else replace(report, refused=refusal.message)


def _no_such_backup(message: str) -> RepositoryFault:
    return RepositoryFault(message, code="no_such_backup", hint="list the backups and copy the id from there")
