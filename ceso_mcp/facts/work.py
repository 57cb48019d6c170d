"""Jobs, as this machine's list knows them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ceso_mcp.fact import Fact, HereQuestion, Reading


@dataclass(frozen=True, slots=True)
class JobState(HereQuestion):
    """One job, waited for up to `wait_seconds`."""

    job_id: str
    wait_seconds: float


@dataclass(frozen=True, slots=True)
class JobOf(Fact[Any]):
    """One job (`jobs.Job`), once it has ended or the time is up."""

    job_id: str
    wait_seconds: float

    def reading(self) -> Reading[Any]:
        (job,) = yield [JobState(self.job_id, self.wait_seconds)]
        return job
