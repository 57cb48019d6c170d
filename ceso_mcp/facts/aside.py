"""Folders that a restore in place has kept aside."""

from __future__ import annotations

from dataclasses import dataclass

from ceso_mcp.esxi.paths import DatastorePath
from ceso_mcp.esxi.vmx import Vmx
from ceso_mcp.fact import Fact, Reading
from ceso_mcp.shell import Glob, sh


@dataclass(frozen=True, slots=True)
class KeptAside(Fact[tuple[DatastorePath, ...]]):
    """The folders that keep what was in the place of the folder of a VM, oldest name first."""

    folder: DatastorePath

    def reading(self) -> Reading[tuple[DatastorePath, ...]]:
        (found,) = yield [sh("ls", "-d", Glob(self.folder, ".before-*"))]
        if not found.ok and "No such file or directory" not in found.output:
            found.require("looking for what is kept aside")
        names = [line.rpartition("/")[2] for line in found.stdout.splitlines()]
        return tuple(self.folder.sibling(name) for name in sorted(names))


@dataclass(frozen=True, slots=True)
class VmxAt(Fact[Vmx | None]):
    """The .vmx at a path; None if there is none."""

    path: DatastorePath

    def reading(self) -> Reading[Vmx | None]:
        (reply,) = yield [sh("cat", self.path)]
        return Vmx.parse(reply.stdout) if reply.ok else None


@dataclass(frozen=True, slots=True)
class FolderEntries(Fact[tuple[str, ...]]):
    """The names in a folder, hidden ones too, sorted; none if there is no such folder."""

    folder: DatastorePath

    def reading(self) -> Reading[tuple[str, ...]]:
        (reply,) = yield [sh("ls", "-A", self.folder)]
        if not reply.ok and "No such file or directory" in reply.output:
            return ()
        return tuple(sorted(reply.require("looking into a folder").splitlines()))
