"""The text descriptor of a virtual disk: identity, parent, extents and disk database.

Source: fact sheet vmkfstools-and-files §4.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from ceso_mcp.errors import Unreadable

SECTOR_BYTES = 512
NO_PARENT = "ffffffff"

_WHAT = "disk descriptor"
_FIRST = "# Disk DescriptorFile"
_HEADER = re.compile(r'([A-Za-z][A-Za-z0-9]*)[ \t]*=[ \t]*(?:"([^"]*)"|([^"\s]+))')
_DDB = re.compile(r'(ddb\.[A-Za-z0-9_.]+)[ \t]*=[ \t]*"([^"]*)"')
_EXTENT = re.compile(
    r'(RW|RDONLY|NOACCESS)[ \t]+([0-9]{1,15})[ \t]+([A-Z0-9]+)(?:[ \t]+"([^"]+)"(?:[ \t]+([0-9]{1,15}))?)?'
)
_HEX = re.compile(r"[0-9a-fA-F]{1,8}")


@dataclass(frozen=True, slots=True)
class Extent:
    """A file (or part of one) that holds sectors of the disk. `offset` is in sectors."""

    access: str
    sectors: int
    type: str
    file_name: str
    offset: int | None


@dataclass(frozen=True, slots=True)
class Descriptor:
    """A descriptor as read. `cid` and `parent_cid` are eight hexadecimal digits, lower case.

    `ddb` holds the disk database in the order of the file (keys with `ddb.`); `other` what else
    stands in the header. File names are as written: relative to the descriptor's folder or
    absolute (fact sheet vmkfstools-and-files §4).
    """

    version: int
    encoding: str | None
    cid: str
    parent_cid: str
    create_type: str
    parent_file_name_hint: str | None
    change_track_path: str | None
    encrypted: bool
    extents: tuple[Extent, ...]
    ddb: Mapping[str, str]
    other: Mapping[str, str]
    text: str = field(repr=False)

    @classmethod
    def parse(cls, text: str) -> Descriptor:
        """Read a descriptor; raises Unreadable for a line of unknown form or a missing part.

        The binary files that share its name (a sparse extent, a flat file) are not descriptors and
        raise too.
        """
        lines = [line.rstrip("\r").strip(" \t") for line in text.split("\n")]
        if lines[0] != _FIRST:
            raise Unreadable(_WHAT, f"it does not begin with {_FIRST!r}", line=lines[0])
        header: dict[str, str] = {}
        extents: list[Extent] = []
        ddb: dict[str, str] = {}
        for line in lines:
            if not line or line.startswith("#"):
                continue
            if found := _EXTENT.fullmatch(line):
                access, sectors, kind, name, offset = found.groups()
                extents.append(
                    Extent(access, int(sectors), kind, name or "", int(offset) if offset else None)
                )
            elif found := _DDB.fullmatch(line):
                _add(ddb, found.group(1), found.group(2), line)
            elif found := _HEADER.fullmatch(line):
                value = found.group(2) if found.group(2) is not None else found.group(3)
                _add(header, found.group(1), value, line)
            else:
                raise Unreadable(_WHAT, "a line has none of the known forms", line=line)
        return cls._of(header, extents, ddb, text)

    @classmethod
    def _of(cls, header: dict[str, str], extents: list[Extent], ddb: dict[str, str], text: str) -> Descriptor:
        version = header.pop("version", "")
        create_type = header.pop("createType", "")
        if not re.fullmatch("[0-9]{1,4}", version) or not create_type:
            raise Unreadable(_WHAT, "it has no version or no createType")
        if not extents:
            raise Unreadable(_WHAT, "it has no extent")
        for extent in extents:
            if not extent.file_name and extent.type != "ZERO":
                raise Unreadable(_WHAT, f"an extent of type {extent.type} names no file")
        return cls(
            version=int(version),
            encoding=header.pop("encoding", None) or ddb.get("ddb.encoding"),
            cid=_content_id(header, "CID"),
            parent_cid=_content_id(header, "parentCID"),
            create_type=create_type,
            parent_file_name_hint=header.pop("parentFileNameHint", None) or None,
            change_track_path=header.pop("changeTrackPath", None) or None,
            encrypted=bool(header.get("encryptionKeys")),
            extents=tuple(extents),
            ddb=ddb,
            other=header,
            text=text,
        )

    def render(self) -> str:
        """The text that was read, unchanged."""
        return self.text

    @property
    def capacity_bytes(self) -> int:
        """The size that the guest sees."""
        return sum(extent.sectors for extent in self.extents) * SECTOR_BYTES

    @property
    def is_thin(self) -> bool:
        """Whether it is labelled thin; what is allocated is for the file system to say."""
        return self.ddb.get("ddb.thinProvisioned") == "1"

    @property
    def has_parent(self) -> bool:
        """Whether it is only a delta over another disk."""
        return self.parent_cid != NO_PARENT or self.parent_file_name_hint is not None

    @property
    def is_rdm(self) -> bool:
        """Whether it stands for a raw device."""
        return "RawDeviceMap" in self.create_type or any(e.type == "VMFSRDM" for e in self.extents)

    @property
    def is_flat(self) -> bool:
        """Whether its extents hold the disk's bytes in order, in clear, and nothing else."""
        return (
            self.create_type in ("vmfs", "monolithicFlat")
            and not self.encrypted
            and all(extent.type in ("VMFS", "FLAT") and not extent.offset for extent in self.extents)
        )

    @property
    def uuid(self) -> str | None:
        """`ddb.uuid`, the identity that the guest sees as the disk's serial number."""
        return self.ddb.get("ddb.uuid")


def _add(values: dict[str, str], key: str, value: str, line: str) -> None:
    if key in values:
        raise Unreadable(_WHAT, f"{key} occurs twice", line=line)
    values[key] = value


def _content_id(header: dict[str, str], key: str) -> str:
    value = header.pop(key, "")
    if not _HEX.fullmatch(value):
        raise Unreadable(_WHAT, f"{key} is not a content id", line=value)
    return value.lower().zfill(8)
