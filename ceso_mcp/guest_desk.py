"""The desk's eyes for what a guest is told: files with user data on this machine."""

from __future__ import annotations

import hashlib
import os
import stat
from pathlib import Path

from ceso_mcp.errors import Refused
from ceso_mcp.guest.data_file import LARGEST_BYTES, DataFile, UserDataAt
from ceso_mcp.home import expanded
from ceso_mcp.text import Secret


def read_data_file(question: UserDataAt) -> DataFile:
    """The file as it is now; blocking. Raises Refused as `UserDataAt` says."""
    path = expanded(Path(question.path))
    if not path.is_absolute():
        raise Refused(
            "user_data_file is not an absolute path",
            code="user_data_path",
            hint="give the whole path: the job that runs later may start in another folder",
        )
    try:
        # Not to wait for the other end of a pipe.
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "this is not a path"
        raise Refused(f"cannot read the user data in {path}: {reason}", code="user_data_missing") from None
    with os.fdopen(fd, "rb") as file:
        found = os.fstat(file.fileno())
        if not stat.S_ISREG(found.st_mode):
            raise Refused(f"{path} is not a file", code="user_data_missing")
        if found.st_mode & 0o022 or found.st_uid not in (0, os.geteuid()):
            raise Refused(
                f"others can change {path}, and what is in it is run by root in the guest",
                code="user_data_writable",
                hint=f"make it a file of yours, and chmod 600 {path}",
            )
        content = file.read(LARGEST_BYTES + 1)
    if len(content) > LARGEST_BYTES:
        raise Refused(
            f"{path} is larger than {LARGEST_BYTES // 1024} KiB, more than a guest can be told",
            code="user_data_too_large",
            hint="let the guest fetch large files itself",
        )
    digest = hashlib.sha256(content).hexdigest()
    name = f"user data of {path}, {len(content)} bytes, sha256 {digest}"
    return DataFile(str(path), len(content), digest, bool(found.st_mode & 0o044), Secret(name, content))
