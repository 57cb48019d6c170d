"""A folder on an SSH server as a target; also one on a datastore of the managed host.

As in a local folder, objects are written to `tmp/`, synced and renamed. SFTP cannot sync a folder: the
file is synced once more after it was renamed, which makes the journalling file systems write the new
name too. Any work may be begun again after a lost connection, so each knows its own traces.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import TypeVar

import asyncssh

from ceso_mcp.errors import RepositoryFault
from ceso_mcp.repository.target import Blob, Entry
from ceso_mcp.repository.targets import sftp_steps as steps
from ceso_mcp.repository.targets.object_names import object_name
from ceso_mcp.repository.targets.sftp_faults import fault_of_sftp, gone, no_object
from ceso_mcp.repository.targets.sftp_link import SftpLink, SftpLogin

__all__ = ["SftpLogin", "SftpTarget"]

T = TypeVar("T")
Work = Callable[[asyncssh.SFTPClient], Awaitable[T]]
_TMP = "tmp"
_CLAIM = "claim-"
_CLAIM_S = 3600.0
_SCANS_AT_ONCE = 16


class SftpTarget:
    """Keeps objects below the existing folder `root` of the server.

    With `volume`, the datastore that `root` is on, the folder is refused (`not_a_repository`) if it or
    one above it is a VM's.
    """

    def __init__(self, login: SftpLogin, root: str, *, volume: str | None = None) -> None:
        self._link = SftpLink(login)
        self._root = root
        self._volume = volume

    @property
    def title(self) -> str:
        return self._link.login.title

    def close(self) -> None:
        self._link.close()

    def prepare(self) -> set[str]:
        async def work(sftp: asyncssh.SFTPClient) -> set[str]:
            if self._volume is not None:
                await steps.require_no_vm(sftp, self._root, self._volume, self.title)
            try:
                if not await steps.is_folder(sftp, self._root):
                    await sftp.mkdir(self._root, asyncssh.SFTPAttrs(permissions=0o700))
                return {str(entry.filename) for entry in await sftp.readdir(self._root)} - {".", ".."}
            except (asyncssh.SFTPNoSuchFile, asyncssh.SFTPPermissionDenied, asyncssh.SFTPFailure) as error:
                raise RepositoryFault(
                    f"no repository can be made at {self.title}: {error.reason}",
                    code="not_a_repository",
                    hint="the folder above it must exist, be mounted and be writable",
                ) from error

        return self._call("the folder", work)

    def put(self, name: str, content: Blob) -> bool:
        path, renaming = self._path(name), False

        async def work(sftp: asyncssh.SFTPClient) -> bool:
            nonlocal renaming
            if await steps.is_file(sftp, path):
                # After a lost connection it may be there because it was just put there.
                return renaming and await steps.read(sftp, path) == b"".join(content)
            async with self._written(sftp, content) as (draft, file):
                renaming = True
                await self._renamed(sftp, draft, path)
                try:
                    await steps.sync(file)
                except asyncssh.SFTPError as error:
                    if not isinstance(error, asyncssh.SFTPConnectionLost | asyncssh.SFTPNoConnection):
                        # Not known to be safe, so it must not be found under its name either.
                        with contextlib.suppress(asyncssh.SFTPError):
                            await sftp.remove(path)
                    raise
            return True

        return self._call(name, work, sum(len(piece) for piece in content))

    def create(self, name: str, content: bytes) -> bool:
        path, tried = self._path(name), False

        async def work(sftp: asyncssh.SFTPClient) -> bool:
            nonlocal tried
            if tried and await steps.is_file(sftp, path) and await steps.read(sftp, path) == content:
                return True
            tried = True
            async with self._written(sftp, [content], _CLAIM) as (draft, file):
                await steps.make_folders(sftp, self._root, path)
                try:
                    await sftp.link(draft, path)
                except (asyncssh.SFTPConnectionLost, asyncssh.SFTPNoConnection):
                    raise
                except asyncssh.SFTPError:
                    if await steps.is_file(sftp, path):
                        return False
                    # No hard links there (VMFS has none).
                    return await steps.create_in_place(sftp, path, content)
                await steps.sync(file)
            return True

        return self._call(name, work, len(content))

    def replace(self, name: str, content: bytes) -> None:
        path = self._path(name)

        async def work(sftp: asyncssh.SFTPClient) -> None:
            async with self._written(sftp, [content]) as (draft, file):
                await self._renamed(sftp, draft, path)
                await steps.sync(file)

        self._call(name, work, len(content))

    def get(self, name: str) -> bytes:
        path = self._path(name)
        return self._call(name, lambda sftp: steps.read(sftp, path))

    def get_range(self, name: str, offset: int, length: int) -> bytes:
        path = self._path(name)
        content = self._call(name, lambda sftp: steps.read(sftp, path, offset, length))
        if len(content) != length:
            raise RepositoryFault(f"{name} ends before byte {offset + length}")
        return content

    def list(self, folder: str) -> Iterator[Entry]:
        top, skip = self._path(folder), len(self._root.rstrip("/")) + 1

        async def work(sftp: asyncssh.SFTPClient) -> list[Entry]:
            if not await steps.is_folder(sftp, top):
                await self._require_root(sftp)
                return []
            narrow = asyncio.Semaphore(_SCANS_AT_ONCE)
            found = await steps.walk(sftp, top, narrow)
            return [Entry(path[skip:], size) for path, size in found]

        yield from self._call(folder, work)

    def exists(self, name: str) -> bool:
        path = self._path(name)

        async def work(sftp: asyncssh.SFTPClient) -> bool:
            if await steps.is_file(sftp, path):
                return True
            await self._require_root(sftp)
            return False

        return self._call(name, work)

    def size(self, name: str) -> int:
        path = self._path(name)

        async def work(sftp: asyncssh.SFTPClient) -> int:
            return (await sftp.stat(path)).size or 0

        return self._call(name, work)

    def delete(self, name: str) -> None:
        path = self._path(name)

        async def work(sftp: asyncssh.SFTPClient) -> None:
            try:
                await sftp.remove(path)
            except asyncssh.SFTPNoSuchFile:
                await self._require_root(sftp)
                return
            await steps.remove_empty_folders(sftp, self._root, path)

        self._call(name, work)

    def lock(self, name: str, content: bytes) -> bool:
        return self.create(name, content)

    def unlock(self, name: str, expected: bytes) -> bool:
        path, aside = self._path(name), self._draft(_CLAIM)
        moving, mine = False, None

        async def work(sftp: asyncssh.SFTPClient) -> bool:
            nonlocal moving, mine
            if mine is not None and not await steps.is_file(sftp, aside):
                return mine
            # As in a local folder: renaming shows which lock was removed; a wrong one is put back.
            if not (moving and await steps.is_file(sftp, aside)):
                try:
                    if await steps.read(sftp, path) != expected:
                        return False
                    await steps.make_folders(sftp, self._root, aside)
                    moving = True
                    # The plain rename links and unlinks, so it could unlink another's lock.
                    await sftp.posix_rename(path, aside)
                except asyncssh.SFTPNoSuchFile:
                    await self._require_root(sftp)
                    return False
            mine = await steps.read(sftp, aside) == expected
            if not mine:
                with contextlib.suppress(asyncssh.SFTPFailure):
                    await sftp.rename(aside, path)  # which never goes over a newer one
            with contextlib.suppress(asyncssh.SFTPNoSuchFile):
                await sftp.remove(aside)
            return mine

        return self._call(name, work)

    def age_s(self, name: str) -> float:
        path = self._path(name)

        async def work(sftp: asyncssh.SFTPClient) -> float:
            written = (await sftp.stat(path)).mtime or 0
            return await self._now(sftp) - written

        return self._call(name, work)

    def drafts(self) -> Iterator[Entry]:
        found = list(self.list(_TMP))
        claims = [entry for entry in found if entry.name.startswith(f"{_TMP}/{_CLAIM}")]
        fresh: set[str] = set()

        async def work(sftp: asyncssh.SFTPClient) -> None:
            now = await self._now(sftp)
            for entry in claims:
                # Written without the lock, so its writer may live; it is small and takes no time.
                try:
                    age_s = now - ((await sftp.stat(self._path(entry.name))).mtime or 0)
                except asyncssh.SFTPNoSuchFile:
                    age_s = 0
                if age_s < _CLAIM_S:
                    fresh.add(entry.name)

        if claims:
            self._call(_TMP, work)
        yield from (entry for entry in found if entry.name not in fresh)

    def free_bytes(self) -> int | None:
        return self._call("free space", lambda sftp: steps.free_bytes(sftp, self._root))

    # -- inside --------------------------------------------------------------------------------

    def _path(self, name: str) -> str:
        return f"{self._root.rstrip('/')}/{object_name(name)}"

    def _draft(self, prefix: str = "") -> str:
        return f"{self._root.rstrip('/')}/{_TMP}/{prefix}{secrets.token_hex(12)}"

    def _call(self, what: str, work: Work[T], needed_bytes: int = 0) -> T:
        async def told(sftp: asyncssh.SFTPClient) -> T:
            try:
                return await work(sftp)
            except (asyncssh.SFTPConnectionLost, asyncssh.SFTPNoConnection):
                raise
            except asyncssh.SFTPNoSuchFile as error:
                await self._require_root(sftp)
                raise no_object(self.title, what) from error
            except asyncssh.SFTPError as error:
                raise await fault_of_sftp(sftp, error, self._root, self.title, what, needed_bytes) from error

        return self._link.call(told)

    async def _require_root(self, sftp: asyncssh.SFTPClient) -> None:
        if not await steps.is_folder(sftp, self._root):
            raise gone(self.title) from FileNotFoundError(self._root)

    async def _now(self, sftp: asyncssh.SFTPClient) -> float:
        """The clock of the server, as it stamps files."""
        async with self._written(sftp, [b""], _CLAIM) as (draft, _):
            return (await sftp.stat(draft)).mtime or 0

    async def _renamed(self, sftp: asyncssh.SFTPClient, draft: str, path: str) -> None:
        try:
            await sftp.posix_rename(draft, path)
        except asyncssh.SFTPNoSuchFile:
            await steps.make_folders(sftp, self._root, path)
            await sftp.posix_rename(draft, path)

    @contextlib.asynccontextmanager
    async def _written(
        self, sftp: asyncssh.SFTPClient, content: Blob, prefix: str = ""
    ) -> AsyncIterator[tuple[str, asyncssh.SFTPClientFile]]:
        """A synced file with this content, open, which is gone afterwards unless it was renamed."""
        draft = self._draft(prefix)
        try:
            file = await steps.open_new(sftp, draft)
        except asyncssh.SFTPNoSuchFile:
            await steps.make_folders(sftp, self._root, draft)
            file = await steps.open_new(sftp, draft)
        try:
            await steps.write(file, content)
            yield draft, file
        finally:
            # What cannot be removed is a draft, which nobody lists and pruning removes.
            with contextlib.suppress(asyncssh.SFTPError):
                await file.close()
            with contextlib.suppress(asyncssh.SFTPError):
                await sftp.remove(draft)
