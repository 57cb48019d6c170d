"""The side of a plan that happens on this machine: the backup repository and its streams."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping
from typing import Any

from ceso_mcp.backup.actions import (
    AllBackups,
    BeginBackup,
    CommitBackup,
    DigestsFrom,
    DiskFrom,
    DiskInto,
    FileFrom,
    FileInto,
    FileOf,
    GarbageIn,
    ManifestOf,
    RemoveGarbage,
    RepositoryState,
)
from ceso_mcp.backup.agents import resume_payload
from ceso_mcp.backup.keeping import BackupRuns, KeepingAction, KeepingQuestion
from ceso_mcp.disk_streams import FedFrames, threaded
from ceso_mcp.errors import RepositoryFault
from ceso_mcp.fact import HereQuestion
from ceso_mcp.facts.runs import UnfinishedOnHost
from ceso_mcp.facts.work import JobState
from ceso_mcp.keeping_desk import KeepingDesk
from ceso_mcp.plan import Here, Stream
from ceso_mcp.ports import Feed, Sink
from ceso_mcp.recipes.recovery import CloseRun
from ceso_mcp.repository_access import RepositoryAccess
from ceso_mcp.run_desk import RunDesk

FILE_LIMIT_BYTES = 16 << 20


class RepositoryDesk:
    """A `Desk` over one local repository. Blocking work runs in threads."""

    def __init__(self, access: RepositoryAccess, runs: RunDesk) -> None:
        self._access = access
        self._runs = runs
        self._keeping = KeepingDesk(access)
        self._writer: Any = None
        self._disks: dict[int, Any] = {}
        self._files: dict[str, bytearray] = {}
        self._fed: dict[Stream, FedFrames] = {}

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
        return await asyncio.to_thread(self._answer, question)

    def _answer(self, question: HereQuestion) -> Any:
        match question:
            case RepositoryState():
                return self._access.status()
            case AllBackups():
                if not self._access.exists():
                    return [], []
                return self._access.open(private=False).list()
            case ManifestOf(backup_id):
                return self._access.open(private=False).manifest(backup_id)
            case FileOf(backup_id, name):
                return self._access.open().reader(backup_id).file(name)
            case GarbageIn():
                return self._access.open(private=False).garbage()
        raise TypeError(f"no answer to {type(question).__name__}")

    # -- actions -----------------------------------------------------------------------------

    async def perform(self, action: Here, captures: Mapping[str, str]) -> Mapping[str, str]:
        if isinstance(action, CloseRun):
            await self._runs.close(action)
            return {}
        if isinstance(action, KeepingAction):
            return await asyncio.to_thread(self._keeping.perform, action)
        return await asyncio.to_thread(self._perform, action)

    def _perform(self, action: Here) -> Mapping[str, str]:
        match action:
            case BeginBackup(backup_id=backup_id):
                from ceso_mcp.repository import LocalRepository

                repository = LocalRepository.init(self._access.path(), recipients=self._access.recipients)
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
                    not_included=commit.not_included,
                    state="partial" if commit.not_included else "complete",
                )
                self._writer = None
                return {"stored_bytes": str(manifest.stored_bytes), "data_bytes": str(manifest.raw_bytes)}
            case RemoveGarbage(digest=digest):
                removed = self._access.open(private=False).prune(digest)
                return {
                    "removed_objects": str(removed.objects),
                    "freed_bytes": str(removed.size_bytes),
                }
        raise TypeError(f"cannot perform {type(action).__name__}")

    async def undo(self, action: Here) -> None:
        if isinstance(action, BeginBackup) and self._writer is not None:
            writer, self._writer = self._writer, None
            await asyncio.to_thread(writer.abandon)

    async def close(self) -> None:
        """Abandon whatever is still open."""
        if self._writer is not None:
            writer, self._writer = self._writer, None
            with contextlib.suppress(RepositoryFault):
                await asyncio.to_thread(writer.abandon)

    # -- streams -----------------------------------------------------------------------------

    async def open_sink(self, stream: Stream) -> tuple[Sink, bytes]:
        match stream:
            case DiskInto() as disk:
                writer = self._writer.disk(
                    disk.index,
                    node=disk.node,
                    file_name=disk.file_name,
                    capacity_bytes=disk.capacity_bytes,
                    descriptor=disk.descriptor,
                )
                self._disks[disk.index] = writer
                return _into(writer), b""
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

    async def reopen_sink(self, stream: Stream) -> tuple[Sink, bytes]:
        if isinstance(stream, DiskInto):
            writer = self._disks[stream.index]
            return _into(writer), resume_payload(await asyncio.to_thread(writer.resume))
        return await self.open_sink(stream)  # a small file begins anew

    async def close_sink(self, stream: Stream) -> None:
        match stream:
            case DiskInto(index=index):
                await asyncio.to_thread(self._disks.pop(index).finish)
            case FileInto(name):
                await asyncio.to_thread(self._writer.add_file, name, bytes(self._files.pop(name)))

    def feed(self, stream: Stream, *, again: bool = False) -> Feed:
        match stream:
            case DiskFrom(backup_id=backup_id, index=index):
                start = self._fed[stream].safe_offset() if again and stream in self._fed else 0
                fed = self._fed[stream] = FedFrames(start)
                return fed.watch(
                    threaded(lambda: self._access.open().reader(backup_id).disk_stream(index, start=start))
                )
            case DigestsFrom(backup_id=backup_id, index=index):
                return threaded(lambda: self._access.open().reader(backup_id).digest_stream(index))
            case FileFrom(backup_id=backup_id, name=name):
                return threaded(lambda: iter([self._access.open().reader(backup_id).file(name)]))
        raise TypeError(f"no source for {type(stream).__name__}")


def _into(writer: Any) -> Sink:
    async def feed_disk(chunk: bytes) -> None:
        await asyncio.to_thread(writer.feed, chunk)

    return feed_disk
