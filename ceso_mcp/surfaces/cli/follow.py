"""Following a job to its end. Leaving does not stop it: the work is another process's."""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING

from ceso_mcp.surfaces.cli.failures import Failure, JobFailed
from ceso_mcp.surfaces.cli.output import console, harmless

if TYPE_CHECKING:
    from ceso_mcp.app import Ceso, Progress
    from ceso_mcp.jobs import Job

FOREVER_S = 10 * 365 * 86_400.0


class StillRunning(Exception):
    """The user has left; the job goes on."""

    def __init__(self, job_id: str) -> None:
        self.job_id = job_id
        super().__init__(job_id)


def follow(ceso: Ceso, job_id: str, *, quiet: bool = False) -> Job:
    """The job once it is done; raises JobFailed if it failed, StillRunning after Ctrl-C.

    A bar is drawn on standard error if that is a terminal and `quiet` is not set.
    """
    try:
        job = _wait(ceso, job_id) if quiet or not sys.stderr.isatty() else _wait_with_bar(ceso, job_id)
    except KeyboardInterrupt:
        raise StillRunning(job_id) from None
    if job.state != "done":
        raise JobFailed(Failure.of_document(job.error or {"message": job.message, "code": job.state}), job_id)
    return job


def _wait(ceso: Ceso, job_id: str, progress: Progress | None = None) -> Job:
    return asyncio.run(ceso.wait(job_id, FOREVER_S, progress))


def _wait_with_bar(ceso: Ceso, job_id: str) -> Job:
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn
    from rich.table import Column

    columns = (
        BarColumn(bar_width=24),
        TaskProgressColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.description}", markup=False, table_column=Column(no_wrap=True, ratio=1)),
    )
    with Progress(*columns, console=console(stderr=True), transient=True, expand=True) as bar:
        task = bar.add_task("starting", total=100.0)

        def told(message: str, percent: float | None) -> None:
            bar.update(task, description=harmless(message))
            if percent is not None:
                bar.update(task, completed=percent)

        return _wait(ceso, job_id, told)
