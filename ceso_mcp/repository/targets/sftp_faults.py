"""What an SFTP server says went wrong, as a RepositoryFault that tells what to do.

Version 3 of the protocol, which OpenSSH speaks, has one word, Failure, for most things; what the
file system says of its room and state then tells a full one and a read-only one from others.
"""

from __future__ import annotations

import errno

import asyncssh

from ceso_mcp.errors import RepositoryFault
from ceso_mcp.repository.targets import sftp_steps as steps
from ceso_mcp.repository.targets.faults import fault_of

_READ_ONLY = 1
_SLACK_BYTES = 1 << 16


async def fault_of_sftp(
    sftp: asyncssh.SFTPClient, error: asyncssh.SFTPError, root: str, title: str, what: str, needed_bytes: int
) -> RepositoryFault:
    """The fault of the repository `title` while it dealt with `what`; codes as `faults.fault_of`."""
    number = errno.EIO
    if isinstance(error, asyncssh.SFTPNoSpaceOnFilesystem | asyncssh.SFTPQuotaExceeded):
        number = errno.ENOSPC
    elif isinstance(error, asyncssh.SFTPWriteProtect):
        number = errno.EROFS
    elif isinstance(error, asyncssh.SFTPPermissionDenied):
        number = errno.EACCES
    elif isinstance(error, asyncssh.SFTPFailure):
        if not await _answers(sftp, root):
            return gone(title)
        number = await _guess(sftp, root, needed_bytes)
    return fault_of(OSError(number, error.reason or "the server says only that it failed"), title, what)


async def _answers(sftp: asyncssh.SFTPClient, root: str) -> bool:
    """Whether the repository's folder can be looked at: a share whose server is away cannot."""
    try:
        return await steps.is_folder(sftp, root)
    except asyncssh.SFTPFailure:
        return False


async def _guess(sftp: asyncssh.SFTPClient, root: str, needed_bytes: int) -> int:
    try:
        found = await sftp.statvfs(root)
    except asyncssh.SFTPError:
        return errno.EIO
    if found.flags & _READ_ONLY:
        return errno.EROFS
    if found.bavail * found.frsize < needed_bytes + _SLACK_BYTES or found.favail == 0 < found.files:
        return errno.ENOSPC
    return errno.EIO


def gone(title: str) -> RepositoryFault:
    """The folder itself is not there. To be raised from a FileNotFoundError."""
    return RepositoryFault(
        f"the repository's folder {title} is gone",
        code="repository_gone",
        hint="see whether it is still mounted on its server, and whether what it is mounted from answers",
    )


def no_object(title: str, what: str) -> RepositoryFault:
    return RepositoryFault(f"{what} is not in the repository {title}", code="no_such_object")
