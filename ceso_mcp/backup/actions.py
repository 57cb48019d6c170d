"""What a plan may ask of the side where backups are kept: questions, actions and streams.

These are words only; `ceso_mcp.desk` carries them out on a repository.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ceso_mcp.fact import HereQuestion
from ceso_mcp.plan import Here, Stream

Way = Literal["python3", "dd"]
"""What the host reads or writes a disk with: a program of ours in its Python, or its own `dd`."""


@dataclass(frozen=True, slots=True)
class RepositoryState(HereQuestion):
    """Where the repository is, whether it exists, whether it is sealed, how much room it has."""


@dataclass(frozen=True, slots=True)
class AllBackups(HereQuestion):
    """Every listed backup, newest first, and the damaged entries."""


@dataclass(frozen=True, slots=True)
class ManifestOf(HereQuestion):
    """The manifest of a backup that may be restored; a RepositoryFault if its signature forbids that."""

    backup_id: str


@dataclass(frozen=True, slots=True)
class SignatureWarningsOf(HereQuestion):
    """What somebody who restores this backup should know of its signature."""

    backup_id: str


@dataclass(frozen=True, slots=True)
class SignerHere(HereQuestion):
    """The fingerprint of the key that new backups are signed with, "" if they are not.

    A ConfigFault if there is to be one and it cannot be used.
    """


@dataclass(frozen=True, slots=True)
class FileOf(HereQuestion):
    """A small file kept in a backup (the .vmx, the nvram), as bytes."""

    backup_id: str
    name: str


@dataclass(frozen=True, slots=True)
class GarbageIn(HereQuestion):
    """What no listed backup names; a RepositoryFault while somebody writes to the repository."""


@dataclass(frozen=True, slots=True)
class ParentFor(HereQuestion):
    """Which backup of this VM a new one is compared with; `disks` are (node, capacity in bytes)."""

    vm_id: str
    disks: tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True)
class RemoveGarbage(Here):
    """Remove exactly the garbage that was looked at; `digest` is over its names and sizes."""

    repository: str
    packs: int
    parts: int
    drafts: int
    size_bytes: int
    digest: str

    def shown(self) -> str:
        return (
            f"remove {self.packs} pack(s), {self.parts} part(s) of unfinished backups and {self.drafts}"
            f" draft(s), {self.size_bytes} bytes, from {self.repository} (list {self.digest[:16]})"
        )


@dataclass(frozen=True, slots=True)
class BeginBackup(Here):
    """Lock the repository and begin a backup that nobody sees until it is committed."""

    backup_id: str
    repository: str
    recipients: int
    signer: str = ""

    def shown(self) -> str:
        sealed = f"sealed to {self.recipients} recipient(s)" if self.recipients else "not encrypted"
        signed = f", signed by {self.signer}" if self.signer else ""
        return f"begin backup {self.backup_id} in {self.repository}, {sealed}{signed}"

    def undo_shown(self) -> str:
        return f"abandon backup {self.backup_id}; nothing of it is listed"


@dataclass(frozen=True, slots=True)
class DiskInto(Stream):
    """The host reader's stream of one disk, into the open backup.

    `parent` is the backup that it is compared with, on the host, or here if all of it comes by `dd`; None
    if everything is read into it.
    """

    index: int
    node: str
    file_name: str
    capacity_bytes: int
    descriptor: str
    parent: str | None = None
    way: Way = "python3"

    def shown(self) -> str:
        compared = f", compared with backup {self.parent}" if self.parent else ""
        return f"disk {self.index} ({self.node}, {self.capacity_bytes} bytes) of the backup{compared}"


@dataclass(frozen=True, slots=True)
class KnownDigests(Stream):
    """The block digests of the parent of a disk that is being read: what need not be sent again."""

    index: int
    parent: str

    def shown(self) -> str:
        return f"block digests of backup {self.parent}, for comparing"


@dataclass(frozen=True, slots=True)
class FileInto(Stream):
    """A small file of the VM, into the open backup."""

    name: str

    def shown(self) -> str:
        return f"file {self.name} of the backup"


@dataclass(frozen=True, slots=True)
class CommitBackup(Here):
    """Write the manifest: from now on the backup is listed."""

    backup_id: str
    vm_name: str
    vm_uuid: str
    vmx_path: str
    host: str
    esxi_version: str
    esxi_build: str
    kind: str
    consistency: str
    not_included: tuple[tuple[str, str], ...]
    parent: str | None = None

    def shown(self) -> str:
        missing = f", {len(self.not_included)} thing(s) not included" if self.not_included else ""
        return f"commit backup {self.backup_id}, {self.consistency}-consistent{missing}"

    def leaves(self) -> str:
        return self.backup_id


@dataclass(frozen=True, slots=True)
class DiskFrom(Stream):
    """The stream of one disk out of a backup: its non-zero runs, each checked before it leaves."""

    backup_id: str
    index: int
    capacity_bytes: int
    way: Way = "python3"

    def shown(self) -> str:
        return f"disk {self.index} of backup {self.backup_id} (what is not zero of {self.capacity_bytes})"


@dataclass(frozen=True, slots=True)
class DigestsFrom(Stream):
    """The block digests of one disk, for comparing what stands on the host with the backup."""

    backup_id: str
    index: int

    def shown(self) -> str:
        return f"block digests of disk {self.index} of backup {self.backup_id}"


@dataclass(frozen=True, slots=True)
class ComparedHere(Stream):
    """A whole disk on the host, read back by `dd` and compared here with the backup, block by block."""

    backup_id: str
    index: int

    def shown(self) -> str:
        return f"comparison here with the block digests of disk {self.index} of backup {self.backup_id}"


@dataclass(frozen=True, slots=True)
class FileFrom(Stream):
    """A small file out of a backup."""

    backup_id: str
    name: str

    def shown(self) -> str:
        return f"file {self.name} of backup {self.backup_id}"
