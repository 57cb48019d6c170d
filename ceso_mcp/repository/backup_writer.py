"""A backup in the making: nobody sees it until it is committed."""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import tarfile
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from types import TracebackType
from typing import Literal, Self

from ceso_mcp import __version__
from ceso_mcp.backup import manifest_text
from ceso_mcp.backup.manifest import (
    DiskRecord,
    FileRecord,
    HostRecord,
    Manifest,
    NotIncluded,
    PackRef,
    StoredObject,
    VmRecord,
    stored_sizes,
)
from ceso_mcp.backup.names import FILES, MANIFEST, PACKS, SIGNATURE, BackupId, kept_file_name
from ceso_mcp.backup.sums import KEY_BYTES, block_bytes_for
from ceso_mcp.errors import InvalidArguments, RepositoryFault
from ceso_mcp.repository import seal
from ceso_mcp.repository.disk_writer import DiskFacts, DiskWriter, Workers
from ceso_mcp.repository.lock import RepositoryLock
from ceso_mcp.repository.parent import ParentDisk
from ceso_mcp.repository.signing import SigningKey
from ceso_mcp.repository.store import Store

FILES_LIMIT_BYTES = 64 << 20
"""All kept files of one backup together: they are held in memory until the commit."""

_CONSISTENCY: dict[str, Literal["powered_off", "crash"]] = {"cold": "powered_off", "hot": "crash"}


