"""Retention: the worked examples of the fact sheet (backup §8.7), its rules, and properties."""

from __future__ import annotations

import random
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from retention_oracle import independent, sequential

from ceso_mcp.backup.retention import Candidate, Verdict, decide
from ceso_mcp.backup.retention_policy import Duration, Policy
from ceso_mcp.errors import InvalidArguments

NOW = datetime(2030, 1, 1, tzinfo=UTC)
MODES = ("sequential", "independent")


def at(text: str) -> Candidate:
    """A complete backup named by its time, `2026-03-13 20:00`."""
    return Candidate(text, datetime.fromisoformat(text).replace(tzinfo=UTC))


def daily(first: str, count: int, step: int = 1) -> list[Candidate]:
    start = datetime.fromisoformat(first)
    return [at((start + timedelta(days=step * n)).strftime("%Y-%m-%d %H:%M")) for n in range(count)]


def kept(verdict: Verdict, day: str = "%m-%d") -> dict[str, str]:
    """Day to reasons of what stays, without the safety floors that stay beside a rule."""
    found = {}
    for decision in verdict.decisions:
        if decision.keep:
            reasons = [reason for reason in decision.reasons if not reason.startswith("newest")]
            found[datetime.fromisoformat(decision.id).strftime(day)] = ", ".join(reasons)
    return found


def test_example_a_four_months_of_daily_backups() -> None:
    backups = daily("2025-01-01 02:00", 120)
    rules = Policy(keep_last=1, keep_daily=7, keep_weekly=4, keep_monthly=3)
    assert list(kept(decide(rules.model_copy(update={"mode": "independent"}), backups, NOW))) == [
        "04-30", "04-29", "04-28", "04-27", "04-26", "04-25", "04-24", "04-20", "04-13", "03-31", "02-28",
    ]  # fmt: skip
    assert kept(decide(rules, backups, NOW)) == {
        "04-30": "last",
        **{f"04-{day}": "daily" for day in range(29, 22, -1)},
        **dict.fromkeys(("04-20", "04-13", "04-06", "03-30"), "weekly"),
        **dict.fromkeys(("02-28", "01-31"), "monthly"),
    }


IRREGULAR = [
    "2026-03-13 20:00", "2026-03-13 02:00", "2026-03-12 02:00", "2026-03-10 14:00", "2026-03-10 02:00",
    "2026-03-09 02:00", "2026-03-06 02:00", *(f"2026-03-0{day} 02:00" for day in (5, 4, 3, 2)),
]  # fmt: skip


def test_example_b_irregular_backups() -> None:
    backups = [at(text) for text in IRREGULAR]
    rules = Policy(keep_last=2, keep_daily=3, keep_weekly=2)
    assert kept(decide(rules.model_copy(update={"mode": "independent"}), backups, NOW), "%d %H") == {
        "13 20": "last, daily, weekly",
        "13 02": "last",
        "12 02": "daily",
        "10 14": "daily",
        "06 02": "weekly",
    }
    assert kept(decide(rules, backups, NOW), "%d %H") == {
        "13 20": "last",
        "13 02": "last",
        "12 02": "daily",
        "10 14": "daily",
        "09 02": "daily",
        "06 02": "weekly",
    }


def test_example_c_weeks_across_the_end_of_a_year() -> None:
    days = ("2026-12-27", "2026-12-28", "2026-12-31", "2027-01-01", "2027-01-03", "2027-01-04")
    backups = [at(f"{day} 02:00") for day in days]
    for mode in MODES:
        verdict = decide(Policy(mode=mode, keep_weekly=2), backups, NOW)
        assert list(kept(verdict)) == ["01-04", "01-03"]
    both = Policy(keep_weekly=2, keep_yearly=1)
    assert list(kept(decide(both, backups, NOW))) == ["01-04", "01-03", "12-27"]
    both = both.model_copy(update={"mode": "independent"})
    assert list(kept(decide(both, backups, NOW))) == ["01-04", "01-03"]


