"""The marks that runs leave on datastores while they work."""

from __future__ import annotations

import re
from dataclasses import dataclass

from ceso_mcp.errors import HostFault
from ceso_mcp.esxi import esxcli
from ceso_mcp.esxi.paths import DatastorePath
from ceso_mcp.fact import Fact, Reading
from ceso_mcp.shell import Glob, sh

_MARK = re.compile(r"\.ceso-([0-9a-f]{8})(-\d+)?")
_SNAPSHOT = re.compile(r'(/.+\.vmsd):snapshot\d+\.displayName = "ceso-([0-9a-f]{8})"')


@dataclass(frozen=True, slots=True)
class Mark:
    """A half-made VM's mark (a file in its folder) or a temporary folder, and the run it is of."""

    path: DatastorePath
    run: str
    temporary: bool


@dataclass(frozen=True, slots=True)
class Marks(Fact[tuple[Mark, ...]]):
    """Every mark on a mounted datastore, in order of its path."""

    def reading(self) -> Reading[tuple[Mark, ...]]:
        listing = sh("ls", "-d", Glob("/vmfs/volumes/", "*/*/.ceso-*"), Glob("/vmfs/volumes/", "*/.ceso-*"))
        volumes, found = yield [sh("esxcli", "storage", "filesystem", "list"), listing]
        names = {volume.name for volume in esxcli.filesystems(volumes.require("listing the datastores"))}
        if not found.ok and "No such file or directory" not in found.output:
            raise HostFault(f"looking for marks failed: {found.output.strip()[-200:]}", code="command_failed")
        marks = []
        for line in found.stdout.splitlines():
            path = DatastorePath.from_posix(line)
            match = _MARK.fullmatch(path.name)
            if match and path.datastore in names:  # each is listed under the datastore's UUID too
                marks.append(Mark(path, match.group(1), match.group(2) is not None))
        return tuple(sorted(marks, key=lambda mark: str(mark.path)))


@dataclass(frozen=True, slots=True)
class OurSnapshot:
    """A snapshot that a run took for a backup: in which .vmsd it is listed, and the run."""

    vmsd: DatastorePath
    run: str

    @property
    def path(self) -> DatastorePath:
        """The folder of the VM."""
        return self.vmsd.parent


@dataclass(frozen=True, slots=True)
class OurSnapshots(Fact[tuple[OurSnapshot, ...]]):
    """Every snapshot that bears a run's name, on any VM; each once, by its datastore's name."""

    def reading(self) -> Reading[tuple[OurSnapshot, ...]]:
        looking = sh("grep", "-H", 'displayName = "ceso-', Glob("/vmfs/volumes/", "*/*/*.vmsd"))
        volumes, found = yield [sh("esxcli", "storage", "filesystem", "list"), looking]
        names = {volume.name for volume in esxcli.filesystems(volumes.require("listing the datastores"))}
        if found.exit_status not in (0, 1) and "No such file or directory" not in found.output:
            said = found.output.strip()[-200:]
            raise HostFault(f"looking for snapshots failed: {said}", code="command_failed")
        ours = []
        for line in found.stdout.splitlines():
            match = _SNAPSHOT.fullmatch(line)
            if match is None:
                continue  # another name that begins alike
            path = DatastorePath.from_posix(match.group(1))
            if path.datastore in names:
                ours.append(OurSnapshot(path, match.group(2)))
        return tuple(sorted(ours, key=lambda snapshot: str(snapshot.vmsd)))


@dataclass(frozen=True, slots=True)
class SecondsSinceChange(Fact[int]):
    """How long ago a folder or a file in it was last written, by the host's own clock."""

    folder: DatastorePath

    def reading(self) -> Reading[int]:
        now, times = yield [
            sh("date", "+%s"),
            sh("stat", "-c", "%Y", self.folder, Glob(self.folder, "/*")),
        ]
        changed = [int(word) for word in times.stdout.split()]
        if not changed:
            times.require("looking at the times of files")
        return int(now.require("asking for the time")) - max(changed)
