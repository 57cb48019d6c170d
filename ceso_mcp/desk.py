"""The side of a plan that happens on this machine: the backup repository and its streams."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

from ceso_mcp.addresses.actions import AddressAction, AddressQuestion
from ceso_mcp.backup.actions import (
    AllBackups,
    BackupDatastores,
    BeginBackup,
    CommitBackup,
    ComparedHere,
    DigestsFrom,
    DiskFrom,
    DiskInto,
    FileFrom,
    FileInto,
    FileOf,
    GarbageIn,
    KnownDigests,
    ManifestOf,
    ParentFor,
    RemoveGarbage,
    RepositoryState,
    SignatureWarningsOf,
    SignerHere,
)
from ceso_mcp.backup.agents import resume_payload
from ceso_mcp.backup.copies import CopyBackups, CopyOf
from ceso_mcp.backup.dd import dd_data_bytes, dd_frames
from ceso_mcp.backup.extraction import ExtractDisk, ExtractionRoom
from ceso_mcp.backup.keeping import BackupRuns, KeepingAction, KeepingQuestion
from ceso_mcp.backup.raw_stream import RawComparison
from ceso_mcp.backup.wire import frame_data_bytes
from ceso_mcp.copy_desk import copy_now, copy_work
from ceso_mcp.disk_streams import FedFrames, threaded, threaded_sink
from ceso_mcp.errors import CesoError, RepositoryFault
from ceso_mcp.extract_desk import ExtractDesk
from ceso_mcp.fact import HereQuestion
from ceso_mcp.facts.runs import UnfinishedOnHost
from ceso_mcp.facts.work import JobState
from ceso_mcp.guest.data_file import UserDataAt
from ceso_mcp.guest_desk import read_data_file
from ceso_mcp.keeping_desk import KeepingDesk
from ceso_mcp.plan import Here, Stream
from ceso_mcp.pool_desk import PoolDesk
from ceso_mcp.ports import Feed, Sink
from ceso_mcp.reach_desk import reach
from ceso_mcp.recipes.proving import ReachGuest
from ceso_mcp.recipes.recovery import CloseRun
from ceso_mcp.repository_access import RepositoryAccess
from ceso_mcp.run_desk import RunDesk

FILE_LIMIT_BYTES = 16 << 20


class RepositoryDesk:
    """A `Desk` over the configured repository. Blocking work runs in threads."""

    def __init__(
        self,
        access: RepositoryAccess,
        runs: RunDesk,
        extracting: ExtractDesk | None = None,
        pools: PoolDesk | None = None,
    ) -> None:
        self._access = access
        self._runs = runs
        self._keeping = KeepingDesk(access)
        self._extracting = extracting
        self._pools = pools
        self._writer: Any = None
        self._disks: dict[int, Any] = {}
        self._comparisons: dict[Stream, RawComparison] = {}
        self._files: dict[str, bytearray] = {}
        self._fed: dict[Stream, FedFrames] = {}
        self._received_bytes = 0

    # -- questions ---------------------------------------------------------------------------

    async def reply(self, question: HereQuestion) -> Any:
        if isinstance(question, JobState):
            return await self._runs.wait(question.job_id, question.wait_seconds)
        if isinstance(question, UnfinishedOnHost):
            return await self._runs.unfinished()
        if isinstance(question, BackupRuns):
            return await self._runs.backups()
        if isinstance(question, KeepingQuestion):
            return await asyncio.to_thread(self._keeping.answer, question)
        if isinstance(question, UserDataAt):
            return await asyncio.to_thread(read_data_file, question)
        if isinstance(question, AddressQuestion) and self._pools is not None:
            return await asyncio.to_thread(self._pools.answer, question)
        return await asyncio.to_thread(self._answer, question)

    def _answer(self, question: HereQuestion) -> Any:
        match question:
            case RepositoryState():
                return self._access.status()
            case BackupDatastores():
                return self._access.datastores()
            case AllBackups():
                if not self._access.exists():
                    return [], []
                return self._access.open(private=False).list()
            case ManifestOf(backup_id):
                return self._access.open(private=False).restorable(backup_id)
            case SignatureWarningsOf(backup_id):
                repository = self._access.open(private=False)
                return repository.trust.warnings(repository.manifest_and_signature(backup_id)[1])
            case SignerHere():
                return self._access.signer()
            case FileOf(backup_id, name):
                return self._access.open().reader(backup_id).file(name)
            case ParentFor(vm_id, disks):
                return self._access.parent_for(vm_id, disks)
            case GarbageIn():
                return self._access.open(private=False).garbage()
            case CopyOf() as copy:
                return copy_work(self._access, copy)
            case ExtractionRoom() as wanted if self._extracting is not None:
                return self._extracting.room(wanted)
        raise TypeError(f"no answer to {type(question).__name__}")

    # -- actions -----------------------------------------------------------------------------

    async def perform(self, action: Here, captures: Mapping[str, str]) -> Mapping[str, str]:
        if isinstance(action, CloseRun):
            await self._runs.close(action)
            return {}
        if isinstance(action, ReachGuest):
            return await reach(action, captures)
        if isinstance(action, KeepingAction):
            return await asyncio.to_thread(self._keeping.perform, action, captures)
        if isinstance(action, AddressAction) and self._pools is not None:
            await asyncio.to_thread(self._pools.perform, action)
            return {}
        return await asyncio.to_thread(self._perform, action)

    def _perform(self, action: Here) -> Mapping[str, str]:
        match action:
            case BeginBackup(backup_id=backup_id, signer=signer):
                if signer != self._access.signer():
                    raise RepositoryFault(
                        "the signing key is another one than was shown", code="settings_differ"
                    )
                repository = self._access.init()
                repository.sign_with = self._access.signing_key()
                self._access.use_index_key(repository, make=True)
                self._writer = repository.writer(backup_id)
                return {}
            case CommitBackup() as commit:
                manifest = self._writer.commit(
                    vm_name=commit.vm_name,
                    vm_uuid=commit.vm_uuid,
                    vmx_path=commit.vmx_path,
                    host=commit.host,
                    esxi_version=commit.esxi_version,
                    esxi_build=commit.esxi_build,
                    kind=commit.kind,
                    consistency=commit.consistency,
                    not_included=commit.not_included,
                    state="partial" if commit.not_included else "complete",
                    parent=commit.parent,
                )
                added, self._writer = self._writer.added_bytes, None
                return {
                    "stored_bytes": str(manifest.stored_bytes),
                    "data_bytes": str(manifest.raw_bytes),
                    "added_bytes": str(added),
                    "received_bytes": str(self._received_bytes),
                }
            case CopyBackups() as copy:
                return copy_now(self._access, copy)
            case ExtractDisk() as disk if self._extracting is not None:
                return self._extracting.extract(disk)
            case RemoveGarbage(digest=digest):
                removed = self._access.open(private=False).prune(digest)
                return {
                    "removed_objects": str(removed.objects),
                    "freed_bytes": str(removed.size_bytes),
                }
        raise TypeError(f"cannot perform {type(action).__name__}")

    async def undo(self, action: Here, why: CesoError | None = None) -> None:
        if isinstance(action, KeepingAction):
            await asyncio.to_thread(self._keeping.undo, action, why)
        if isinstance(action, BeginBackup) and self._writer is not None:
            writer, self._writer = self._writer, None
            await asyncio.to_thread(writer.abandon)
        if isinstance(action, ExtractDisk) and self._extracting is not None:
            await asyncio.to_thread(self._extracting.undo)

    async def close(self) -> None:
        """Abandon whatever is still open."""
        if self._writer is not None:
            writer, self._writer = self._writer, None
            with contextlib.suppress(RepositoryFault):
                await asyncio.to_thread(writer.abandon)
        await asyncio.to_thread(self._access.close)

    # -- streams -----------------------------------------------------------------------------

    async def open_sink(self, stream: Stream) -> tuple[Sink, bytes]:
        match stream:
            case DiskInto(index=index, parent=parent, way=way):
                if index in self._disks:  # the host could not be reached at the first try
                    return await self.reopen_sink(stream)
                writer = self._disks[index] = await asyncio.to_thread(self._begin_disk, stream)
                return threaded_sink(writer), resume_payload(0) if parent or way == "dd" else b""
            case ComparedHere(backup_id=backup_id, index=index):
                if stream not in self._comparisons:
                    sums = await asyncio.to_thread(
                        lambda: self._access.open().reader(backup_id).digests(index)
                    )
                    self._comparisons[stream] = RawComparison(sums)
                return await self.reopen_sink(stream)
            case FileInto(name):
                buffer = self._files[name] = bytearray()

                async def feed_file(chunk: bytes) -> None:
                    if len(buffer) + len(chunk) > FILE_LIMIT_BYTES:
                        raise RepositoryFault(
                            f"{name} is larger than a file of a VM can be", code="file_too_large"
                        )
                    buffer.extend(chunk)

                return feed_file, b""
        raise TypeError(f"no sink for {type(stream).__name__}")

    def _begin_disk(self, disk: DiskInto) -> Any:
        parent = None
        if disk.parent is not None:
            repository = self._access.open(private=False)
            parent = repository.parent_disk(disk.parent, disk.node, disk.capacity_bytes)
        return self._writer.disk(
            disk.index,
            node=disk.node,
            file_name=disk.file_name,
            capacity_bytes=disk.capacity_bytes,
            descriptor=disk.descriptor,
            parent=parent,
            raw=disk.way == "dd",
        )

    async def reopen_sink(self, stream: Stream) -> tuple[Sink, bytes]:
        if isinstance(stream, DiskInto):
            writer = self._disks[stream.index]
            return threaded_sink(writer), resume_payload(await asyncio.to_thread(writer.resume))
        if stream in self._comparisons:
            comparison = self._comparisons[stream]
            return threaded_sink(comparison), resume_payload(comparison.resume())
        return await self.open_sink(stream)  # a small file begins anew

    async def close_sink(self, stream: Stream) -> None:
        match stream:
            case DiskInto(index=index):
                stats = await asyncio.to_thread(self._disks.pop(index).finish)
                self._received_bytes += stats.received_bytes
            case ComparedHere():
                self._comparisons.pop(stream).result().require_same()
            case FileInto(name):
                await asyncio.to_thread(self._writer.add_file, name, bytes(self._files.pop(name)))

    def feed(self, stream: Stream, *, again: bool = False) -> Feed:
        match stream:
            case DiskFrom():
                skip = self._fed[stream].safe_bytes() if again and stream in self._fed else 0
                by_dd = stream.way == "dd"
                fed = self._fed[stream] = FedFrames(skip, dd_data_bytes if by_dd else frame_data_bytes)
                return fed.watch(threaded(partial(self._disk_stream, stream, skip)))
            case KnownDigests(index=index):
                return threaded(self._disks[index].known_digests)
            case DigestsFrom(backup_id=backup_id, index=index):
                return threaded(lambda: self._access.open().reader(backup_id).digest_stream(index))
            case FileFrom(backup_id=backup_id, name=name):
                return threaded(lambda: iter([self._access.open().reader(backup_id).file(name)]))
        raise TypeError(f"no source for {type(stream).__name__}")

    def _disk_stream(self, disk: DiskFrom, skip_bytes: int) -> Iterator[bytes]:
        reader = self._access.open().reader(disk.backup_id)
        stream: Iterator[bytes] = reader.disk_stream(disk.index, skip_bytes=skip_bytes)
        return dd_frames(stream) if disk.way == "dd" else stream
