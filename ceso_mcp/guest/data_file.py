"""A question about a file with user data on this machine: words only, answered by `guest_desk`."""

from __future__ import annotations

from dataclasses import dataclass

from ceso_mcp.fact import HereQuestion
from ceso_mcp.text import Secret

LARGEST_BYTES = 512 * 1024
"""More can hardly be packed into what a .vmx carries (fact sheet cloud-init §3)."""


@dataclass(frozen=True, slots=True)
class UserDataAt(HereQuestion):
    """The content of the file at `path`, which is absolute or begins with `~`.

    Refused: a path that is neither (`user_data_path`), a file that is missing or no plain file
    (`user_data_missing`), too large (`user_data_too_large`), or writable by others (`user_data_writable`).
    """

    path: str


@dataclass(frozen=True, slots=True)
class DataFile:
    """The answer to `UserDataAt`. `readable_by_others` says that the file is no well-kept secret."""

    path: str
    size_bytes: int
    sha256: str
    readable_by_others: bool
    content: Secret
