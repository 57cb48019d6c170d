"""Which backups of one VM stay and which go, with every reason. Pure; fact sheet backup §8.

Where this differs from the sheet it keeps more: backups that are known to be damaged are neither
counted nor removed, and of partial backups newer than the newest complete one (which in ceso are
finished, but leave a disk out) a history stays by the same policy, not just the newest.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta, tzinfo
from typing import Literal

from ceso_mcp.backup.retention_policy import PERIODS, Duration, Period, Policy, zone_of

FUTURE = timedelta(minutes=5)
"""How far ahead of now a backup's time may be before it is not believed."""

State = Literal["complete", "partial", "damaged"]


@dataclass(frozen=True, slots=True)
class Candidate:
    """What retention knows of a backup. `verified`: every byte was read once and was right."""

    id: str
    taken: datetime
    state: State = "complete"
    verified: bool = False
    protected: bool = False


@dataclass(frozen=True, slots=True)
class Decision:
    """Whether a backup stays, and all reasons why it does or does not."""

    id: str
    keep: bool
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Verdict:
    """The decisions, newest backup first, and what a person should know besides."""

    decisions: tuple[Decision, ...]
    warnings: tuple[str, ...] = ()

    @property
    def removed(self) -> tuple[str, ...]:
        return tuple(decision.id for decision in self.decisions if not decision.keep)

    @property
    def removes_most(self) -> bool:
        """Whether more than half of the backups would go, which needs a consent of its own."""
        return len(self.removed) * 2 > len(self.decisions)


@dataclass(slots=True)
class _Marks:
    """Reasons to keep and to remove, by id."""

    keep: dict[str, list[str]] = field(default_factory=dict)
    remove: dict[str, str] = field(default_factory=dict)

    def why_keep(self, backup: Candidate, reason: str) -> None:
        self.keep.setdefault(backup.id, []).append(reason)


def decide(
    policy: Policy, backups: Iterable[Candidate], now: datetime, *, oldest_rule: bool = True
) -> Verdict:
    """Apply `policy` to the backups of one VM, as of `now`. The order of `backups` does not matter.

    `oldest_rule` switches off, when False, that an independent rule with slots left also keeps the
    oldest backup (restic has that rule since 0.16.0).
    """
    ordered = sorted(backups, key=lambda backup: (backup.taken, backup.id), reverse=True)
    future = [backup for backup in ordered if backup.taken > now + FUTURE]
    past = [backup for backup in ordered if backup.taken <= now + FUTURE]
    complete = [backup for backup in past if backup.state == "complete"]
    marks = _Marks()
    if policy.empty:
        for backup in past:
            marks.why_keep(backup, "no policy")
    else:
        series = [backup for backup in complete if not backup.protected]
        _apply(policy, series, complete, marks, oldest_rule)
        _keep_newer_partials(policy, past, marks, oldest_rule)
    for backup in future:
        marks.why_keep(backup, "time in the future")
    for backup in past:
        if backup.state == "damaged":
            marks.why_keep(backup, "damaged: decide yourself")
    for backup in ordered:
        if backup.protected:
            marks.why_keep(backup, "protected")
    _keep_floors(policy, past, complete, marks)
    return Verdict(tuple(_decision(backup, marks) for backup in ordered), _warnings(future, ordered, policy))


def _apply(
    policy: Policy,
    series: Sequence[Candidate],
    complete: Sequence[Candidate],
    marks: _Marks,
    oldest_rule: bool,
) -> None:
    """The rules on `series`, newest first; `complete` tells from when `keep_within` counts."""
    zone = zone_of(policy.zone)
    if policy.keep_within and complete:
        border = Duration.parse(policy.keep_within).before(complete[0].taken, zone)
        for backup in series:
            if backup.taken > border:
                marks.why_keep(backup, f"within {policy.keep_within}")
    if policy.mode == "sequential":
        for period in PERIODS:
            _sequential(period, policy.limit(period), series, marks, zone)
    else:
        for period in PERIODS:
            _independent(period, policy.limit(period), series, marks, zone, oldest_rule)


