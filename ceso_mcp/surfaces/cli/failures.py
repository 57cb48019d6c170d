"""How a failure is told: three lines for a person, one object for a machine, and an exit status."""

from __future__ import annotations

import traceback
from dataclasses import dataclass
from typing import Any

import click

from ceso_mcp.errors import CesoError
from ceso_mcp.surfaces.cli.settings import Settings

INTERRUPTED = 130
"""Exit status after Ctrl-C, as shells have it."""


@dataclass(frozen=True, slots=True)
class Failure:
    """A failure as told."""

    code: str
    message: str
    changed: str
    hint: str
    exit_status: int

    @classmethod
    def of(cls, error: CesoError) -> Failure:
        return cls(error.code, error.message, error.changed, error.hint, error.exit_status)

    @classmethod
    def of_document(cls, document: dict[str, Any]) -> Failure:
        """The failure that a job recorded."""
        return cls(
            code=str(document.get("code", "failed")),
            message=str(document.get("message", "")),
            changed=str(document.get("changed", "")),
            hint=str(document.get("hint", "")),
            exit_status=int(document.get("exit_status", 1)),
        )


class JobFailed(Exception):
    """A job ended in a failure, which is the command's failure too."""

    def __init__(self, failure: Failure, job_id: str) -> None:
        self.failure = failure
        self.job_id = job_id
        super().__init__(failure.message)


def tell(failure: Failure, settings: Settings, job_id: str | None = None) -> int:
    """Print `failure`; returns the exit status."""
    if settings.json:
        from ceso_mcp.surfaces.cli.output import write_json

        error: dict[str, Any] = {
            "code": failure.code,
            "message": failure.message,
            "changed": failure.changed,
            "hint": failure.hint,
            "exit_status": failure.exit_status,
        }
        write_json({"error": error | ({"job_id": job_id} if job_id else {})})
        return failure.exit_status
    from ceso_mcp.surfaces.cli.output import console, line

    stderr = console(stderr=True)
    line(stderr, f"error: [{failure.code}] {failure.message}", "bold red")
    if failure.changed:
        line(stderr, f"changed: {failure.changed}")
    if failure.hint:
        line(stderr, f"hint: {failure.hint}")
    if job_id:
        line(stderr, f"job: {job_id}")
    return failure.exit_status


def tell_error(error: Exception, settings: Settings) -> int:
    """Print any exception that ended a command; returns the exit status."""
    if settings.debug:
        traceback.print_exception(error)
    if isinstance(error, JobFailed):
        return tell(error.failure, settings, error.job_id)
    if isinstance(error, CesoError):
        return tell(Failure.of(error), settings)
    if isinstance(error, click.UsageError):
        return tell(
            Failure("invalid_arguments", error.format_message(), "Nothing was changed.", "", error.exit_code),
            settings,
        )
    return tell(
        Failure(
            code="internal",
            message=f"ceso failed unexpectedly ({type(error).__name__})",
            changed="`ceso audit show` lists every step that ran.",
            hint="" if settings.debug else "run it again with --debug to see the traceback",
            exit_status=1,
        ),
        settings,
    )
