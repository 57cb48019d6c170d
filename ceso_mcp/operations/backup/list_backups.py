"""List the backups of the repository."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from ceso_mcp.backup.signature import SignatureState
from ceso_mcp.fact import Facts
from ceso_mcp.facts.backups import Repository
from ceso_mcp.facts.keeping import KeptBackups
from ceso_mcp.operation import Answer, Query


class BackupRow(Answer):
    """One backup."""

    backup_id: str
    vm: str
    uuid_bios: str
    created: str = Field(description="UTC")
    kind: Literal["cold", "hot"]
    state: Literal["complete", "partial"]
    disks: int
    capacity_bytes: int
    data_bytes: int
    stored_bytes: int
    not_included: list[str]
    verified: str | None = Field(description="UTC; when all of it was last read and right")
    protected: str | None = Field(description="set if it is protected; the reason given")
    drill: Literal["passed", "started", "failed"] | None = Field(description="outcome of its last drill")
    drilled: str | None = Field(description="UTC; when that was")
    damaged: bool = Field(description="verifying it found damage, or its signature forbids to restore it")
    signature: SignatureState = Field(
        description="signed: by a configured signer; unchecked: by somebody, no signers are configured;"
        " unknown_signer: by somebody else; missing: it had one; bad: of something else than this manifest"
    )
    signer: str | None = Field(description="fingerprint of the key that signed it")


class BackupList(Answer):
    """Backups, newest first. `damaged` are entries whose manifest cannot be read."""

    repository: str
    encrypted: bool
    free_bytes: int | None = Field(description="none where the place does not know")
    backups: list[BackupRow]
    total: int
    next_offset: int | None = None
    damaged: list[str]


class ListBackups(Query):
    """List backups, newest first, with their sizes and what each does not include.

    Reads the repository only; the host is not asked.
    """

    title: ClassVar[str] = "List backups"
    toolset: ClassVar[str] = "backup"
    result: ClassVar[type[Answer]] = BackupList

    vm: str | None = Field(
        None, max_length=255, description="only backups of the VM of this name or BIOS UUID"
    )
    limit: int = Field(50, ge=1, le=200, description="page size")
    offset: int = Field(0, ge=0, description="how many to skip")

    async def answer(self, facts: Facts) -> BackupList:
        state, standing = await facts.read(Repository(), KeptBackups())
        found = [
            (b.manifest, b)
            for b in standing.backups
            if self.vm is None or self.vm in (b.manifest.vm.name, b.manifest.vm.uuid_bios)
        ]
        page = found[self.offset : self.offset + self.limit]
        end = self.offset + len(page)
        return BackupList(
            repository=state.path,
            encrypted=state.encrypted,
            free_bytes=state.free_bytes,
            backups=[
                BackupRow(
                    backup_id=m.id,
                    vm=m.vm.name,
                    uuid_bios=m.vm.uuid_bios,
                    created=m.created.isoformat(timespec="seconds"),
                    kind=m.kind,
                    state=m.state,
                    disks=len(m.disks),
                    capacity_bytes=sum(disk.capacity_bytes for disk in m.disks),
                    data_bytes=m.raw_bytes,
                    stored_bytes=m.stored_bytes,
                    not_included=[f"{item.what}: {item.why}" for item in m.not_included],
                    verified=None if b.verified is None else b.verified.isoformat(timespec="seconds"),
                    protected=b.protected,
                    drill=None if b.drill is None else b.drill.state,
                    drilled=None if b.drill is None else b.drill.time.isoformat(timespec="seconds"),
                    damaged=b.state == "damaged",
                    signature=b.signature.state,
                    signer=b.signature.signer or None,
                )
                for m, b in page
            ],
            total=len(found),
            next_offset=end if end < len(found) else None,
            damaged=[f"{entry}: {reason}" for entry, reason in standing.damaged],
        )
