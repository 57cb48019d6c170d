"""VMDK descriptors: the small text files that name a disk's extents (fact sheet vmkfstools §4)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from ceso_mcp.errors import Unreadable

SECTOR_BYTES = 512
_EXTENT = re.compile(r'^(RW|RDONLY|NOACCESS)\s+(\d+)\s+([A-Z0-9]+)(?:\s+"(.*)"(?:\s+(\d+))?)?\s*$')
_SETTING = re.compile(r'^\s*([A-Za-z0-9_.]+)\s*=\s*(?:"(.*)"|(\S*))\s*$')


@dataclass(frozen=True, slots=True)
class Extent:
    """One extent: `type` VMFS, VMFSSPARSE, SESPARSE, FLAT, VMFSRDM…"""

    access: str
    sectors: int
    type: str
    file_name: str


@dataclass(frozen=True, slots=True)
class Descriptor:
    """A descriptor as read; `text` is its source."""

    text: str
    header: Mapping[str, str]
    extents: tuple[Extent, ...]
    ddb: Mapping[str, str]

    @classmethod
    def parse(cls, text: str) -> Descriptor:
        """Read a descriptor; raises Unreadable for a line it does not know."""
        if not text.lstrip().startswith("# Disk DescriptorFile"):
            raise Unreadable(
                "a disk descriptor", "it does not begin with '# Disk DescriptorFile'", line=text[:80]
            )
        header: dict[str, str] = {}
        ddb: dict[str, str] = {}
        extents: list[Extent] = []
        for line in text.replace("\x00", "").replace("\r\n", "\n").split("\n"):
            if not line.strip() or line.lstrip().startswith("#"):
                continue
            extent = _EXTENT.match(line)
            if extent:
                extents.append(Extent(extent[1], int(extent[2]), extent[3], extent[4] or ""))
                continue
            setting = _SETTING.match(line)
            if setting is None:
                raise Unreadable("a disk descriptor", "a line is neither setting nor extent", line=line)
            value = setting[2] if setting[2] is not None else setting[3]
            (ddb if setting[1].startswith("ddb.") else header)[setting[1]] = value
        if "createType" not in header or not extents:
            raise Unreadable("a disk descriptor", "it names no extents or no createType")
        return cls(text, header, tuple(extents), ddb)

    def render(self) -> str:
        return self.text

    @property
    def create_type(self) -> str:
        return self.header["createType"]

    @property
    def cid(self) -> str:
        return self.header.get("CID", "").lower()

    @property
    def parent_cid(self) -> str:
        return self.header.get("parentCID", "ffffffff").lower()

    @property
    def parent_file_name_hint(self) -> str | None:
        return self.header.get("parentFileNameHint")

    @property
    def capacity_bytes(self) -> int:
        return sum(extent.sectors for extent in self.extents) * SECTOR_BYTES

    @property
    def has_parent(self) -> bool:
        return self.parent_cid != "ffffffff" or self.parent_file_name_hint is not None

    @property
    def is_thin(self) -> bool:
        return self.ddb.get("ddb.thinProvisioned") == "1"

    @property
    def is_rdm(self) -> bool:
        return any(extent.type in ("VMFSRDM", "VMFSRDMP", "VMFSRAW") for extent in self.extents) or (
            "RawDeviceMap" in self.create_type
        )

    @property
    def is_flat(self) -> bool:
        return all(extent.type in ("VMFS", "FLAT") for extent in self.extents)
