"""Runs of plans that began and were never seen to end, as this machine's journal knows them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from ceso_mcp.fact import Fact, HereQuestion, Reading, Reply
from ceso_mcp.plan import Happened, Here, Judge
from ceso_mcp.shell import Command

StepState = Literal["begun", "succeeded", "failed", "unknown", "undone"]


@dataclass(frozen=True, slots=True)
class JournaledStep:
    """One step that was begun. `begun` and `unknown` alike mean that nobody knows how it ended.

    Undo and recheck lines may hold captured words; `leaves` names the backup that the step lists;
    `here` is an action on this machine that can be taken back, `undo_here` the one that does it;
    `noted_s` is when it was sent, or when it was given up, in seconds since 1970; with `may_come` that is
    so recent that its effect, which comes later than its answer, is not missing yet.
    """

    number: int
    why: str
    line: str
    state: StepState
    reads_only: bool
    destroys: bool
    completes: bool
    undo: tuple[str, ...]
    undo_when: str
    undo_judge: Judge
    recheck: str
    recheck_reader: Happened | None
    leaves: str
    undo_here: Here | None = None
    here: Here | None = None
    noted_s: float = 0.0
    part: str = ""
    may_come: bool = False
    piecemeal: bool = False
    undo_only_if: str = ""

    @property
    def command_succeeded(self) -> bool:
        """Whether it is known to have happened on the host."""
        return self.state == "succeeded" and not self.line.startswith("# here:")

    @property
    def undoable(self) -> bool:
        return bool(self.undo) or self.undo_here is not None

    @property
    def sent_and_not_answered(self) -> bool:
        """Whether its command may have changed something, and nobody saw it end."""
        here = self.line.startswith("# here:")
        return self.state in ("begun", "unknown") and not self.reads_only and not here


@dataclass(frozen=True, slots=True)
class JournaledRun:
    """One run of a plan that is not closed. `started` is UTC, ISO 8601."""

    run: str
    job: str
    operation: str
    title: str
    touches: tuple[str, ...]
    started: str
    captures: Mapping[str, str]
    steps: tuple[JournaledStep, ...]


@dataclass(frozen=True, slots=True)
class Unfinished:
    """`dead`: runs whose worker is gone; `alive`: ids of runs that a worker is carrying out now.

    `restless_s`: for so many seconds yet, a command that a dead worker had sent may be running.
    """

    dead: tuple[JournaledRun, ...]
    alive: tuple[str, ...]
    restless_s: float = 0.0


@dataclass(frozen=True, slots=True)
class UnfinishedOnHost(HereQuestion):
    """The unfinished runs on the configured host."""


@dataclass(frozen=True, slots=True)
class UnfinishedRuns(Fact[Unfinished]):
    """The unfinished runs on this host, oldest first."""

    def reading(self) -> Reading[Unfinished]:
        (found,) = yield [UnfinishedOnHost()]
        return found  # type: ignore[no-any-return]


@dataclass(frozen=True, slots=True)
class ReplyTo(Fact[Reply]):
    """What the host answers to a line that only reads, whatever its exit status."""

    line: str

    def reading(self) -> Reading[Reply]:
        (reply,) = yield [Command(self.line)]
        return reply  # type: ignore[no-any-return]
