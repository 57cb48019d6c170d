"""Apply the retention policy."""

from __future__ import annotations

from datetime import datetime
from typing import ClassVar

from pydantic import Field

from ceso_mcp.backup.standing import Group
from ceso_mcp.errors import Refused
from ceso_mcp.fact import Facts
from ceso_mcp.facts.keeping import KeptBackups
from ceso_mcp.fields import ExistingVm
from ceso_mcp.operation import Change
from ceso_mcp.plan import Plan
from ceso_mcp.recipes.forgetting import forget_steps
from ceso_mcp.shell import Captured


class ForgetBackups(Change):
    """Apply the repository's retention policy: show which backups go and why each stays, then remove them.

    Backups belong together by the VM's identity, not its name. Protected backups, the newest complete
    and the newest verified one of a VM never go, nor those that are damaged or have a time in the
    future. Does not ask the host.
    """

    title: ClassVar[str] = "Forget old backups"
    toolset: ClassVar[str] = "backup"
    may_destroy: ClassVar[bool] = True

    vm: ExistingVm | None = Field(None, description="only backups of the VM of this name, BIOS UUID or id")
    more_than_half: bool = Field(
        False, description="also when more than half of a VM's backups would go, as at the first time"
    )

    async def plan(self, facts: Facts) -> Plan:
        standing = await facts.read(KeptBackups())
        if standing.policy is None:
            raise Refused(
                "the repository has no retention policy, so everything stays",
                code="no_policy",
                hint="set one first (set_retention)",
            )
        now = datetime.fromisoformat(facts.fixed.now)
        groups = standing.groups() if self.vm is None else (standing.group_of(self.vm),)
        rows: list[tuple[str, str, str]] = []
        going: list[str] = []
        warnings: list[str] = []
        most: list[str] = []
        for group in groups:
            verdict = group.verdict(standing.policy, now)
            going += verdict.removed
            warnings += verdict.warnings if not standing.policy.empty else ()
            if verdict.removes_most:
                most.append(f"{group.name} ({len(verdict.removed)} of {len(verdict.decisions)})")
            rows += [
                (_row(group, decision.id), "listed", _said(decision.keep, decision.reasons))
                for decision in verdict.decisions
            ]
        if most and not self.more_than_half:
            raise Refused(
                f"more than half of the backups would go of: {', '.join(most)}",
                code="removes_most",
                hint="look at the policy (set_retention); if that is what you want, say more_than_half",
            )
        if standing.damaged:
            names = ", ".join(entry for entry, _ in standing.damaged[:10])
            warnings.append(f"These backups cannot be read; they stay: {names}.")
        steps, freed_bytes, told = await forget_steps(facts, standing, going)
        count = len(going)
        return Plan(
            title=f"forget {count} backup(s)" if count else "forget: every backup stays",
            steps=steps,
            touches=tuple(f"repository {standing.repository}: backup {backup_id}" for backup_id in going),
            warnings=(f"Policy: {standing.policy.words()}.", *warnings, *told),
            before_after=(
                *rows,
                ("bytes that no backup would name", "in the repository", f"{freed_bytes} bytes freed"),
            ),
            outcome={
                "repository": standing.repository,
                "forgotten": Captured("forgotten", number=True) if count else 0,
                "kept": len(rows) - count,
                "freed_bytes": Captured("freed_bytes", number=True),
            },
        )


def _row(group: Group, backup_id: str) -> str:
    return f"{group.name}: {backup_id}"


def _said(keep: bool, reasons: tuple[str, ...]) -> str:
    return f"{'stays' if keep else 'GOES'}: {', '.join(reasons)}"
