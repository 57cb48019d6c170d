"""Which repository was last seen at which place, kept in the state directory.

A mount that is missing leaves an empty folder, which looks like a place for a new repository. Whoever
remembers that there was one does not make another in its stead.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import secrets
from pathlib import Path

from ceso_mcp.config import private_directory, state_fault
from ceso_mcp.errors import RepositoryFault


class KnownRepositories:
    """One small file a place in `state`/repositories. `place` is the text a place is known by."""

    def __init__(self, state: Path) -> None:
        self._folder = state / "repositories"

    def file(self, place: str) -> Path:
        """Where the memory of `place` is kept; removing it is how to begin anew there."""
        return (
            self._folder / f"{hashlib.sha256(place.encode('utf-8', 'surrogateescape')).hexdigest()[:24]}.json"
        )

    def id_at(self, place: str) -> str | None:
        """The id of the repository last seen at `place`, or None. A file that cannot be read counts: it
        was written because there was one."""
        try:
            found = json.loads(self.file(place).read_text("utf-8"))
            return str(found["id"])
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError):
            return "unknown"

    def remember(self, place: str, repository_id: str) -> None:
        """Note that `repository_id` is at `place`. Raises ConfigFault if the state cannot be written."""
        if self.id_at(place) == repository_id:
            return
        path = self.file(place)
        draft = path.with_name(f"{path.name}.{secrets.token_hex(6)}")
        private_directory(self._folder)
        try:
            with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
                json.dump({"place": place, "id": repository_id}, file, indent=1)
                file.write("\n")
                file.flush()
                os.fsync(file.fileno())
            os.replace(draft, path)
        except OSError as fault:
            with contextlib.suppress(OSError):
                draft.unlink(missing_ok=True)
            raise state_fault(path, fault) from None

    def require_absent(self, place: str) -> None:
        """Raise RepositoryFault `repository_gone` if there was a repository at `place`, where now is none."""
        known = self.id_at(place)
        if known is not None:
            raise RepositoryFault(
                f"the repository {known} that was at {place} is not there",
                code="repository_gone",
                hint=f"is it mounted? To begin a new repository there, remove {self.file(place)}",
            )
