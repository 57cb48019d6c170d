"""Retention once more, written for the tests from the fact sheet's text (backup §8.3, §8.4), set by set."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from itertools import groupby
from zoneinfo import ZoneInfo

Stamp = tuple[float, str]


def _key(rule: str, zone: ZoneInfo, stamp: Stamp) -> object:
    utc = datetime.fromtimestamp(stamp[0], UTC)
    local = utc.astimezone(zone)
    return {
        "last": stamp,
        "hourly": (local.date(), local.hour, local.utcoffset()),
        "daily": local.date(),
        "weekly": local.isocalendar()[:2],
        "monthly": (local.year, local.month),
        "yearly": local.year,
    }[rule]


def independent(stamps: Sequence[Stamp], limits: Mapping[str, int], zone: ZoneInfo) -> set[str]:
    """The first of each of the newest N periods; the very oldest too, if a rule had slots left there."""
    newest_first = sorted(stamps, reverse=True)
    keep: set[str] = set()
    for rule, limit in limits.items():
        firsts = [next(group) for _, group in groupby(newest_first, partial(_key, rule, zone))]
        keep |= {stamp[1] for stamp in firsts[:limit]}
        if len(firsts) < limit and newest_first:
            keep.add(newest_first[-1][1])
    return keep


def sequential(stamps: Sequence[Stamp], limits: Mapping[str, int], zone: ZoneInfo) -> set[str]:
    """Each rule: drop what earlier rules took or whose period they cover, then the first of N periods."""
    open_stamps = sorted(stamps, reverse=True)
    keep: list[Stamp] = []
    for rule, limit in limits.items():
        covered = {_key(rule, zone, stamp) for stamp in keep}
        further = [stamp for stamp in open_stamps if _key(rule, zone, stamp) not in covered]
        periods = [list(group) for _, group in groupby(further, partial(_key, rule, zone))][:limit]
        keep += [period[0] for period in periods]
        used = {stamp for period in periods for stamp in period}
        open_stamps = [stamp for stamp in open_stamps if stamp not in used]
    return {stamp[1] for stamp in keep}
