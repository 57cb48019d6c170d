"""How a job stands."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, ClassVar, Literal

from pydantic import Field

from ceso_mcp.fact import Facts
from ceso_mcp.facts.work import JobOf
from ceso_mcp.fields import JobName
from ceso_mcp.operation import Answer, Query


class JobAnswer(Answer):
    """One job."""

    job_id: str
    operation: str
    title: str
    state: Literal["running", "done", "failed", "cancelled"]
    message: str
    percent: float | None
    started: str = Field(description="UTC")
    result: dict[str, Any] | None = Field(None, description="when done: what came of it")
    error: dict[str, str] | None = Field(None, description="when failed: code, message, changed, hint")
    next: str | None = Field(None, description="the call that comes next, while it runs")


class JobStatus(Query):
    """Show how a job stands, and wait for its end for up to 50 seconds.

    Changes that take longer than a call may go on as jobs, and also when the program that started
    them has ended. Call it again while the state is `running`.
    """

    title: ClassVar[str] = "Job status"
    toolset: ClassVar[str] = "admin"
    result: ClassVar[type[Answer]] = JobAnswer

    job_id: JobName = Field(description="id of the job")
    wait_seconds: float = Field(0, ge=0, le=50, description="wait up to this long for the job to end")

    async def answer(self, facts: Facts) -> JobAnswer:
        job = await facts.read(JobOf(self.job_id, self.wait_seconds))
        return JobAnswer(
            job_id=job.id,
            operation=job.operation,
            title=job.title,
            state=job.state,
            message=job.message,
            percent=job.percent,
            started=datetime.fromtimestamp(job.created_s, UTC).isoformat(timespec="seconds"),
            result=job.result,
            error=job.error,
            next=f"call job_status with job_id={job.id} and wait_seconds=50" if not job.ended else None,
        )
