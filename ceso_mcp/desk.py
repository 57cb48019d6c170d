"""The side of a plan that happens on this machine: the backup repository and its streams."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass
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
    VerificationOf,
)
from ceso_mcp.config import BackupSection
from ceso_mcp.errors import RepositoryFault
from ceso_mcp.fact import HereQuestion
from ceso_mcp.facts.work import JobState
from ceso_mcp.home import expanded
from ceso_mcp.plan import Here, Stream
from ceso_mcp.ports import Feed, Sink
from ceso_mcp.redact import Redactor
from ceso_mcp.secrets import read_secret

FILE_LIMIT_BYTES = 16 << 20
WaitForJob = Callable[[str, float], Awaitable[Any]]


@dataclass(frozen=True, slots=True)
class RepositoryStatus:
    """The configured repository as it is now."""

    path: str
    exists: bool
    recipients: int
    encrypted: bool
    free_bytes: int
    as_configured: bool


class RepositoryDesk:
    """A `Desk` over one local repository. Blocking work runs in threads."""

    def __init__(self, backup: BackupSection, redactor: Redactor, wait_for_job: WaitForJob) -> None:
        self._backup = backup
        self._wait_for_job = wait_for_job
        self._redactor = redactor
        self._writer: Any = None
        self._disks: dict[int, Any] = {}
        self._files: dict[str, bytearray] = {}

    # -- questions ---------------------------------------------------------------------------

    async def reply(self, question: HereQuestion) -> Any:
        if isinstance(question, JobState):
            return await self._wait_for_job(question.job_id, question.wait_seconds)
        return await asyncio.to_thread(self._answer, question)

    def _answer(self, question: HereQuestion) -> Any:
        match question:
            case RepositoryState():
                return self._status()
            case AllBackups():
                if not self._exists():
                    return [], []
                return self._open(private=False).list()
            case ManifestOf(backup_id):
                return self._open(private=False).manifest(backup_id)
            case FileOf(backup_id, name):
                return self._open().reader(backup_id).file(name)
            case GarbageIn():
                return self._open(private=False).garbage()
            case VerificationOf(backup_id):
                return self._open().verify(backup_id)
        raise TypeError(f"no answer to {type(question).__name__}")

    def _status(self) -> RepositoryStatus:
        path = self._path()
        exists = self._exists()
        configured = {text.strip() for text in self._backup.recipients}
        found = set(self._open(private=False).recipients) if exists else configured
        from ceso_mcp.repository import room_at

        return RepositoryStatus(
            str(path), exists, len(found), bool(found), room_at(path), found == configured
        )

    def _path(self) -> Any:
        if self._backup.repository is None:
            raise RepositoryFault(
                "no backup repository is configured",
                code="no_repository",
                hint="set repository in the [backup] section of the configuration",
            )
        return expanded(self._backup.repository)

    def _exists(self) -> bool:
        from ceso_mcp.repository import LocalRepository

        return LocalRepository.is_at(self._path())

    def _open(self, *, private: bool = True) -> Any:
        """The repository; `private` brings the identity, which only reading sealed data needs."""
        from ceso_mcp.repository import LocalRepository

        identities: list[str] = []
        if private and self._backup.identity is not None:
            secret = read_secret(self._backup.identity, "age identity")
            self._redactor.learn(secret.value)
            identities = [secret.value.decode()]
        return LocalRepository.open(self._path(), identities=identities)

    # -- actions -----------------------------------------------------------------------------

    async def perform(self, action: Here, captures: Mapping[str, str]) -> Mapping[str, str]:
        return await asyncio.to_thread(self._perform, action)

    def _perform(self, action: Here) -> Mapping[str, str]:
        match action:
            case BeginBackup(backup_id=backup_id):
                from ceso_mcp.repository import LocalRepository

                repository = LocalRepository.init(self._path(), recipients=self._backup.recipients)
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
                removed = self._open(private=False).prune(digest)
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

    async def open_sink(self, stream: Stream) -> Sink:
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

                async def feed_disk(chunk: bytes) -> None:
                    await asyncio.to_thread(writer.feed, chunk)

                return feed_disk
            case FileInto(name):
                buffer = self._files[name] = bytearray()

                async def feed_file(chunk: bytes) -> None:
                    if len(buffer) + len(chunk) > FILE_LIMIT_BYTES:
                        raise RepositoryFault(
                            f"{name} is larger than a file of a VM can be", code="file_too_large"
                        )
                    buffer.extend(chunk)

                return feed_file
        raise TypeError(f"no sink for {type(stream).__name__}")

    async def close_sink(self, stream: Stream) -> None:
        match stream:
            case DiskInto(index=index):
                await asyncio.to_thread(self._disks.pop(index).finish)
            case FileInto(name):
                await asyncio.to_thread(self._writer.add_file, name, bytes(self._files.pop(name)))

    def feed(self, stream: Stream) -> Feed:
        match stream:
            case DiskFrom(backup_id=backup_id, index=index):
                return _threaded(lambda: self._open().reader(backup_id).disk_stream(index))
            case DigestsFrom(backup_id=backup_id, index=index):
                return _threaded(lambda: self._open().reader(backup_id).digest_stream(index))
            case FileFrom(backup_id=backup_id, name=name):
                return _threaded(lambda: iter([self._open().reader(backup_id).file(name)]))
        raise TypeError(f"no source for {type(stream).__name__}")


async def _threaded(begin: Any) -> AsyncIterator[bytes]:
    """A blocking iterator of chunks, each step of it in a thread."""
    source: Iterator[bytes] = await asyncio.to_thread(begin)
    end = object()
    while True:
        chunk = await asyncio.to_thread(next, source, end)
        if chunk is end:
            return
        yield chunk  # type: ignore[misc]