def _sequential(
    period: Period, limit: int | None, series: Sequence[Candidate], marks: _Marks, zone: tzinfo
) -> None:
    """Further periods beyond what finer rules cover (Proxmox Backup Server; sheet §8.3)."""
    if limit == 0:
        return
    covered = {period_key(period, backup, zone) for backup in series if backup.id in marks.keep}
    seen: set[str] = set()
    for backup in series:
        if backup.id in marks.keep or backup.id in marks.remove:
            continue
        key = period_key(period, backup, zone)
        if key in covered:
            continue
        if key in seen:
            marks.remove[backup.id] = f"{period}: a newer one of that period stays"
        elif limit is not None and len(seen) == limit:
            return
        else:
            seen.add(key)
            marks.why_keep(backup, period)


def _independent(
    period: Period,
    limit: int | None,
    series: Sequence[Candidate],
    marks: _Marks,
    zone: tzinfo,
    oldest_rule: bool,
) -> None:
    """Every rule by itself (restic; sheet §8.4)."""
    used, previous = 0, None
    for place, backup in enumerate(series):
        if limit is not None and used >= limit:
            return
        key = period_key(period, backup, zone)
        if key != previous:
            marks.why_keep(backup, period)
            previous = key
            used += 1
        elif oldest_rule and place == len(series) - 1:
            marks.why_keep(backup, f"oldest {period}")


def period_key(period: Period, backup: Candidate, zone: tzinfo) -> str:
    """What two backups of the same period have in common; the repeated hour of a zone is two hours."""
    local = backup.taken.astimezone(zone)
    if period == "last":
        return f"{backup.taken.isoformat()} {backup.id}"
    if period == "hourly":
        return local.strftime("%Y-%m-%d %H %z")
    if period == "daily":
        return local.strftime("%Y-%m-%d")
    if period == "weekly":
        year, week, _ = local.isocalendar()
        return f"{year}-W{week:02}"
    return local.strftime("%Y-%m" if period == "monthly" else "%Y")


def _keep_newer_partials(policy: Policy, past: Sequence[Candidate], marks: _Marks, oldest_rule: bool) -> None:
    newer: list[Candidate] = []
    for backup in past:
        if backup.state == "complete":
            break
        if backup.state == "partial":
            newer.append(backup)
    if newer:
        marks.why_keep(newer[0], "partial, and no complete one is newer")
        series = [backup for backup in newer if not backup.protected]
        own = _Marks()
        _apply(policy, series, series, own, oldest_rule)
        for backup in series:
            for reason in own.keep.get(backup.id, []):
                marks.why_keep(backup, f"partial, {reason}")
    for backup in past:
        if backup.state == "partial" and backup not in newer:
            marks.remove[backup.id] = "partial, and a complete one is newer"


def _keep_floors(
    policy: Policy, past: Sequence[Candidate], complete: Sequence[Candidate], marks: _Marks
) -> None:
    if complete:
        marks.why_keep(complete[0], "newest complete")
    # Where no complete one was ever verified, a verified partial one is the best that is known.
    verified = next((backup for backup in (*complete, *past) if backup.verified), None)
    if verified is not None:
        marks.why_keep(verified, "newest verified")
    staying = sum(backup.id in marks.keep for backup in complete)
    for backup in complete:
        if staying >= policy.min_keep:
            break
        if backup.id not in marks.keep:
            marks.why_keep(backup, f"at least {policy.min_keep} stay")
            staying += 1


def _decision(backup: Candidate, marks: _Marks) -> Decision:
    reasons = marks.keep.get(backup.id)
    if reasons:
        return Decision(backup.id, True, tuple(reasons))
    return Decision(backup.id, False, (marks.remove.get(backup.id, "no rule keeps it"),))


def _warnings(future: Sequence[Candidate], ordered: Sequence[Candidate], policy: Policy) -> tuple[str, ...]:
    found = [f"The time of {backup.id} is in the future; it stays and is not counted." for backup in future]
    found += [
        f"{backup.id} is damaged; it stays and is not counted."
        for backup in ordered
        if backup.state == "damaged"
    ]
    if policy.empty:
        found.append("There is no retention policy, so everything stays.")
    return tuple(found)
