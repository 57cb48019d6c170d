"""Running one operation from the command line: a query answers; a change shows, asks, runs, reports."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import click

from ceso_mcp.errors import InvalidArguments, TokenFault
from ceso_mcp.surfaces.cli import opening, output
from ceso_mcp.surfaces.cli.follow import follow
from ceso_mcp.surfaces.cli.options import given, in_options
from ceso_mcp.surfaces.cli.render import render
from ceso_mcp.surfaces.cli.settings import Settings

if TYPE_CHECKING:
    from ceso_mcp.app import Ceso
    from ceso_mcp.jobs import Job
    from ceso_mcp.operation import Change, Operation, Query
    from ceso_mcp.preview import Preview


def run_operation(
    model: type[Operation],
    values: dict[str, Any],
    settings: Settings,
    *,
    subject: str = "",
    dry_run: bool = False,
    yes: bool = False,
    full: bool = False,
) -> None:
    """Run `model` with what was typed. `subject` is the name to type before something is destroyed.

    Raises CesoError, JobFailed or StillRunning when it does not end well.
    """
    from ceso_mcp.app import parse_arguments
    from ceso_mcp.operation import Change, Query

    try:
        operation = parse_arguments(model, given(model, values))
    except InvalidArguments as error:
        raise in_options(model, error) from None
    if isinstance(operation, Query) and operation.monitors:
        raise AnswerStatus(_monitored(operation, settings))
    ceso = opening.open_ceso(settings)
    if isinstance(operation, Query):
        _answer(ceso, operation, settings)
    elif isinstance(operation, Change):
        _change(ceso, operation, settings, subject=subject, dry_run=dry_run, yes=yes, full=full)


def _monitored(query: Query, settings: Settings) -> int:
    """Answer, and give the exit status for a monitoring program: 3 if there is no answer."""
    from ceso_mcp.errors import CesoError
    from ceso_mcp.surfaces.cli.failures import tell_error

    try:
        document = _answer(opening.open_ceso(settings), query, settings)
    except CesoError as error:
        tell_error(error, settings)
        return 3
    return int(document["exit_status"])


def _answer(ceso: Ceso, query: Query, settings: Settings) -> dict[str, Any]:
    if getattr(query, "long", False):
        job = follow(ceso, ceso.start_query(query, opening.actor()), quiet=settings.json)
        document = job.result or {}
    else:
        document = asyncio.run(_closing(ceso, ceso.answer(query, opening.actor()))).model_dump(mode="json")
    if settings.json:
        output.write_json(document)
    else:
        render(output.console(), document)
    if document.get("intact") is False:
        raise FoundDamage
    return document


async def _closing(ceso: Ceso, work: Any) -> Any:
    try:
        return await work
    finally:
        await ceso.close()


def _change(
    ceso: Ceso, change: Change, settings: Settings, *, subject: str, dry_run: bool, yes: bool, full: bool
) -> None:
    preview: Preview = asyncio.run(_closing(ceso, ceso.preview(change, opening.actor())))
    if settings.json:
        if dry_run or not yes:
            _print_preview_json(preview, settings)
    else:
        from ceso_mcp.surfaces.cli.plan_view import show_plan

        show_plan(output.console(), preview, full=full)
    if dry_run:
        if not settings.json:
            _say_how_to_go_on(preview, settings)
        return
    if not yes:
        _ask(preview, subject, settings)
    finish(ceso, preview.confirm_token, settings, consent="terminal")


def finish(ceso: Ceso, token: str, settings: Settings, *, consent: Any) -> None:
    """Confirm `token`, follow its job and print what came of it."""
    job_id = ceso.confirm(token, opening.actor(), consent=consent)
    report(follow(ceso, job_id, quiet=settings.json), settings)


def report(job: Job, settings: Settings) -> None:
    """Print a job that is done."""
    if settings.json:
        from ceso_mcp.preview import ChangeOutcome

        outcome = ChangeOutcome(status="done", message=f"{job.title}: done", job_id=job.id, result=job.result)
        output.write_json(outcome.model_dump(mode="json"))
        return
    console = output.console()
    output.line(console, f"done: {job.title}", "bold green")
    render(console, job.result or {}, 2)


def _print_preview_json(preview: Preview, settings: Settings) -> None:
    from ceso_mcp.preview import ChangeOutcome

    outcome = ChangeOutcome(
        status="preview",
        message="Nothing has been changed.",
        next=settings.typed(f"confirm {preview.confirm_token} --yes"),
        preview=preview,
    )
    output.write_json(outcome.model_dump(mode="json"))


def _ask(preview: Preview, subject: str, settings: Settings) -> None:
    """Returns if a person says yes; raises TokenFault `declined`, or `not_confirmed` if nobody is there."""
    if settings.json or not output.interactive():
        if settings.json:
            raise NotConfirmed
        _say_how_to_go_on(preview, settings)
        raise TokenFault(
            "nobody was there to say yes, so nothing has run",
            code="not_confirmed",
            hint="add --yes to run without asking, or --dry-run to only look",
        )
    click.echo()
    count = len(preview.steps)
    question = "Run this command?" if count == 1 else f"Run these {count} commands?"
    try:
        if preview.destructive:
            expected = subject or "yes"
            shown = output.harmless(expected)
            agreed = (
                click.prompt(f"{question} Type {shown} to agree", default="", show_default=False) == expected
            )
        else:
            agreed = click.confirm(question, default=False)
    except click.Abort:
        agreed = False
        click.echo()
    if not agreed:
        raise TokenFault("not agreed to, so nothing has run", code="declined")


class FoundDamage(Exception):
    """The answer, already printed, says that a backup is damaged; the exit status says so too."""


class AnswerStatus(Exception):
    """The answer is printed; `status` is what the command exits with."""

    def __init__(self, status: int) -> None:
        self.status = status
        super().__init__(str(status))


class NotConfirmed(Exception):
    """The preview is on standard output; the exit status says that nothing has run."""


def _say_how_to_go_on(preview: Preview, settings: Settings) -> None:
    console = output.console()
    output.line(console, "")
    output.line(console, f"Nothing has been changed. To run exactly this, before {preview.expires}:")
    output.line(console, "  " + settings.typed(f"confirm {preview.confirm_token}"))
