"""`ceso audit`: what was asked, shown, agreed to and sent, and whether the log is whole."""

from __future__ import annotations

from collections import deque
from typing import Any

import click

from ceso_mcp.errors import AuditFault
from ceso_mcp.surfaces.cli import opening, output
from ceso_mcp.surfaces.cli.render import render
from ceso_mcp.surfaces.cli.settings import Command, current

_SAYS = ("line", "operation", "title", "how", "state", "exit", "code", "changed", "reason", "problem")
"""What of an event a reader wants to see, in this order."""


@click.group(short_help="See the audit log; check that it is whole.")
def audit() -> None:
    """See the audit log; check that it is whole."""


@audit.command("show", cls=Command, short_help="Show the newest events.")
@click.option("--run", "run_id", metavar="ID", help="only the events of this run")
@click.option("--last", default=50, type=click.IntRange(1), help="how many events  [default: 50]")
def show_events(run_id: str | None, last: int) -> None:
    """Show the newest events, the newest last: what was asked, shown, agreed to, every step that ran."""
    settings = current()
    events = opening.open_ceso(settings).audit.events()
    kept = deque((event for event in events if run_id in (None, event.get("run"))), maxlen=last)
    if settings.json:
        output.write_json({"events": list(kept)})
        return
    console = output.console()
    if not kept:
        output.line(console, "no events")
    for event in kept:
        who = event.get("actor", {})
        head = f"{event.get('seq', '?'):>5}  {event.get('time', ''):24}  {event.get('run', ''):8}"
        output.line(
            console, f"{head}  {who.get('surface', ''):4}  {event.get('kind', ''):12}  {_what(event)}"
        )


@audit.command("verify", cls=Command, short_help="Check that no event was changed or removed.")
def verify_log() -> None:
    """Check every event of the log: changed, removed and cut-off ones are named. Exit status 9 if any."""
    settings = current()
    log = opening.open_ceso(settings).audit
    verdict = log.verify()
    if not verdict.ok:
        raise AuditFault(
            f"the audit log {log.path} is not whole: {'; '.join(verdict.problems)}", code="audit_broken"
        )
    answer: dict[str, Any] = {"whole": True, "events": verdict.events, "path": str(log.path)}
    if verdict.notes:
        answer["notes"] = list(verdict.notes)
    if settings.json:
        output.write_json(answer)
    else:
        render(output.console(), answer)


def _what(event: dict[str, Any]) -> str:
    parts = [{True: "ok", False: "failed"}[event["ok"]]] if isinstance(event.get("ok"), bool) else []
    parts += [str(event[name]) for name in _SAYS if event.get(name) not in (None, "")]
    return "  ".join(parts).replace("\n", " ")
