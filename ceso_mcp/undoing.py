"""Takes back what a run has begun: each step's undo lines, until the host shows that they are done."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from ceso_mcp.delivery import UNKNOWN, Patience
from ceso_mcp.errors import CesoError, HostFault
from ceso_mcp.plan import Step
from ceso_mcp.ports import Desk, Runner

State = Literal["succeeded", "failed", "unknown"]
UNDO_TRIES = 6


@dataclass(slots=True)
class Begun:
    """A step that was begun, and what is known of it."""

    number: int
    step: Step
    state: State = "unknown"
    given_up: bool = False
    """It was not waited for to its end: it may still take effect."""
    sent_again: bool = False
    """An earlier sending of it was lost, and may have had its effect: a failure of the last tells nothing."""

    @property
    def changes_host(self) -> bool:
        return self.step.command is not None and not self.step.reads_only


class Undoing:
    """Undoes steps on one host. `record` writes to the audit log, and never stops the cleaning up."""

    def __init__(
        self,
        runner: Runner,
        desk: Desk,
        patience: Patience,
        record: Callable[..., None],
        progress: Callable[[str, float | None], None],
    ) -> None:
        self._runner = runner
        self._desk = desk
        self._patience = patience
        self._record = record
        self._progress = progress

    async def step(
        self, begun: Begun, captures: Mapping[str, str], why: CesoError | None = None
    ) -> list[str]:
        """Take one step back, because of `why`; returns a sentence for each thing that is left."""
        step, left = begun.step, []
        if step.here is not None and step.here.undo_shown() and begun.state != "failed":
            self._record("undo", line=f"# here: {step.here.undo_shown()}")
            back = step.here.taken_back_by()
            try:
                if back is None:
                    await self._desk.undo(step.here, why)
                else:
                    await self._desk.perform(back, captures)
            except CesoError as error:
                left.append(f"{step.here.shown()} ({error.message})")
        if step.undo is None or (begun.state == "failed" and step.undo.when == "succeeded"):
            return left
        for command in step.undo.commands:
            problem = await self._line(step, command.filled(captures).line, captures)
            if problem:
                left.append(f"what step “{step.why}” made ({problem}); to remove it: {command.line}")
        return left

    async def _line(self, step: Step, line: str, captures: Mapping[str, str]) -> str | None:
        """Run one undo line until it is proved or patience is used up; None if it is done."""
        assert step.undo is not None
        self._progress(f"undoing: {step.why}", None)
        self._record("undo", line=line)
        pauses, tries = self._patience.pauses(), 0
        while True:
            tries += 1
            try:
                step.undo.done(await self._runner.run(line, timeout_s=step.undo.timeout_s), captures)
                problem = None
                break
            except CesoError as error:
                problem = error.message
                code = error.code if isinstance(error, HostFault) else ""
                refused = code == "command_failed" and tries < UNDO_TRIES
                if not (refused or code in (*UNKNOWN, "hostd_down")) or not await pauses.another():
                    break
        self._record("undo_end", line=line, ok=problem is None, problem=problem or "")
        return problem


def destroyed_words(begun: list[Begun]) -> str:
    """What is true of what was `begun` and nothing takes back; empty if there is no such step."""
    if any(one.step.destroys and one.state != "failed" for one in begun):
        return "A step that cannot be undone had begun."
    if any(one.step.piecemeal for one in begun):
        return "What it was to delete may be gone in part; asked for again it goes on with what is left."
    return ""


def undone_words(begun: list[Begun], said: str, kept: list[str]) -> str:
    """What is true of the host once everything that was `begun` is taken back; or `said`, if that is.

    `kept` are the parts of the plan that had been completed before.
    """
    said = destroyed_words(begun) or said
    if said:
        return said
    # What nobody waited for, and nothing takes back, is told of apart.
    begun = [one for one in begun if one.step.undo or not one.given_up]
    changing = [b for b in begun if not b.step.reads_only and b.state != "failed"]
    if changing and not any(b.step.undo or b.step.here for b in changing):
        return "The steps before it were done and are not undone."
    if kept:
        was = "What it had begun after that was undone." if changing else "Nothing else was changed."
        return f"Made and kept: {', '.join(kept)}. {was}"
    if any(not one.step.reads_only for one in begun):
        return "Everything this run had done was undone; the host is as it was."
    return "Nothing was changed."
