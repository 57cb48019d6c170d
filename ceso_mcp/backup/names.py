"""Names in a repository: which backup, which object, which file may be kept in one."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime

from ceso_mcp.errors import InvalidArguments

MANIFEST = "manifest.json"
SIGNATURE = "manifest.json.sig"
FILES = "files.tar"
BACKUPS = "backups"
PACKS = "packs"

_VM_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,79}\Z")
_STAMP = re.compile(r"([0-9]{8}T[0-9]{6}Z)-([0-9a-f]{4,32})\Z")
_STAMP_FORM = "%Y%m%dT%H%M%SZ"
_SHA256 = re.compile(r"[0-9a-f]{64}\Z")


@dataclass(frozen=True, slots=True, order=True)
class BackupId:
    """One backup: `VM-ID/STAMP-RUN`, for example `564d7c…/20260115T031500Z-4f2a9c`.

    `vm_id` stands for the VM's identity (its BIOS UUID, never its name); `taken` is the start, in
    UTC, whole seconds; `run` is 4 to 32 lower-case hex digits that make two starts in one second
    differ.
    """

    vm_id: str
    taken: datetime
    run: str

    def __post_init__(self) -> None:
        if not _VM_ID.match(self.vm_id) or ".." in self.vm_id:
            raise InvalidArguments("a backup's VM id is letters, digits, dots, dashes and underscores")
        if self.taken.tzinfo is None or self.taken.utcoffset() or self.taken.microsecond:
            raise InvalidArguments("a backup's time is in UTC and has whole seconds")
        if not _STAMP.match(f"20000101T000000Z-{self.run}"):
            raise InvalidArguments("a backup's run id is 4 to 32 lower-case hex digits")

    @classmethod
    def parse(cls, text: str) -> BackupId:
        """The id written as `text`; raises InvalidArguments if it is not one."""
        vm_id, slash, rest = text.partition("/")
        match = _STAMP.match(rest)
        if not slash or match is None:
            raise InvalidArguments(
                "a backup id looks like VM-ID/20260115T031500Z-4f2a9c",
                hint="copy the id from the list of backups",
            )
        try:
            taken = datetime.strptime(match[1], _STAMP_FORM).replace(tzinfo=UTC)
        except ValueError:
            raise InvalidArguments("the time in this backup id does not exist") from None
        return cls(vm_id, taken, match[2])

    def __str__(self) -> str:
        return f"{self.vm_id}/{self.taken.strftime(_STAMP_FORM)}-{self.run}"

    @property
    def folder(self) -> str:
        """The backup's folder in the repository."""
        return f"{BACKUPS}/{self}"

    def object(self, name: str) -> str:
        """The repository name of the object called `name` in this backup's folder."""
        return f"{self.folder}/{name}"


def vm_id(uuid_bios: str) -> str:
    """The VM-ID for a BIOS UUID, in whichever of VMware's spellings it comes.

    `56 4d 7c … 91-…` of a .vmx (`uuid.bios`) and the dashed form give the same id.
    """
    digits = re.sub(r"[\s-]", "", uuid_bios).lower()
    if not re.fullmatch(r"[0-9a-f]{32}", digits):
        raise InvalidArguments("a BIOS UUID has 32 hex digits")
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))


def pack_object(sha256: str, suffix: str) -> str:
    """Where the pack whose stored bytes have this hash is kept; `suffix` is that of its sealing."""
    if not _SHA256.match(sha256):
        raise InvalidArguments("a pack is named by a sha256 in lower-case hex")
    return f"{PACKS}/{sha256[:2]}/{sha256}{suffix}"


def kept_file_name(name: str) -> str:
    """`name` if it may name a file inside a backup: a plain relative path, printable.

    Such names are later used as paths by whoever unpacks the archive, so nothing that climbs or
    starts at the root is let in. Raises InvalidArguments.
    """
    if not name.isprintable() or len(name.encode()) > 1000:
        raise InvalidArguments("a kept file's name must be printable and at most 1000 bytes long")
    if any(part in ("", ".", "..") for part in name.split("/")):
        raise InvalidArguments("a kept file's name must be a plain relative path")
    return name
