"""The `.vmsd` file: which snapshots a VM has (fact sheet vmkfstools-and-files §6, snap-chain4-1)."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from ceso_mcp.lab import vmx
from ceso_mcp.lab.vmx import Settings


@dataclass
class Snapshot:
    """One entry of the `.vmsd`; `created_us` is in microseconds since 1970, `parent` 0 at the root."""

    uid: int
    parent: int
    file: str
    name: str
    description: str
    created_us: int
    on: bool
    disks: dict[str, str] = field(default_factory=dict)


def read(path: Path) -> tuple[list[Snapshot], int, int]:
    """The snapshots in file order, the current uid (0: none) and the last uid given, of `path`."""
    try:
        settings = vmx.load(path)
    except (OSError, ValueError):
        return [], 0, 0
    found = []
    for number in range(int(settings.get("snapshot.numSnapshots", "0"))):
        key = f"snapshot{number}."
        low = int(settings.get(key + "createTimeLow", "0")) & 0xFFFFFFFF
        disks = {
            settings.get(f"{key}disk{disk}.node"): settings.get(f"{key}disk{disk}.fileName")
            for disk in range(int(settings.get(key + "numDisks", "0")))
        }
        found.append(
            Snapshot(
                uid=int(settings.get(key + "uid")),
                parent=int(settings.get(key + "parent", "0")),
                file=settings.get(key + "filename"),
                name=settings.get(key + "displayName"),
                description=settings.get(key + "description"),
                created_us=int(settings.get(key + "createTimeHigh", "0")) << 32 | low,
                on=settings.get(key + "type") == "1",
                disks=disks,
            )
        )
    current = int(settings.get("snapshot.current", "0"))
    return found, current, int(settings.get("snapshot.lastUID", "0"))


def write(path: Path, snapshots: list[Snapshot], current: int, last: int) -> None:
    """Write the file in one rename, mode 0644; nothing but the encoding and zeros when there are none."""
    settings = Settings([(".encoding", "UTF-8"), ("snapshot.lastUID", str(last))])
    if current:
        settings["snapshot.current"] = str(current)
    for number, item in enumerate(snapshots):
        key = f"snapshot{number}."
        settings[key + "uid"] = str(item.uid)
        settings[key + "filename"] = item.file
        if item.parent:
            settings[key + "parent"] = str(item.parent)
        settings[key + "displayName"] = item.name
        settings[key + "description"] = item.description
        if item.on:
            settings[key + "type"] = "1"
        low = item.created_us & 0xFFFFFFFF
        settings[key + "createTimeHigh"] = str(item.created_us >> 32)
        settings[key + "createTimeLow"] = str(low - (1 << 32) if low >> 31 else low)
        settings[key + "numDisks"] = str(len(item.disks))
        for disk, (node, name) in enumerate(item.disks.items()):
            settings[f"{key}disk{disk}.fileName"] = name
            settings[f"{key}disk{disk}.node"] = node
    settings["snapshot.numSnapshots"] = str(len(snapshots))
    vmx.store(path, settings, mode=0o644)
