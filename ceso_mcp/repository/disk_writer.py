"""One disk on its way into a repository: the host's stream in, packs, map and digests out."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

from ceso_mcp.backup.block_map import Run
from ceso_mcp.backup.framing import Framer
from ceso_mcp.backup.manifest import DiskRecord, PackRef
from ceso_mcp.backup.names import BackupId
from ceso_mcp.backup.pack import seek_table
from ceso_mcp.backup.raw_stream import RawDecoder
from ceso_mcp.backup.sums import block_bytes_for, frame_bytes_for, run_digests
from ceso_mcp.backup.wire import WireDecoder
from ceso_mcp.errors import InvalidArguments, RepositoryFault
from ceso_mcp.repository import seal
from ceso_mcp.repository.disk_index import DiskIndex
from ceso_mcp.repository.parent import ParentDisk
from ceso_mcp.repository.store import Store

IN_FLIGHT_BYTES = 12 << 20
"""Raw data that may be with the compressing threads, or wait behind a frame that is."""


@dataclass(frozen=True, slots=True)
class DiskStats:
    """What became of a disk. Sizes in bytes; `stored_bytes` counts packs, map and digests.

    `received_bytes` is what the host sent, frames and all.
    """

    index: int
    capacity_bytes: int
    data_bytes: int
    stored_bytes: int
    packs: int
    received_bytes: int


@dataclass(frozen=True, slots=True)
class DiskFacts:
    """What is known of a disk before its data comes."""

    index: int
    node: str
    file_name: str
    capacity_bytes: int
    descriptor: str


@dataclass(frozen=True, slots=True)
class Workers:
    """Threads that the disks of a backup share: `compress` for frames, `store` for one pack at a time."""

    compress: ThreadPoolExecutor
    store: ThreadPoolExecutor


class DiskWriter:
    """Takes a disk as the host's reader sends it. For one caller at a time, from any thread.

    Memory stays the same for any disk: the frames being compressed, one open pack, one being
    stored, and 16 bytes per block. `feed` blocks when those are full.

    With a `parent`, what the host did not send is as it is there; the map names the parent's packs. A
    `raw` stream is all bytes of the disk: what would not have been sent is left out here.
    """

    def __init__(
        self,
        store: Store,
        backup_id: BackupId,
        disk: DiskFacts,
        key: bytes,
        workers: Workers,
        on_pack: Callable[[PackRef, bool], None],
        parent: ParentDisk | None = None,
        raw: bool = False,
    ) -> None:
        self._store = store
        self._folder = backup_id.folder
        self._disk = disk
        self._key = key
        self._workers = workers
        self._on_pack = on_pack
        self._block_bytes = block_bytes_for(disk.capacity_bytes)
        self._frame_bytes = frame_bytes_for(self._block_bytes)
        self._decoder: WireDecoder | RawDecoder = WireDecoder(disk.capacity_bytes, self._block_bytes)
        if raw:
            known = None if parent is None else parent.digests
            self._decoder = RawDecoder(disk.capacity_bytes, self._block_bytes, key, known)
        self._framer = Framer(self._block_bytes, self._frame_bytes)
        self._compressing: deque[tuple[int, int, Future[tuple[bytes, bytes]]]] = deque()
        self._in_flight_bytes = 0
        self._pack: list[bytes] = []
        self._frames: list[tuple[int, int]] = []
        self._pack_bytes = self._pack_raw_bytes = 0
        self._storing: tuple[int, Future[tuple[PackRef, bool]]] | None = None
        self._open_pack: int | None = None
        self._index = DiskIndex(disk.capacity_bytes, self._block_bytes, key, parent)
        self._parent = parent
        self._asked_from = 0
        self._received_bytes = 0
        self._guard = threading.Lock()
        self._fault: BaseException | None = None
        self._record: DiskRecord | None = None

    @property
    def record(self) -> DiskRecord | None:
        """The disk's entry in the manifest, once `finish` has succeeded."""
        return self._record

    def feed(self, chunk: bytes) -> None:
        """Take the next bytes of the stream, cut anyhow. Blocks while the repository is behind.

        Raises Unreadable if the stream is not one of this disk, RepositoryFault if storing fails;
        after that the disk can only be abandoned.
        """
        with self._guard, _Poison(self):
            self._received_bytes += len(chunk)
            for offset, data in self._decoder.feed(chunk):
                self._index.came(offset, len(data))
                for start, run in self._framer.add(offset, data):
                    self._send(start, run)

    @property
    def share(self) -> float:
        """How much of the disk the host's reader has behind it, 0 to 1."""
        return self._decoder.position / self._disk.capacity_bytes

    def resume(self) -> int:
        """The stream broke off and is read again; returns the byte of the disk it has to go on from."""
        with self._guard, _Poison(self):
            self._asked_from = self._decoder.resume()
            return self._asked_from

    def known_digests(self) -> Iterator[bytes]:
        """What the host's reader is told of the parent, from where the disk is read on (`resume`)."""
        if self._parent is None:
            raise InvalidArguments(f"disk {self._disk.index} is compared with nothing")
        return self._parent.payload(self._asked_from)

    def finish(self) -> DiskStats:
        """Store what is left, the map and the digests.

        Raises RepositoryFault `short_stream` unless the end frame came and its counts fit.
        """
        with self._guard, _Poison(self):
            if not self._decoder.complete:
                raise RepositoryFault(
                    f"disk {self._disk.index} did not arrive whole: {self._decoder.shortfall}",
                    code="short_stream",
                    hint="the connection or the host's reader broke off; start the backup again",
                )
            for start, run in self._framer.finish():
                self._send(start, run)
            while self._compressing:
                self._receive()
            self._close_pack()
            self._await_pack()
            return self._finish_parts()

    def _send(self, offset: int, run: bytes) -> None:
        behind = False
        while self._compressing and self._in_flight_bytes + len(run) > IN_FLIGHT_BYTES:
            # The stream is ahead: unless the oldest frame is there already, compressing is what it waits for.
            behind |= not self._compressing[0][2].done()
            self._receive()
        job = self._workers.compress.submit(_compressed, run, self._block_bytes, self._key, behind)
        self._compressing.append((offset, len(run), job))
        self._in_flight_bytes += len(run)

    def _receive(self) -> None:
        """Put the oldest frame into the open pack; frames stay in disk order."""
        offset, length, job = self._compressing.popleft()
        frame, digests = job.result()
        self._in_flight_bytes -= length
        if self._open_pack is None:
            self._open_pack = self._index.new_pack()
        self._index.add(Run(offset, length, self._open_pack, self._pack_raw_bytes), digests)
        self._pack.append(frame)
        self._frames.append((len(frame), length))
        self._pack_bytes += len(frame)
        self._pack_raw_bytes += length
        settings = self._store.settings
        if self._pack_bytes >= settings.pack_bytes or self._pack_raw_bytes >= settings.pack_raw_bytes:
            self._close_pack()

    def _close_pack(self) -> None:
        self._await_pack()
        if self._open_pack is None:
            return
        content = [*self._pack, seek_table(self._frames)]
        raw_bytes = self._pack_raw_bytes
        self._pack, self._frames = [], []
        self._pack_bytes = self._pack_raw_bytes = 0
        storing = self._workers.store.submit(self._store.put_pack, content, raw_bytes)
        self._storing, self._open_pack = (self._open_pack, storing), None

    def _await_pack(self) -> None:
        """Wait for the pack being stored: at most one is, so that memory is bounded."""
        if self._storing is not None:
            number, storing = self._storing
            pack, new = storing.result()
            self._storing = None
            self._index.settle(number, pack)
            self._on_pack(pack, new)

    def _finish_parts(self) -> DiskStats:
        disk = self._disk
        map_content, sums_content, packs = self._index.finish()
        folder, name = self._folder, f"disk-{disk.index}"
        block_map = self._store.put_part(folder, f"{name}.map", map_content, for_index=True)
        sums = self._store.put_part(folder, f"{name}.sums", sums_content, for_index=True)
        self._record = DiskRecord(
            index=disk.index,
            node=disk.node,
            file_name=disk.file_name,
            capacity_bytes=disk.capacity_bytes,
            block_bytes=self._block_bytes,
            frame_bytes=self._frame_bytes,
            descriptor=disk.descriptor,
            data_bytes=self._index.data_bytes,
            map=block_map,
            sums=sums,
            packs=packs,
        )
        stored = {pack.sha256: pack.stored_bytes for pack in packs}
        return DiskStats(
            index=disk.index,
            capacity_bytes=disk.capacity_bytes,
            data_bytes=self._index.data_bytes,
            stored_bytes=sum(stored.values()) + block_map.bytes + sums.bytes,
            packs=len(packs),
            received_bytes=self._received_bytes,
        )

    def wait_idle(self) -> None:
        """Drop what is waiting and wait for what is running: after this, nothing more is stored."""
        with self._guard:
            if self._fault is None and self._record is None:
                self._fault = RepositoryFault(f"disk {self._disk.index} was abandoned")
            for _, _, job in self._compressing:
                job.cancel()
            self._compressing.clear()
            if self._storing is not None:
                (_, storing), self._storing = self._storing, None
                if storing.exception() is None:
                    self._on_pack(*storing.result())


class _Poison:
    """Remembers the first failure of a disk, so that it can never be finished after one."""

    def __init__(self, writer: DiskWriter) -> None:
        self._writer = writer

    def __enter__(self) -> None:
        if self._writer._fault is not None:
            raise RepositoryFault("this disk's stream has failed before") from self._writer._fault
        if self._writer._record is not None:
            raise RepositoryFault("this disk is finished")

    def __exit__(self, kind: object, fault: BaseException | None, trace: object) -> None:
        if fault is not None:
            self._writer._fault = fault


def _compressed(run: bytes, block_bytes: int, key: bytes, quick: bool) -> tuple[bytes, bytes]:
    """In a worker thread: both library calls let go of the interpreter's lock.

    The frame is copied: where zstd made it there was room for the worst case, and a pack of frames
    with such gaps behind them takes much more memory than their sizes.
    """
    return bytes(memoryview(seal.compress(run, quick=quick))), run_digests(run, block_bytes, key)
