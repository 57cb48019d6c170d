"""How much room the backups take."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from ceso_mcp.fact import Facts
from ceso_mcp.facts.backups import Repository
from ceso_mcp.facts.keeping import KeptBackups, RepositoryRoom
from ceso_mcp.operation import Answer, Query


class VmStats(Answer):
    """The backups of one VM."""

    vm: str = Field(description="its name in the newest backup")
    backups: int
    data_bytes: int = Field(description="data of all backups, as it was on the disks")
    stored_bytes: int = Field(description="what is stored of it, each object once")
    own_bytes: int = Field(description="what would become free if all its backups went")
    vm_id: str


class StatsAnswer(Answer):
    """Sizes in bytes. `saved_times` is the data of all backups over what is stored of it."""

    repository: str
    backups: int
    data_bytes: int
    stored_bytes: int
    garbage_bytes: int = Field(description="what no backup names, see prune_repository")
    free_bytes: int
    saved_times: float | None
    retention: str
    vms: list[VmStats]


class RepositoryStats(Query):
    """Tell how much room the backups take: data, what is stored of it, what each VM shares with none.

    Reads the repository's manifests only; the host is not asked.
    """

    title: ClassVar[str] = "Repository statistics"
    toolset: ClassVar[str] = "backup"
    result: ClassVar[type[Answer]] = StatsAnswer

    async def answer(self, facts: Facts) -> StatsAnswer:
        state, room, standing = await facts.read(Repository(), RepositoryRoom(), KeptBackups())
        return StatsAnswer(
            repository=standing.repository,
            backups=room.backups,
            data_bytes=room.raw_bytes,
            stored_bytes=room.stored_bytes,
            garbage_bytes=room.garbage_bytes,
            free_bytes=state.free_bytes,
            saved_times=round(room.raw_bytes / room.stored_bytes, 1) if room.stored_bytes else None,
            retention=standing.policy.words() if standing.policy else "keep everything",
            vms=[
                VmStats(
                    vm=vm.name,
                    backups=vm.backups,
                    data_bytes=vm.raw_bytes,
                    stored_bytes=vm.stored_bytes,
                    own_bytes=vm.own_bytes,
                    vm_id=vm.vm_id,
                )
                for vm in room.vms
            ],
        )
