"""What a reader sees before anything runs."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Literal

from pydantic import Field

from ceso_mcp.confirm import Pending
from ceso_mcp.operation import Answer, Change
from ceso_mcp.plan import Plan, Step

STDIN_SHOWN_CHARACTERS = 6000


class StepView(Answer):
    """One step as shown."""

    number: int
    why: str
    part: str | None = Field(None, description="the part of the plan that it belongs to, of several")
    command: str = Field(description="the exact line; {name} is filled in from an earlier step's output")
    stdin: str | None = Field(None, description="what goes to standard input, secrets named only")
    undo: list[str] = Field(default_factory=list, description="what takes the step back if a later one fails")
    waits_for: str | None = None
    watches: str | None = Field(None, description="what is looked at while the step runs, and ends it")
    captures: str | None = None
    destroys: bool = False
    reads_only: bool = False


class ChangeRow(Answer):
    """One property before and after."""

    what: str
    before: str
    after: str


class EstimateView(Answer):
    """What it costs, as far as can be told."""

    copy_bytes: int
    datastore: str | None
    free_bytes_before: int | None
    free_bytes_after: int | None


class Preview(Answer):
    """A plan that waits for confirmation. Nothing has been changed yet."""

    operation: str
    title: str
    steps: list[StepView]
    touches: list[str] = Field(description="every object that changes")
    warnings: list[str]
    changes: list[ChangeRow]
    estimate: EstimateView
    destructive: bool = Field(description="some step cannot be undone and removes data")
    confirm_token: str
    expires: str = Field(description="UTC")
    needs_operator: bool = Field(
        description="a person must agree: in a dialog, or in a terminal with `ceso approve TOKEN`"
    )


class ChangeOutcome(Answer):
    """What a changing operation answers: a preview, or how its execution stands."""

    status: Literal["preview", "done", "running"]
    message: str = Field(description="one sentence")
    next: str | None = Field(None, description="the call that comes next")
    preview: Preview | None = Field(None, description="with status preview: what would run")
    job_id: str | None = Field(None, description="with status done or running")
    result: dict[str, Any] | None = Field(None, description="with status done: what came of it")


def preview_of(change: Change, plan: Plan, pending: Pending, token: str, needs_operator: bool) -> Preview:
    estimate = plan.estimate
    return Preview(
        operation=change.operation_name(),
        title=plan.title,
        steps=[_step(number, step) for number, step in enumerate(plan.steps, 1)],
        touches=list(plan.touches),
        warnings=list(plan.warnings),
        changes=[ChangeRow(what=w, before=b, after=a) for w, b, a in plan.before_after],
        estimate=EstimateView(
            copy_bytes=estimate.copy_bytes,
            datastore=estimate.datastore,
            free_bytes_before=estimate.free_bytes_before,
            free_bytes_after=estimate.free_bytes_after,
        ),
        destructive=plan.destructive,
        confirm_token=token,
        expires=datetime.fromtimestamp(pending.expires_s, UTC).isoformat(timespec="seconds"),
        needs_operator=needs_operator,
    )


def _step(number: int, step: Step) -> StepView:
    parts = []
    if step.stdin is not None:
        shown = step.stdin.shown()
        if len(shown) > STDIN_SHOWN_CHARACTERS:
            shown = shown[:STDIN_SHOWN_CHARACTERS] + f"… ({len(shown)} characters in all)"
        parts.append(shown)
    if step.feed is not None:
        parts.append(f"‹{step.feed.shown()}›")
    doc = step.document()
    return StepView(
        number=number,
        why=step.why,
        part=step.part or None,
        command=step.line(),
        stdin="".join(parts) or None,
        undo=doc.get("undo", []),
        waits_for=doc.get("until"),
        watches=doc.get("watch"),
        captures=doc.get("captures"),
        destroys=step.destroys,
        reads_only=step.reads_only,
    )
