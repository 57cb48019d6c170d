"""Reading every byte of a backup, to know today what a restore would meet."""

from __future__ import annotations

import contextlib
import math
import os
import random
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal

from ceso_mcp.backup.block_map import BlockMap, Piece, Run, pieces, unmapped_data
from ceso_mcp.backup.manifest import DiskRecord, Manifest, StoredObject
from ceso_mcp.backup.names import SIGNATURE
from ceso_mcp.backup.signature import UNSIGNED, Signature
from ceso_mcp.backup.sums import Sums
from ceso_mcp.errors import RepositoryFault, Unreadable
from ceso_mcp.repository.backup_reader import BackupReader, OpenPack
from ceso_mcp.repository.store import Store

Ranges = tuple[tuple[int, int], ...]
Progress = Callable[[int, int], None]
_RANGES_SHOWN = 100


@dataclass(frozen=True, slots=True)
class Damage:
    """One damaged object and what it takes with it.

    `disk` is the disk it belongs to (None: the kept files); `ranges` are (offset, length) in bytes
    of the disk that cannot be restored, the first 100 of them; `affected_bytes` counts all.
    """

    object: str
    reason: str
    disk: int | None
    ranges: Ranges
    affected_bytes: int


@dataclass(frozen=True, slots=True)
class VerifyReport:
    """What a verification read and found.

    `level` is `data` (hashes, encryption, compression, every block's digest) or `storage` (hashes
    of the stored objects only: what can be known without a private key). With a `sample_percent`
    below 100 only so many of the packs were read, at least one. `signature` is how the manifest is signed.
    """

    backup_id: str
    level: Literal["data", "storage"]
    objects: int
    bytes_read: int
    damage: tuple[Damage, ...]
    sample_percent: float = 100
    signature: Signature = UNSIGNED
    refused: str = ""
    """Why the backup would not be restored here because of its signature, or ""."""

    @property
    def ok(self) -> bool:
        return not self.damage


def verify(
    store: Store,
    manifest: Manifest,
    signature: Signature,
    *,
    storage_only: bool = False,
    sample_percent: float = 100,
    progress: Progress | None = None,
) -> VerifyReport:
    """Check everything that `manifest` names. Damage is reported, not raised.

    A `signature` that is bad or missing is damage.

    With a `sample_percent` below 100 only so many of the packs are read, drawn anew each time, at
    least one; maps, digests and files are always read.

    `progress` is called with the stored bytes read so far and in all. Raises RepositoryFault
    `no_identity` or `wrong_identity` if the repository is encrypted and `storage_only` is not set.
    """
    if not storage_only and not store.can_unseal:
        raise RepositoryFault(
            "the repository is encrypted and no identity was given",
            code="no_identity",
            hint="give the private key of a recipient, or check the stored objects only",
        )
    sample = None
    packs = sorted({pack.sha256 for disk in manifest.disks for pack in disk.packs})
    if sample_percent < 100 and packs:
        count = max(1, math.ceil(len(packs) * sample_percent / 100))
        sample = frozenset(random.SystemRandom().sample(packs, count))
    found = _Verification(store, manifest, storage_only, progress, sample).report()
    damage = found.damage
    if signature.state in ("bad", "missing"):
        name = manifest.backup_id.object(SIGNATURE)
        damage = (Damage(name, signature.reason or "it is missing", None, (), 0), *damage)
    return replace(found, damage=damage, signature=signature, sample_percent=min(100, sample_percent))


