"""Carries out a plan, step by step, and takes it back in reverse when a step fails.

Nothing runs that the audit log and the journal do not hold first. When an answer is an error or is
lost, the host is asked what is true. What cannot be undone is named, with the commands that remove it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from ceso_mcp.audit import Actor, AuditLog, tail
from ceso_mcp.captures import Captures, scoped, visible
from ceso_mcp.delivery import UNKNOWN, Delivery, Happened, Patience
from ceso_mcp.errors import AuditFault, CesoError, ConfigFault, HostFault, StepFailed
from ceso_mcp.fact import Reply
from ceso_mcp.journal import Journal
from ceso_mcp.plan import Plan, Step
from ceso_mcp.ports import Desk, Runner
from ceso_mcp.undoing import Begun, Undoing, destroyed_words, undone_words

Progress = Callable[[str, float | None], None]
STDIN_SHOWN = 4000


@dataclass(frozen=True, slots=True)
class RunRecord:
    """Under what a run is journaled."""

    run: str
    host: str
    job: str
    operation: str


class Execution:
    """One run of one plan."""

    def __init__(
        self,
        plan: Plan,
        runner: Runner,
        desk: Desk,
        audit: AuditLog,
        journal: Journal,
        actor: Actor,
        record: RunRecord,
        progress: Progress,
        patience: Patience | None = None,
    ) -> None:
        self._plan = plan
        self._runner = runner
        self._desk = desk
        self._audit = audit
        self._journal = journal
        self._actor = actor
        self._run = record
        self._progress = progress
        self._patience = patience or Patience()
        self._delivery = Delivery(runner, desk, self._patience)
        self._undoing = Undoing(runner, desk, self._patience, self._record_softly, progress)
        self._captures: dict[str, str] = {}
        self._begun: list[Begun] = []

    async def carry_out(self) -> dict[str, Any]:
        """Run every step; returns the plan's outcome with captured values in place.

        Raises StepFailed after undoing; its `changed` tells what the host is like now.
        """
        run = self._run
        self._record(
            "intent",
            digest=self._plan.digest(),
            title=self._plan.title,
            lines=self._plan.lines(),
            job=run.job,
        )
        self._journal.begin(run.run, run.host, run.job, run.operation, self._plan)
        for number, step in enumerate(self._plan.steps, 1):
            try:
                await self._step(number, step)
            except (CesoError, asyncio.CancelledError) as error:
                failure = await self._failed(number, step, error)
                self._record_softly("result", ok=False, code=failure.code, changed=failure.changed)
                raise failure from None
        outcome = self._plan.filled_outcome(self._captures)
        self._softly(self._journal.close, run.run, "done")
        self._record_softly("result", ok=True, outcome=outcome)
        return outcome

    async def _step(self, number: int, step: Step) -> None:
        self._tell(number, step, 0.0, "")
        line = step.line() if step.command is None else step.command.filled(self._seen(step)).line
        details: dict[str, Any] = {"step": number, "line": line}
        if step.stdin is not None:
            details |= {"stdin": step.stdin.shown()[:STDIN_SHOWN], "stdin_sha256": step.stdin.digest()}
        self._record("step", **details)
        self._journal.step_begun(self._run.run, number, step, self._captures)
        begun = Begun(number, step)
        self._begun.append(begun)
        started = time.monotonic()
        reply = Reply(None, "")
        try:
            reply = await self._do(number, step, line)
            begun.state = "succeeded"
        except CesoError as error:
            lost = isinstance(error, HostFault) and error.code in UNKNOWN
            begun.state = "unknown" if lost or begun.sent_again else "failed"
            begun.given_up = error.code == "timeout" and begun.changes_host
            if not await self._happened_all_the_same(begun, error):
                raise
        finally:
            self._softly(self._journal.step_ended, self._run.run, number, begun.state, dict(self._captures))
            self._record_softly(
                "step_end",
                step=number,
                state=begun.state,
                exit=reply.exit_status,
                output=tail(reply.output),
                seconds=round(time.monotonic() - started, 3),
            )

    async def _do(self, number: int, step: Step, line: str) -> Reply:
        def report(percent: float | None, note: str) -> None:
            self._tell(number, step, percent, note)

        if step.watch is not None:
            seen = step.watch.command.filled(self._seen(step))
            step = replace(step, watch=replace(step.watch, command=seen))
        if step.here is not None:
            self._learn(step, await self._desk.perform(step.here, self._seen(step)))
            return Reply(0, "")
        if step.until is not None:
            reply, found = await self._delivery.wait(step, line, report)
            self._learn(step, {step.until.name: found})
            return reply
        pauses = self._patience.pauses()
        while True:
            answer = await self._delivery.send(step, line, self._recheck_line(step), report)
            if isinstance(answer, Happened):
                self._learn(step, answer.captured)
                return Reply(0, "", "the answer was lost; the host shows that it happened")
            self._begun[-1].sent_again |= answer.again
            try:
                self._judge(step, answer.reply)
                return answer.reply
            except HostFault as fault:
                # hostd could not be asked, so nothing was done: the same line may be sent again.
                if fault.code != "hostd_down" or not await pauses.another():
                    raise
                report(None, fault.message)

    def _judge(self, step: Step, reply: Reply) -> None:
        if reply.exit_status is None:
            raise HostFault(f"the command was killed: {reply.stderr.strip()[-200:]}", code="killed")
        step.judge(reply, self._seen(step))
        if step.captures:
            self._learn(step, {one.name: one.read(reply) for one in step.captures})

    def _seen(self, step: Step) -> Captures:
        return visible(step.part, self._captures)

    def _learn(self, step: Step, found: Captures) -> None:
        self._captures.update(scoped(step.part, found))

    def _recheck_line(self, step: Step) -> str | None:
        return None if step.recheck is None else step.recheck.command.filled(self._seen(step)).line

    async def _happened_all_the_same(self, begun: Begun, error: CesoError) -> bool:
        """Ask the host whether a step that failed, or whose end is not known, happened after all."""
        recheck, line = begun.step.recheck, self._recheck_line(begun.step)
        if recheck is None or line is None:
            return False
        try:
            found = await self._delivery.recheck(begun.step, line)
        except CesoError:
            return False
        if found is None:
            may_come = begun.state == "unknown" and recheck.within_s > 0
            begun.given_up |= may_come and begun.step.undo is None  # an undo waits for what it takes back
            begun.state = "unknown" if begun.given_up or may_come else "failed"
            return False
        self._learn(begun.step, found)
        begun.state = "succeeded"
        self._record_softly("recheck", step=begun.number, line=line, said=error.message, happened=True)
        return True

    async def _failed(self, number: int, step: Step, error: BaseException) -> CesoError:
        cancelled = not isinstance(error, CesoError)
        if cancelled and (task := asyncio.current_task()) is not None:
            task.uncancel()  # what was begun is taken back before the run ends
        fault = error if isinstance(error, CesoError) else StepFailed("it was cancelled", code="cancelled")
        code, hint = fault.code, fault.hint
        verb = "was cancelled" if cancelled else f"failed: {fault.message}"
        what = f"{step.part}: {step.why}" if step.part else step.why
        message = f"step {number} of {len(self._plan.steps)} ({what}) {verb}"
        kept = self._kept()
        if step.part in kept or (step.keep_on_failure and not cancelled):
            self._softly(self._journal.close, self._run.run, "done")
            things = ", ".join(self._plan.touches)
            return StepFailed(
                message,
                code=code,
                changed=f"The steps before it were done and are kept: {things}.",
                hint=hint or "look at the VM's console; nothing needs to be undone",
            )
        said = fault.changed if step.destroys and step.here else ""
        if cancelled:
            for begun in self._begun:
                begun.given_up |= begun.state == "unknown" and begun.changes_host
        taken_back = [begun for begun in self._begun if begun.step.part not in kept]
        left = await self._take_back(taken_back, fault)
        late = [begun.number for begun in taken_back if begun.given_up]
        undone = undone_words(taken_back, said, kept)
        self._softly(self._journal.close, self._run.run, "left" if left or late else "undone")
        if late and not left:
            return StepFailed(
                message,
                code=code,
                changed=f"{undone} But step {late[-1]} was not waited for to its"
                " end and may still take effect on the host.",
                hint="`ceso recover` looks again in a while and settles it",
            )
        if not left:
            return StepFailed(message, code=code, changed=undone, hint=hint)
        return StepFailed(
            message,
            code=code,
            changed=f"{destroyed_words(taken_back)} Left on the host: {'; '.join(left)}.".lstrip(),
            hint="`ceso recover` takes it back once the host answers; or run the named commands",
        )

    def _kept(self) -> list[str]:
        """The parts that are complete; a plan without parts is one part, of no name."""
        return [
            begun.step.part for begun in self._begun if begun.step.completes and begun.state == "succeeded"
        ]

    async def _take_back(self, what: list[Begun], why: CesoError) -> list[str]:
        """Take back `what` was begun, newest first; returns a sentence for each thing that is left."""
        left: list[str] = []
        for begun in reversed(what):
            problems = await self._undoing.step(begun, self._seen(begun.step), why)
            left += problems
            if not problems and not begun.given_up and not begun.step.destroys:
                self._softly(
                    self._journal.step_ended, self._run.run, begun.number, "undone", dict(self._captures)
                )
        return left

    def _tell(self, number: int, step: Step, percent: float | None, note: str) -> None:
        share = 100.0 / len(self._plan.steps)
        whole = None if percent is None else (number - 1) * share + share * percent / 100
        why = f"{step.part}: {step.why}" if step.part else step.why
        self._progress(f"{why} ({note})" if note else why, whole)

    def _record(self, kind: str, **details: Any) -> None:
        self._audit.record(kind, self._actor, self._run.run, **details)

    def _record_softly(self, kind: str, **details: Any) -> None:
        """Record what has already happened. Cleaning up must not stop because the log is full."""
        try:
            self._record(kind, **details)
        except AuditFault as fault:
            self._progress(fault.message, None)

    def _softly(self, write: Callable[..., None], *arguments: Any) -> None:
        """Write down what has already happened; recovery asks the host about what is missing."""
        try:
            write(*arguments)
        except ConfigFault as fault:
            self._progress(fault.message, None)
