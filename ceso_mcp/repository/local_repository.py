"""A repository in a folder of this machine, without the way through the configuration."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Self

from ceso_mcp.backup.pack import PACK_STORED_BYTES
from ceso_mcp.repository.making import is_repository, made
from ceso_mcp.repository.repository import Repository
from ceso_mcp.repository.store import Settings
from ceso_mcp.repository.targets.local import LocalTarget


class LocalRepository(Repository):
    """A repository in a folder of this machine, or one mounted here."""

    def __init__(self, path: Path, settings: Settings, identities: Sequence[str] = ()) -> None:
        super().__init__(LocalTarget(path), settings, identities)

    @classmethod
    def init(
        cls,
        path: Path,
        *,
        recipients: Sequence[str] = (),
        pack_bytes: int = PACK_STORED_BYTES,
        passphrase: str | None = None,
    ) -> Self:
        """`init_at` a folder."""
        return cls(path, made(LocalTarget(path), recipients, pack_bytes, None, passphrase))

    @classmethod
    def is_at(cls, path: Path) -> bool:
        """Whether there is a repository at `path`. Raises RepositoryFault if that cannot be told."""
        return is_repository(LocalTarget(path))

    @classmethod
    def open(cls, path: Path, *, identities: Sequence[str] = ()) -> Self:
        """`open_at` a folder."""
        return cls(path, Settings.load(LocalTarget(path)), identities)
