"""The desk's room for disks of backups as files on this machine."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path

from ceso_mcp.backup.extraction import ExtractDisk, ExtractionRoom, Room
from ceso_mcp.backup.wire import DATA, END, HEAD
from ceso_mcp.config import private_directory
from ceso_mcp.errors import RepositoryFault
from ceso_mcp.repository_access import RepositoryAccess


class ExtractDesk:
    """Blocking; `desk` runs it in threads. Files go to `folder`, which is made when it is needed."""

    def __init__(self, access: RepositoryAccess, folder: Path) -> None:
        self._access = access
        self._folder = folder
        self._made: Path | None = None

    def room(self, question: ExtractionRoom) -> Room:
        folder = private_directory(self._folder)
        path = folder / question.file_name
        return Room(str(path), path.exists(), shutil.disk_usage(folder).free)

    def extract(self, action: ExtractDisk) -> Mapping[str, str]:
        """Write the file; it has its name only once it is whole and on disk."""
        path = Path(action.path)
        draft = path.with_name(path.name + ".part")
        reader = self._access.open().reader(action.backup_id)
        try:
            draft.unlink(missing_ok=True)  # of a worker that died
            try:
                written = _filled(draft, reader.disk_stream(action.index), action.capacity_bytes)
                os.link(draft, path)  # never over a file that is there
            finally:
                draft.unlink(missing_ok=True)
        except OSError as error:
            raise _fault(error, path) from None
        self._made = path
        return {"written_bytes": str(written)}

    def undo(self) -> None:
        """Remove the file that this run has made."""
        if self._made is not None:
            self._made.unlink(missing_ok=True)
            self._made = None


def _filled(path: Path, stream: Iterator[bytes], capacity_bytes: int) -> int:
    """Make the file with what the stream holds, and sync it; counts the bytes written."""
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        os.ftruncate(fd, capacity_bytes)
        written = _write(fd, stream, capacity_bytes)
        os.fsync(fd)
        return written
    finally:
        os.close(fd)


def _write(fd: int, stream: Iterator[bytes], capacity_bytes: int) -> int:
    """Put the frames of a disk stream, in whatever order they come, into their places; counts bytes."""
    frames = written = 0
    for chunk in stream:
        kind, offset, length = HEAD.unpack_from(chunk)
        if kind == END:
            if (offset, length) != (capacity_bytes, frames):
                break
            return written
        if kind != DATA or offset + length > capacity_bytes or len(chunk) != HEAD.size + length:
            break
        view = memoryview(chunk)[HEAD.size :]
        while view:
            done = os.pwrite(fd, view, offset)
            view, offset = view[done:], offset + done
        frames, written = frames + 1, written + length
    raise RepositoryFault("the disk did not come whole out of the repository", code="damaged")


def _fault(error: OSError, path: Path) -> RepositoryFault:
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return RepositoryFault(f"there is no room for {path}", code="extract_full", hint="make room there")
    if error.errno == errno.EEXIST:
        return RepositoryFault(f"{path} exists already", code="file_exists", hint="remove or rename it")
    return RepositoryFault(f"cannot write {path}: {error.strerror or error}", code="extract_failed")
