"""The text of a `.vmdk` descriptor (fact sheet vmkfstools-and-files §4, sample flat-thin-esxi80u1-4)."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field

from .fault import DiskFault

SECTOR = 512
NO_PARENT = "ffffffff"
LIMIT_BYTES = 64 << 10
_EXTENT = re.compile(r'^(RW|RDONLY|NOACCESS) (\d+) ([A-Z0-9]+) "([^"]*)"')
_KNOWN = ("version", "encoding", "CID", "parentCID", "createType", "parentFileNameHint", "changeTrackPath")


@dataclass
class Descriptor:
    """What a descriptor says; `sectors` counts 512 bytes, `parent_hint` is empty for a base disk.

    `extents` are (sectors, type, name) of every extent line; the first is `extent_type`, `extent_name`.
    `more` holds the lines of the head that the lab has no use for (`isNativeSnapshot`, `encryptionKeys`).
    """

    cid: str
    create_type: str
    sectors: int
    extent_type: str
    extent_name: str
    parent_cid: str = NO_PARENT
    parent_hint: str = ""
    ddb: dict[str, str] = field(default_factory=dict)
    track_path: str = ""
    more: dict[str, str] = field(default_factory=dict)
    extents: tuple[tuple[int, str, str], ...] = ()

    @property
    def thin(self) -> bool:
        return self.ddb.get("thinProvisioned") == "1"

    @property
    def size_bytes(self) -> int:
        return self.sectors * SECTOR

    def render(self) -> str:
        """The text in the order that 8.0 U1 writes."""
        sparse = self.create_type == "seSparse"
        lines = ["# Disk DescriptorFile", f"version={3 if self.track_path else 1}"]
        lines += [] if sparse else ['encoding="UTF-8"']
        lines += [f"CID={self.cid}", f"parentCID={self.parent_cid}"]
        lines += [f'{key}="{value}"' for key, value in self.more.items()]
        lines += [f'createType="{self.create_type}"']
        if self.parent_hint:
            lines.append(f'parentFileNameHint="{self.parent_hint}"')
        lines += [] if self.parent_hint else [""]
        extents = self.extents[1:]
        lines += ["# Extent description", f'RW {self.sectors} {self.extent_type} "{self.extent_name}"']
        if extents:
            lines[-1] = f'RW {self.extents[0][0]} {self.extent_type} "{self.extent_name}"'
            lines += [f'RW {sectors} {kind} "{name}"' for sectors, kind, name in extents]
        lines.append("")
        if self.track_path:
            lines += ["# Change Tracking File", f'changeTrackPath="{self.track_path}"', ""]
        lines += ["# The Disk Data Base ", "#DDB", ""]
        lines += [f'ddb.{key} = "{self.ddb[key]}"' for key in sorted(self.ddb)]
        return "\n".join(lines) + "\n"


def parse(text: str) -> Descriptor:
    """Read a descriptor. Raises `DiskFault` 15 for anything else."""
    head: dict[str, str] = {}
    ddb: dict[str, str] = {}
    extents: list[tuple[int, str, str]] = []
    if not text.lstrip().startswith("# Disk DescriptorFile"):
        raise DiskFault(15)
    for line in text.splitlines():
        line = line.strip()
        if not line or line.startswith("#"):
            continue
        found = _EXTENT.match(line)
        if found:
            extents.append((int(found[2]), found[3], found[4]))
            continue
        key, equals, value = line.partition("=")
        if not equals:
            raise DiskFault(15)
        key, value = key.strip(), value.strip().strip('"')
        if key.startswith("ddb."):
            ddb[key[4:]] = value
        else:
            head[key] = value
    if not extents or "CID" not in head or "createType" not in head:
        raise DiskFault(15)
    _, kind, name = extents[0]
    return Descriptor(
        cid=head["CID"],
        create_type=head["createType"],
        sectors=sum(extent[0] for extent in extents),
        extent_type=kind,
        extent_name=name,
        parent_cid=head.get("parentCID", NO_PARENT),
        parent_hint=head.get("parentFileNameHint", ""),
        ddb=ddb,
        track_path=head.get("changeTrackPath", ""),
        more={key: value for key, value in head.items() if key not in _KNOWN},
        extents=tuple(extents),
    )


def load(path: str) -> Descriptor:
    """The descriptor at `path`; `DiskFault` 25 when it is not there, 15 when it is an extent or not text."""
    try:
        with open(path, "rb") as file:
            content = file.read(LIMIT_BYTES + 1)
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        raise DiskFault(25) from None
    content = content.rstrip(b"\0")  # other programs pad what they write
    if len(content) > LIMIT_BYTES or b"\0" in content:
        raise DiskFault(15)
    return parse(content.decode("utf-8", "replace"))


def store(path: str, descriptor: Descriptor) -> None:
    """Write the descriptor, mode 0600, in one rename."""
    temporary = f"{path}~"
    handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(descriptor.render())
    os.replace(temporary, path)


def geometry(sectors: int) -> dict[str, str]:
    """Cylinders, heads and sectors of a SCSI disk (§4: 255/63, or 64/32 below 1 GiB: assumed bound)."""
    heads, per_track = (255, 63) if sectors * SECTOR >= 1 << 30 else (64, 32)
    return {
        "geometry.cylinders": str(sectors // heads // per_track),
        "geometry.heads": str(heads),
        "geometry.sectors": str(per_track),
    }


def new_cid() -> str:
    """A content id that is neither the reserved ffffffff nor fffffffe."""
    while True:
        cid = os.urandom(4).hex()
        if cid not in ("ffffffff", "fffffffe", "00000000"):
            return cid


def spaced_uuid(raw: bytes) -> str:
    """16 bytes as the host prints them: `60 00 c2 9a 11 22 33 44-55 66 …`."""
    pairs = [f"{byte:02x}" for byte in raw]
    return " ".join(pairs[:8]) + "-" + " ".join(pairs[8:])


def new_flat(extent_name: str, sectors: int, *, thin: bool) -> Descriptor:
    """The descriptor of a fresh flat disk: new CID, longContentID that ends in it, new ddb.uuid (§4)."""
    cid = new_cid()
    uuid = "60 00 C2 9" + spaced_uuid(b"\0\0\0" + os.urandom(13))[10:]
    ddb = {
        "adapterType": "lsilogic",
        "deletable": "true",
        **geometry(sectors),
        "longContentID": os.urandom(12).hex() + cid,
        "toolsInstallType": "4",
        "toolsVersion": "2147483647",
        "uuid": uuid,
        "virtualHWVersion": "20",
    }
    if thin:
        ddb["thinProvisioned"] = "1"
    return Descriptor(
        cid=cid,
        create_type="vmfs",
        sectors=sectors,
        extent_type="VMFS",
        extent_name=extent_name,
        ddb=ddb,
    )
