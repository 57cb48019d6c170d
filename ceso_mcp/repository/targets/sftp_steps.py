"""Small pieces of work on an SFTP server, of which a target is made."""

from __future__ import annotations

import asyncio
import contextlib
import stat
from collections.abc import Iterator

import asyncssh

from ceso_mcp.errors import RepositoryFault
from ceso_mcp.repository.target import Blob

_LOST = (asyncssh.SFTPConnectionLost, asyncssh.SFTPNoConnection)
_WRITE_BYTES = 4 << 20
_NEW = asyncssh.FXF_WRITE | asyncssh.FXF_CREAT | asyncssh.FXF_EXCL


async def is_file(sftp: asyncssh.SFTPClient, path: str) -> bool:
    return stat.S_ISREG(await _mode(sftp, path))


async def is_folder(sftp: asyncssh.SFTPClient, path: str) -> bool:
    return stat.S_ISDIR(await _mode(sftp, path))


async def _mode(sftp: asyncssh.SFTPClient, path: str) -> int:
    try:
        return (await sftp.stat(path)).permissions or 0
    except asyncssh.SFTPNoSuchFile:
        return 0


async def read(sftp: asyncssh.SFTPClient, path: str, offset: int = 0, length: int | None = None) -> bytes:
    """The whole file, or at most `length` bytes from `offset`."""
    async with sftp.open(path, asyncssh.FXF_READ, encoding=None) as file:
        size = (await file.stat()).size or 0
        end = size if length is None else min(size, offset + length)
        content: bytes = await file.read(end - offset, offset) if end > offset else b""
    if length is None and len(content) != size:
        raise RepositoryFault(f"{path} was cut short while it was read")
    return content


async def open_new(sftp: asyncssh.SFTPClient, path: str) -> asyncssh.SFTPClientFile:
    """A new file for writing, readable by its owner alone; SFTPError if there is one."""
    return await sftp.open(path, _NEW, asyncssh.SFTPAttrs(permissions=0o600), encoding=None)


async def write(file: asyncssh.SFTPClientFile, content: Blob) -> None:
    """All of `content`, many requests at a time, and synced."""
    offset = 0
    for piece in _pieces(content):
        await file.write(piece, offset)
        offset += len(piece)
    await sync(file)


def _pieces(content: Blob) -> Iterator[bytes]:
    """The content in pieces that are neither tiny nor huge."""
    gathered = bytearray()
    for piece in content:
        view = memoryview(piece)
        while view:
            take = view[: _WRITE_BYTES - len(gathered)]
            gathered += take
            view = view[len(take) :]
            if len(gathered) == _WRITE_BYTES:
                yield bytes(gathered)
                gathered.clear()
    if gathered:
        yield bytes(gathered)


async def sync(file: asyncssh.SFTPClientFile) -> None:
    """Ask for the file to be safe; a server that cannot was accepted as such by the configuration."""
    with contextlib.suppress(asyncssh.SFTPOpUnsupported):
        await file.fsync()


async def create_in_place(sftp: asyncssh.SFTPClient, path: str, content: bytes) -> bool:
    """Exclusive creation where there are no hard links; False if the name is taken."""
    try:
        file = await open_new(sftp, path)
    except _LOST:
        raise
    except (asyncssh.SFTPFailure, asyncssh.SFTPFileAlreadyExists):
        if await is_file(sftp, path):
            return False
        raise
    try:
        await write(file, [content])
    except BaseException:
        with contextlib.suppress(asyncssh.SFTPError):
            await sftp.remove(path)
        raise
    finally:
        with contextlib.suppress(asyncssh.SFTPError):
            await file.close()
    return True


async def make_folders(sftp: asyncssh.SFTPClient, root: str, path: str) -> None:
    """The folders of `path` below `root`, as far as they are missing; never `root` itself."""
    folder = root.rstrip("/")
    for part in path[len(folder) + 1 :].split("/")[:-1]:
        folder = f"{folder}/{part}"
        if await is_folder(sftp, folder):
            continue
        try:
            await sftp.mkdir(folder, asyncssh.SFTPAttrs(permissions=0o700))
        except (asyncssh.SFTPFailure, asyncssh.SFTPFileAlreadyExists):
            if not await is_folder(sftp, folder):  # else somebody made it meanwhile
                raise


async def walk(sftp: asyncssh.SFTPClient, folder: str, narrow: asyncio.Semaphore) -> list[tuple[str, int]]:
    """Path and size of every file below `folder`."""
    async with narrow:
        try:
            names = await sftp.readdir(folder)
        except asyncssh.SFTPNoSuchFile:
            return []  # deleted since it was seen
    found, inner = [], []
    for name in names:
        if name.filename in (".", ".."):
            continue
        path = f"{folder}/{name.filename!s}"
        if stat.S_ISDIR(name.attrs.permissions or 0):
            inner.append(walk(sftp, path, narrow))
        else:
            found.append((path, name.attrs.size or 0))
    for more in await asyncio.gather(*inner):
        found += more
    return found


async def require_no_vm(sftp: asyncssh.SFTPClient, root: str, volume: str, title: str) -> None:
    """Refuse a folder that is a VM's, or lies in one: deleting the VM would take the backups with it."""
    folder = root
    while len(folder) > len(volume):
        with contextlib.suppress(asyncssh.SFTPNoSuchFile):
            for name in await sftp.readdir(folder):
                if str(name.filename).endswith((".vmx", ".vmxf", ".vmtx")):
                    raise RepositoryFault(
                        f"{title} is, or is inside, the folder of a VM",
                        code="not_a_repository",
                        hint="give a folder of its own on the datastore",
                    )
        folder = folder.rpartition("/")[0]


async def remove_empty_folders(sftp: asyncssh.SFTPClient, root: str, path: str) -> None:
    """Remove the folders of what was at `path` that are empty now, but for those right below `root`.

    A backup's folder goes with its last object; other folders are full or soon again.
    """
    parent = path.rpartition("/")[0]
    while len(parent) > len(root) and parent.rpartition("/")[0] != root.rstrip("/"):
        try:
            await sftp.rmdir(parent)
        except (asyncssh.SFTPFailure, asyncssh.SFTPPermissionDenied, asyncssh.SFTPNoSuchFile):
            break
        parent = parent.rpartition("/")[0]


async def free_bytes(sftp: asyncssh.SFTPClient, root: str) -> int | None:
    """What is free where `root` is, or will be; None if the server cannot tell."""
    there = await is_folder(sftp, root)
    place = root if there else root.rpartition("/")[0] or ("/" if root[0] == "/" else ".")
    try:
        found = await sftp.statvfs(place)
    except asyncssh.SFTPOpUnsupported:
        return None
    return found.bavail * found.frsize