def test_example_d_partial_and_protected_backups_take_no_slot() -> None:
    backups = [at(f"2026-05-0{day} 02:00") for day in range(1, 7)]
    backups[5] = Candidate(backups[5].id, backups[5].taken, "partial")
    backups[2] = Candidate(backups[2].id, backups[2].taken, "partial")
    backups[1] = Candidate(backups[1].id, backups[1].taken, protected=True)
    verdict = decide(Policy(keep_daily=2), backups, NOW)
    assert kept(verdict) == {
        "05-06": "partial, and no complete one is newer, partial, daily",
        "05-05": "daily",
        "05-04": "daily",
        "05-02": "protected",
    }
    assert {d.id[5:10]: d.reasons for d in verdict.decisions if not d.keep} == {
        "05-03": ("partial, and a complete one is newer",),
        "05-01": ("no rule keeps it",),
    }


def test_example_e_a_young_repository_and_the_oldest_rule() -> None:
    backups = daily("2026-02-10 02:00", 8, step=5)
    rules = Policy(keep_daily=2, keep_yearly=3)
    assert list(kept(decide(rules, backups, NOW))) == ["03-17", "03-12"]
    rules = rules.model_copy(update={"mode": "independent"})
    assert kept(decide(rules, backups, NOW)) == {
        "03-17": "daily, yearly",
        "03-12": "daily",
        "02-10": "oldest yearly",
    }
    assert list(kept(decide(rules, backups, NOW, oldest_rule=False))) == ["03-17", "03-12"]


@pytest.mark.parametrize(
    ("mode", "counts", "number", "oldest"),
    [
        ("independent", (3, 7, 4, 12, 0), 19, "2026-04-30"),
        ("sequential", (3, 7, 4, 12, 0), 26, "2026-02-28"),
        ("independent", (0, 7, 5, 12, 3), 21, "2025-12-31"),
        ("sequential", (0, 7, 5, 12, 3), 25, "2025-12-31"),
    ],
)
def test_example_f_800_daily_backups(mode: str, counts: tuple[int, ...], number: int, oldest: str) -> None:
    last, days, weeks, months, years = counts
    policy = Policy(
        mode=mode, keep_last=last, keep_daily=days, keep_weekly=weeks, keep_monthly=months, keep_yearly=years
    )
    found = decide(policy, daily("2025-01-01 02:00", 800), datetime(2027, 3, 12, tzinfo=UTC))
    stay = [decision for decision in found.decisions if decision.keep]
    assert (len(stay), stay[-1].id[:10]) == (number, oldest)
    assert found.removes_most


def test_weeks_do_not_nest_in_months() -> None:
    backups = [*daily("2025-03-24 02:00", 14)]
    rules = {"keep_weekly": 2, "keep_monthly": 2}
    assert "03-31" not in kept(decide(Policy(**rules), backups, NOW))
    assert "03-31" in kept(decide(Policy(**rules, mode="independent"), backups, NOW))


def test_the_repeated_hour_is_two_hours_and_days_are_those_of_the_zone() -> None:
    backups = [at("2026-10-25 00:30"), at("2026-10-25 01:30")]  # both 02:30 in Berlin
    hours = Policy(keep_hourly=2, zone="Europe/Berlin")
    assert len(kept(decide(hours, backups, NOW), "%d %H")) == 2
    around = [at("2026-07-01 21:30"), at("2026-07-01 22:30")]  # the second is on 2 July in Berlin
    assert len(kept(decide(Policy(keep_daily=2, zone="Europe/Berlin"), around, NOW), "%d %H")) == 2
    assert len(kept(decide(Policy(keep_daily=2), around, NOW), "%d %H")) == 1


def test_a_time_in_the_future_neither_counts_nor_goes() -> None:
    backups = [*daily("2026-05-01 02:00", 5), at("2026-05-20 00:00")]
    verdict = decide(Policy(keep_last=2), backups, datetime(2026, 5, 5, 3, tzinfo=UTC))
    assert kept(verdict) == {"05-20": "time in the future", "05-05": "last", "05-04": "last"}
    assert "2026-05-20 00:00" in verdict.warnings[0]
    nearly = decide(Policy(keep_last=1), backups[:5], datetime(2026, 5, 5, 1, 55, tzinfo=UTC))
    assert list(kept(nearly)) == ["05-05"]


def test_no_policy_keeps_everything_and_says_so() -> None:
    verdict = decide(Policy(), daily("2026-05-01 02:00", 5), NOW)
    assert verdict.removed == ()
    assert "everything stays" in verdict.warnings[0]


