"""Check a backup by reading every byte of it."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from ceso_mcp.backup.signature import SignatureState
from ceso_mcp.fact import Facts
from ceso_mcp.facts.backups import Verification
from ceso_mcp.fields import BackupName
from ceso_mcp.operation import Answer, Query


class VerifyAnswer(Answer):
    """The outcome. `status` is `running`, with a job, if it takes longer than a call may."""

    status: Literal["done", "running"] = "done"
    backup_id: str
    intact: bool | None = Field(
        None, description="all that was read is as it was stored, and signed as required"
    )
    sample_percent: int | None = Field(None, description="100 if every byte was read")
    objects: int | None = Field(None, description="objects read")
    checked_bytes: int | None = None
    damage: list[str] = Field(
        default_factory=list, description="what is damaged, and which part of the VM it is"
    )
    signature: SignatureState | None = Field(None, description="how its manifest is signed, see list_backups")
    signer: str | None = Field(None, description="fingerprint of the key that signed it")
    not_noted: str | None = Field(
        None, description="why the outcome could not be noted in the repository, where retention heeds it"
    )
    job_id: str | None = None
    next: str | None = None


class VerifyBackup(Query):
    """Read every byte of a backup and check it: signature, hashes, encryption, every block's digest.

    Changes no backup and does not ask the host; the outcome is noted beside the backup, because
    retention never removes the last one that is known to be good. Damage is named with the disk and
    range it affects. A sealed repository needs the age identity of the configuration. Takes as long as
    reading it; sample_percent reads only a part, drawn anew each time.
    """

    title: ClassVar[str] = "Verify a backup"
    toolset: ClassVar[str] = "backup"
    long: ClassVar[bool] = True
    result: ClassVar[type[Answer]] = VerifyAnswer

    backup_id: BackupName = Field(description="id of the backup, from list_backups")
    sample_percent: int = Field(100, ge=1, le=100, description="share of the packs that is read")

    async def answer(self, facts: Facts) -> VerifyAnswer:
        report, not_noted = await facts.read(Verification(self.backup_id, self.sample_percent))
        return VerifyAnswer(
            backup_id=report.backup_id,
            intact=report.ok and not report.refused,
            sample_percent=self.sample_percent,
            not_noted=not_noted or None,
            objects=report.objects,
            checked_bytes=report.bytes_read,
            damage=[str(item) for item in report.damage] + ([report.refused] if report.refused else []),
            signature=report.signature.state,
            signer=report.signature.signer or None,
        )
