"""1,000 random histories in independent mode against restic's own decisions.

restic before 0.16 has no oldest rule, so it is switched off here where restic is older: what is
compared is the rule, not the tool. `keep_within` is compared in hours and days, where both count alike.
"""

from __future__ import annotations

import json
import os
import random
import re
import shutil
import subprocess
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from ceso_mcp.backup.retention import Candidate, decide
from ceso_mcp.backup.retention_policy import Policy

HOSTS, TAGS = 20, 50
"""Every host with every tag is a history of its own: the host's snapshots that have the tag."""

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(1800),
    pytest.mark.skipif(shutil.which("restic") is None, reason="needs Debian's restic"),
]


class Restic:
    """A repository of empty snapshots at chosen times."""

    def __init__(self, folder: Path) -> None:
        self._environment = {
            **os.environ,
            "RESTIC_PASSWORD": "x",
            "RESTIC_REPOSITORY": str(folder / "restic"),
            "RESTIC_CACHE_DIR": str(folder / "cache"),
            "TZ": "UTC",
        }
        self._folder = folder
        self.run("init")

    def run(self, *words: str) -> str:
        done = subprocess.run(
            ["restic", "-q", *words],
            env=self._environment,
            cwd=self._folder,
            capture_output=True,
            text=True,
            timeout=120,
            check=True,
        )
        return done.stdout

    def snapshot(self, host: str, moment: datetime, tags: Sequence[str]) -> None:
        words = ["--force", "--host", host, "--time", moment.strftime("%Y-%m-%d %H:%M:%S")]
        words += ["--tag", ",".join(tags)]
        self.run("backup", *words, "one")

    def keeps(self, tag: str, options: list[str]) -> dict[str, set[str]]:
        """By host, the times of snapshots with this tag that `forget` would keep."""
        words = ["forget", "--dry-run", "--json", "--group-by", "host", "--tag", tag]
        found = json.loads(self.run(*words, *options))
        return {group["host"]: {item["time"][:19] for item in group["keep"] or []} for group in found}


def has_oldest_rule() -> bool:
    text = subprocess.run(["restic", "version"], capture_output=True, text=True, check=True).stdout
    match = re.match(r"restic (\d+)\.(\d+)", text)
    assert match is not None
    return (int(match[1]), int(match[2])) >= (0, 16)


def random_history(chance: random.Random) -> list[datetime]:
    moment = datetime(2025, 1, 1, tzinfo=UTC) + timedelta(minutes=chance.randrange(60 * 24 * 365))
    step_h = chance.choice((1, 6, 24, 24, 24, 168))
    moments = set()
    for _ in range(chance.randrange(8, 24)):
        moments.add(moment.replace(second=0))
        moment += timedelta(minutes=max(1, int(chance.expovariate(1 / (step_h * 60)))))
    return sorted(moments)


def random_policy(chance: random.Random) -> Policy:
    def count() -> int:
        return chance.choice((0, 0, 1, 2, 3, 5, 12))

    return Policy(
        mode="independent",
        keep_last=chance.choice((0, 1, 3)),
        keep_hourly=count(),
        keep_daily=count(),
        keep_weekly=count(),
        keep_monthly=count(),
        keep_yearly=chance.choice((1, 2)),
        keep_within=chance.choice((None, None, "36h", "5d", "3d12h")),
    )


def test_a_thousand_random_histories_are_kept_as_restic_keeps_them(tmp_path: Path) -> None:
    chance = random.Random(20261124)
    (tmp_path / "one").write_bytes(b"")
    restic, oldest, compared = Restic(tmp_path), has_oldest_rule(), 0
    tags = [f"tag{number}" for number in range(TAGS)]
    histories: dict[tuple[str, str], list[datetime]] = {}
    for host in (f"host{number}" for number in range(HOSTS)):
        for moment in random_history(chance):
            has = [tag for tag in tags if chance.random() < 0.7]
            restic.snapshot(host, moment, has)
            for tag in has:
                histories.setdefault((host, tag), []).append(moment)
    for tag in tags:
        policy = random_policy(chance)
        options = [
            f"--{name.replace('_', '-')}={value}"
            for name, value in policy.model_dump().items()
            if name.startswith("keep_") and value
        ]
        theirs = restic.keeps(tag, options)
        for host, moments in ((host, found) for (host, of), found in histories.items() if of == tag):
            backups = [Candidate(moment.strftime("%Y-%m-%dT%H:%M:%S"), moment) for moment in moments]
            verdict = decide(policy, backups, datetime(2030, 1, 1, tzinfo=UTC), oldest_rule=oldest)
            ours = {decision.id for decision in verdict.decisions if decision.keep}
            assert ours == theirs[host], (policy, moments)
            compared += 1
    assert compared == len(histories) > 0.98 * HOSTS * TAGS