class _Verification:
    def __init__(
        self,
        store: Store,
        manifest: Manifest,
        storage_only: bool,
        progress: Progress | None,
        sample: frozenset[str] | None,
    ) -> None:
        self._sample = sample
        self._store = store
        self._manifest = manifest
        self._storage_only = storage_only
        self._progress = progress
        self._reader = BackupReader(store, manifest)
        self._damage: list[Damage] = []
        self._seen: set[str] = set()
        self._read_bytes = 0

    def report(self) -> VerifyReport:
        with ThreadPoolExecutor(max(2, min(8, os.cpu_count() or 2))) as pool:
            for disk in self._manifest.disks:
                self._check_disk(disk, pool)
        part = self._manifest.files_object
        if part is not None:
            with self._noting(self._part_name(part), None, ()):
                if self._storage_only:
                    self._check_stored(part)
                else:
                    self._reader.files()
            self._count(part.object, part.bytes)
        level: Literal["data", "storage"] = "storage" if self._storage_only else "data"
        return VerifyReport(self._manifest.id, level, len(self._seen), self._read_bytes, tuple(self._damage))

    def _check_disk(self, disk: DiskRecord, pool: ThreadPoolExecutor) -> None:
        whole = [(0, disk.capacity_bytes)]
        block_map: BlockMap | None = None
        sums: Sums | None = None
        with self._noting(self._part_name(disk.map), disk, whole):
            if self._storage_only:
                self._check_stored(disk.map)
            else:
                block_map = self._reader.block_map(disk.index)
        self._count(disk.map.object, disk.map.bytes)
        with self._noting(self._part_name(disk.sums), disk, whole):
            if self._storage_only:
                self._check_stored(disk.sums)
            else:
                sums = self._reader.digests(disk.index)
        self._count(disk.sums.object, disk.sums.bytes)
        by_pack: list[Iterable[int]] = [()] * len(disk.packs)
        if block_map is not None:
            self._check_map(disk, block_map, sums)
            by_pack = list(block_map.by_pack(len(disk.packs)))
        for number, pack in enumerate(disk.packs):
            if self._sample is not None and pack.sha256 not in self._sample:
                continue
            runs = [] if block_map is None else [block_map[index] for index in by_pack[number]]
            # Without the map nobody can say which part of the disk a pack holds.
            held = whole if block_map is None else [(run.offset, run.length) for run in runs]
            with self._noting(self._store.pack_name(pack), disk, held):
                self._check_pack(disk, number, runs, sums, pool)
            self._count(pack.sha256, pack.stored_bytes)

    def _check_map(self, disk: DiskRecord, block_map: BlockMap, sums: Sums | None) -> None:
        name = self._part_name(disk.map)
        if block_map.data_bytes != disk.data_bytes:
            reason = "the map does not hold as much data as the manifest says"
            self._note(name, reason, disk, [(0, disk.capacity_bytes)])
        lost = [] if sums is None else unmapped_data(block_map, sums)
        if lost:
            self._note(name, "the map leaves out data", disk, lost)

    def _check_pack(
        self, disk: DiskRecord, number: int, runs: list[Run], sums: Sums | None, pool: ThreadPoolExecutor
    ) -> None:
        if self._storage_only:
            pack = disk.packs[number]
            self._store.fetch(self._store.pack_name(pack), pack.sha256, pack.stored_bytes)
            return
        opened = self._reader.open_pack(disk, number)
        by_frame: dict[int, list[Piece]] = {frame: [] for frame in range(len(opened.frames))}
        for run in runs:
            for piece in pieces(run, opened.frames, opened.starts, disk.block_bytes):
                by_frame[piece.frame].append(piece)
        wrong: list[tuple[int, int]] = []
        # Every frame is unpacked, also those that this backup's map does not use.
        check = partial(_wrong_blocks, opened, sums)
        for found in pool.map(check, by_frame.keys(), by_frame.values()):
            wrong += found
        if wrong:
            name = self._store.pack_name(disk.packs[number])
            self._note(name, "blocks are not what was backed up", disk, wrong)

    def _check_stored(self, part: StoredObject) -> None:
        self._store.fetch(self._part_name(part), part.sha256, part.bytes)

    def _part_name(self, part: StoredObject) -> str:
        return self._manifest.backup_id.object(part.object)

    def _count(self, name: str, size_bytes: int) -> None:
        if name not in self._seen:
            self._seen.add(name)
            self._read_bytes += size_bytes
            if self._progress is not None:
                self._progress(self._read_bytes, self._manifest.stored_bytes)

    @contextlib.contextmanager
    def _noting(
        self, name: str, disk: DiskRecord | None, ranges: Iterable[tuple[int, int]]
    ) -> Iterator[None]:
        """Notes what goes wrong inside against the object `name`, and goes on after it."""
        try:
            yield
        except (RepositoryFault, Unreadable) as fault:
            if fault.code in ("no_identity", "wrong_identity"):
                raise
            self._note(name, fault.message, disk, ranges)

    def _note(
        self, name: str, reason: str, disk: DiskRecord | None, ranges: Iterable[tuple[int, int]]
    ) -> None:
        joined = _joined(ranges)
        affected_bytes = sum(length for _, length in joined)
        index = None if disk is None else disk.index
        self._damage.append(Damage(name, reason, index, tuple(joined[:_RANGES_SHOWN]), affected_bytes))


def _wrong_blocks(
    opened: OpenPack, sums: Sums | None, frame: int, parts: list[Piece]
) -> list[tuple[int, int]]:
    """In a worker thread: what of one frame is not what was backed up."""
    try:
        raw = memoryview(opened.raw(frame))
    except RepositoryFault:
        if not parts:
            raise
        return [(part.offset, part.length) for part in parts]
    if sums is None:
        return []
    wrong = []
    for part in parts:
        wrong += sums.mismatches(part.offset, raw[part.skip : part.skip + part.length])
    return wrong


def _joined(ranges: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """The ranges in order, adjacent ones joined."""
    joined: list[tuple[int, int]] = []
    for offset, length in sorted(ranges):
        if joined and joined[-1][0] + joined[-1][1] >= offset:
            start, before = joined[-1]
            joined[-1] = (start, max(before, offset + length - start))
        else:
            joined.append((offset, length))
    return joined
