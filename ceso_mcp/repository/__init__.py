"""What keeps backups: repositories, sealing, and the places (targets) that hold their objects."""

from __future__ import annotations

from ceso_mcp.repository.local_repository import LocalRepository
from ceso_mcp.repository.making import is_repository
from ceso_mcp.repository.parent import Choice
from ceso_mcp.repository.repository import (
    DamagedBackup,
    Listing,
    Repository,
)

__all__ = ["Choice", "DamagedBackup", "Listing", "LocalRepository", "Repository", "is_repository"]