def test_the_newest_complete_and_the_newest_verified_stay_whatever_the_rules_say() -> None:
    backups = daily("2026-05-01 02:00", 9)
    backups[1] = Candidate(backups[1].id, backups[1].taken, verified=True)
    backups[3] = Candidate(backups[3].id, backups[3].taken, verified=True)
    verdict = decide(Policy(keep_last=1), backups, NOW)
    assert [d.id[5:10] for d in verdict.decisions if d.keep] == ["05-09", "05-04"]
    assert verdict.decisions[5].reasons == ("newest verified",)


def test_as_many_stay_as_must_at_least() -> None:
    verdict = decide(Policy(keep_last=1, min_keep=3), daily("2026-05-01 02:00", 9), NOW)
    assert [d.reasons[0] for d in verdict.decisions if d.keep] == ["last", *["at least 3 stay"] * 2]


def test_a_damaged_backup_neither_counts_nor_goes() -> None:
    backups = daily("2026-05-01 02:00", 4)
    backups[3] = Candidate(backups[3].id, backups[3].taken, "damaged")
    verdict = decide(Policy(keep_last=1), backups, NOW)
    assert kept(verdict) == {"05-04": "damaged: decide yourself", "05-03": "last"}
    assert "damaged" in verdict.warnings[0]


def test_of_partial_backups_without_a_newer_complete_one_a_history_stays() -> None:
    backups = [
        Candidate(b.id, b.taken, "partial" if n > 2 else "complete")
        for n, b in enumerate(daily("2026-05-01 02:00", 9))
    ]
    verdict = decide(Policy(keep_daily=2), backups, NOW)
    assert [d.id[8:10] for d in verdict.decisions if d.keep] == ["09", "08", "03", "02"]


def test_equal_times_are_ordered_by_id() -> None:
    moment = datetime(2026, 5, 1, tzinfo=UTC)
    backups = [Candidate(name, moment) for name in ("b", "c", "a")]
    assert [d.id for d in decide(Policy(keep_daily=1), backups, NOW).decisions if d.keep] == ["c"]


def test_keep_within_counts_from_the_newest_complete_by_the_calendar() -> None:
    backups = daily("2026-01-01 02:00", 90)  # the last is 31 March
    for mode in MODES:
        verdict = decide(Policy(mode=mode, keep_within="1m"), backups, NOW)
        assert list(kept(verdict))[-1] == "03-01"  # one month before 31 March is 28 February, exclusive
    mixed = decide(Policy(keep_within="2d", keep_daily=2), backups, NOW)
    assert kept(mixed) == {
        "03-31": "within 2d",
        "03-30": "within 2d",
        "03-29": "daily",
        "03-28": "daily",
    }


@pytest.mark.parametrize(
    ("text", "duration"),
    [("36h", (0, 0, 0, 36)), ("2w", (0, 0, 14, 0)), ("1y6m10d", (1, 6, 10, 0)), ("0h", (0, 0, 0, 0))],
)
def test_durations_are_read(text: str, duration: tuple[int, ...]) -> None:
    assert tuple(Duration.parse(text)) == duration


