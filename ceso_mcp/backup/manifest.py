"""The manifest of a backup: everything about it but the data, and the only thing that makes it exist.

Plain JSON, readable without any key. A folder without a manifest is no backup; a manifest is
written last, after everything it names is safe.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal, NamedTuple, Self

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, model_validator

from ceso_mcp.backup.names import BackupId, kept_file_name
from ceso_mcp.backup.sums import block_bytes_for, frame_bytes_for
from ceso_mcp.errors import CesoError

FORMAT: Literal["ceso-backup"] = "ceso-backup"
VERSION: Literal[1] = 1


def _utc(moment: datetime) -> datetime:
    if moment.utcoffset():
        raise ValueError("times are in UTC")
    return moment.replace(microsecond=0)


def _backup_id(text: str) -> str:
    try:
        return str(BackupId.parse(text))
    except CesoError as fault:
        raise ValueError(fault.message) from None


def _file_name(text: str) -> str:
    try:
        return kept_file_name(text)
    except CesoError as fault:
        raise ValueError(fault.message) from None


Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Bytes = Annotated[int, Field(ge=0, lt=1 << 63)]
Utc = Annotated[AwareDatetime, AfterValidator(_utc)]
ObjectName = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9.-]{0,63}$")]


class Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=False)


class StoredObject(Record):
    """An object in the backup's own folder, as stored (compressed, and sealed if the repository is)."""

    object: ObjectName
    sha256: Sha256
    bytes: Bytes


class PackRef(NamedTuple):
    """A pack: the hash that names it, the bytes stored, and the bytes it unpacks to."""

    sha256: Sha256
    stored_bytes: Bytes
    raw_bytes: Bytes


class DiskRecord(Record):
    """One disk. `node` is its place in the VM (`scsi0:0`), `file_name` its descriptor's name.

    `descriptor` is the text of its VMDK descriptor as it was; `data_bytes` counts the bytes in
    blocks that are not zero. A pack may hold more than this disk uses of it.
    """

    index: Annotated[int, Field(ge=0, lt=1000)]
    node: str
    file_name: str
    capacity_bytes: Bytes
    block_bytes: Bytes
    frame_bytes: Bytes
    descriptor: str
    data_bytes: Bytes
    map: StoredObject
    sums: StoredObject
    packs: tuple[PackRef, ...]

    @model_validator(mode="after")
    def _sizes_fit(self) -> Self:
        try:
            block_bytes = block_bytes_for(self.capacity_bytes)
        except CesoError as fault:
            raise ValueError(fault.message) from None
        if (self.block_bytes, self.frame_bytes) != (block_bytes, frame_bytes_for(block_bytes)):
            raise ValueError("block and frame size are not those of a disk of this capacity")
        if self.data_bytes > self.capacity_bytes:
            raise ValueError("a disk cannot hold more data than its capacity")
        return self


class FileRecord(Record):
    """A file kept whole in `files.tar`: the .vmx, the descriptors, nvram."""

    name: Annotated[str, AfterValidator(_file_name)]
    bytes: Bytes
    sha256: Sha256


class NotIncluded(Record):
    """Something of the VM that is not in the backup, and why, in plain words."""

    what: str
    why: str


class VmRecord(Record):
    """The VM as it was: `uuid_bios` is its identity, `vmx_path` where it was registered."""

    name: str
    uuid_bios: str
    vmx_path: str
    guest_os: str = ""


class HostRecord(Record):
    """The host it was taken from."""

    name: str
    esxi_version: str
    esxi_build: str


class Manifest(Record):
    """One backup. `created` is its start, `finished` when its last byte was safe; both UTC.

    `consistency`: `powered_off` (cold), `crash` (as after a power cut), `filesystem` (quiesced by
    the guest's tools). `parent` is the backup it was compared with, for information: no backup
    needs another. `raw_bytes` is the sum of the disks' data and the files, `stored_bytes` of every
    object the backup names, shared ones included. `signature` says that `manifest.json.sig` is an
    OpenSSH signature of this file.
    """

    format: Literal["ceso-backup"] = FORMAT
    version: Literal[1] = VERSION
    id: Annotated[str, AfterValidator(_backup_id)]
    state: Literal["complete", "partial"]
    kind: Literal["cold", "hot"]
    consistency: Literal["powered_off", "crash", "filesystem"]
    created: Utc
    finished: Utc
    tool_version: str
    repository: str
    encryption: Literal["none", "age", "openpgp"]
    parent: str | None = None
    signature: Literal["sshsig"] | None = None
    vm: VmRecord
    host: HostRecord
    raw_bytes: Bytes
    stored_bytes: Bytes
    not_included: tuple[NotIncluded, ...] = ()
    files: tuple[FileRecord, ...] = ()
    files_object: StoredObject | None = None
    disks: tuple[DiskRecord, ...] = ()

    @model_validator(mode="after")
    def _agrees_with_itself(self) -> Self:
        if [disk.index for disk in self.disks] != sorted({disk.index for disk in self.disks}):
            raise ValueError("disks are listed once each, by index")
        if len({file.name for file in self.files}) != len(self.files):
            raise ValueError("a file is listed twice")
        if bool(self.files) != (self.files_object is not None):
            raise ValueError("files and their archive are listed together")
        if self.created != BackupId.parse(self.id).taken or self.finished < self.created:
            raise ValueError("the times do not fit the id")
        if self.raw_bytes != sum(d.data_bytes for d in self.disks) + sum(f.bytes for f in self.files):
            raise ValueError("the raw total is not the sum of its parts")
        if self.stored_bytes != sum(self.stored_objects().values()):
            raise ValueError("the stored total is not the sum of its parts")
        return self

    @property
    def data_bytes(self) -> int:
        """Bytes of all disks in blocks that are not zero."""
        return sum(disk.data_bytes for disk in self.disks)

    @property
    def backup_id(self) -> BackupId:
        return BackupId.parse(self.id)

    def disk(self, index: int) -> DiskRecord | None:
        return next((disk for disk in self.disks if disk.index == index), None)

    def stored_objects(self) -> dict[str, int]:
        """Every object the backup names, packs by hash, and its stored size in bytes; each once."""
        return stored_sizes(self.disks, self.files_object)


def stored_sizes(disks: tuple[DiskRecord, ...], files: StoredObject | None) -> dict[str, int]:
    sizes = {pack.sha256: pack.stored_bytes for disk in disks for pack in disk.packs}
    sizes |= {part.object: part.bytes for disk in disks for part in (disk.map, disk.sums)}
    return sizes if files is None else sizes | {files.object: files.bytes}
