"""A backup, read back: disks as the host's writer takes them, digests, files. All of it checked."""

from __future__ import annotations

import hashlib
import io
import os
import tarfile
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from ceso_mcp.backup.block_map import BlockMap, Piece, Run, pieces, unmapped_data
from ceso_mcp.backup.manifest import DiskRecord, Manifest, StoredObject
from ceso_mcp.backup.pack import Frame, frames_of
from ceso_mcp.backup.sums import DIGEST_BYTES, Sums, block_count
from ceso_mcp.backup.wire import data_head, end_frame
from ceso_mcp.errors import InvalidArguments, RepositoryFault, Unreadable
from ceso_mcp.repository import seal
from ceso_mcp.repository.store import Store

T = TypeVar("T")

READ_AHEAD_BYTES = 3 << 20
_MAP_LIMIT_BYTES = 1 << 30
_SLACK_BYTES = 1 << 10


@dataclass(frozen=True, slots=True)
class OpenPack:
    """An unsealed pack in memory."""

    content: bytes | bytearray
    frames: list[Frame]
    starts: list[int]

    def raw(self, number: int) -> bytes:
        """The raw data of frame `number`."""
        frame = self.frames[number]
        view = memoryview(self.content)[frame.start : frame.start + frame.stored_bytes]
        return seal.decompress_frame(view, frame.raw_bytes)


class BackupReader:
    """Reads one backup. Raises RepositoryFault `damaged` rather than give a wrong byte.

    Also `no_identity` and `wrong_identity`, if the repository is encrypted.
    """

    def __init__(self, store: Store, manifest: Manifest) -> None:
        self._store = store
        self.manifest = manifest

    def disk_record(self, index: int) -> DiskRecord:
        disk = self.manifest.disk(index)
        if disk is None:
            raise InvalidArguments(f"backup {self.manifest.id} has no disk {index}")
        return disk

    def part(self, part: StoredObject, limit_bytes: int, *, for_index: bool = False) -> bytes:
        """The content of an object of the backup's own folder; `for_index` if it is a map or digests."""
        stored = self._store.fetch(self.manifest.backup_id.object(part.object), part.sha256, part.bytes)
        return seal.inflate(self._store.unseal(stored, for_index=for_index), limit_bytes)

    def block_map(self, index: int) -> BlockMap:
        """Where the data of disk `index` lies."""
        disk = self.disk_record(index)
        return _readable(
            lambda: BlockMap.parse(
                self.part(disk.map, _MAP_LIMIT_BYTES, for_index=True),
                capacity_bytes=disk.capacity_bytes,
                block_bytes=disk.block_bytes,
                pack_raw_bytes=[pack.raw_bytes for pack in disk.packs],
            )
        )

    def digests(self, index: int) -> Sums:
        """The block size, key and digests of disk `index`: what a comparison on the host needs."""
        disk = self.disk_record(index)
        limit = block_count(disk.capacity_bytes, disk.block_bytes) * DIGEST_BYTES + _SLACK_BYTES
        sums = _readable(lambda: Sums.parse(self.part(disk.sums, limit, for_index=True)))
        if sums.capacity_bytes != disk.capacity_bytes:
            raise RepositoryFault(f"the digests are of another disk than disk {index}", code="damaged")
        return sums

    def digest_stream(self, index: int, *, program: bytes = b"") -> Iterator[bytes]:
        """`program`, then the payload of the host's compare mode (`backup.agents`), in pieces."""
        sums = self.digests(index)
        if program:
            yield program
        yield sums.key
        for at in range(0, len(sums.digests), 1 << 20):
            yield sums.digests[at : at + (1 << 20)]

    def disk_stream(self, index: int, *, program: bytes = b"", skip_bytes: int = 0) -> Iterator[bytes]:
        """`program`, then the wire stream of disk `index` for the host's writer: every non-zero run, but
        for the first `skip_bytes` of data that the whole stream begins with. Each data frame is a
        chunk of its own. Frames come pack by pack, in disk order within one, and always the same.

        Each block's digest is checked before it leaves. On damage the stream breaks off with
        RepositoryFault `damaged` and has no end frame, so the host's writer fails too.
        """
        disk = self.disk_record(index)
        sums, block_map = self.digests(index), self.block_map(index)
        lost = unmapped_data(block_map, sums)
        if lost:
            raise RepositoryFault(
                f"the map of disk {index} leaves out data at byte {lost[0][0]}", code="damaged"
            )
        if program:
            yield program
        sent = 0
        with ThreadPoolExecutor(max(2, min(8, os.cpu_count() or 2))) as pool:
            for chunk in _in_order(self._jobs(pool, disk, block_map, sums, skip_bytes)):
                sent += 1
                yield chunk
        yield end_frame(disk.capacity_bytes, sent)

    def _jobs(
        self, pool: ThreadPoolExecutor, disk: DiskRecord, block_map: BlockMap, sums: Sums, skip_bytes: int
    ) -> Iterator[tuple[int, Future[bytes]]]:
        groups = _by_pack(block_map, len(disk.packs), skip_bytes)
        for pack, runs in self.packs_ahead(disk, groups):
            for run in runs:
                cut = _readable(partial(_cut, pack, run, disk.block_bytes))
                for piece in cut:
                    yield piece.length, pool.submit(_checked, pack, piece, sums, disk.index)

    def packs_ahead(
        self, disk: DiskRecord, groups: Iterable[tuple[int, list[Run]]]
    ) -> Iterator[tuple[OpenPack, list[Run]]]:
        """Each group's pack, opened; the next one is being fetched while this one is used."""
        with ThreadPoolExecutor(1, thread_name_prefix="ceso-fetch") as pool:
            waiting: tuple[Future[OpenPack], list[Run]] | None = None
            for number, runs in groups:
                following = (pool.submit(self.open_pack, disk, number), runs)
                if waiting is not None:
                    yield waiting[0].result(), waiting[1]
                waiting = following
            if waiting is not None:
                yield waiting[0].result(), waiting[1]

    def open_pack(self, disk: DiskRecord, number: int) -> OpenPack:
        """Pack `number` of the disk: hash checked, unsealed, its frames accounted for."""
        pack = disk.packs[number]
        name = self._store.pack_name(pack)
        content = self._store.unseal(self._store.fetch(name, pack.sha256, pack.stored_bytes))
        frames = _readable(lambda: frames_of(content))
        if sum(frame.raw_bytes for frame in frames) != pack.raw_bytes:
            raise RepositoryFault(f"{name} does not unpack to the size in the manifest", code="damaged")
        return OpenPack(content, frames, [frame.raw_start for frame in frames])

    def file(self, name: str) -> bytes:
        """The kept file of that name. Raises InvalidArguments if the backup has none."""
        if name not in {record.name for record in self.manifest.files}:
            raise InvalidArguments(
                f"backup {self.manifest.id} keeps no file of that name",
                hint="the manifest lists its files",
            )
        return self.files()[name]

    def files(self) -> dict[str, bytes]:
        """All kept files by name, each checked against the manifest."""
        if self.manifest.files_object is None:
            return {}
        found: dict[str, bytes] = {}
        archive = io.BytesIO(self.part(self.manifest.files_object, _MAP_LIMIT_BYTES))
        try:
            with tarfile.open(fileobj=archive, mode="r:") as tar:
                for member in tar:
                    content = tar.extractfile(member)
                    found[member.name] = b"" if content is None else content.read()
        except tarfile.TarError:
            raise RepositoryFault("the archive of kept files cannot be read", code="damaged") from None
        said = {record.name: record.sha256 for record in self.manifest.files}
        if {name: hashlib.sha256(data).hexdigest() for name, data in found.items()} != said:
            raise RepositoryFault("the kept files are not those in the manifest", code="damaged")
        return found


