"""Carries out a plan, step by step, and takes it back in reverse when a step fails.

Nothing runs that the audit log does not hold first. A step whose outcome is unknown, because the
connection broke, counts as done when undoing. What cannot be undone is named, with the commands
that remove it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from ceso_mcp.audit import Actor, AuditLog, tail
from ceso_mcp.errors import AuditFault, CesoError, HostFault, StepFailed
from ceso_mcp.fact import Reply
from ceso_mcp.plan import NotYet, Plan, Step
from ceso_mcp.ports import Desk, Runner, Sink
from ceso_mcp.shell import Captured

Progress = Callable[[str, float | None], None]
UNDO_TRIES = 6
STDIN_SHOWN = 4000
_LOST = ("connection_lost", "timeout", "unreachable")


@dataclass(slots=True)
class _Done:
    """A step that was begun, and what is known of it."""

    step: Step
    state: Literal["succeeded", "failed", "unknown"]


class Execution:
    """One run of one plan."""

    def __init__(
        self,
        plan: Plan,
        runner: Runner,
        desk: Desk,
        audit: AuditLog,
        actor: Actor,
        run: str,
        progress: Progress,
    ) -> None:
        self._plan = plan
        self._runner = runner
        self._desk = desk
        self._audit = audit
        self._actor = actor
        self._run = run
        self._progress = progress
        self._captures: dict[str, str] = {}
        self._begun: list[_Done] = []

    async def carry_out(self) -> dict[str, Any]:
        """Run every step; returns the plan's outcome with captured values in place.

        Raises StepFailed after undoing; its `changed` tells what the host is like now.
        """
        lines = self._plan.lines()
        self._record("intent", digest=self._plan.digest(), title=self._plan.title, lines=lines)
        for number, step in enumerate(self._plan.steps, 1):
            try:
                await self._step(number, step)
            except (CesoError, asyncio.CancelledError) as error:
                failure = await self._failed(number, step, error)
                self._record_softly("result", ok=False, code=failure.code, changed=failure.changed)
                raise failure from None
        outcome = _outcome(self._plan.outcome, self._captures)
        self._record_softly("result", ok=True, outcome=outcome)
        return outcome

    async def _step(self, number: int, step: Step) -> None:
        count = len(self._plan.steps)
        share = 100.0 / count
        self._report(step, (number - 1) * share)
        line = step.line() if step.command is None else step.command.filled(self._captures).line
        details: dict[str, Any] = {"step": number, "line": line}
        if step.stdin is not None:
            details |= {"stdin": step.stdin.shown()[:STDIN_SHOWN], "stdin_sha256": step.stdin.digest()}
        self._record("step", **details)
        begun = _Done(step, "unknown")
        self._begun.append(begun)
        started = time.monotonic()
        reply = Reply(None, "")
        try:
            if step.here is not None:
                self._captures.update(await self._desk.perform(step.here, self._captures))
                reply = Reply(0, "")
            elif step.until is not None:
                reply = await self._wait(step, line)
            else:
                reply = await self._send(step, line, (number - 1) * share, share)
                self._judge(step, reply)
            begun.state = "succeeded"
        except HostFault as error:
            begun.state = "unknown" if error.code in _LOST else "failed"
            raise
        except CesoError:
            begun.state = "failed"
            raise
        finally:
            self._record_softly(
                "step_end",
                step=number,
                state=begun.state,
                exit=reply.exit_status,
                output=tail(reply.output),
                seconds=round(time.monotonic() - started, 3),
            )

    def _judge(self, step: Step, reply: Reply) -> None:
        if reply.exit_status is None:
            raise HostFault(f"the command was killed: {reply.stderr.strip()[-200:]}", code="killed")
        step.judge(reply, self._captures)
        if step.capture is not None:
            self._captures[step.capture.name] = step.capture.read(reply)

    async def _send(self, step: Step, line: str, base: float, share: float) -> Reply:
        sink: Sink | None = None
        output = bytearray()
        if step.into is not None:
            inner = await self._desk.open_sink(step.into)
            moved = 0

            async def counting(chunk: bytes) -> None:
                nonlocal moved
                moved += len(chunk)
                if step.bytes_expected:
                    self._report(step, base + share * min(1.0, moved / step.bytes_expected), moved)
                await inner(chunk)

            sink = counting
        elif step.percent is not None:
            reading = step.percent

            async def watching(chunk: bytes) -> None:
                output.extend(chunk)
                done = reading(chunk.decode("utf-8", "replace"))
                if done is not None:
                    self._report(step, base + share * done / 100, note=f"{done:.0f} %")

            sink = watching
        reply = await self._runner.run(
            line,
            stdin=step.stdin.sent() if step.stdin is not None else b"",
            feed=self._desk.feed(step.feed) if step.feed is not None else None,
            sink=sink,
            timeout_s=step.timeout_s,
        )
        if output:
            reply = Reply(reply.exit_status, output.decode("utf-8", "replace"), reply.stderr)
        if step.into is not None and reply.ok:
            await self._desk.close_sink(step.into)
        return reply

    async def _wait(self, step: Step, line: str) -> Reply:
        until = step.until
        assert until is not None
        limit = time.monotonic() + until.timeout_s
        reason = "no answer yet"
        while True:
            try:
                reply = await self._runner.run(line, timeout_s=max(5.0, limit - time.monotonic()))
                found = until.done(reply)
                if not isinstance(found, NotYet):
                    self._captures[until.name] = found
                    return reply
                reason = found.reason
            except HostFault as error:
                if error.code not in _LOST:
                    raise
                reason = error.message
            if time.monotonic() + until.every_s > limit:
                raise StepFailed(
                    f"waited {until.timeout_s:g} s for {until.expects}, but {reason}", code="not_reached"
                )
            self._report(step, None, note=reason)
            await asyncio.sleep(until.every_s)

    async def _failed(self, number: int, step: Step, error: BaseException) -> CesoError:
        cause = error.message if isinstance(error, CesoError) else "the run was cancelled"
        hint = error.hint if isinstance(error, CesoError) else ""
        code = error.code if isinstance(error, CesoError) else "cancelled"
        message = f"step {number} of {len(self._plan.steps)} ({step.why}) failed: {cause}"
        if step.keep_on_failure:
            kept = ", ".join(self._plan.touches)
            return StepFailed(
                message,
                code=code,
                changed=f"The steps before it were done and are kept: {kept}.",
                hint=hint or "look at the VM's console; nothing needs to be undone",
            )
        left = await self._undo_all()
        if not left:
            destroyed = any(d.step.destroys and d.state != "failed" for d in self._begun)
            changed = (
                "A step that cannot be undone had begun."
                if destroyed
                else "Everything this run had done was undone; the host is as it was."
                if any(not d.step.reads_only for d in self._begun)
                else "Nothing was changed."
            )
            return StepFailed(message, code=code, changed=changed, hint=hint)
        return StepFailed(
            message,
            code=code,
            changed="Left on the host: " + "; ".join(left) + ".",
            hint="remove what is left with the commands given; `ceso audit show` lists every step",
        )

    async def _undo_all(self) -> list[str]:
        """Take back what was begun, newest first; returns a sentence for each thing that is left."""
        left: list[str] = []
        for done in reversed(self._begun):
            step = done.step
            if step.here is not None and step.here.undo_shown() and done.state != "failed":
                self._record_softly("undo", line=f"# here: {step.here.undo_shown()}")
                try:
                    await self._desk.undo(step.here)
                except CesoError as error:
                    left.append(f"{step.here.shown()} ({error.message})")
            if step.undo is None or (done.state == "failed" and step.undo.when == "succeeded"):
                continue
            for command in step.undo.commands:
                problem = await self._undo_one(step, command.filled(self._captures).line)
                if problem:
                    left.append(f"what step “{step.why}” made ({problem}); to remove it: {command.line}")
        return left

    async def _undo_one(self, step: Step, line: str) -> str | None:
        """Run one undo line until it is proved or the tries are used up; None if it is done."""
        assert step.undo is not None
        self._progress(f"undoing: {step.why}", None)
        self._record_softly("undo", line=line)
        problem: str | None = None
        for attempt in range(UNDO_TRIES):
            try:
                reply = await self._runner.run(line, timeout_s=60)
                step.undo.done(reply, self._captures)
                problem = None
            except CesoError as error:
                problem = error.message
                if isinstance(error, HostFault) and error.code in (*_LOST, "command_failed"):
                    await asyncio.sleep(min(0.3 * 2**attempt, 8))
                    continue
            break
        self._record_softly("undo_end", line=line, ok=problem is None, problem=problem or "")
        return problem

    def _report(self, step: Step, percent: float | None, moved: int = 0, note: str = "") -> None:
        extra = f" ({moved / 2**20:.0f} MiB)" if moved else f" ({note})" if note else ""
        self._progress(f"{step.why}{extra}", percent)

    def _record(self, kind: str, **details: Any) -> None:
        self._audit.record(kind, self._actor, self._run, **details)

    def _record_softly(self, kind: str, **details: Any) -> None:
        """Record what has already happened. Cleaning up must not stop because the log is full."""
        try:
            self._record(kind, **details)
        except AuditFault as fault:
            self._progress(fault.message, None)


def _outcome(outcome: Mapping[str, Any], captures: Mapping[str, str]) -> dict[str, Any]:
    filled: dict[str, Any] = {}
    for name, value in outcome.items():
        if isinstance(value, Captured):
            found = captures.get(value.name)
            filled[name] = int(found) if value.number and found else found
        elif isinstance(value, tuple | list):
            filled[name] = list(value)
        else:
            filled[name] = value
    return filled