class BackupWriter:
    """Holds the repository's lock until `commit` or `abandon`. Also a context manager that abandons.

    With a `signer` the manifest is signed.
    """

    def __init__(self, store: Store, backup_id: BackupId, signer: SigningKey | None = None) -> None:
        store.check_recipients()
        self._store = store
        self._signer = signer
        self.backup_id = backup_id
        self._disks: dict[int, DiskWriter] = {}
        self._files: dict[str, bytes] = {}
        self._new_packs: list[PackRef] = []
        self._added_bytes = 0
        self._guard = threading.Lock()
        self._open = True
        self._lock = RepositoryLock(store.target, "backup")
        try:
            if any(True for _ in store.target.list(backup_id.folder)):
                raise RepositoryFault(f"backup {backup_id} is there already", code="backup_exists")
            threads = max(2, min(8, os.cpu_count() or 2))
            self._workers = Workers(
                ThreadPoolExecutor(threads, thread_name_prefix="ceso-compress"),
                ThreadPoolExecutor(1, thread_name_prefix="ceso-store"),
            )
        except BaseException:
            self._lock.release()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.abandon()

    def disk(
        self,
        index: int,
        *,
        node: str,
        file_name: str,
        capacity_bytes: int,
        descriptor: str,
        parent: ParentDisk | None = None,
        raw: bool = False,
    ) -> DiskWriter:
        """Begin disk `index`; several may be open at once.

        `node` is its place (`scsi0:0`), `descriptor` the text of its VMDK descriptor; `parent` what
        the host compares it with, if it sends only what changed. Of a `raw` disk every byte comes, and it
        is compared here. Raises InvalidArguments for a repeated index, a capacity that no disk has, or a
        parent of another size.
        """
        self._require_open()
        block_bytes_for(capacity_bytes)
        if index in self._disks or not 0 <= index < 1000:
            raise InvalidArguments(f"disk {index} was begun before, or is not a number from 0 to 999")
        if parent is not None and parent.record.capacity_bytes != capacity_bytes:
            raise InvalidArguments(f"disk {index} has another size than the one it is compared with")
        facts = DiskFacts(index, _clean(node), _clean(file_name), capacity_bytes, _clean(descriptor))
        # Digests can be compared only if they were made with the same key.
        key = os.urandom(KEY_BYTES) if parent is None else parent.key
        writer = DiskWriter(
            self._store, self.backup_id, facts, key, self._workers, self._note_pack, parent, raw
        )
        self._disks[index] = writer
        return writer

    def _note_pack(self, pack: PackRef, new: bool) -> None:
        if new:
            with self._guard:
                self._new_packs.append(pack)

    def add_file(self, name: str, data: bytes) -> None:
        """Keep a small file (.vmx, descriptor, nvram) under `name`, a plain relative path."""
        self._require_open()
        kept_file_name(name)
        if name in self._files:
            raise InvalidArguments("a file of this name is in the backup already")
        if len(data) + sum(len(other) for other in self._files.values()) > FILES_LIMIT_BYTES:
            raise InvalidArguments(
                "the kept files of a backup have at most 64 MiB together",
                hint="only the VM's configuration belongs there, not its disks or memory",
            )
        self._files[name] = bytes(data)

    def commit(
        self,
        *,
        vm_name: str,
        vm_uuid: str,
        vmx_path: str,
        host: str,
        esxi_version: str,
        esxi_build: str,
        kind: Literal["cold", "hot"] = "cold",
        consistency: Literal["powered_off", "crash", "filesystem"] | None = None,
        not_included: Sequence[tuple[str, str]] = (),
        state: Literal["complete", "partial"] = "complete",
        parent: str | None = None,
        guest_os: str = "",
        tool_version: str = __version__,
    ) -> Manifest:
        """List the backup: everything it names is looked up once more, then the manifest is written.

        `not_included` are pairs of what is missing and why; `consistency` follows from `kind` unless
        given. Raises RepositoryFault: `short_stream` if a disk is not finished, `damaged` if an
        object has gone, `repository_locked` if the lock was lost; then nothing is listed.
        """
        self._require_open()
        disks = self._finished_disks()
        files = self._store_files()
        self._look_up(self._named_objects(disks, files))
        sizes = stored_sizes(disks, files)
        records = tuple(_file_record(name, data) for name, data in self._files.items())
        manifest = Manifest(
            id=str(self.backup_id),
            state=state,
            kind=kind,
            consistency=consistency or _CONSISTENCY[kind],
            created=self.backup_id.taken,
            # A clock set back during the backup must not cost the backup.
            finished=max(datetime.now(UTC).replace(microsecond=0), self.backup_id.taken),
            tool_version=tool_version,
            repository=self._store.settings.id,
            encryption=self._store.settings.encryption,
            parent=parent,
            signature=None if self._signer is None else "sshsig",
            vm=VmRecord(
                name=_clean(vm_name),
                uuid_bios=_clean(vm_uuid),
                vmx_path=_clean(vmx_path),
                guest_os=_clean(guest_os),
            ),
            host=HostRecord(
                name=_clean(host), esxi_version=_clean(esxi_version), esxi_build=_clean(esxi_build)
            ),
            raw_bytes=sum(disk.data_bytes for disk in disks) + sum(record.bytes for record in records),
            stored_bytes=sum(sizes.values()),
            not_included=tuple(NotIncluded(what=_clean(what), why=_clean(why)) for what, why in not_included),
            files=records,
            files_object=files,
            disks=disks,
        )
        content = manifest_text.render(manifest)
        manifest_text.parse(content)
        signature = None if self._signer is None else self._signer.sign(content)
        self._lock.require()
        if signature is not None:
            # First: a manifest that says it is signed is never seen without its signature.
            self._store.target.replace(self.backup_id.object(SIGNATURE), signature)
        self._store.target.put(self.backup_id.object(MANIFEST), [content])
        # If so much time passed that others may have taken the lock, they may have removed packs
        # which no manifest named yet.
        if not self._lock.never_free() and not self._lock.held():
            self._store.target.delete(self.backup_id.object(MANIFEST))
            self._lock.require()
        self._close()
        return manifest

    @property
    def added_bytes(self) -> int:
        """What the committed backup added to the repository, in bytes: what was not there before."""
        return self._added_bytes

    def _look_up(self, named: dict[str, int]) -> None:
        """See that all objects are there, old ones too, by one listing of each place."""
        target = self._store.target
        found = {entry.name: entry.size_bytes for entry in target.list(self.backup_id.folder)}
        found |= self._store.sizes(set(named))
        for name, size_bytes in named.items():
            if found.get(name) != size_bytes:
                raise RepositoryFault(
                    f"{name} has gone from the repository during the backup, or is damaged",
                    code="damaged",
                    hint="back up again: what is missing is then sent again",
                )
        new = {self._store.pack_name(pack) for pack in self._new_packs}
        parts = (size for name, size in named.items() if not name.startswith(f"{PACKS}/") or name in new)
        self._added_bytes = sum(parts)

    def abandon(self) -> None:
        """Give up: remove what this backup stored, and the lock. Does nothing after a commit.

        Packs that were there before stay. What cannot be removed is listed nowhere and harmless.
        """
        if not self._open:
            return
        for disk in self._disks.values():
            disk.wait_idle()
        target = self._store.target
        # Without the lock another backup may by now lean on a pack that was new here.
        with contextlib.suppress(RepositoryFault):
            if self._lock.held():
                # The manifest first: a commit that failed at its very end must not stay listed
                # while its packs go.
                doomed = [self.backup_id.object(MANIFEST)]
                doomed += [entry.name for entry in target.list(self.backup_id.folder)]
                doomed += [self._store.pack_name(pack) for pack in self._new_packs]
                for name in doomed:
                    target.delete(name)
        self._close()

    def _close(self) -> None:
        self._open = False
        self._workers.compress.shutdown(cancel_futures=True)
        self._workers.store.shutdown()
        # The backup is settled by now; a lock that cannot be removed goes stale by itself.
        with contextlib.suppress(RepositoryFault):
            self._lock.release()

    def _require_open(self) -> None:
        if not self._open:
            raise RepositoryFault(f"backup {self.backup_id} is already committed or abandoned")

    def _finished_disks(self) -> tuple[DiskRecord, ...]:
        records = []
        for index, disk in sorted(self._disks.items()):
            if disk.record is None:
                raise RepositoryFault(f"disk {index} did not arrive whole", code="short_stream")
            records.append(disk.record)
        return tuple(records)

    def _store_files(self) -> StoredObject | None:
        if not self._files:
            return None
        archive = io.BytesIO()
        with tarfile.open(fileobj=archive, mode="w", format=tarfile.PAX_FORMAT) as tar:
            for name, data in self._files.items():
                member = tarfile.TarInfo(name)
                member.size, member.mode = len(data), 0o600
                member.mtime = int(self.backup_id.taken.timestamp())
                tar.addfile(member, io.BytesIO(data))
        deflater = seal.deflater()
        compressed = [deflater.compress(archive.getvalue()), deflater.flush()]
        return self._store.put_part(self.backup_id.folder, FILES, compressed)

    def _named_objects(self, disks: Sequence[DiskRecord], files: StoredObject | None) -> dict[str, int]:
        parts = [part for disk in disks for part in (disk.map, disk.sums)] + ([files] if files else [])
        packs = {self._store.pack_name(pack): pack.stored_bytes for disk in disks for pack in disk.packs}
        return {self.backup_id.object(part.object): part.bytes for part in parts} | packs


def _file_record(name: str, data: bytes) -> FileRecord:
    return FileRecord(name=name, bytes=len(data), sha256=hashlib.sha256(data).hexdigest())


def _clean(text: str) -> str:
    """`text` as Unicode that can be written: a name the host keeps in another encoding must not
    cost a finished backup its manifest."""
    return text.encode("utf-8", "replace").decode()
