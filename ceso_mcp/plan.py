"""The language of plans: steps, their undo, and the digest that a confirm token is bound to.

A step is one command line, plus where its standard input comes from and where its standard output
goes; or one action on this machine (committing a backup), which is shown just the same.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from ceso_mcp.captures import Captures as Captures
from ceso_mcp.captures import Outcome, filled, visible
from ceso_mcp.fact import Reply
from ceso_mcp.shell import Command
from ceso_mcp.text import Text


class Stream:
    """A flow of bytes between a step and this machine; `shown()` names it for the reader."""

    def shown(self) -> str:
        raise NotImplementedError


class Here:
    """An action on this machine; `shown()` says what it does, `undo_shown()` how it is undone.

    `taken_back_by()` is the action that undoes it: a dataclass of plain values, so that the journal can hold
    it and another process can carry it out, and harmless when there is nothing to undo. Without one the
    desk's own `undo` is asked. `leaves()` names the backup that is listed once the action has
    happened: its trace for recovery.
    """

    def shown(self) -> str:
        raise NotImplementedError

    def undo_shown(self) -> str | None:
        back = self.taken_back_by()
        return None if back is None else back.shown()

    def taken_back_by(self) -> Here | None:
        return None

    def leaves(self) -> str | None:
        return None


Judge = Callable[[Reply, Captures], None]
"""Raises a CesoError if the reply does not prove that the step did what it is for."""


def exit_zero(reply: Reply, captures: Captures) -> None:
    """The plain judge: exit status 0."""
    reply.require("the command")


@dataclass(frozen=True, slots=True)
class Capture:
    """Reads a value from a step's reply for later steps and for the result."""

    name: str
    read: Callable[[Reply], str]


@dataclass(frozen=True, slots=True)
class NotYet:
    """Why a waiting step has to go on waiting, and how far it is if the reply tells."""

    reason: str
    percent: float | None = None


@dataclass(frozen=True, slots=True)
class Until:
    """Poll a reading command until `done` returns a value (recorded under `name`) or time is up.

    `at_limit` makes a value of the last reply when time is up; without it, that is a failure.
    """

    name: str
    done: Callable[[Reply], str | NotYet]
    expects: str
    timeout_s: float
    every_s: float = 1.0
    at_limit: Callable[[Reply], str] | None = None


@dataclass(frozen=True, slots=True)
class Watch:
    """A reading command asked every `every_s` while a step runs; `judge` ends the step by raising StepFailed.

    An answer that does not come or cannot be read ends nothing: the question is asked again.
    """

    command: Command
    judge: Judge
    expects: str
    every_s: float = 30.0


@dataclass(frozen=True, slots=True)
class Undo:
    """How a step is taken back.

    `when`: "succeeded" undoes only a step that is known to have worked (its failure changed
    nothing), "attempted" also one that failed half-way. A step whose outcome is unknown, because
    the connection broke, is always undone. `done` accepts a reply that proves the thing is gone;
    `timeout_s` is for each command. `only_if` lists a file of the run: once a run was taken back and that
    file is gone, the names may be another's, and a later recovery leaves them alone.
    """

    commands: tuple[Command, ...]
    when: Literal["succeeded", "attempted"] = "attempted"
    done: Judge = exit_zero
    timeout_s: float = 60.0
    only_if: Command | None = None

    def __post_init__(self) -> None:
        name_of(self.done)


Happened = Callable[[Reply], Mapping[str, str] | None]


@dataclass(frozen=True, slots=True)
class Recheck:
    """How to learn from the host whether a step has happened whose own answer was lost or an error.

    `happened` gives what the step would have captured, possibly nothing, or None if it is not to be
    seen; it raises a CesoError if the reply does not tell. A step whose effect comes up to `within_s`
    seconds after its answer is not proved by that not to have happened before they are over.
    """

    command: Command
    happened: Happened
    within_s: float = 0.0

    def __post_init__(self) -> None:
        name_of(self.happened)


