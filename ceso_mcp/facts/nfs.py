"""What is mounted from NFS servers, and what of the host itself lies on a datastore."""

from __future__ import annotations

import re
from dataclasses import dataclass

from ceso_mcp.errors import HostFault, Unreadable
from ceso_mcp.esxi import esxcli
from ceso_mcp.esxi.paths import DatastorePath
from ceso_mcp.esxi.vmdk import Descriptor
from ceso_mcp.fact import Fact, Reading
from ceso_mcp.shell import sh

LIST_NFS3 = sh("esxcli", "storage", "nfs", "list")
LIST_NFS41 = sh("esxcli", "storage", "nfs41", "list")
MAX_LINKS = 33
"""A base disk and the 32 snapshots that ESXi supports above it (fact sheet vmkfstools §6)."""

_LOGS = re.compile(r"^[ \t]*(?:Local )?Log Output: *(\S.*?)[ \t]*$", re.M)


@dataclass(frozen=True, slots=True)
class NfsMounts(Fact[tuple[esxcli.NfsMount, ...]]):
    """Every mount of NFS 3 and NFS 4.1, whether its server answers or not."""

    def reading(self) -> Reading[tuple[esxcli.NfsMount, ...]]:
        older, newer = yield [LIST_NFS3, LIST_NFS41]
        return (
            *esxcli.nfs_mounts(older.require("listing the NFS 3 mounts")),
            *esxcli.nfs_mounts(newer.require("listing the NFS 4.1 mounts")),
        )


@dataclass(frozen=True, slots=True)
class HostFolders(Fact[tuple[tuple[str, str], ...]]):
    """(what, path below /vmfs/volumes) of the folders that the host itself needs: scratch, and its logs.

    `/scratch` is a link to a folder of a volume; logs are told by `system syslog config get`
    (esxcli-syslog-config-1, -2). What is not told is left out.
    """

    def reading(self) -> Reading[tuple[tuple[str, str], ...]]:
        scratch, logs = yield [
            sh("readlink", "-f", "/scratch"),
            sh("esxcli", "system", "syslog", "config", "get"),
        ]
        told = _LOGS.search(logs.stdout) if logs.ok else None
        found = {
            "scratch folder": scratch.stdout.strip() if scratch.ok else "",
            "log folder": told.group(1) if told else "",
        }
        return tuple((what, path) for what, path in found.items() if path.startswith("/vmfs/volumes/"))


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a disk stands: `files` are the descriptors and extents of its chain, as far as they can be read.

    `unreadable` is the descriptor at which reading ended, if it did.
    """

    disk: DatastorePath
    files: frozenset[DatastorePath]
    unreadable: DatastorePath | None = None


@dataclass(frozen=True, slots=True)
class StandingOf(Fact[tuple[Standing, ...]]):
    """Where each of these disks stands; all of them in as many rounds as the longest chain has links."""

    disks: tuple[DatastorePath, ...]

    def reading(self) -> Reading[tuple[Standing, ...]]:
        files: dict[DatastorePath, set[DatastorePath]] = {disk: {disk} for disk in self.disks}
        unreadable: dict[DatastorePath, DatastorePath] = {}
        waiting = [(disk, disk) for disk in files]
        for _ in range(MAX_LINKS):
            if not waiting:
                break
            replies = yield [sh("cat", link) for _, link in waiting]
            current, waiting = waiting, []
            for (disk, link), reply in zip(current, replies, strict=True):
                try:
                    descriptor = Descriptor.parse(reply.require("reading a descriptor"))
                    files[disk] |= {link.sibling(extent.file_name) for extent in descriptor.extents}
                    if descriptor.has_parent:
                        parent = link.sibling(descriptor.parent_file_name_hint or "")
                        files[disk].add(parent)
                        waiting.append((disk, parent))
                except (Unreadable, HostFault):
                    unreadable[disk] = link
        unreadable |= dict(waiting)
        return tuple(Standing(disk, frozenset(files[disk]), unreadable.get(disk)) for disk in files)
