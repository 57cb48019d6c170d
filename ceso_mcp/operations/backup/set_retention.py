"""Set how many backups of each VM stay."""

from __future__ import annotations

from typing import Any, ClassVar

from pydantic import Field, ValidationError

from ceso_mcp.backup.keeping import SetPolicy
from ceso_mcp.backup.retention_policy import Count, DurationText, Mode, Policy, ZoneName
from ceso_mcp.errors import InvalidArguments, Refused
from ceso_mcp.fact import Facts
from ceso_mcp.facts.backups import Repository
from ceso_mcp.facts.keeping import KeptBackups
from ceso_mcp.operation import Change
from ceso_mcp.plan import Plan, Step

_COUNT = "a number, 0 for off, or all"


class SetRetention(Change):
    """Set which backups of each VM stay when forget_backups runs. Removes nothing by itself.

    Parameters that are not given stay as they are. In sequential mode (as Proxmox Backup Server does
    it) each rule adds further periods to what finer rules keep; in independent mode (as restic does
    it) every rule counts by itself. The policy is kept in the repository. Does not ask the host.
    """

    title: ClassVar[str] = "Set the retention policy"
    toolset: ClassVar[str] = "backup"

    keep_last: Count | None = Field(None, description=f"newest backups that stay: {_COUNT}")
    keep_hourly: Count | None = Field(None, description=f"hours of which the newest stays: {_COUNT}")
    keep_daily: Count | None = Field(None, description=f"days of which the newest stays: {_COUNT}")
    keep_weekly: Count | None = Field(None, description=f"ISO weeks of which the newest stays: {_COUNT}")
    keep_monthly: Count | None = Field(None, description=f"months of which the newest stays: {_COUNT}")
    keep_yearly: Count | None = Field(None, description=f"years of which the newest stays: {_COUNT}")
    keep_within: DurationText | None = Field(
        None,
        description="everything this much younger than the newest stays: 36h, 10d, 2w, 6m, 1y6m; 0h is off",
    )
    min_keep: int | None = Field(
        None, ge=1, le=100_000, description="complete backups of a VM that stay in any case"
    )
    mode: Mode | None = Field(None, description="how the rules work together")
    zone: ZoneName | None = Field(None, description="time zone of hours, days, weeks, months and years")

    async def plan(self, facts: Facts) -> Plan:
        state = await facts.read(Repository())
        if not state.exists:
            raise Refused(
                f"there is no repository at {state.path} yet",
                code="no_repository",
                hint="make a backup first",
            )
        standing = await facts.read(KeptBackups())
        given: dict[str, Any] = self.model_dump(exclude_none=True)
        if not given:
            raise InvalidArguments(
                "nothing was given to be set",
                hint=f"the policy is: {standing.policy.words() if standing.policy else 'keep everything'}",
            )
        if given.get("keep_within") == "0h":
            given["keep_within"] = None
        before = standing.policy or Policy()
        try:
            policy = Policy.model_validate(before.model_dump() | given)
        except ValidationError:
            raise InvalidArguments("these rules do not make a policy") from None
        now = "none" if standing.policy is None else standing.policy.words()
        return Plan(
            title="set the retention policy",
            steps=(
                Step("write the policy", here=SetPolicy(standing.repository, policy, now), completes=True),
            ),
            touches=(f"repository {standing.repository}: retention.json",),
            warnings=("No rule is left, so forget_backups will keep everything.",) if policy.empty else (),
            before_after=(("retention policy", now, policy.words()),),
            outcome={"repository": standing.repository, "policy": policy.words()},
        )
