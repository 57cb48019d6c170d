"""A hard disk's backing, sizes and shares in the device list."""

from __future__ import annotations

import os
from dataclasses import dataclass, field

from ceso_mcp.lab.disks.chain import Link, links
from ceso_mcp.lab.disks.fault import DiskFault
from ceso_mcp.lab.dump import OMITTED, UNSET, Null, Obj, Ref, Value
from ceso_mcp.lab.storage import VOLUMES, Storage
from ceso_mcp.lab.view_names import reference
from ceso_mcp.lab.world import Vm

FLAT = "vim.vm.device.VirtualDisk.FlatVer2BackingInfo"
SPARSE = "vim.vm.device.VirtualDisk.SeSparseBackingInfo"


@dataclass(frozen=True)
class Part:
    """What a device has of its own."""

    summary: str
    backing: Value
    connect: Value
    more: dict[str, Value] = field(default_factory=dict)


def disk_uuid(text: str) -> str:
    """`60 00 C2 94 …` of a descriptor in the form of the backing."""
    digits = "".join(text.replace("-", " ").split())
    if len(digits) != 32:
        return ""
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))


def _shares() -> Obj:
    return Obj("vim.SharesInfo", {"shares": 1000, "level": "normal"})


def _backing(vm: Vm, node: str, path: str, chain: list[Link], storage: Storage) -> Value:
    """The link in use; the frozen ones below it as its `parent` (nesting assumed from the SDK)."""
    mode = vm.settings.get(f"{node}.mode", "persistent").lower().replace("-", "_")
    words = {"independent_persistent", "independent_nonpersistent", "nonpersistent"}
    datastore = storage.of(path)
    described = chain[0].descriptor if chain else None
    parent: Value = Null(FLAT)
    if len(chain) > 1:
        below = VOLUMES + os.path.relpath(chain[1].path, storage.volumes)
        parent = _backing(vm, node, below, chain[1:], storage)
    fields: dict[str, Value] = {
        "fileName": storage.bracketed(path),
        "datastore": Ref(reference(datastore)) if datastore else UNSET,
        "backingObjectId": "",
        "diskMode": mode if mode in words else "persistent",
        "split": False,
        "writeThrough": False,
        "thinProvisioned": described.thin if described else UNSET,
        "eagerlyScrub": UNSET,
        "uuid": disk_uuid(described.ddb.get("uuid", "")) if described else UNSET,
        "contentId": described.ddb.get("longContentID", "") if described else UNSET,
        "changeId": UNSET,
        "parent": parent,
        "deltaDiskFormat": UNSET,
        "digestEnabled": False,
        "deltaGrainSize": UNSET,
        "deltaDiskFormatVariant": UNSET,
        "sharing": "sharingNone",
    }
    return Obj(FLAT, fields)


def disk(vm: Vm, node: str, path: str, key: int, storage: Storage) -> Part:
    """The parts of the disk at `path`; one that cannot be read has no sizes."""
    try:
        chain = links(storage.here(path), storage.here)
        size_bytes = chain[0].descriptor.size_bytes
    except (DiskFault, OSError):
        chain, size_bytes = [], 0
    allocation = Obj(
        "vim.StorageResourceManager.IOAllocationInfo", {"limit": -1, "shares": _shares(), "reservation": 0}
    )
    more: dict[str, Value] = {
        "capacityInKB": size_bytes >> 10,
        "capacityInBytes": size_bytes,
        "shares": _shares(),
        "storageIOAllocation": allocation,
        "diskObjectId": f"{vm.vmid}-{key}",
        "vFlashCacheConfigInfo": Null("vim.vm.device.VirtualDisk.VFlashCacheConfigInfo"),
        "iofilter": OMITTED,
    }
    backing = _backing(vm, node, path, chain, storage)
    return Part(f"{size_bytes >> 10:,} KB", backing, Null("vim.vm.device.VirtualDevice.ConnectInfo"), more)
