"""The desk's room for copies: between the configured repository and another one of the configuration."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ceso_mcp.backup.copies import CopyBackups, CopyOf, CopyWork
from ceso_mcp.errors import RepositoryFault
from ceso_mcp.repository_access import RepositoryAccess


def copy_work(access: RepositoryAccess, question: CopyOf) -> CopyWork:
    """What copying would have to do. Makes nothing."""
    from ceso_mcp.repository.copying import missing

    source, destination = _both(access, question.name, question.back)
    opened = _source(source)
    exists = destination.exists()
    found = missing(opened, destination.open(private=False) if exists else None, question.backup_id)
    return CopyWork(
        source=source.title(),
        destination=destination.title(),
        new_place=not exists,
        backup_ids=tuple(m.id for m in found.manifests),
        protected=found.protected,
        there_already=found.there_already,
        mended=found.mended,
        damaged=found.damaged,
        objects=len(found.parts),
        size_bytes=found.size_bytes,
        free_bytes=destination.target().free_bytes(),
    )


def copy_now(access: RepositoryAccess, action: CopyBackups) -> Mapping[str, str]:
    """Copy what the plan shows; the place is made if it is a new one."""
    from ceso_mcp.repository.copying import copy_backups

    source, destination = _both(access, action.name, action.back)
    opened = _source(source)
    copied = copy_backups(opened, destination.init(like=opened.settings), action.backup_ids, action.protected)
    return {
        "copied_backups": str(copied.backups),
        "copied_protections": str(copied.protections),
        "sent_objects": str(copied.objects),
        "sent_bytes": str(copied.size_bytes),
    }


def _both(access: RepositoryAccess, name: str, back: bool) -> tuple[RepositoryAccess, RepositoryAccess]:
    copy = access.copy(name)
    return (copy, access) if back else (access, copy)


def _source(source: RepositoryAccess) -> Any:
    if not source.exists():
        raise RepositoryFault(
            f"there is no repository at {source.title()} to copy from",
            code="no_repository",
            hint="make a backup first",
        )
    return source.open(private=False)