def _by_pack(block_map: BlockMap, packs: int, skip_bytes: int) -> Iterator[tuple[int, list[Run]]]:
    """(pack, its runs in disk order) for each pack that is used, without the first `skip_bytes`.

    In disk order a disk of many small changes would open the same packs over and over.
    """
    for number, indexes in enumerate(block_map.by_pack(packs)):
        runs = []
        for run in map(block_map.__getitem__, indexes):
            left_out = min(run.length, skip_bytes)
            skip_bytes -= left_out
            if left_out < run.length:
                length = run.length - left_out
                runs.append(Run(run.offset + left_out, length, run.pack, run.raw_offset + left_out))
        if runs:
            yield number, runs


def _readable(read: Callable[[], T]) -> T:
    """`read()`, with what cannot be understood reported as damage."""
    try:
        return read()
    except Unreadable as fault:
        raise RepositoryFault(fault.message, code="damaged") from fault


def _cut(pack: OpenPack, run: Run, block_bytes: int) -> list[Piece]:
    return list(pieces(run, pack.frames, pack.starts, block_bytes))


def _checked(pack: OpenPack, piece: Piece, sums: Sums, index: int) -> bytes:
    """In a worker thread: one data frame for the wire, every block of it checked."""
    raw = memoryview(pack.raw(piece.frame))[piece.skip : piece.skip + piece.length]
    wrong = sums.mismatches(piece.offset, raw)
    if wrong:
        raise RepositoryFault(f"disk {index} at byte {wrong[0][0]} is not what was backed up", code="damaged")
    return data_head(piece.offset, piece.length) + raw


def _in_order(jobs: Iterable[tuple[int, Future[bytes]]]) -> Iterator[bytes]:
    """Results in the order of the jobs, with a bounded amount of them under way."""
    waiting: deque[tuple[int, Future[bytes]]] = deque()
    ahead_bytes = 0
    try:
        for length, job in jobs:
            waiting.append((length, job))
            ahead_bytes += length
            while ahead_bytes > READ_AHEAD_BYTES and len(waiting) > 1:
                done, oldest = waiting.popleft()
                ahead_bytes -= done
                yield oldest.result()
        while waiting:
            yield waiting.popleft()[1].result()
    finally:
        for _, job in waiting:
            job.cancel()
