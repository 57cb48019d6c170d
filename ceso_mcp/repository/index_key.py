"""This machine's own key to the maps and digests of a sealed repository, never to its data.

Comparing with an earlier backup takes its map and digests. The private keys of the recipients have
no place on a machine that only backs up, so this one has its own age identity for each repository,
in a file that only its owner can read, and seals maps and digests to it as well. Losing it costs a full
backup. It is taken from here alone: a key that stands in the storage could be anybody's.
"""

from __future__ import annotations

import contextlib
import os
import re
import secrets
from pathlib import Path
from typing import NamedTuple

from ceso_mcp.config import private_directory, state_fault
from ceso_mcp.errors import ConfigFault, RepositoryFault
from ceso_mcp.repository import seal

_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\Z")


class IndexKey(NamedTuple):
    """An age identity, opened for both uses; `phrase` is its text, for OpenPGP messages."""

    identity: seal.Identity
    recipient: seal.Recipient
    phrase: str


def index_key(folder: Path, repository_id: str, *, make: bool = False) -> IndexKey | None:
    """The key for this repository in `folder`; None if there is none and `make` is not set.

    Raises ConfigFault: `state_exposed` if others can read it, `state_unusable` or `state_full` if it
    cannot be read or made, `secret_missing` if it is no key.
    """
    if not _ID.match(repository_id):
        return None  # the id comes from the storage, and would be a file name here
    path = folder / f"{repository_id}.txt"
    try:
        if make and not path.exists():
            _make(private_directory(folder), path, repository_id)
        if not path.exists():
            return None
        if path.stat().st_mode & 0o077:
            raise ConfigFault(
                f"the key file {path} can be read by others", code="state_exposed", hint=f"chmod 600 {path}"
            )
        text = path.read_text("ascii", "replace")
    except OSError as error:
        raise state_fault(path, error) from None
    try:
        (identity,) = seal.read_identities([text])
    except (RepositoryFault, ValueError):
        raise ConfigFault(
            f"{path} holds no key",
            code="secret_missing",
            hint="move it away; the next backup makes a new one, and is a full one",
        ) from None
    return IndexKey(identity, identity.to_public(), str(identity))


def _make(folder: Path, path: Path, repository_id: str) -> None:
    """Write a new key beside `path` and give it the name only if nobody else was faster."""
    secret, public = seal.new_identity()
    text = (
        f"# opens the maps and digests of ceso repository {repository_id}, not its data\n"
        f"# public key: {public}\n{secret}\n"
    )
    draft = folder / f".{secrets.token_hex(8)}"
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with open(descriptor, "w", encoding="ascii") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        with contextlib.suppress(FileExistsError):
            os.link(draft, path)
    finally:
        draft.unlink()
