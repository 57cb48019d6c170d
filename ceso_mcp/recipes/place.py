"""A place for a new VM: its folder, its file names, and the checks before anything is made."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from ceso_mcp.errors import Refused
from ceso_mcp.esxi.esxcli import NfsMount, Volume
from ceso_mcp.esxi.paths import DatastorePath
from ceso_mcp.fact import Facts, Reply
from ceso_mcp.facts.inventory import HostVms
from ceso_mcp.facts.nfs import NfsMounts
from ceso_mcp.facts.storage import Datastores, Exists
from ceso_mcp.fields import file_stem
from ceso_mcp.plan import Captures, Estimate, Recheck, Step, Undo
from ceso_mcp.shell import Command, Glob, sh

MARGIN_BYTES = 256 << 20
MARGIN_SHARE = 0.05


@dataclass(frozen=True, slots=True)
class Place:
    """Where a new VM goes. All its files begin with `stem`, in `folder`."""

    name: str
    stem: str
    volume: Volume
    folder: DatastorePath
    run_id: str

    @property
    def mark(self) -> DatastorePath:
        """While this file is there, the folder holds a half-made VM of this run."""
        return self.folder.joined(f".ceso-{self.run_id}")

    @property
    def vmx(self) -> DatastorePath:
        return self.folder.joined(f"{self.stem}.vmx")

    @property
    def nvram(self) -> DatastorePath:
        return self.folder.joined(f"{self.stem}.nvram")

    def disk(self, index: int) -> DatastorePath:
        suffix = "" if index == 0 else f"_{index}"
        return self.folder.joined(f"{self.stem}{suffix}.vmdk")

    def estimate(self, copy_bytes: int) -> Estimate:
        free = self.volume.free_bytes
        return Estimate(copy_bytes, self.volume.name, free, free - copy_bytes)

    def has_room(self, wanted_bytes: int) -> bool:
        """Whether `wanted_bytes` and a margin fit."""
        return wanted_bytes + _margin(wanted_bytes) <= self.volume.free_bytes

    def require_room(self, wanted_bytes: int, what: str) -> None:
        """Refuse, code `datastore_full`, unless `wanted_bytes` and a margin fit."""
        if not self.has_room(wanted_bytes):
            raise Refused(
                f"datastore {self.volume.name!r} has {_gib(self.volume.free_bytes)} free, but {what} needs "
                f"{_gib(wanted_bytes)} and a margin of {_gib(_margin(wanted_bytes))}",
                code="datastore_full",
                hint="free some space or choose another datastore",
            )

    def claim(self, why: str = "make the VM's folder") -> Step:
        """Make the folder, marked as being made by this run. `mkdir` fails if it exists: of two runs one
        gets it, and it is empty.

        Undone by removing what begins with our stem and what hostd adds by itself, then the folder;
        anything else in it is not ours and makes `rmdir` refuse.
        """
        return Step(
            why,
            sh("mkdir", self.folder).then(sh("touch", self.mark)),
            recheck=Recheck(sh("ls", "-d", self.mark), is_there),
            undo=Undo(
                (
                    sh(
                        "rm",
                        "-f",
                        Glob(self.folder.joined(self.stem), "*"),
                        Glob(self.folder, "/vmware*.log"),
                        Glob(self.folder, "/vmx-*.vswp"),
                        Glob(self.folder, f"/.ceso-{self.run_id}*"),
                    ),
                    sh("rmdir", self.folder),
                ),
                when="succeeded",
                done=removed,
            ),
        )

    def owned(self, steps: Iterable[Step]) -> list[Step]:
        """Steps that make things in the claimed folder: undone later only while our mark is there."""
        look = sh("ls", "-d", self.mark)
        return [
            step if step.undo is None else replace(step, undo=replace(step.undo, only_if=look))
            for step in steps
        ]

    def hand_over(self, others: Iterable[Place] = ()) -> Step:
        """The VM is made: take the mark and the notes of the copies away. From here on nothing is undone.

        `others` are folders of its disks on other datastores: one command takes their marks first, so that
        none is left that says of a finished VM's disk that it is half made.
        """
        folders = [*(place.folder for place in others), self.folder]
        return Step(
            "take the run's mark off the VM's folder" + ("s" if len(folders) > 1 else ""),
            remove_marks(folders, self.run_id),
            recheck=Recheck(sh("ls", "-d", self.mark), is_gone),
            repeatable=True,
            completes=True,
        )


def remove_marks(folders: Iterable[DatastorePath], run_id: str) -> Command:
    """Remove a run's marks and its copies' notes from `folders`, in order, and its process ids from /tmp."""
    marks = [Glob(folder, f"/.ceso-{run_id}*") for folder in folders]
    return sh("rm", "-f", *marks, Glob(f"/tmp/ceso-{run_id}", "*.pid"))


def while_there(path: DatastorePath, command: Command) -> Command:
    """`command` as long as `path` is there; else nothing, which counts as done."""
    return sh("test", "!", "-e", path).otherwise(command)


def is_there(reply: Reply) -> Mapping[str, str] | None:
    """Reads `ls -d`: the thing was made."""
    return None if "No such file or directory" in reply.output else _listed(reply)


def is_gone(reply: Reply) -> Mapping[str, str] | None:
    """Reads `ls -d`: the thing was removed."""
    if "No such file or directory" in reply.output:
        return {}
    _listed(reply)
    return None


def _listed(reply: Reply) -> Mapping[str, str]:
    reply.require("looking for it")
    return {}


def removed(reply: Reply, captures: Captures) -> None:
    """Judge of removing: done, or the thing was not there."""
    if reply.ok or "No such file or directory" in reply.output:
        return
    reply.require("removing")


async def choose_place(facts: Facts, name: str, datastore: str, vms: HostVms) -> Place:
    """A free place for a VM called `name`; raises Refused for every way it could collide."""
    stem = file_stem(name)
    volume = await mounted_volume(facts, datastore)
    same = [vm for vm in vms.vms if vm.name.casefold() == name.casefold()]
    if same:
        raise Refused(
            f"a VM called {same[0].name!r} exists already", code="name_taken", hint="choose another name"
        )
    folder = DatastorePath(datastore, stem)
    if await facts.read(Exists(folder)):
        raise Refused(
            f"the folder {folder} exists already, though no VM of that name is registered",
            code="folder_exists",
            hint="it may be what is left of another VM; look at it, or choose another name",
        )
    return Place(name, stem, volume, folder, facts.fixed.run_id)


async def mounted_volume(facts: Facts, datastore: str) -> Volume:
    """The datastore of that name; raises Refused `no_such_datastore`, `datastore_unavailable`
    or `datastore_read_only`."""
    stores: tuple[Volume, ...] = await facts.read(Datastores())
    volume = next((v for v in stores if v.name == datastore), None)
    if volume is None:
        known = ", ".join(repr(v.name) for v in stores) or "none"
        raise Refused(
            f"there is no datastore {datastore!r}", code="no_such_datastore", hint=f"datastores here: {known}"
        )
    if not volume.mounted:
        raise Refused(f"datastore {datastore!r} is not mounted", code="datastore_unavailable")
    if volume.type.startswith("NFS"):
        await _refuse_share(facts, datastore)
    return volume


def _margin(wanted_bytes: int) -> int:
    return max(MARGIN_BYTES, int(wanted_bytes * MARGIN_SHARE))


async def _refuse_share(facts: Facts, datastore: str) -> None:
    mounts: tuple[NfsMount, ...] = await facts.read(NfsMounts())
    for mount in mounts:
        if mount.name != datastore:
            continue
        if not mount.accessible:
            servers = ", ".join(mount.servers)
            raise Refused(
                f"the server of datastore {datastore!r} ({servers}) does not answer",
                code="datastore_unavailable",
            )
        if mount.read_only:
            raise Refused(f"datastore {datastore!r} is mounted read-only", code="datastore_read_only")


def _gib(count: int) -> str:
    return f"{count / 2**30:.1f} GiB"


def portgroup_problem(wanted: str, known: Any) -> Refused:
    names = ", ".join(repr(p.name) for p in known)
    return Refused(
        f"there is no portgroup {wanted!r}", code="no_such_portgroup", hint=f"portgroups here: {names}"
    )