@pytest.mark.parametrize("text", ["", "5", "h", "1d1y", "-1d", "1.5h", "1D", "99999y", "3 d"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(InvalidArguments):
        Duration.parse(text)


def test_a_duration_longer_than_time_keeps_everything() -> None:
    backups = daily("2026-01-01 02:00", 5)
    assert decide(Policy(keep_within="9999y"), backups, NOW).removed == ()
    assert Duration.parse("1d").before(datetime(2026, 3, 29, 12, tzinfo=UTC), ZoneInfo("Europe/Berlin")) == (
        datetime(2026, 3, 28, 13, tzinfo=UTC)
    )


def test_a_policy_has_a_known_zone_and_is_told_in_words() -> None:
    with pytest.raises(ValueError, match="no time zone"):
        Policy(zone="Mars/Olympus")
    with pytest.raises(ValueError):
        Policy(keep_daily=-1)
    policy = Policy(keep_daily=7, keep_yearly="all", keep_within="3d", min_keep=2, zone="Europe/Berlin")
    assert policy.words() == ("keep daily 7, yearly all, within 3d (sequential, Europe/Berlin, at least 2)")
    assert Policy.model_validate_json(policy.model_dump_json()) == policy


counts = st.one_of(st.just(0), st.integers(0, 8), st.just("all"))
policies = st.builds(
    Policy,
    mode=st.sampled_from(MODES),
    zone=st.sampled_from(("UTC", "Europe/Berlin", "America/St_Johns")),
    keep_last=counts,
    keep_hourly=counts,
    keep_daily=counts,
    keep_weekly=counts,
    keep_monthly=counts,
    keep_yearly=counts,
    keep_within=st.sampled_from((None, "36h", "10d", "2m")),
    min_keep=st.integers(1, 3),
)
hours = st.integers(0, 24 * 800)


@st.composite
def histories(draw: st.DrawFn) -> list[Candidate]:
    start = datetime(2025, 1, 1, tzinfo=UTC)
    return [
        Candidate(
            f"{number:03}",
            start + timedelta(hours=hour),
            draw(st.sampled_from(("complete", "complete", "complete", "partial", "damaged"))),
            draw(st.booleans()),
            draw(st.sampled_from((False, False, False, True))),
        )
        for number, hour in enumerate(draw(st.lists(hours, max_size=40)))
    ]


def stays(policy: Policy, backups: Iterable[Candidate]) -> set[str]:
    return {decision.id for decision in decide(policy, backups, NOW).decisions if decision.keep}


@settings(max_examples=60, deadline=None)
@given(policy=policies, backups=histories(), chance=st.randoms(use_true_random=False))
def test_what_stays_stays_again_in_any_order_and_the_floors_hold(
    policy: Policy, backups: list[Candidate], chance: random.Random
) -> None:
    verdict = decide(policy, backups, NOW)
    keep = {decision.id for decision in verdict.decisions if decision.keep}
    assert {d.id for d in verdict.decisions} == {b.id for b in backups}
    assert all(decision.reasons for decision in verdict.decisions)
    shuffled = chance.sample(backups, len(backups))
    assert decide(policy, shuffled, NOW) == verdict
    complete = sorted((b for b in backups if b.state == "complete"), key=lambda b: (b.taken, b.id))
    assert {b.id for b in backups if b.protected or b.state == "damaged"} <= keep
    assert {b.id for b in complete[-1:]} <= keep
    assert {b.id for b in [b for b in complete if b.verified][-1:]} <= keep
    assert sum(b.id in keep for b in complete) >= min(policy.min_keep, len(complete))
    if policy.mode == "independent":
        assert stays(policy, [b for b in backups if b.id in keep]) == keep


@settings(max_examples=40, deadline=None)
@given(policy=policies, more=policies, backups=histories())
def test_in_independent_mode_a_rule_more_never_removes_more(
    policy: Policy, more: Policy, backups: list[Candidate]
) -> None:
    def larger(name: str) -> object:
        both = [getattr(policy, name), getattr(more, name)]
        return "all" if "all" in both else max(both)

    names = [name for name in Policy.model_fields if name.startswith("keep_") and name != "keep_within"]
    few = policy.model_copy(update={"mode": "independent"})
    many = few.model_copy(update={name: larger(name) for name in names})
    if not few.empty:
        assert stays(few, backups) <= stays(many, backups)


@settings(max_examples=60, deadline=None)
@given(policy=policies, backups=histories())
def test_an_oracle_written_for_the_tests_agrees(policy: Policy, backups: list[Candidate]) -> None:
    policy = policy.model_copy(update={"keep_within": None})
    plain = [Candidate(b.id, b.taken) for b in backups]
    limits = {
        name: 10**9 if (count := getattr(policy, f"keep_{name}")) == "all" else count
        for name in ("last", "hourly", "daily", "weekly", "monthly", "yearly")
    }
    if policy.empty or not plain:
        return
    oracle = sequential if policy.mode == "sequential" else independent
    expected = oracle([(b.taken.timestamp(), b.id) for b in plain], limits, ZoneInfo(policy.zone))
    floor = sorted(plain, key=lambda b: (b.taken, b.id))[-policy.min_keep :]
    found = stays(policy, plain)
    assert expected <= found
    assert found - expected <= {b.id for b in floor}
