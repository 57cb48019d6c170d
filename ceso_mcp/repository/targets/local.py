"""A folder of this machine, or one mounted here (NFS), as a target.

Objects are written to `tmp/`, synced, and renamed to their name; then the folder is synced. So a
power cut leaves whole objects and rubbish in `tmp/`, never a part under a real name. No flock: it
is not to be relied on over NFS, where a request that was sent twice may also be answered as if it had
failed: after a link or a rename, the draft tells what is true. Files are readable by their owner alone.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import secrets
from collections.abc import Iterator
from pathlib import Path

from ceso_mcp.errors import RepositoryFault
from ceso_mcp.repository.target import Blob, Entry
from ceso_mcp.repository.targets.faults import fault_of
from ceso_mcp.repository.targets.object_names import object_name

_TMP = "tmp"
_CLAIM = "claim-"
_CLAIM_S = 3600.0
_SILLY = re.compile(r"\.nfs[0-9a-f]{12,}")
"""What the NFS client makes of a file that is removed while open. It goes by itself and cannot be removed."""
_NO_LINKS = {errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK}


class LocalTarget:
    """Keeps objects below the existing folder `root`."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._device: int | None = None

    @property
    def title(self) -> str:
        return str(self._root)

    def prepare(self) -> set[str]:
        try:
            if not self._root.exists():
                self._root.mkdir(mode=0o700)
            return {entry.name for entry in self._root.iterdir()}
        except OSError as fault:
            raise RepositoryFault(
                f"no repository can be made at {self._root}: {fault.strerror or fault}",
                code="not_a_repository"
                if isinstance(fault, FileNotFoundError)
                else fault_of(fault, self.title, "the folder").code,
                hint="the folder above it must exist, be mounted and be writable",
            ) from fault

    def close(self) -> None:
        return

    def put(self, name: str, content: Blob) -> bool:
        path = self._path(name)
        with self._faults(name):
            if path.exists():
                return False
            with self._written(content) as draft:
                self._make_folder(path.parent)
                _rename(draft, path)
                try:
                    _sync_folder(path.parent)
                except OSError:
                    # Not known to be safe, so it must not be found under its name either.
                    with contextlib.suppress(OSError):
                        os.unlink(path)
                    raise
            return True

    def create(self, name: str, content: bytes) -> bool:
        path = self._path(name)
        with self._faults(name):
            self._make_folder(path.parent)
            with self._written([content], _CLAIM) as draft:
                try:
                    os.link(draft, path)
                except OSError as fault:
                    if os.stat(draft).st_nlink != 2:  # as open(2) says: else it was linked all the same
                        if isinstance(fault, FileExistsError):
                            return False
                        if fault.errno not in _NO_LINKS:
                            raise
                        return self._create_without_link(path, content)
                _sync_folder(path.parent)
            return True

    def replace(self, name: str, content: bytes) -> None:
        path = self._path(name)
        with self._faults(name), self._written([content]) as draft:
            self._make_folder(path.parent)
            _rename(draft, path)
            _sync_folder(path.parent)

    def get(self, name: str) -> bytes:
        with self._faults(name):
            return self._path(name).read_bytes()

    def get_range(self, name: str, offset: int, length: int) -> bytes:
        with self._faults(name), self._path(name).open("rb") as file:
            file.seek(offset)
            content = file.read(length)
        if len(content) != length:
            raise RepositoryFault(f"{name} ends before byte {offset + length}")
        return content

    def list(self, folder: str) -> Iterator[Entry]:
        def fail(fault: OSError) -> None:
            if not isinstance(fault, FileNotFoundError) or not self._root.is_dir():
                raise fault

        with self._faults(folder):
            for parent, _, names in os.walk(self._path(folder), onerror=fail):
                for name in names:
                    if _SILLY.fullmatch(name):
                        continue
                    path = Path(parent, name)
                    # An object may be deleted between the listing and the look at it.
                    with contextlib.suppress(FileNotFoundError):
                        yield Entry(path.relative_to(self._root).as_posix(), path.stat().st_size)

    def exists(self, name: str) -> bool:
        with self._faults(name):
            found = self._path(name).is_file()
            if not found:
                self._require_root()
            return found

    def size(self, name: str) -> int:
        with self._faults(name):
            return self._path(name).stat().st_size

    def delete(self, name: str) -> None:
        path = self._path(name)
        with self._faults(name):
            try:
                path.unlink()
            except FileNotFoundError:
                self._require_root()
                return
            _sync_folder(path.parent)
            # A backup's folder goes with its last object; other folders are full or soon again.
            parent = path.parent
            while parent != self._root and parent.parent != self._root:
                try:
                    parent.rmdir()
                except OSError:
                    break
                parent = parent.parent

    def lock(self, name: str, content: bytes) -> bool:
        return self.create(name, content)

    def unlock(self, name: str, expected: bytes) -> bool:
        path = self._path(name)
        with self._faults(name):
            try:
                if path.read_bytes() != expected:
                    return False
            except FileNotFoundError:
                self._require_root()
                return False
            aside = self._draft_path(_CLAIM)
            # Between the look and the removal another may have broken this lock and taken its
            # place. Renaming shows which one was removed; a wrong one is put back.
            try:
                os.rename(path, aside)
            except FileNotFoundError:
                return False
            found = aside.read_bytes()
            if found != expected:
                with contextlib.suppress(FileExistsError):
                    os.link(aside, path)
            aside.unlink()
            _sync_folder(path.parent)
            return found == expected

    def free_bytes(self) -> int | None:
        with self._faults("free space"):
            return free_bytes(self._root)

    def _path(self, name: str) -> Path:
        return self._root / object_name(name)

    def age_s(self, name: str) -> float:
        # A file written now shows the clock that a file server stamps files with.
        with self._faults(name):
            written = self._path(name).stat().st_mtime
            with self._written([b""], _CLAIM) as draft:
                return draft.stat().st_mtime - written

    def drafts(self) -> Iterator[Entry]:
        now: float | None = None
        for entry in self.list(_TMP):
            if entry.name.startswith(f"{_TMP}/{_CLAIM}"):
                # Written without the lock, so its writer may live; it is small and takes no time.
                if now is None:
                    with self._faults(_TMP), self._written([b""], _CLAIM) as draft:
                        now = draft.stat().st_mtime
                try:
                    if now - self._path(entry.name).stat().st_mtime < _CLAIM_S:
                        continue
                except FileNotFoundError:
                    continue
            yield entry

    def _require_root(self) -> None:
        if not self._root.is_dir():
            raise FileNotFoundError(errno.ENOENT, "the repository's folder is gone", str(self._root))

    def _require_same_place(self) -> None:
        """A mount that vanished leaves its empty folder: nothing may be written into that one."""
        device = os.stat(self._root).st_dev
        if self._device is None:
            self._device = device
        if device != self._device:
            raise OSError(errno.ENODEV, "another file system is mounted there now than before")

    def _draft_path(self, prefix: str = "") -> Path:
        self._require_same_place()
        self._make_folder(self._root / _TMP)
        return self._root / _TMP / (prefix + secrets.token_hex(12))

    @contextlib.contextmanager
    def _written(self, content: Blob, prefix: str = "") -> Iterator[Path]:
        """A synced file with this content, which is gone afterwards unless it was renamed."""
        draft = self._draft_path(prefix)
        try:
            with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb", buffering=0) as file:
                for piece in content:
                    view = memoryview(piece)
                    while view:
                        view = view[file.write(view) :]
                os.fsync(file.fileno())
            yield draft
        finally:
            # What cannot be removed is a draft, which nobody lists and pruning removes.
            with contextlib.suppress(OSError):
                draft.unlink(missing_ok=True)

    def _create_without_link(self, path: Path, content: bytes) -> bool:
        """Exclusive creation where the file system knows no hard links (exFAT, some shares)."""
        try:
            fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            return False
        with open(fd, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        _sync_folder(path.parent)
        return True

    def _make_folder(self, folder: Path) -> None:
        missing = []
        while not folder.is_dir():
            missing.append(folder)
            folder = folder.parent
            if not folder.is_relative_to(self._root):
                raise FileNotFoundError(errno.ENOENT, "the repository's folder is gone", str(self._root))
        for made in reversed(missing):
            with contextlib.suppress(FileExistsError):
                made.mkdir(mode=0o700)
            _sync_folder(made.parent)

    @contextlib.contextmanager
    def _faults(self, what: str) -> Iterator[None]:
        try:
            yield
        except FileNotFoundError as fault:
            if not self._root.is_dir():
                raise RepositoryFault(
                    f"the repository's folder {self.title} is gone",
                    code="repository_gone",
                    hint="see whether it is still mounted",
                ) from fault
            raise RepositoryFault(
                f"{what} is not in the repository {self.title}", code="no_such_object"
            ) from fault
        except OSError as fault:
            raise fault_of(fault, self.title, what) from fault


def free_bytes(path: Path) -> int:
    """Room left for this user where `path` is, or where it would be made. Raises OSError."""
    for place in (path, *path.parents):
        if place.exists():
            found = os.statvfs(place)
            return found.f_bavail * found.f_frsize
    raise FileNotFoundError(errno.ENOENT, "no such place", str(path))


def _rename(draft: Path, path: Path) -> None:
    """`os.rename`, which a draft that is gone shows to have happened: nobody else moves it."""
    try:
        os.rename(draft, path)
    except FileNotFoundError:
        if draft.exists() or not path.is_file():
            raise


def _sync_folder(folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    except OSError as fault:
        # Some network file systems know no sync of a folder; they keep names safe themselves.
        if fault.errno not in (errno.EINVAL, errno.ENOTSUP):
            raise
    finally:
        os.close(fd)
