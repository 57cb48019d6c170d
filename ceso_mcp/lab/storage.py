"""Paths of the host and of this machine, and the accounting of the datastores."""

from __future__ import annotations

import os
import time
from pathlib import Path

from ceso_mcp.lab.world import Datastore, Vm, World

VOLUMES = "/vmfs/volumes/"
# VMFS-6 keeps about 1.4 GiB for itself (vmkfstools-Ph-v1-vmfs6-1: "Volume Metadata size: 1504247808").
METADATA_BYTES = 1504247808
VMFS_BLOCK_BYTES = 1 << 20
# The first word of `vmkfstools -P` and the raw major version behind it, by the type that esxcli shows.
VERSIONS: dict[str, tuple[str, int | None]] = {
    "VMFS-6": ("VMFS-6.82", 24),
    "VMFS-5": ("VMFS-5.61", 14),
    "VMFS-3": ("VMFS-3.33", None),
    "NFS": ("NFS-1.00", None),
    "NFS41": ("NFS-1.00", None),
    "vfat": ("vfat-0.04", 0),
}
BLOCKS = {"NFS": 4096, "NFS41": 4096, "vfat": 65536}
LARGE_DISK_BYTES = 2 << 40
# Below this the writes of every new command are counted: more than other commands write meanwhile.
NEARLY_FULL_BYTES = 4 << 30
COUNT_AGAIN_S = 1.0


class Storage:
    """The datastores of one world below `volumes` on this machine."""

    def __init__(self, world: World, volumes: Path) -> None:
        self.world = world
        self.volumes = volumes
        self._counted: list[tuple[Datastore, int]] = []
        self._counted_at = float("-inf")

    def here(self, path: str) -> str:
        """A path of the host as one of this machine; only below /vmfs/volumes."""
        if not path.startswith(VOLUMES):
            raise ValueError(path)
        return str(self.volumes / path.removeprefix(VOLUMES))

    def canonical(self, path: str) -> str | None:
        """`/vmfs/volumes/<name or uuid>/x` or `[name] x` as `/vmfs/volumes/<uuid>/x`; None if neither."""
        if path.startswith("["):
            name, bracket, rest = path[1:].partition("] ")
            if not bracket:
                return None
        elif path.startswith(VOLUMES):
            name, slash, rest = path.removeprefix(VOLUMES).partition("/")
            if not slash:
                return None
        else:
            return None
        datastore = self.world.datastore(name)
        if datastore is None:
            return None
        return os.path.normpath(f"{VOLUMES}{datastore.uuid}/{rest}")

    def bracketed(self, path: str) -> str:
        """`/vmfs/volumes/<uuid>/x` as `[name] x`."""
        uuid, _, rest = path.removeprefix(VOLUMES).partition("/")
        datastore = self.world.datastore(uuid)
        return f"[{datastore.name if datastore else uuid}] {rest}"

    def of(self, path: str) -> Datastore | None:
        """The datastore that a path of the host lies on."""
        return self.world.datastore(path.removeprefix(VOLUMES).partition("/")[0])

    def used_bytes(self, datastore: Datastore) -> int:
        """The metadata of VMFS and what the files occupy here; a swap file counts in full (§7)."""
        total = METADATA_BYTES if datastore.type.startswith("VMFS") else 0
        for folder, _, names in os.walk(self.volumes / datastore.uuid):
            for name in names:
                facts = os.lstat(os.path.join(folder, name))
                total += facts.st_size if name.endswith(".vswp") else facts.st_blocks * 512
        return total

    def delta_kind(self, path: str, size_bytes: int) -> str:
        """The kind of a delta made at `path` on this machine: seSparse on VMFS-6 and for large disks (§4)."""
        datastore = self.of(VOLUMES + os.path.relpath(os.path.realpath(path), self.volumes))
        if datastore is None or datastore.type == "VMFS-6":
            return "seSparse"
        large = datastore.type == "VMFS-5" and size_bytes > LARGE_DISK_BYTES
        return "seSparse" if large else "vmfsSparse"

    def nearly_full(self) -> bool:
        """True when some datastore has little room; what is used is counted at most once a second."""
        now = time.monotonic()
        if now - self._counted_at > COUNT_AGAIN_S:
            self._counted = [
                (item, self.used_bytes(item)) for item in self.world.datastores if item.accessible
            ]
            self._counted_at = now
        return any(
            item.size_bytes - item.reserve_bytes - used < NEARLY_FULL_BYTES for item, used in self._counted
        )

    def size_bytes(self, datastore: Datastore) -> int:
        """What the host shows: nothing of a share whose server does not answer."""
        return datastore.size_bytes if datastore.accessible else 0

    def free_bytes(self, datastore: Datastore) -> int:
        if not datastore.accessible:
            return 0
        return max(0, datastore.size_bytes - datastore.reserve_bytes - self.used_bytes(datastore))

    def disk_paths(self, vm: Vm) -> dict[str, str]:
        """Node (`scsi0:0`) to the path of the host of every hard disk in hostd's copy of the VMX."""
        disks: dict[str, str] = {}
        settings = vm.settings
        for key, value in settings.pairs():
            node, dot, last = key.partition(".")
            if (
                not dot
                or last.lower() != "filename"
                or ":" not in node
                or not value.lower().endswith(".vmdk")
            ):
                continue
            if settings.get(f"{node}.present", "TRUE").upper() == "TRUE":
                disks[node] = self.beside(vm, value)
        return disks

    def beside(self, vm: Vm, name: str) -> str:
        """A file name of a VMX as a path of the host."""
        if name.startswith(VOLUMES):
            return self.canonical(name) or name
        return os.path.normpath(os.path.join(os.path.dirname(vm.path), name))

    def make_links(self) -> None:
        """Directories by UUID with their names as links beside them."""
        for datastore in self.world.datastores:
            folder = self.volumes / datastore.uuid
            if datastore.accessible:
                folder.mkdir(parents=True, exist_ok=True)
                folder.chmod(0o1755 if datastore.type.startswith("VMFS") else 0o755)
            link = self.volumes / datastore.name
            if datastore.name != datastore.uuid and not link.is_symlink():
                link.symlink_to(datastore.uuid)