def name_of(function: Callable[..., Any]) -> str:
    """The name under which a journal keeps `function`: what undoes a step must outlive this process.

    Raises ValueError for a function that cannot be found again by its name.
    """
    if "<" in function.__qualname__:
        raise ValueError(f"{function.__qualname__} is no function of a module")
    return f"{function.__module__}:{function.__qualname__}"


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a plan. Exactly one of `command` and `here` is set.

    `reads_only` marks a command that changes nothing; `destroys` one that cannot be undone and
    removes data, `piecemeal` if it may have removed a part of it when it fails. With `keep_on_failure`,
    a failure here leaves the earlier steps in place: they are the wanted result, and only this last
    proof of it is missing. `percent` reads progress from a piece of output; `bytes_expected` is the size
    of a stream, for the same purpose. `watch` looks at the host meanwhile.

    When the connection breaks, the outcome of a step is unknown. A `repeatable` step is sent again
    (once more does no harm); one with a `recheck` is looked up first; any other is undone. The step
    that `completes` the plan is the border of recovery: once it has happened, nothing is taken back.

    Steps of one `part` (a VM of several that one plan makes) are completed, or taken back, without the
    other parts. A part's captured values are its own.
    """

    why: str
    command: Command | None = None
    here: Here | None = None
    stdin: Text | None = None
    feed: Stream | None = None
    into: Stream | None = None
    capture: Capture | tuple[Capture, ...] | None = None
    until: Until | None = None
    judge: Judge = exit_zero
    undo: Undo | None = None
    recheck: Recheck | None = None
    reads_only: bool = False
    destroys: bool = False
    piecemeal: bool = False
    keep_on_failure: bool = False
    repeatable: bool = False
    completes: bool = False
    part: str = ""
    timeout_s: float = 60.0
    percent: Callable[[str], float | None] | None = None
    bytes_expected: int | None = None
    watch: Watch | None = None

    def __post_init__(self) -> None:
        if (self.command is None) == (self.here is None):
            raise ValueError("a step is either a command or an action here")

    @property
    def captures(self) -> tuple[Capture, ...]:
        """What is read from the reply: nothing, one value or several."""
        if self.capture is None:
            return ()
        return (self.capture,) if isinstance(self.capture, Capture) else self.capture

    def line(self) -> str:
        """The exact command line, or the sentence of an action on this machine."""
        if self.command is not None:
            return self.command.line
        assert self.here is not None
        return f"# here: {self.here.shown()}"

    def document(self) -> dict[str, Any]:
        """Everything about the step that the digest covers."""
        doc: dict[str, Any] = {"line": self.line(), "why": self.why}
        if self.part:
            doc["part"] = self.part
        if self.stdin is not None:
            doc["stdin"] = self.stdin.shown()
            doc["stdin_sha256"] = self.stdin.digest()
        if self.feed is not None:
            doc["stdin_then"] = self.feed.shown()
        if self.into is not None:
            doc["stdout_to"] = self.into.shown()
        if self.captures:
            doc["captures"] = ", ".join(one.name for one in self.captures)
        if self.until is not None:
            doc["until"] = f"{self.until.expects}, at most {self.until.timeout_s:g} s"
        if self.watch is not None:
            doc["watch"] = (
                f"{self.watch.expects}, asked every {self.watch.every_s:g} s: {self.watch.command.line}"
            )
        if self.undo is not None:
            doc["undo"] = [command.line for command in self.undo.commands]
        elif self.here is not None and self.here.undo_shown():
            doc["undo"] = [f"# here: {self.here.undo_shown()}"]
        if self.recheck is not None:
            doc["recheck"] = self.recheck.command.line
        for name in ("reads_only", "destroys", "keep_on_failure", "repeatable", "completes"):
            if getattr(self, name):
                doc[name] = True
        return doc


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a plan will cost, as far as can be told. Not part of the digest: free space moves."""

    copy_bytes: int = 0
    datastore: str | None = None
    free_bytes_before: int | None = None
    free_bytes_after: int | None = None
    duration_s: float | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """What an operation is about to do, complete.

    `touches` names every object that changes (the blast radius); `before_after` is the difference
    a reader wants to see; `outcome` becomes the result, with captured words filled in. Of a plan in
    parts, `parts` has the outcome of each, in the order in which they are made.
    """

    title: str
    steps: tuple[Step, ...]
    touches: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    before_after: tuple[tuple[str, str, str], ...] = ()
    estimate: Estimate = field(default_factory=Estimate)
    outcome: Outcome = field(default_factory=dict)
    parts: Mapping[str, Outcome] = field(default_factory=dict)

    @property
    def destructive(self) -> bool:
        return any(step.destroys for step in self.steps)

    def lines(self) -> list[str]:
        """The exact lines, in order."""
        return [step.line() for step in self.steps]

    def filled_outcome(self, captures: Captures) -> dict[str, Any]:
        """The outcome with captured values in place; `parts` lists the outcomes of the parts."""
        whole = filled(self.outcome, visible("", captures))
        if self.parts:
            whole["parts"] = [filled(what, visible(part, captures)) for part, what in self.parts.items()]
        return whole

    def document(self) -> dict[str, Any]:
        return {
            "title": self.title,
            "steps": [step.document() for step in self.steps],
            "touches": list(self.touches),
            "warnings": list(self.warnings),
        }

    def digest(self) -> str:
        """sha256, hex, over everything that would run or be promised."""
        text = json.dumps(self.document(), sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        return hashlib.sha256(text.encode()).hexdigest()
