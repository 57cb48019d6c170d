"""The .vmsd: which snapshots a VM has (fact sheet vmkfstools-and-files §6).

An entry goes before its delta is merged: an empty tree does not prove that disks are consolidated.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from ceso_mcp.errors import Unreadable
from ceso_mcp.esxi.dictionary import Dictionary

_WHAT = ".vmsd file"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class _Vmsd(Dictionary):
    __slots__ = ()
    what = _WHAT


@dataclass(frozen=True, slots=True)
class SnapshotDisk:
    """A disk in a snapshot. `file_name` is the link that the snapshot froze."""

    node: str
    file_name: str


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One snapshot. `parent_uid` is None at a root; `file_name` is its .vmsn."""

    uid: int
    parent_uid: int | None
    name: str
    description: str
    file_name: str
    created: datetime | None
    disks: tuple[SnapshotDisk, ...]


@dataclass(frozen=True, slots=True)
class SnapshotFile:
    """All snapshots, in the order of the file. `current_uid` is None if the VM has none."""

    snapshots: tuple[Snapshot, ...]
    current_uid: int | None
    last_uid: int

    def find(self, uid: int) -> Snapshot | None:
        """The snapshot with this uid."""
        return next((one for one in self.snapshots if one.uid == uid), None)

    def chain(self) -> list[Snapshot]:
        """From the root to the current snapshot."""
        found: list[Snapshot] = []
        uid = self.current_uid
        while uid is not None and (one := self.find(uid)) is not None:
            found.append(one)
            uid = one.parent_uid
        return found[::-1]


def parse_vmsd(text: str) -> SnapshotFile:
    """Read a .vmsd; an empty file is a VM that never had a snapshot.

    Raises Unreadable if the count, a parent or the current snapshot does not fit the entries, if a
    uid occurs twice, or if parents form a circle.
    """
    file = _Vmsd.parse(text)
    count = file.number("snapshot.numSnapshots") or 0
    prefixes = {key.split(".")[0].lower() for key, _ in file if key.lower().startswith("snapshot")}
    numbers = {prefix.removeprefix("snapshot") for prefix in prefixes} - {""}
    if numbers != {str(index) for index in range(count)}:
        raise Unreadable(_WHAT, f"it says that it has {count} snapshots and has others")
    snapshots = tuple(_snapshot(file, index) for index in range(count))
    current = file.number("snapshot.current")
    found = SnapshotFile(snapshots, current or None, file.number("snapshot.lastUID") or 0)
    _check(found)
    return found


def _snapshot(file: Dictionary, index: int) -> Snapshot:
    prefix = f"snapshot{index}"
    uid = file.number(f"{prefix}.uid")
    if uid is None:
        raise Unreadable(_WHAT, f"{prefix} has no uid")
    disks = tuple(
        SnapshotDisk(file.require(f"{prefix}.disk{disk}.node"), file.require(f"{prefix}.disk{disk}.fileName"))
        for disk in range(file.number(f"{prefix}.numDisks") or 0)
    )
    high, low = file.number(f"{prefix}.createTimeHigh"), file.number(f"{prefix}.createTimeLow")
    created = None
    if high is not None and low is not None:
        try:
            created = _EPOCH + timedelta(microseconds=high << 32 | low & 0xFFFFFFFF)
        except OverflowError:
            raise Unreadable(_WHAT, f"{prefix} was made at an impossible time") from None
    return Snapshot(
        uid=uid,
        parent_uid=file.number(f"{prefix}.parent"),
        name=file.get(f"{prefix}.displayName") or "",
        description=file.get(f"{prefix}.description") or "",
        file_name=file.require(f"{prefix}.filename"),
        created=created,
        disks=disks,
    )


def _check(found: SnapshotFile) -> None:
    parents = {one.uid: one.parent_uid for one in found.snapshots}
    if len(parents) != len(found.snapshots):
        raise Unreadable(_WHAT, "a uid occurs twice")
    if found.current_uid is not None and found.current_uid not in parents:
        raise Unreadable(_WHAT, f"the current snapshot {found.current_uid} is not in it")
    for uid in parents:
        seen: set[int] = set()
        step: int | None = uid
        while step is not None:
            if step in seen or step not in parents:
                raise Unreadable(_WHAT, f"the parents of snapshot {uid} lead nowhere")
            seen.add(step)
            step = parents[step]
