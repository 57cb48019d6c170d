"""The backup that a new one is compared with: which one it is, and what of it can still be relied on.

A new backup names what did not change in the packs of its parent, and is complete all the same:
the parent is needed while it is made, never after.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from ceso_mcp.backup.agents import known_payload
from ceso_mcp.backup.block_map import BlockMap, unmapped_data
from ceso_mcp.backup.manifest import DiskRecord, Manifest
from ceso_mcp.backup.sums import DIGEST_BYTES, UNKNOWN_DIGEST, ZERO_DIGEST
from ceso_mcp.errors import RepositoryFault
from ceso_mcp.repository.backup_reader import BackupReader
from ceso_mcp.repository.store import Store

LEAST_LIVE_SHARE = 0.4
"""A pack of which a disk uses less than this is left to its old backups: what is live is sent again."""

_TRIED = 10


@dataclass(frozen=True, slots=True)
class ParentDisk:
    """A disk of an earlier backup, to compare with. `digests` are those of the backup, but for blocks
    that must be sent again whatever they hold: `UNKNOWN_DIGEST`, which no block has."""

    backup_id: str
    record: DiskRecord
    key: bytes
    digests: bytearray
    block_map: BlockMap

    @property
    def unknown_blocks(self) -> int:
        """How many blocks must be sent again."""
        at = range(0, len(self.digests), DIGEST_BYTES)
        return sum(self.digests[start : start + DIGEST_BYTES] == UNKNOWN_DIGEST for start in at)

    def payload(self, offset: int) -> Iterator[bytes]:
        """What the host's reader is told, to go on from byte `offset` of the disk."""
        return known_payload(self.key, self.digests, offset // self.record.block_bytes)


class Choice(NamedTuple):
    """The parent for a backup. `disks` tells for each disk whether it can be compared; `reason` why
    the newest backups that could be one are not, or ''."""

    backup_id: str | None
    disks: tuple[bool, ...]
    reason: str


def parent_disk(store: Store, manifest: Manifest, index: int, *, damaged: Collection[str] = ()) -> ParentDisk:
    """Disk `index` of a backup, to compare with. `damaged` are hashes of packs not to be relied on.

    Unknown are the blocks in packs that are missing, of a wrong size, damaged, or hardly used any
    more, and those that map and digests do not agree about. Raises RepositoryFault: `damaged` if
    map or digests are, `no_identity` or `wrong_identity` if this machine cannot read them.
    """
    reader = BackupReader(store, manifest)
    disk = reader.disk_record(index)
    sums, block_map = reader.digests(index), reader.block_map(index)
    digests = bytearray(sums.digests)
    found = store.sizes({store.pack_name(pack) for pack in disk.packs})
    bad = _unusable(store, disk, block_map, found, damaged)
    for run in block_map:
        if bad[run.pack] or _has_zero(digests, run.offset // disk.block_bytes, run.end, disk.block_bytes):
            _forget(digests, disk.block_bytes, run.offset, run.end)
    for offset, length in unmapped_data(block_map, sums):
        _forget(digests, disk.block_bytes, offset, offset + length)
    return ParentDisk(manifest.id, disk, sums.key, digests, block_map)


def choose(
    store: Store,
    manifests: Sequence[Manifest],
    disks: Sequence[tuple[str, int]],
    untrusted: Mapping[str, str],
) -> Choice:
    """The newest backup with a disk at the same node and of the same size that can be compared.

    `manifests` are those of one VM, newest first; `disks` are (node, capacity in bytes). What of a
    VM a backup does not include says nothing about the disks that it does. One that is sealed to former
    recipients is never chosen: the present ones could not open what they would share. Nor is one of the
    `untrusted`, ids with the reason: what its map says of packs and digests may be anybody's.
    """
    reason, since = "", store.settings.recipients_since
    for manifest in manifests[:_TRIED]:
        if manifest.id in untrusted:
            reason = reason or f"backup {manifest.id} cannot be relied on: {untrusted[manifest.id]}"
            continue
        if since is not None and manifest.created < since:
            reason = reason or f"backup {manifest.id} is sealed to other recipients"
            break
        usable = []
        for node, capacity_bytes in disks:
            index = same_disk(manifest, node, capacity_bytes)
            try:
                if index is not None:
                    parent_disk(store, manifest, index)
                usable.append(index is not None)
            except RepositoryFault as fault:
                if fault.code not in ("damaged", "no_identity", "wrong_identity"):
                    raise
                reason = reason or _words(manifest, fault)
                usable.append(False)
        if any(usable):
            return Choice(manifest.id, tuple(usable), reason)
    return Choice(None, (False,) * len(disks), reason)


def same_disk(manifest: Manifest, node: str, capacity_bytes: int) -> int | None:
    """The index of the backup's disk at `node`, if it had this size."""
    for disk in manifest.disks:
        if (disk.node, disk.capacity_bytes) == (node, capacity_bytes):
            return disk.index
    return None


def _words(manifest: Manifest, fault: RepositoryFault) -> str:
    if fault.code == "damaged":
        return f"backup {manifest.id} cannot be compared with: {fault.message}"
    return f"this machine has no key that opens the digests of backup {manifest.id}"


def _unusable(
    store: Store,
    disk: DiskRecord,
    block_map: BlockMap,
    found: Mapping[str, int],
    damaged: Collection[str],
) -> list[bool]:
    live = block_map.live_bytes(len(disk.packs))
    return [
        found.get(store.pack_name(pack)) != pack.stored_bytes
        or pack.sha256 in damaged
        or used < LEAST_LIVE_SHARE * pack.raw_bytes
        for pack, used in zip(disk.packs, live, strict=True)
    ]


def _has_zero(digests: bytearray, first_block: int, end: int, block_bytes: int) -> bool:
    """Whether the map has data in a block that the digests call zero."""
    first, last = first_block * DIGEST_BYTES, -(-end // block_bytes) * DIGEST_BYTES
    at = digests.find(ZERO_DIGEST, first, last)
    while at >= 0 and at % DIGEST_BYTES:
        at = digests.find(ZERO_DIGEST, at + 1, last)
    return at >= 0


def _forget(digests: bytearray, block_bytes: int, start: int, end: int) -> None:
    first, last = start // block_bytes, -(-end // block_bytes)
    digests[first * DIGEST_BYTES : last * DIGEST_BYTES] = UNKNOWN_DIGEST * (last - first)
