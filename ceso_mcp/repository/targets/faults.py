"""What the operating system says of a storage, as a RepositoryFault that tells what to do."""

from __future__ import annotations

import errno

from ceso_mcp.errors import RepositoryFault

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_READ_ONLY = {errno.EROFS, errno.EACCES, errno.EPERM}
_GONE = {errno.ESTALE, errno.ENOTCONN, errno.ENODEV, errno.ENXIO, errno.EHOSTDOWN}


def fault_of(error: OSError, title: str, what: str) -> RepositoryFault:
    """The fault of the repository `title`, while it dealt with `what`.

    Codes: `repository_full`, `repository_read_only`, `repository_gone`, else `repository`.
    """
    if error.errno in _FULL:
        return RepositoryFault(
            f"there is no room left in the repository {title} for {what}",
            code="repository_full",
            hint="free some space there, or use another repository",
        )
    if error.errno in _GONE:
        return RepositoryFault(
            f"the repository {title} is not there any more: {error.strerror or error}",
            code="repository_gone",
            hint="see whether it is still mounted",
        )
    if error.errno in _READ_ONLY:
        return RepositoryFault(
            f"{what} cannot be written, or not be read, in {title}: {error.strerror or error}",
            code="repository_read_only",
            hint="see how it is mounted, and to whom its files belong",
        )
    return RepositoryFault(
        f"the repository {title} failed on {what}: {error.strerror or error}",
        hint="see what the system's log says of that storage",
    )
