"""The retention policy: how many backups of each kind stay, in which zone, by which mode.

Rules and their source: fact sheet backup §8. A policy is kept in its repository (`retention.json`),
so that two machines that write to it cannot disagree.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Annotated, Literal, NamedTuple
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from ceso_mcp.errors import InvalidArguments

Mode = Literal["sequential", "independent"]
Period = Literal["last", "hourly", "daily", "weekly", "monthly", "yearly"]
PERIODS: tuple[Period, ...] = ("last", "hourly", "daily", "weekly", "monthly", "yearly")
"""In the order in which the sequential mode works through them."""

Count = Annotated[int, Field(ge=0, le=100_000)] | Literal["all"]
_DURATION = re.compile(r"(?:(\d{1,4})y)?(?:(\d{1,5})m)?(?:(\d{1,4})w)?(?:(\d{1,6})d)?(?:(\d{1,7})h)?\Z")


class Duration(NamedTuple):
    """A length of time by the calendar: `1y6m`, `10d`, `36h`."""

    years: int = 0
    months: int = 0
    days: int = 0
    hours: int = 0

    @classmethod
    def parse(cls, text: str) -> Duration:
        """`text` as years, months, weeks, days and hours, in this order; raises InvalidArguments."""
        match = _DURATION.match(text)
        if match is None or not text:
            raise InvalidArguments("a duration looks like 36h, 10d, 2w, 6m or 1y6m (m is months)")
        years, months, weeks, days, hours = (int(part or 0) for part in match.groups())
        return cls(years, months, weeks * 7 + days, hours)

    def before(self, moment: datetime, zone: tzinfo) -> datetime:
        """The instant this long before `moment`, in UTC.

        Years, months and days are of the calendar in `zone`; a day that a month lacks becomes its
        last one, so more is kept rather than less. The earliest time there is, if it would be earlier.
        """
        local = moment.astimezone(zone)
        months = local.year * 12 + local.month - 1 - self.years * 12 - self.months
        try:
            day = local.day
            while True:
                try:
                    moved = local.replace(year=months // 12, month=months % 12 + 1, day=day)
                    break
                except ValueError:
                    if day <= 28:
                        raise
                    day -= 1
            return (moved - timedelta(days=self.days)).astimezone(UTC) - timedelta(hours=self.hours)
        except (ValueError, OverflowError):
            return datetime.min.replace(tzinfo=UTC)


def zone_of(name: str) -> tzinfo:
    """The zone of that IANA name; raises InvalidArguments if this machine does not know it."""
    if name == "UTC":
        return UTC
    try:
        return ZoneInfo(name)
    except (ValueError, OSError, LookupError):
        raise InvalidArguments(
            "this machine knows no time zone of that name",
            hint="give a name such as Europe/Berlin; the package tzdata brings the list",
        ) from None


def _zone(name: str) -> str:
    try:
        zone_of(name)
    except InvalidArguments as fault:
        raise ValueError(fault.message) from None
    return name


def _duration(text: str) -> str:
    try:
        Duration.parse(text)
    except InvalidArguments as fault:
        raise ValueError(fault.message) from None
    return text


DurationText = Annotated[str, AfterValidator(_duration), Field(max_length=40)]
ZoneName = Annotated[str, AfterValidator(_zone), Field(min_length=1, max_length=64)]


class Policy(BaseModel):
    """How many backups stay. 0 switches a rule off, `all` sets it no limit.

    A policy without any rule keeps everything. `min_keep` complete backups of a VM stay whatever
    the rules say.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    mode: Mode = "sequential"
    zone: ZoneName = "UTC"
    keep_last: Count = 0
    keep_hourly: Count = 0
    keep_daily: Count = 0
    keep_weekly: Count = 0
    keep_monthly: Count = 0
    keep_yearly: Count = 0
    keep_within: DurationText | None = None
    min_keep: Annotated[int, Field(ge=1, le=100_000)] = 1

    def limit(self, period: Period) -> int | None:
        """How many of `period` stay; None for no limit."""
        count: int | Literal["all"] = getattr(self, f"keep_{period}")
        return None if count == "all" else count

    @property
    def empty(self) -> bool:
        """Whether there is no rule at all, so that everything stays."""
        within = self.keep_within is not None and any(Duration.parse(self.keep_within))
        return not within and all(self.limit(period) == 0 for period in PERIODS)

    def words(self) -> str:
        """The policy in one line."""
        if self.empty:
            return "keep everything"
        rules = [
            f"{period} {getattr(self, f'keep_{period}')}" for period in PERIODS if self.limit(period) != 0
        ]
        rules += [f"within {self.keep_within}"] if self.keep_within else []
        least = f", at least {self.min_keep}" if self.min_keep > 1 else ""
        return f"keep {', '.join(rules)} ({self.mode}, {self.zone}{least})"
