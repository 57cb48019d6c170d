"""Check that everything is there that the backups name."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from ceso_mcp.fact import Facts
from ceso_mcp.facts.keeping import RepositoryStructure
from ceso_mcp.operation import Answer, Query

_SHOWN = 200


class CheckAnswer(Answer):
    """The outcome. `status` is `running`, with a job, if it takes longer than a call may."""

    status: Literal["done", "running"] = "done"
    intact: bool | None = Field(None, description="every object that a backup names is there with its size")
    backups: int | None = None
    objects: int | None = Field(None, description="objects that backups name")
    named_bytes: int | None = None
    damaged_backups: list[str] = Field(default_factory=list, description="ids of backups that miss something")
    problems: list[str] = Field(default_factory=list, description="what each of them misses, at most 200")
    notes: list[str] = Field(default_factory=list, description="what is not right and costs no backup")
    loose_objects: int | None = Field(None, description="objects that no backup names, see prune_repository")
    loose_bytes: int | None = None
    foreign_files: int | None = Field(None, description="files that are not ceso's")
    job_id: str | None = None
    next: str | None = None


class CheckRepository(Query):
    """Check the structure of the repository: is every object there that a backup names, with its size?

    Reads listings and manifests only, so it is quick and needs no key; verify_backup reads the data.
    Loose objects are counted; those of a backup that is being written are among them. Does not ask
    the host.
    """

    title: ClassVar[str] = "Check the repository"
    toolset: ClassVar[str] = "backup"
    long: ClassVar[bool] = True
    result: ClassVar[type[Answer]] = CheckAnswer

    async def answer(self, facts: Facts) -> CheckAnswer:
        found = await facts.read(RepositoryStructure())
        return CheckAnswer(
            intact=not found.problems,
            backups=found.backups,
            objects=found.objects,
            named_bytes=found.named_bytes,
            damaged_backups=sorted({backup_id for backup_id, _ in found.problems}),
            problems=[f"{backup_id}: {reason}" for backup_id, reason in found.problems[:_SHOWN]],
            notes=list(found.notes[:_SHOWN]),
            loose_objects=found.loose_objects,
            loose_bytes=found.loose_bytes,
            foreign_files=found.foreign_files,
            next="verify_backup tells which parts of its disks a damaged backup has lost"
            if found.problems
            else None,
        )
