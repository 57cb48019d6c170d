"""`ceso jobs`: what runs and what ran."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from ceso_mcp.surfaces.cli import opening, output
from ceso_mcp.surfaces.cli.command import Noun
from ceso_mcp.surfaces.cli.follow import follow
from ceso_mcp.surfaces.cli.render import render
from ceso_mcp.surfaces.cli.run import report
from ceso_mcp.surfaces.cli.settings import Command, current

if TYPE_CHECKING:
    from ceso_mcp.jobs import Job

jobs = Noun("jobs", help="See the jobs: what runs now and what ran.")


@jobs.command("list", cls=Command, short_help="List the newest jobs.")
@click.option("--last", default=20, type=click.IntRange(1, 1000), help="how many  [default: 20]")
def list_jobs(last: int) -> None:
    """List the newest jobs, newest first."""
    settings = current()
    found = [_row(job) for job in opening.open_ceso(settings).jobs.recent(last)]
    if settings.json:
        output.write_json({"jobs": found})
    else:
        render(output.console(), {"jobs": found})


@jobs.command("follow", cls=Command, short_help="Follow a job to its end.")
@click.argument("job_id")
def follow_job(job_id: str) -> None:
    """Follow a job to its end and print its result. Ctrl-C leaves it running."""
    settings = current()
    ceso = opening.open_ceso(settings)
    report(follow(ceso, job_id, quiet=settings.json), settings)


@jobs.command("cancel", cls=Command, short_help="Stop a job and take back what it has done.")
@click.argument("job_id")
def cancel_job(job_id: str) -> None:
    """Ask the job's worker to stop and to take back what it has done, and wait until it has.

    What cannot be taken back is named. A job that has ended is only shown.
    """
    settings = current()
    ceso = opening.open_ceso(settings)
    ceso.jobs.ask_to_cancel(job_id)
    report(follow(ceso, job_id, quiet=settings.json), settings)


def _row(job: Job) -> dict[str, Any]:
    return {
        "id": job.id,
        "state": job.state,
        "title": job.title,
        "percent": job.percent,
        "started": _time(job.created_s),
        "updated": _time(job.updated_s),
        "message": job.message,
    }


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%SZ")
