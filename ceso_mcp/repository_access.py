"""The configured repository: where it is, whether it exists, and the way into it."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ceso_mcp.config import BackupSection
from ceso_mcp.errors import ConfigFault, RepositoryFault
from ceso_mcp.home import expanded
from ceso_mcp.known_repositories import KnownRepositories
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
    """Opens the repository of the configuration, anew each time: it may come, go and change.

    With a `state` directory it is remembered which repository was where; where one has vanished, every
    method raises RepositoryFault `repository_gone`, and none is made.
    """

    def __init__(self, backup: BackupSection, redactor: Redactor, state: Path | None = None) -> None:
        self._backup = backup
        self._redactor = redactor
        self._known = KnownRepositories(state) if state is not None else None

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

        found = LocalRepository.is_at(self.path())
        if not found and self._known is not None:
            self._known.require_absent(str(self.path()))
        return found

    def init(self) -> Any:
        """The repository, made if there never was one; sealed to the configured recipients."""
        from ceso_mcp.repository import LocalRepository

        self.exists()
        repository = LocalRepository.init(self.path(), recipients=self.recipients)
        if self._known is not None:
            self._known.remember(str(self.path()), repository.id)
        return repository

    def open(self, *, private: bool = True) -> Any:
        """The repository; `private` brings the identity, which only reading sealed data needs."""
        from ceso_mcp.repository import LocalRepository

        identities: list[str] = []
        if private and self._backup.identity is not None:
            secret = read_secret(self._backup.identity, "age identity")
            self._redactor.learn(secret.value)
            identities = [secret.value.decode()]
        self.exists()
        repository = LocalRepository.open(self.path(), identities=identities)
        if self._known is not None:
            # Reading must not fail because the state directory is full.
            with contextlib.suppress(ConfigFault):
                self._known.remember(str(self.path()), repository.id)
        return repository
