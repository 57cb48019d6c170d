"""Datastores and what lies on them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePosixPath

from ceso_mcp.backup.actions import Way
from ceso_mcp.backup.dd import rehearsal, rehearsed
from ceso_mcp.errors import Refused, Unreadable
from ceso_mcp.esxi import esxcli
from ceso_mcp.esxi.paths import DatastorePath
from ceso_mcp.esxi.vmdk import Descriptor
from ceso_mcp.fact import Fact, Reading, Reply
from ceso_mcp.shell import Command, sh

LIST_DATASTORES = sh("esxcli", "storage", "filesystem", "list")
MAX_LINKS = 33
"""A base disk and the 32 snapshots that ESXi supports above it (fact sheet vmkfstools §6)."""


@dataclass(frozen=True, slots=True)
class Datastores(Fact[tuple[esxcli.Volume, ...]]):
    """The volumes that hold VMs: VMFS and NFS, by name, mounted and with a name."""

    def reading(self) -> Reading[tuple[esxcli.Volume, ...]]:
        (reply,) = yield [LIST_DATASTORES]
        return datastores_of(reply)


@dataclass(frozen=True, slots=True)
class Volumes(Fact[tuple[esxcli.Volume, ...]]):
    """All volumes, boot banks and the host's own among them."""

    def reading(self) -> Reading[tuple[esxcli.Volume, ...]]:
        (reply,) = yield [LIST_DATASTORES]
        return tuple(esxcli.filesystems(reply.require("listing the datastores")))


def datastores_of(reply: Reply) -> tuple[esxcli.Volume, ...]:
    """Reads `LIST_DATASTORES`."""
    volumes = esxcli.filesystems(reply.require("listing the datastores"))
    return tuple(v for v in volumes if v.name and v.type.startswith(("VMFS-5", "VMFS-6", "NFS", "VMFS-3")))


@dataclass(frozen=True, slots=True)
class Exists(Fact[bool]):
    """Whether something stands at a path already, on a datastore or elsewhere on the host."""

    path: DatastorePath | PurePosixPath

    def reading(self) -> Reading[bool]:
        (reply,) = yield [sh("[", "-e", self.path, "]")]
        return bool(reply.ok)


@dataclass(frozen=True, slots=True)
class Link:
    """One descriptor of a disk and where it lies."""

    path: DatastorePath
    descriptor: Descriptor


@dataclass(frozen=True, slots=True)
class Disk:
    """A virtual disk as it stands: its links from the one in use down to the base.

    `allocated_bytes` is what its extents take on their datastores now.
    """

    links: tuple[Link, ...]
    allocated_bytes: int

    @property
    def capacity_bytes(self) -> int:
        return self.links[0].descriptor.capacity_bytes

    @property
    def top(self) -> Link:
        return self.links[0]

    @property
    def has_snapshots(self) -> bool:
        return len(self.links) > 1

    def extent_paths(self) -> tuple[DatastorePath, ...]:
        return tuple(
            link.path.sibling(extent.file_name) for link in self.links for extent in link.descriptor.extents
        )


@dataclass(frozen=True, slots=True)
class DiskAt(Fact[Disk]):
    """The disk whose descriptor lies at `path`, with the chain below it.

    Allocated sizes come from `du -k` (fact sheet esxcli-and-shell §3.7). Raises Refused
    `disk_missing` if a descriptor of the chain cannot be read.
    """

    path: DatastorePath

    def reading(self) -> Reading[Disk]:
        links: list[Link] = []
        path = self.path
        while True:
            (reply,) = yield [sh("cat", path)]
            if not reply.ok:
                raise Refused(f"the disk descriptor {path} cannot be read", code="disk_missing")
            link = Link(path, Descriptor.parse(reply.stdout))
            links.append(link)
            if not link.descriptor.has_parent:
                break
            if len(links) > MAX_LINKS:
                raise Unreadable("a snapshot chain", f"it has more than {MAX_LINKS} links")
            path = path.sibling(link.descriptor.parent_file_name_hint or "")
        extents = Disk(tuple(links), 0).extent_paths()
        sizes = yield [sh("du", "-k", extent) for extent in extents]
        return Disk(tuple(links), sum(_kib(size.require("measuring a disk")) for size in sizes) * 1024)


def _kib(output: str) -> int:
    number = output.split(None, 1)[0] if output.strip() else ""
    if not number.isdigit():
        raise Unreadable("du -k", "it does not begin with a number", line=output)
    return int(number)


@dataclass(frozen=True, slots=True)
class Ways:
    """What the host can read and write disks with; None if it can not."""

    reading: Way | None
    writing: Way | None


@dataclass(frozen=True, slots=True)
class DiskWays(Fact[Ways]):
    """What the host reads and writes disks with: its python3, else its `dd`.

    Which of them it has is told by `which` (fact sheet esxcli-and-shell §3.1). Whether its `dd`
    can write them is tried on /dev/null (`backup.dd.rehearsal`): no capture of a host shows that it
    knows `iflag=fullblock`.
    """

    def reading(self) -> Reading[Ways]:
        python, dd = yield [_which("python3"), _which("dd")]
        if _found(python):
            return Ways("python3", "python3")
        if not _found(dd):
            return Ways(None, None)
        (tried,) = yield [rehearsal()]
        return Ways("dd", "dd" if tried.ok and rehearsed(tried.stdout) else None)


def _found(reply: Reply) -> bool:
    return bool(reply.ok and reply.stdout.strip())


def _which(name: str) -> Command:
    return sh("which", name)
