"""A plan for a reader: before and after, every step with its exact command, what it costs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ceso_mcp.surfaces.cli.output import harmless, human_bytes, line

if TYPE_CHECKING:
    from rich.console import Console

    from ceso_mcp.preview import EstimateView, Preview, StepView

STDIN_LINES = 6
STDIN_COLUMNS = 160


def show_plan(target: Console, preview: Preview, *, full: bool = False) -> None:
    """Print the whole plan. Commands are never broken or shortened; `full` leaves stdin whole too."""
    line(target, preview.title, "bold")
    width = max((len(row.what) for row in preview.changes), default=0)
    for row in preview.changes:
        first, *more = row.after.split("\n") if "\n" in row.after.strip() else [row.after.strip()]
        line(target, f"  {row.what.ljust(width)}  {row.before or '-'} → {first or '-'}")
        for text in more:
            line(target, f"    | {text}")
    line(target, f"steps ({len(preview.steps)})", "bold")
    part = None
    for step in preview.steps:
        if step.part != part:
            part = step.part
            line(target, f" {part or 'all of it'}", "bold")
        _step(target, step, full)
    if preview.touches:
        line(target, "touches", "bold")
        for thing in preview.touches:
            line(target, f"  {thing}")
    for text in _estimate(preview.estimate):
        line(target, text)
    for warning in preview.warnings:
        line(target, f"warning: {warning}", "yellow")
    if preview.destructive and not any("cannot be undone" in warning for warning in preview.warnings):
        line(target, "This removes data and cannot be undone.", "bold yellow")


def _step(target: Console, step: StepView, full: bool) -> None:
    notes = [
        note
        for note, holds in (("reads only", step.reads_only), ("cannot be undone", step.destroys))
        if holds
    ]
    extra = f"  ({', '.join(notes)})" if notes else ""
    line(target, f"{step.number:3}. {step.why}{extra}", "yellow" if step.destroys else "")
    line(target, f"     {step.command}", "cyan")
    if step.command != harmless(step.command):
        line(target, "     (holds invisible characters, shown as \ufffd)", "yellow")
    if step.stdin is not None:
        _stdin(target, step.stdin, full)
    if step.waits_for:
        line(target, f"     until: {step.waits_for}", "dim")
    if step.watches:
        line(target, f"     meanwhile: {step.watches}", "dim")
    for undo in step.undo:
        line(target, f"     undo: {undo}", "dim")


def _stdin(target: Console, text: str, full: bool) -> None:
    lines = text.rstrip("\n").split("\n")
    kept = lines if full else lines[:STDIN_LINES]
    shortened = len(kept) < len(lines)
    for content in kept:
        if not full and len(content) > STDIN_COLUMNS:
            content, shortened = content[:STDIN_COLUMNS] + "…", True
        line(target, f"       | {content}", "dim")
    if shortened:
        more = f"{len(lines) - len(kept)} more lines; " if len(kept) < len(lines) else ""
        line(target, f"       ({more}--full shows all of its standard input)", "dim")


def _estimate(estimate: EstimateView) -> list[str]:
    """What it costs, in at most two sentences."""
    told = []
    if estimate.copy_bytes:
        told.append(f"copies {human_bytes(estimate.copy_bytes)}")
    if estimate.free_bytes_before is not None:
        where = estimate.datastore or "the datastore"
        text = f"free on {where}: {human_bytes(estimate.free_bytes_before)}"
        if estimate.free_bytes_after is not None:
            text += f" → {human_bytes(estimate.free_bytes_after)}"
        told.append(text)
    return told
