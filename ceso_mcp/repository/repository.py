"""A repository of backups: made, opened, listed, written, read, verified."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple, Self

from ceso_mcp.backup import manifest_text
from ceso_mcp.backup.manifest import Manifest
from ceso_mcp.backup.names import BACKUPS, MANIFEST, BackupId
from ceso_mcp.backup.pack import PACK_STORED_BYTES
from ceso_mcp.errors import InvalidArguments, RepositoryFault, Unreadable
from ceso_mcp.repository import seal
from ceso_mcp.repository.backup_reader import BackupReader
from ceso_mcp.repository.backup_writer import BackupWriter
from ceso_mcp.repository.by_hand import RESTORE_SH, RESTORE_TXT
from ceso_mcp.repository.prune import Garbage, Removed, garbage_of, prune
from ceso_mcp.repository.store import SETTINGS, Settings, Store
from ceso_mcp.repository.target import Target
from ceso_mcp.repository.targets.faults import fault_of
from ceso_mcp.repository.targets.local import LocalTarget, free_bytes
from ceso_mcp.repository.verify import VerifyReport, verify

_OURS = {"RESTORE.txt", "restore.sh", "packs", "backups", "locks", "tmp", "lost+found"}


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

    @property
    def id(self) -> str:
        return self._store.settings.id

    @property
    def store(self) -> Store:
        """Where its objects are, and how they are sealed."""
        return self._store

    @property
    def recipients(self) -> tuple[str, ...]:
        """The public keys everything is sealed to; none if the repository is not encrypted."""
        return self._store.settings.recipients

    def writer(self, backup_id: BackupId | str) -> BackupWriter:
        """Begin a backup. Raises RepositoryFault `repository_locked` while another one is written."""
        if isinstance(backup_id, str):
            backup_id = BackupId.parse(backup_id)
        return BackupWriter(self._store, backup_id)

    def list(self) -> Listing:
        """Every backup that was committed. Reads no data and needs no key."""
        manifests, damaged = [], []
        for entry in self._target.list(BACKUPS):
            folder, _, name = entry.name.rpartition("/")
            if name != MANIFEST:
                continue
            backup_id = folder.removeprefix(f"{BACKUPS}/")
            try:
                manifests.append(self._read_manifest(backup_id))
            except (RepositoryFault, Unreadable, InvalidArguments) as fault:
                damaged.append(DamagedBackup(backup_id, fault.message))
        manifests.sort(key=lambda manifest: (manifest.created, manifest.id), reverse=True)
        return Listing(manifests, sorted(damaged))

    def manifest(self, backup_id: BackupId | str) -> Manifest:
        """The manifest of exactly this backup.

        Raises RepositoryFault: `no_such_backup` if it is not listed, `damaged` if it cannot be read.
        """
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

    def _read_manifest(self, backup_id: str) -> Manifest:
        parsed = BackupId.parse(backup_id)
        manifest = manifest_text.parse(self._target.get(parsed.object(MANIFEST)))
        if manifest.id != backup_id:
            raise Unreadable("manifest", "it is of another backup than its folder says")
        if manifest.repository != self.id:
            raise Unreadable("manifest", "it is of another repository")
        if manifest.encryption != self._store.settings.encryption:
            raise Unreadable("manifest", "it is encrypted differently from its repository")
        return manifest

    def garbage(self) -> Garbage:
        """What no listed backup names (`repository.prune`). Removes nothing.

        Raises RepositoryFault `repository_locked` while somebody writes.
        """
        return garbage_of(self._target, self._store.suffix, self.list, require_free=True)

    def prune(self, expected: str) -> Removed:
        """Remove the garbage, if it still is the one with the digest `expected` (`repository.prune`)."""
        return prune(self._store, self.list, expected)

    def reader(self, backup_id: BackupId | str) -> BackupReader:
        return BackupReader(self._store, self.manifest(backup_id))

    def verify(
        self,
        backup_id: BackupId | str,
        *,
        storage_only: bool = False,
        sample_percent: float = 100,
        progress: Callable[[int, int], None] | None = None,
    ) -> VerifyReport:
        """Read and check every byte of a backup, or a sample of its packs (`repository.verify`)."""
        return verify(
            self._store,
            self.manifest(backup_id),
            storage_only=storage_only,
            sample_percent=sample_percent,
            progress=progress,
        )


def room_at(path: Path) -> int:
    """Room left, in bytes, where the repository is or would be made. Raises RepositoryFault."""
    try:
        return free_bytes(path)
    except OSError as fault:
        raise fault_of(fault, str(path), "its free space") from fault


def _no_such_backup(message: str) -> RepositoryFault:
    return RepositoryFault(message, code="no_such_backup", hint="list the backups and copy the id from there")


class LocalRepository(Repository):
    """A repository in a folder of this machine, or one mounted here."""

    def __init__(self, path: Path, settings: Settings, identities: Sequence[str] = ()) -> None:
        super().__init__(LocalTarget(path), settings, identities)
        self._path = path

    @classmethod
    def init(cls, path: Path, *, recipients: Sequence[str] = (), pack_bytes: int = PACK_STORED_BYTES) -> Self:
        """Make a repository at `path`, sealed to `recipients` if there are any; or open the one there.

        The folder above `path` must exist: a mount that is missing must not be mistaken for a new
        repository. Raises InvalidArguments for a bad recipient; RepositoryFault
        `not_a_repository` for a folder with other things in it, `settings_differ` for a repository
        with other recipients.
        """
        seal.check_recipients(recipients)
        target = LocalTarget(path)
        if not cls.is_at(path):
            _make_room(path)
            # The settings come last: with them it is a repository.
            target.replace("RESTORE.txt", RESTORE_TXT.encode())
            target.replace("restore.sh", RESTORE_SH.encode())
            target.create(SETTINGS, Settings.new(recipients, pack_bytes).text())
        settings = Settings.load(target)
        if set(settings.recipients) != {text.strip() for text in recipients}:
            raise RepositoryFault(
                f"the repository {path} is sealed to other recipients than those given",
                code="settings_differ",
                hint="use the recipients in its ceso-repo.json, or make another repository",
            )
        return cls(path, settings)

    @classmethod
    def is_at(cls, path: Path) -> bool:
        """Whether there is a repository at `path`. Raises RepositoryFault if that cannot be told."""
        try:
            return LocalTarget(path).exists(SETTINGS)
        except RepositoryFault as fault:
            if isinstance(fault.__cause__, FileNotFoundError):
                return False
            raise

    @classmethod
    def open(cls, path: Path, *, identities: Sequence[str] = ()) -> Self:
        """Open an existing repository; `identities` (private keys) are needed to read sealed data.

        Raises RepositoryFault: `not_a_repository`, or `wrong_identity` for a text that is no key.
        """
        return cls(path, Settings.load(LocalTarget(path)), identities)

    def free_bytes(self) -> int:
        """Room left for this user, in bytes."""
        return free_bytes(self._path)


def _make_room(path: Path) -> None:
    try:
        if not path.exists():
            path.mkdir(mode=0o700)
        found = {entry.name for entry in path.iterdir()}
        # What an earlier, interrupted `init` left may be continued; data may not be taken over.
        kept = [item for sub in ("packs", "backups") for item in path.joinpath(sub).rglob("*")]
    except OSError as fault:
        told = fault_of(fault, str(path), "the folder")
        raise RepositoryFault(
            f"no repository can be made at {path}: {fault.strerror or fault}",
            code="not_a_repository" if isinstance(fault, FileNotFoundError) else told.code,
            hint="the folder above it must exist, be mounted and be writable",
        ) from fault
    if not found <= _OURS or kept:
        raise RepositoryFault(
            f"{path} is not empty and is no ceso repository",
            code="not_a_repository",
            hint="give a new or empty folder",
        )
