"""Steps that mount a share of an NFS server as a datastore, and take it away again.

Whether a mount is there is told by the host's list of mounts. The line that asks for it also prints what
is looked for, so that its answer can be read by another process: in recovery.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from ceso_mcp.errors import HostFault, StepFailed
from ceso_mcp.esxi import esxcli
from ceso_mcp.fact import Reply
from ceso_mcp.facts.storage import LIST_DATASTORES
from ceso_mcp.plan import Capture, Captures, NotYet, Recheck, Step, Undo, Until
from ceso_mcp.recipes.judging import HOSTD_DOWN, esxcli_worked, no_answer
from ceso_mcp.shell import Captured, Command, sh

CAPACITY = Captured("capacity_bytes", number=True)
FREE = Captured("free_bytes", number=True)
MOUNT_LIMIT_S = 180.0
"""A server that does not answer is waited for by the host itself."""


@dataclass(frozen=True, slots=True)
class Share:
    """A share and how it is mounted. `servers` are several for NFS 4.1 only: ways to one server."""

    name: str
    version: esxcli.NfsVersion
    servers: tuple[str, ...]
    path: str
    read_only: bool = False
    security: str = ""

    @classmethod
    def of(cls, mount: esxcli.NfsMount) -> Share:
        """The share that a mount is of."""
        plain = mount.security in ("", "AUTH_SYS")
        security = "" if plain else mount.security
        return cls(mount.name, mount.version, mount.servers, mount.share, mount.read_only, security)

    def __str__(self) -> str:
        mode = ", read-only" if self.read_only else ""
        return f"NFS {self.version} {','.join(self.servers)}:{self.path}{mode}"

    def _esxcli(self, verb: str, *words: str) -> Command:
        return sh("esxcli", "storage", "nfs" if self.version == "3" else "nfs41", verb, *words)

    def add(self) -> Command:
        """Mount it (options: VMware's reference of esxcli)."""
        security = ("-a", self.security) if self.security else ()
        read_only = ("-r",) if self.read_only else ()
        words = ("-H", ",".join(self.servers), "-s", self.path, "-v", self.name)
        return self._esxcli("add", *words, *security, *read_only)

    def remove(self) -> Command:
        return self._esxcli("remove", "-v", self.name)

    def list_mounts(self) -> Command:
        return self._esxcli("list")

    def look(self) -> Command:
        """The list of mounts, and below it what is looked for; read by `is_mounted` and `is_unmounted`."""
        return self.list_mounts().then(
            sh("printf", "%s\\n", self.name, ",".join(self.servers), self.path, _mode(self.read_only))
        )

    def same_files(self, mount: esxcli.NfsMount) -> bool:
        """Whether `mount` is of the same share, as far as the names of servers tell."""
        return bool(_lower(self.servers) & _lower(mount.servers)) and self.path.rstrip(
            "/"
        ) == mount.share.rstrip("/")

    def mount_steps(self, wait_s: float) -> list[Step]:
        """Mount it, see that its server answers, and tell its size; if it does not, the mount is removed."""
        return [
            Step(
                "mount the share as a datastore",
                self.add(),
                judge=esxcli_worked,
                recheck=Recheck(self.look(), is_mounted),
                undo=Undo((self.remove().otherwise(self.look()),), when="succeeded", done=unmounted),
                timeout_s=MOUNT_LIMIT_S,
            ),
            Step(
                "see that its server answers",
                self.list_mounts(),
                until=Until(
                    "accessible", self._accessible, f"{self.name} to be accessible", wait_s, every_s=2.0
                ),
                reads_only=True,
            ),
            Step(
                "see its size",
                LIST_DATASTORES,
                capture=(
                    Capture(CAPACITY.name, lambda reply: str(self._volume(reply).size_bytes)),
                    Capture(FREE.name, lambda reply: str(self._volume(reply).free_bytes)),
                ),
                reads_only=True,
                completes=True,
            ),
        ]

    def unmount_steps(self, *, can_be_added_again: bool) -> list[Step]:
        """Take it away, and see that it is gone."""
        again = Undo((self.add().otherwise(self.look()),), done=mounted_again, timeout_s=MOUNT_LIMIT_S)
        return [
            Step(
                "unmount the datastore; its files stay on the server",
                self.remove(),
                judge=esxcli_worked,
                recheck=Recheck(self.look(), is_unmounted),
                undo=again if can_be_added_again else None,
                completes=True,
                timeout_s=MOUNT_LIMIT_S,
            ),
            Step(
                "see that it is gone",
                self.look(),
                judge=unmounted,
                reads_only=True,
                keep_on_failure=True,
            ),
        ]

    def _accessible(self, reply: Reply) -> str | NotYet:
        if no_answer(reply):
            return NotYet(HOSTD_DOWN)
        mounts = esxcli.nfs_mounts(reply.require("listing the mounts"))
        mount = next((one for one in mounts if one.name == self.name), None)
        if mount is None:
            return NotYet("it is not in the list of mounts")
        return "yes" if mount.accessible and mount.mounted else NotYet("the host calls it inaccessible")

    def _volume(self, reply: Reply) -> esxcli.Volume:
        for volume in esxcli.filesystems(reply.require("listing the datastores")):
            if volume.name == self.name:
                return volume
        raise StepFailed(f"datastore {self.name!r} is not among the host's volumes", code="not_mounted")


def is_mounted(reply: Reply) -> Mapping[str, str] | None:
    """Reads `Share.look`: the share is mounted, just so."""
    seen = _seen(reply)
    return {} if seen.as_wanted else None


def is_unmounted(reply: Reply) -> Mapping[str, str] | None:
    """Reads `Share.look`: nothing is mounted under that name from that share."""
    return None if _seen(reply).there else {}


def unmounted(reply: Reply, captures: Captures) -> None:
    """Judge of `Share.look`, alone or after a removal that failed: it is gone."""
    seen = _seen(reply)
    if seen.there:
        raise HostFault(f"it is still mounted{seen.said}", code="command_failed")


def mounted_again(reply: Reply, captures: Captures) -> None:
    """Judge of `Share.look`, alone or after a mounting that failed; one that worked prints no list."""
    seen = _seen(reply)
    if seen.said and not seen.as_wanted:
        raise HostFault(f"it is not mounted{seen.said}", code="command_failed")


@dataclass(frozen=True, slots=True)
class _Seen:
    there: bool
    as_wanted: bool
    said: str


def _lower(servers: Iterable[str]) -> set[str]:
    return {server.lower() for server in servers}


def _mode(read_only: bool) -> str:
    return "read-only" if read_only else "read-write"


def _seen(reply: Reply) -> _Seen:
    esxcli_worked(reply, {})
    lines = reply.stdout.splitlines()
    if len(lines) < 4:
        raise StepFailed("the host did not answer whether the share is mounted", code="unreadable")
    name, servers, path, mode = lines[-4:]
    start = next((at for at, line in enumerate(lines) if line.startswith("Volume Name ")), len(lines) - 4)
    said = " ".join(line.strip() for line in lines[:start] if line.strip())
    for mount in esxcli.nfs_mounts("\n".join(lines[start:-4])):
        same = _lower(mount.servers) == _lower(servers.split(","))
        if mount.name == name and mount.share == path and same:
            return _Seen(True, _mode(mount.read_only) == mode, f": {said}" if said else "")
    return _Seen(False, False, f": {said}" if said else "")
