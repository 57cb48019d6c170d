"""The configured repository: where it is, whether it exists, and the way into it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ceso_mcp.config import BackupSection
from ceso_mcp.errors import RepositoryFault
from ceso_mcp.home import expanded
from ceso_mcp.redact import Redactor
from ceso_mcp.secrets import read_secret


@dataclass(frozen=True, slots=True)
class RepositoryStatus:
    """The configured repository as it is now."""

    path: str
    exists: bool
    recipients: int
    encrypted: bool
    free_bytes: int
    as_configured: bool


class RepositoryAccess:
    """Opens the repository of the configuration, anew each time: it may come, go and change."""

    def __init__(self, backup: BackupSection, redactor: Redactor, keys: Path | None = None) -> None:
        self._backup = backup
        self._redactor = redactor
        self._keys = keys

    @property
    def recipients(self) -> tuple[str, ...]:
        """The public keys that the configuration names."""
        return self._backup.recipients

    def status(self) -> RepositoryStatus:
        path = self.path()
        exists = self.exists()
        configured = {text.strip() for text in self._backup.recipients}
        found = set(self.open(private=False).recipients) if exists else configured
        from ceso_mcp.repository import room_at

        return RepositoryStatus(
            str(path), exists, len(found), bool(found), room_at(path), found == configured
        )

    def path(self) -> Any:
        if self._backup.repository is None:
            raise RepositoryFault(
                "no backup repository is configured",
                code="no_repository",
                hint="set repository in the [backup] section of the configuration",
            )
        return expanded(self._backup.repository)

    def exists(self) -> bool:
        from ceso_mcp.repository import LocalRepository

        return LocalRepository.is_at(self.path())

    def open(self, *, private: bool = True) -> Any:
        """The repository; `private` brings the identity, which only reading sealed data needs."""
        from ceso_mcp.repository import LocalRepository

        identities: list[str] = []
        if private and self._backup.identity is not None:
            secret = read_secret(self._backup.identity, "age identity")
            self._redactor.learn(secret.value)
            identities = [secret.value.decode()]
        repository = LocalRepository.open(self.path(), identities=identities)
        self.use_index_key(repository)
        return repository

    def use_index_key(self, repository: Any, *, make: bool = False) -> None:
        """Give an opened repository this machine's own key to maps and digests."""
        if self._keys is not None:
            repository.use_index_key(self._keys, make=make)

    def parent_for(self, vm_id: str, disks: tuple[tuple[str, int], ...]) -> Any:
        """What a new backup of this VM is compared with (`repository.parent.Choice`)."""
        from ceso_mcp.repository import Choice

        if not self.exists():
            return Choice(None, (False,) * len(disks), "")
        return self.open(private=False).parent_for(vm_id, disks)
