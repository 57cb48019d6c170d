"""Backups, as the repository on this machine lists them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ceso_mcp.backup.actions import (
    AllBackups,
    FileOf,
    GarbageIn,
    ManifestOf,
    ParentFor,
    RepositoryState,
    SignatureWarningsOf,
    SignerHere,
)
from ceso_mcp.backup.keeping import VerificationOf
from ceso_mcp.fact import Fact, Reading


@dataclass(frozen=True, slots=True)
class Repository(Fact[Any]):
    """State of the configured repository (`repository_access.RepositoryStatus`)."""

    def reading(self) -> Reading[Any]:
        (state,) = yield [RepositoryState()]
        return state


@dataclass(frozen=True, slots=True)
class Backups(Fact[Any]):
    """(manifests newest first, damaged entries)."""

    def reading(self) -> Reading[Any]:
        (found,) = yield [AllBackups()]
        return found


@dataclass(frozen=True, slots=True)
class Manifest(Fact[Any]):
    """The manifest of a backup that may be restored."""

    backup_id: str

    def reading(self) -> Reading[Any]:
        (manifest,) = yield [ManifestOf(self.backup_id)]
        return manifest


@dataclass(frozen=True, slots=True)
class SignatureWarnings(Fact[tuple[str, ...]]):
    """What somebody who restores a backup should know of its signature."""

    backup_id: str

    def reading(self) -> Reading[tuple[str, ...]]:
        (warnings,) = yield [SignatureWarningsOf(self.backup_id)]
        return tuple(warnings)


@dataclass(frozen=True, slots=True)
class Signer(Fact[str]):
    """The fingerprint of the key that new backups are signed with, or ""."""

    def reading(self) -> Reading[str]:
        (fingerprint,) = yield [SignerHere()]
        return str(fingerprint)


@dataclass(frozen=True, slots=True)
class BackupFile(Fact[bytes]):
    """A small file kept in a backup."""

    backup_id: str
    name: str

    def reading(self) -> Reading[bytes]:
        (data,) = yield [FileOf(self.backup_id, self.name)]
        return bytes(data)


@dataclass(frozen=True, slots=True)
class Verification(Fact[Any]):
    """The report of reading every byte of a backup, or a sample; and why it could not be noted, or ""."""

    backup_id: str
    sample_percent: int = 100

    def reading(self) -> Reading[Any]:
        (report,) = yield [VerificationOf(self.backup_id, self.sample_percent)]
        return report


@dataclass(frozen=True, slots=True)
class Garbage(Fact[Any]):
    """What no listed backup names, by kind."""

    def reading(self) -> Reading[Any]:
        (found,) = yield [GarbageIn()]
        return found


@dataclass(frozen=True, slots=True)
class Parent(Fact[Any]):
    """What a new backup of a VM is compared with (`repository.parent.Choice`); `disks` are (node, bytes)."""

    vm_id: str
    disks: tuple[tuple[str, int], ...]

    def reading(self) -> Reading[Any]:
        (choice,) = yield [ParentFor(self.vm_id, self.disks)]
        return choice
