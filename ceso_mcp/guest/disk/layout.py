"""What lies on a disk: its file systems, which of them is the guest's root, and what is mounted below it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ceso_mcp.guest.disk.ext4 import MAGIC, MAGIC_AT, Ext4
from ceso_mcp.guest.disk.lvm import group_on, is_physical_volume
from ceso_mcp.guest.disk.partitions import partitions
from ceso_mcp.guest.disk.ranges import Asking, Range, Unknown, Volume, on, settled, together
from ceso_mcp.guest.disk.tree import Mounted, Tree

_BTRFS_AT = 65536
_SWAP_AT = 4096 - 10
MOUNTS = ("/boot", "/usr", "/var", "/var/lib", "/home")
"""Folders below the root that a file system of their own may hold and that are looked into."""


@dataclass(frozen=True, slots=True)
class Found:
    """One volume: what it holds in a word, the file system if it can be read, and names it is mounted by."""

    volume: Volume
    kind: str
    system: Ext4 | None = None
    devices: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Layout:
    """The guest's files, and in words where they lie. `dirty`: its last shutdown was not a clean one."""

    tree: Tree
    words: str
    dirty: bool


def guest_tree(disk_bytes: int) -> Asking[Layout]:
    """The tree of the guest whose root file system lies on the disk.

    Raises Unknown with what is there instead if there is no root that can be read.
    """
    found = yield from _volumes(disk_bytes)
    readable = [one for one in found if one.system is not None]
    trees = [Tree(Mounted(one.volume, one.system)) for one in readable if one.system]
    releases = yield from together([settled(tree.find("/etc/os-release", follow=False)) for tree in trees])
    roots = [
        index for index, node in enumerate(releases) if node is not None and not isinstance(node, Unknown)
    ]
    if not roots:
        there = ", ".join(f"{one.volume.name}: {one.kind}" for one in found) or "nothing that is known"
        raise Unknown(f"no root file system that can be read is on it ({there})")
    if len(roots) > 1:
        raise Unknown("it holds more than one operating system")
    root, tree = readable[roots[0]], trees[roots[0]]
    fstab = yield from tree.read("/etc/fstab")
    below = _mounts((fstab or b"").decode("utf-8", "replace"), found)
    used = [root, *(one for one in readable if _is_used(one, below))]
    words = "; ".join(
        [f"ext4 on {root.volume.name}", *(f"{path} on {_name(what)}" for path, what in below.items())]
    )
    dirty = any(one.system is not None and one.system.needs_recovery for one in used)
    return Layout(tree.with_mounts(below), words, dirty)


def _name(what: Mounted | Unknown) -> str:
    return what.volume.name if isinstance(what, Mounted) else "what cannot be read"


def _is_used(one: Found, below: Mapping[str, Mounted | Unknown]) -> bool:
    return any(isinstance(what, Mounted) and what.system is one.system for what in below.values())


def _volumes(disk_bytes: int) -> Asking[list[Found]]:
    parts = yield from partitions(disk_bytes)
    if not parts:
        parts = [Volume.plain("the whole disk", 0, disk_bytes)]
    groups = yield from together([_look_into(part) for part in parts])
    return [one for group in groups for one in group]


def _look_into(volume: Volume, devices: tuple[str, ...] = ()) -> Asking[list[Found]]:
    kind = yield from on(volume, _kind(volume.size_bytes))
    if kind == "ext4":
        system = yield from settled(on(volume, Ext4.open()))
        if isinstance(system, Unknown):
            return [Found(volume, system.reason)]
        return [Found(volume, kind, system, devices)]
    if kind != "LVM2" or devices:
        return [Found(volume, kind)]
    group = yield from settled(on(volume, group_on(volume.size_bytes)))
    if isinstance(group, Unknown):
        return [Found(volume, f"LVM2, but {group.reason}")]
    found: list[Found] = []
    for name, lv in group.volumes.items():
        if isinstance(lv, Unknown):
            found.append(Found(Volume(f"{group.name}/{name}", ()), lv.reason))
            continue
        on_disk = lv.over(volume)
        found += yield from _look_into(on_disk, _lv_devices(group.name, name, group.ids[name]))
    return found


def _lv_devices(group: str, name: str, uuid: str) -> tuple[str, ...]:
    mapped = f"{group.replace('-', '--')}-{name.replace('-', '--')}"
    return (
        f"/dev/mapper/{mapped}",
        f"/dev/{group}/{name}",
        f"/dev/disk/by-id/dm-uuid-LVM-{uuid}",
        f"/dev/disk/by-id/dm-name-{mapped}",
    )


def _kind(size_bytes: int) -> Asking[str]:
    wanted = [Range(0, 4096)] if size_bytes >= 4096 else []
    if size_bytes >= _BTRFS_AT + 4096:
        wanted.append(Range(_BTRFS_AT, 4096))
    if not wanted:
        return "too small to hold anything"
    head, *more = yield wanted
    if head[MAGIC_AT : MAGIC_AT + 2] == MAGIC:
        return "ext4"
    if is_physical_volume(head):
        return "LVM2"
    if head[:6] == b"LUKS\xba\xbe":
        return "encrypted (LUKS)"
    if head[:4] == b"XFSB":
        return "XFS"
    if head[_SWAP_AT : _SWAP_AT + 10] == b"SWAPSPACE2":
        return "swap space"
    if more and more[0][64:72] == b"_BHRfS_M":
        return "btrfs"
    if head[510:512] == b"\x55\xaa" and (head[54:57] == b"FAT" or head[82:85] == b"FAT"):
        return "FAT"
    if head[3:11] == b"NTFS    ":
        return "NTFS"
    return "unknown" if any(head) else "empty"


def _mounts(fstab: str, found: Sequence[Found]) -> dict[str, Mounted | Unknown]:
    """What /etc/fstab puts on the folders that are looked into."""
    below: dict[str, Mounted | Unknown] = {}
    for line in fstab.splitlines():
        words = line.split()
        if len(words) < 3 or words[0].startswith("#") or words[1].rstrip("/") not in MOUNTS:
            continue
        path = words[1].rstrip("/")
        match = [one for one in found if one.system is not None and _is_named(one, words[0])]
        if len(match) == 1 and match[0].system is not None:
            below[path] = Mounted(match[0].volume, match[0].system)
        else:
            below[path] = Unknown(f"{path} is on {words[0]} ({words[2]}), which cannot be read")
    return below


def _is_named(one: Found, device: str) -> bool:
    assert one.system is not None
    uuid, label = one.system.uuid, one.system.label
    name = device.replace('"', "")
    if found := re.fullmatch(r"(?:UUID=|/dev/disk/by-uuid/)([0-9A-Fa-f-]+)", name):
        return found[1].replace("-", "").lower() == uuid
    if found := re.fullmatch(r"(?:LABEL=|/dev/disk/by-label/)(.+)", name):
        return bool(label) and found[1] == label
    if found := re.fullmatch(r"/dev/(?:sd|vd|nvme\d+n)[a-z]*p?(\d+)", name):
        return one.volume.name == f"partition {found[1]}"
    return name in one.devices
