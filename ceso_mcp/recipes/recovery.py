"""What to do about a run that began and was never seen to end: the truth from the host, then the way back."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from ceso_mcp.captures import visible
from ceso_mcp.fact import Facts
from ceso_mcp.facts.backups import Backups
from ceso_mcp.facts.runs import JournaledRun, JournaledStep, ReplyTo
from ceso_mcp.plan import Here, Step
from ceso_mcp.recipes.place import is_there
from ceso_mcp.shell import Command

Finding = Literal["finished", "partly", "nothing_done", "to_undo", "cut_short", "may_come", "unknown"]

_SAYS: dict[Finding, str] = {
    "finished": "it had done what it was for; nothing has to be undone",
    "partly": "the parts that it had finished are kept; what it began after that is taken back",
    "nothing_done": "it had changed nothing",
    "to_undo": "it stopped half-way; what it began is taken back",
    "cut_short": "it stopped half-way in deleting, which nothing takes back; asked for again it goes on",
    "may_come": "its last command may still take effect; the host does not show it yet",
    "unknown": "its last command may or may not have run, and neither can be told from the host",
}


@dataclass(frozen=True, slots=True)
class CloseRun(Here):
    """Write down that a run is settled."""

    run: str
    finding: Finding

    def shown(self) -> str:
        return f"note that run {self.run} is settled: {_SAYS[self.finding]}"


@dataclass(frozen=True, slots=True)
class Settlement:
    """What was found about one run, and the steps that settle it."""

    run: JournaledRun
    finding: Finding
    steps: tuple[Step, ...]

    def sentence(self) -> str:
        return f"run {self.run.run} ({self.run.title}): {_SAYS[self.finding]}"


async def settle(facts: Facts, run: JournaledRun) -> Settlement:
    """Ask the host what is true of `run`, and plan the way back where it stopped half-way."""
    steps = [await _look(facts, run, step) for step in run.steps]
    parts = {part: _finding([step for step in steps if step.part == part]) for part in _parts(steps)}
    stopped = [step for step in steps if parts[step.part] in ("to_undo", "cut_short")]
    back = _way_back(run, await _without_others(facts, stopped))
    back += _again([step for step in steps if parts[step.part] == "finished"])
    finding = _together(list(parts.values()))
    closing = Step(f"settle run {run.run}", here=CloseRun(run.run, finding))
    return Settlement(run, finding, (*back, closing))


def _parts(steps: list[JournaledStep]) -> list[str]:
    return list(dict.fromkeys(step.part for step in steps)) or [""]


def _together(findings: list[Finding]) -> Finding:
    """What is to be said of a run whose parts were found to be so."""
    for undecided in ("unknown", "may_come"):
        if undecided in findings:
            return undecided
    if "cut_short" in findings:
        return "cut_short"
    if "to_undo" in findings:
        return "partly" if "finished" in findings else "to_undo"
    if "finished" in findings:
        return "finished" if set(findings) == {"finished"} else "partly"
    return "nothing_done"


def _finding(steps: list[JournaledStep]) -> Finding:
    # What the worker began to take back is not finished, whatever the host says of the last step now: the
    # file whose absence proves it went with the rest. What destroyed something has happened all the same.
    taken_back = _taken_back(steps)
    completed = [step for step in steps if step.completes and step.state == "succeeded"]
    if any(step.destroys or not taken_back for step in completed):
        return "finished"
    changing = [step for step in steps if not step.reads_only and step.state not in ("failed", "undone")]
    if any(step.completes and step.state in ("begun", "unknown") for step in changing):
        if any(step.undoable for step in steps):
            return "to_undo"
        return "may_come" if any(step.may_come for step in changing) else "unknown"
    destroyed = any(step.destroys and step.command_succeeded for step in changing)
    if destroyed or any(step.piecemeal for step in steps):
        return "cut_short"
    if any(step.undoable and step.state != "undone" for step in steps) or changing:
        return "to_undo"
    return "nothing_done"


async def _look(facts: Facts, run: JournaledRun, step: JournaledStep) -> JournaledStep:
    """The step with its true state, where the host or the repository can tell."""
    if step.state in ("succeeded", "undone"):
        return step
    if step.leaves:
        listed = any(backup.id == step.leaves for backup in (await facts.read(Backups()))[0])
        return replace(step, state="succeeded" if listed else "failed")
    if step.recheck_reader is None:
        return step
    line = _filled(run, step, step.recheck)
    if line is None:
        return step
    happened = step.recheck_reader(await facts.read(ReplyTo(line)))
    if happened is None and step.may_come and step.state != "failed":
        return step
    return replace(step, state="failed" if happened is None else "succeeded")


async def _without_others(facts: Facts, steps: list[JournaledStep]) -> list[JournaledStep]:
    """`steps`, nothing of which is taken back in a place that the run has given up and left.

    A step that was not waited for is looked at again. What was taken back includes its folder; if that is
    there and does not carry the run's mark, somebody else has made it since, and what lies in it is theirs.
    """
    found = []
    for step in steps:
        part = [other for other in steps if other.part == step.part]
        if step.undo and step.undo_only_if and step.state != "undone" and _taken_back(part):
            ours = is_there(await facts.read(ReplyTo(step.undo_only_if))) is not None
            step = step if ours else replace(step, undo=())
        found.append(step)
    return found


def _taken_back(steps: list[JournaledStep]) -> bool:
    """Whether the run's own worker began to take these steps back."""
    return any(step.undoable and not step.reads_only and step.state == "undone" for step in steps)


def _again(steps: list[JournaledStep]) -> list[Step]:
    """What was taken back on this machine before it was known that what destroys had happened after all."""
    if not any(step.completes and step.destroys and step.state == "succeeded" for step in steps):
        return []
    undone = [step for step in steps if step.here is not None and step.state == "undone"]
    return [Step(f"do again: {step.why}", here=step.here) for step in undone]


def _way_back(run: JournaledRun, steps: list[JournaledStep]) -> list[Step]:
    back = []
    for step in reversed(steps):
        if step.undo_here is not None and step.state not in ("undone", "failed"):
            back.append(Step(f"take back: {step.why}", here=step.undo_here))
        if step.state == "undone" or (step.state == "failed" and step.undo_when == "succeeded"):
            continue
        for line in step.undo:
            filled = _filled(run, step, line)
            if filled is None:
                continue  # it names what only the step's success would have told
            command = Command(filled)
            back.append(Step(f"take back: {step.why}", command, judge=step.undo_judge, repeatable=True))
    return back


def _filled(run: JournaledRun, step: JournaledStep, line: str) -> str | None:
    try:
        return Command(line).filled(visible(step.part, run.captures)).line
    except KeyError:
        return None
