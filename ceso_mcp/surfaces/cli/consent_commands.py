"""`ceso confirm` and `ceso approve`: agreeing to what was previewed."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from ceso_mcp.errors import TokenFault
from ceso_mcp.surfaces.cli import opening, output
from ceso_mcp.surfaces.cli.run import finish
from ceso_mcp.surfaces.cli.settings import Command, current

if TYPE_CHECKING:
    from ceso_mcp.confirm import Pending


@click.command(cls=Command, short_help="Run what a preview has shown.")
@click.argument("token")
@click.option("-y", "--yes", is_flag=True, help="run without asking; you have seen the plan")
def confirm(token: str, yes: bool) -> None:
    """Run exactly what the preview that printed TOKEN has shown.

    On a terminal the commands are shown once more and a yes is asked for. Without a terminal and
    without --yes, a request that needs a person's consent is refused.
    """
    settings = current()
    ceso = opening.open_ceso(settings)
    asking = output.interactive() and not yes and not settings.json
    if asking:
        _show(ceso.look(token))
        _require_yes(destructive=False)
    finish(ceso, token, settings, consent="terminal" if asking or yes else "token")


@click.command(cls=Command, short_help="Agree to what a model wants to run.")
@click.argument("token")
def approve(token: str) -> None:
    """Look at the commands behind TOKEN and agree to them; whoever holds TOKEN may then run them.

    Needs a terminal and a typed yes. Approving runs nothing by itself.
    """
    settings = current()
    if not output.interactive():
        raise TokenFault(
            "approving needs a person at a terminal",
            code="needs_terminal",
            hint="run `ceso approve TOKEN` in a terminal of your own",
        )
    ceso = opening.open_ceso(settings)
    _show(ceso.look(token), err=settings.json)
    _require_yes(destructive=True)
    pending = ceso.approve(token, opening.actor())
    if settings.json:
        output.write_json({"approved": True, "title": pending.title, "expires": _expires(pending)})
        return
    output.line(output.console(), f"approved until {_expires(pending)}: {pending.title}", "bold green")
    way = settings.typed(f"confirm {token}")
    output.line(output.console(), f"The client may confirm it now; or run it here: {way}")


def _show(pending: Pending, *, err: bool = False) -> None:
    console = output.console(stderr=err)
    output.line(console, pending.title, "bold")
    for number, text in enumerate(pending.lines, 1):
        output.line(console, f"{number:3}. {text}", "cyan")
    for touched in pending.touches:
        output.line(console, f"changes {touched}")
    for warning in pending.warnings:
        output.line(console, f"warning: {warning}", "yellow")
    for lost in pending.lost:
        output.line(console, f"cannot be undone: {lost}", "bold yellow")
    output.line(console, f"expires {_expires(pending)}", "dim")


def _require_yes(*, destructive: bool) -> None:
    """Returns if a person agrees; raises TokenFault `declined`."""
    try:
        if destructive:
            agreed = click.prompt("Type yes to agree", default="", show_default=False, err=True) == "yes"
        else:
            agreed = click.confirm("Run these commands?", default=False, err=True)
    except click.Abort:
        agreed = False
        click.echo(err=True)
    if not agreed:
        raise TokenFault("not agreed to, so nothing has run", code="declined")


def _expires(pending: Pending) -> str:
    return datetime.fromtimestamp(pending.expires_s, UTC).strftime("%Y-%m-%d %H:%M:%SZ")
