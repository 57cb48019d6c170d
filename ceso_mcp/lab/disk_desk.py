"""What hostd's side answers to vmkfstools: locks, free space, datastores, switches of the world."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass

from ceso_mcp.lab.locks import Locks
from ceso_mcp.lab.storage import BLOCKS, VERSIONS, Storage
from ceso_mcp.lab.world import Datastore, World

NOBODY = "00000000-00000000-0000-000000000000"
PLENTY = 1 << 60


@dataclass(frozen=True)
class LockFacts:
    """Numbers of the volume's own in the answer of `-D`, which a world may state."""

    offset: int = 164800512
    version: int = 122
    heartbeat: int = 3756032
    generation: int = 23
    mtime: int = 378512
    address: str = "4, 360, 53"
    file_generation: int = 109
    blocks: int | None = None
    to_be_zeroed: int = 0
    block_bytes: int = 1 << 20
    depth: int = 3
    epoch_blocks: int | None = None


class DiskDesk:
    """One world's answers. `facts` are stated by path of the host; `owners` name who holds a lock."""

    def __init__(self, world: World, storage: Storage, locks: Locks) -> None:
        self.world = world
        self.storage = storage
        self.locks = locks
        self.facts: dict[str, LockFacts] = {}
        self.owner_ids: list[tuple[int, str]] = []
        self._cloning: set[str] = set()

    def answer(self, fields: list[str], owner: str) -> str | None:
        """The reply to one request of the program `owner`; None when it is no request of this desk."""
        kind = fields[0]
        if kind == "lock":
            return "ok" if self.locks.take(fields[2], owner, fields[1]) else "held"
        if kind == "room":
            datastore = self.storage.of(fields[1])
            return str(self.storage.free_bytes(datastore) if datastore is not None else PLENTY)
        if kind == "store":
            found = self.storage.of(fields[1])
            return found.type if found is not None else ""
        if kind == "flag":
            old = int(self.world.release.partition(".")[0]) < 6
            return "1" if {"old": old, "mapping": self.world.mapping}.get(fields[1]) else "0"
        if kind == "open":
            return self._open(fields[1])
        if kind == "exec":
            return "EPERM" if self.world.installed_only else "ok"
        if kind == "slot":
            if self.world.clone_limit and len(self._cloning) >= self.world.clone_limit:
                return "full"
            self._cloning.add(owner)
            return "ok"
        if kind == "query":
            return self._query(fields[1], os.path.normpath(fields[2]), fields[3])
        return None

    def gone(self, owner: str) -> None:
        """The program ended; what it held is free."""
        self.locks.release(owner)
        self._cloning.discard(owner)

    def _open(self, path: str) -> str:
        """Whether a program other than vmkfstools may open an extent: the error by name, or `ok` (§3)."""
        datastore = self.storage.of(path)
        if datastore is None or self.world.raw_opens != "refused" or not self.locks.mode(path):
            return "ok"
        return "EPERM" if datastore.type.startswith("NFS") else "EBUSY"

    def _query(self, what: str, path: str, how: str) -> str:
        datastore = self.storage.of(path)
        if datastore is None:
            return f"Could not open {path}\n"
        if what == "-P":
            return self._volume(datastore, human="h" in how, loud="v" in how)
        try:
            facts = os.stat(self.storage.here(path))
        except OSError:
            return f"Could not open {path}\n"
        return self._lock(path, facts, datastore)

    # --- -P

    def _volume(self, datastore: Datastore, *, human: bool, loud: bool) -> str:
        """vmkfstools-P-nfs-vmdk-1, -P-vfat-bootbank-1 and -2, -Ph-v1-vmfs6-1, -Ph-vmfs3-1."""
        version, major = VERSIONS.get(datastore.type, VERSIONS["VMFS-6"])
        vmfs, nfs = version.startswith("VMFS"), datastore.type.startswith("NFS")
        free = self.storage.free_bytes(datastore)
        unit = datastore.block_bytes or BLOCKS.get(datastore.type, 1 << 20)
        raw = f" (Raw Major Version: {major})" if major is not None else ""
        private = datastore.type in ("vfat", "VMFSOS")
        mode = "private" if private else "public ATS-only" if datastore.type == "VMFS-6" else "public"
        largest = {"VMFS-6": 64 << 40, "VMFS-5": 64 << 40}.get(datastore.type, 0)
        lines = [
            f"{version}{raw} file system spanning 1 partitions.",
            f"File system label (if any):{' ' + datastore.name if datastore.name != datastore.uuid else ''}",
            f"Mode: {mode}",
        ]
        if human:
            size = f"Capacity {_units(datastore.size_bytes)}, {_units(free)} available, file block size "
            most = f", max supported file size {_units(largest)}" if largest else ""
            lines.append(f"{size}{_units(unit)}{most}")
        else:
            most = "" if nfs or major is None else f", max supported file size {largest}"
            lines.append(
                f"Capacity {datastore.size_bytes} ({datastore.size_bytes // unit} file blocks * {unit}), "
                f"{free} ({free // unit} blocks) avail{most}"
            )
        if int(self.world.release.partition(".")[0]) >= 7 and not nfs:
            lines.append("Disk Block Size: 512/0/0" if private else "Disk Block Size: 512/512/0")
        if loud and vmfs:
            used = (datastore.size_bytes - free) // unit
            lines += datastore.counters or [f"File Blocks (overcommit/used/overcommit %): 0/{used}/0"]
        if nfs:
            lines += [f"UUID: {datastore.uuid}-0000-000000000000", 'Partitions spanned (on "notDCS"):']
            return "\n".join([*lines, f"\tnfs:{datastore.name}"]) + "\n"
        lines += [f"UUID: {datastore.uuid}", f'Partitions spanned (on "{"disks" if private else "lvm"}"):']
        lines.append(f"\t{datastore.device}{'' if ':' in datastore.device else ':1'}")
        native = [] if major is None else ["Is Native Snapshot Capable: NO"]
        return "\n".join([*lines, *native]) + "\n"

    # --- -D

    def _lock(self, path: str, stat: os.stat_result, datastore: Datastore) -> str:
        """vmkfstools-D-*: the 5.0 form ends its second line otherwise than the later ones."""
        known = self.facts.get(path, LockFacts(address=f"4, 360, {stat.st_ino % 1000}"))
        mode = self.locks.mode(path)
        readers = self._owners(datastore) if mode == 2 else []
        owner = self._owners(datastore)[0][1] if mode == 1 else NOBODY
        old = int(self.world.release.partition(".")[0]) < 6 and self.world.release < "5.5"
        text = f"Lock [type 10c00001 offset {known.offset} v {known.version}, hb offset {known.heartbeat}\n"
        text += f"gen {known.generation}, mode {mode}, owner {owner} mtime {known.mtime}"
        if old:
            text += f" nHld {len(readers)} nOvf 0]\n"
        else:
            text += f"\nnum {len(readers)} gblnum 0 gblgen 0 gblbrk 0]\n"
        for number, (heartbeat, name) in enumerate(readers):
            text += f"RO Owner[{number}] HB Offset {heartbeat} {name}\n"
        small = stat.st_size <= 1024 and known.blocks is None
        blocks = -(-stat.st_blocks * 512 // known.block_bytes) if known.blocks is None else known.blocks
        blocks = 0 if small else blocks
        depth, unit = (4305, 8192) if small else (known.depth, known.block_bytes)
        epoch = known.epoch_blocks if known.epoch_blocks is not None else 0 if old else blocks
        return (
            f"{text}Addr <{known.address}>, gen {known.file_generation}, links 1, type reg, flags 0, "
            f"uid 0, gid 0, mode {stat.st_mode & 0o777:o}\n"
            f"len {stat.st_size}, nb {blocks} tbz {known.to_be_zeroed}, cow 0, newSinceEpoch {epoch}, "
            f"zla {depth}, bs {unit}\n"
        )

    def _owners(self, datastore: Datastore) -> list[tuple[int, str]]:
        """(heartbeat offset, id) of the hosts that hold a lock; the id ends in the management MAC (§3)."""
        if self.owner_ids:
            return self.owner_ids
        mac = re.sub(r"[^0-9a-f]", "", self.world.uuid[-12:])
        return [(3756032, f"66f0a1b0-00000000-0000-{mac}")]


def _units(count: int) -> str:
    """`119.8 GB`, `1 MB`, `64 TB`: one decimal unless it is whole (vmkfstools-Ph-v1-vmfs6-1)."""
    for unit, shift in (("TB", 40), ("GB", 30), ("MB", 20), ("KB", 10)):
        if count >> shift:
            value = count / (1 << shift)
            return f"{value:.0f} {unit}" if value >= 1000 or value == int(value) else f"{value:.1f} {unit}"
    return f"{count} bytes"
