"""Delivers one step to the host: its line, its streams, its progress, and again after a lost connection.

A line whose outcome is unknown is sent a second time only if once more does no harm, or if the host
has been asked whether it happened. A disk stream goes on where it broke off.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from ceso_mcp.errors import CesoError, HostFault, StepFailed
from ceso_mcp.fact import Reply
from ceso_mcp.plan import NotYet, Step, Watch
from ceso_mcp.ports import Desk, Feed, Runner, Sink

LOST = ("connection_lost", "unreachable")
"""Codes of faults after which the connection is made anew."""
UNKNOWN = (*LOST, "timeout")
"""Codes of faults after which nobody knows whether the command ran."""

Report = Callable[[float | None, str], None]
Answered = TypeVar("Answered")


@dataclass(frozen=True, slots=True)
class Patience:
    """How long ceso goes on trying to reach the host or its management agent, in seconds."""

    budget_s: float = 180.0
    first_pause_s: float = 0.2
    longest_pause_s: float = 8.0

    def pauses(self) -> Pauses:
        return Pauses(self)


class Pauses:
    """Growing pauses within one budget."""

    def __init__(self, patience: Patience) -> None:
        self._limit = time.monotonic() + patience.budget_s
        self._pause = patience.first_pause_s
        self._longest = patience.longest_pause_s

    async def another(self) -> bool:
        """Wait once more; False if the budget is used up."""
        if time.monotonic() + self._pause > self._limit:
            return False
        await asyncio.sleep(self._pause)
        self._pause = min(self._pause * 2, self._longest)
        return True


@dataclass(frozen=True, slots=True)
class Answer:
    """The reply to a step's line. `again`: an earlier sending was lost, and may have had its effect too."""

    reply: Reply
    again: bool


@dataclass(frozen=True, slots=True)
class Happened:
    """Instead of a reply: the host shows that the step has happened, with what it would capture."""

    captured: Mapping[str, str]


class Delivery:
    """Sends the steps of one run."""

    def __init__(self, runner: Runner, desk: Desk, patience: Patience) -> None:
        self._runner = runner
        self._desk = desk
        self._patience = patience

    async def send(self, step: Step, line: str, recheck: str | None, report: Report) -> Answer | Happened:
        """The reply of `line`, or the proof that it happened though its reply was lost.

        Raises HostFault when the outcome stays unknown or the host cannot be reached in time, and what
        the step's watch raises.
        """
        return await self._watched(step, self._send(step, line, recheck, report))

    async def _send(self, step: Step, line: str, recheck: str | None, report: Report) -> Answer | Happened:
        pauses = self._patience.pauses()
        again = False
        while True:
            try:
                return Answer(await self._once(step, line, report, again=again), again)
            except HostFault as fault:
                sent = fault.code == "connection_lost"
                if fault.code not in LOST or not (step.reads_only or step.repeatable or recheck or not sent):
                    raise
                report(None, fault.message)
                if not await pauses.another():
                    raise
                if sent and not (step.reads_only or step.repeatable):
                    assert recheck is not None
                    found = await self.recheck(step, recheck)
                    if found is not None:
                        return Happened(found)
                again = again or sent

    async def recheck(self, step: Step, line: str) -> Mapping[str, str] | None:
        """What the step would have captured, if it has happened; None if not. Raises CesoError."""
        assert step.recheck is not None
        return step.recheck.happened(await self.read(line))

    async def read(self, line: str, timeout_s: float = 60.0) -> Reply:
        """The reply of a reading line, asked for again until the host can be reached."""
        pauses = self._patience.pauses()
        while True:
            try:
                return await self._runner.run(line, timeout_s=timeout_s)
            except HostFault as fault:
                if fault.code not in LOST or not await pauses.another():
                    raise

    async def _once(self, step: Step, line: str, report: Report, *, again: bool) -> Reply:
        stdin = step.stdin.sent() if step.stdin is not None else b""
        output = bytearray()
        sink: Sink | None = None
        if step.into is not None:
            inner, more = await (
                self._desk.reopen_sink(step.into) if again else self._desk.open_sink(step.into)
            )
            stdin += more
            sink = _counting(inner, step, report)
        elif step.percent is not None:
            sink = _watching(output, step.percent, report)
        feed = self._desk.feed(step.feed, again=again) if step.feed is not None else None
        if feed is not None and sink is None and step.bytes_expected:
            feed = _fed(feed, step, report)
        reply = await self._runner.run(
            line,
            stdin=stdin,
            feed=feed,
            sink=sink,
            timeout_s=step.timeout_s,
        )
        if output:
            reply = Reply(reply.exit_status, output.decode("utf-8", "replace"), reply.stderr)
        if step.into is not None and reply.ok:
            await self._desk.close_sink(step.into)
        return reply

    async def wait(self, step: Step, line: str, report: Report) -> tuple[Reply, str]:
        """Poll until the step's `until` answers; its last reply and the value.

        A host that cannot be reached for a while is waited for within the step's own time. Raises
        HostFault `not_reached` when that is up, and what the step's watch raises.
        """
        return await self._watched(step, self._wait(step, line, report))

    async def _wait(self, step: Step, line: str, report: Report) -> tuple[Reply, str]:
        until = step.until
        assert until is not None
        limit = time.monotonic() + until.timeout_s
        reason, pause = "no answer yet", min(0.1, until.every_s)
        last: Reply | None = None
        while True:
            try:
                reply = await self._runner.run(line, timeout_s=max(5.0, min(60.0, limit - time.monotonic())))
                last = reply
                found = until.done(reply)
                if not isinstance(found, NotYet):
                    return reply, found
                reason = found.reason
                report(found.percent, reason)
            except HostFault as error:
                if error.code not in UNKNOWN:
                    raise
                reason, last = error.message, None
                report(None, reason)
            if time.monotonic() + pause > limit:
                if last is not None and until.at_limit is not None:
                    return last, until.at_limit(last)
                raise HostFault(
                    f"waited {until.timeout_s:g} s for {until.expects}, but {reason}", code="not_reached"
                )
            await asyncio.sleep(pause)
            pause = min(pause * 1.5, until.every_s)

    async def _watched(self, step: Step, work: Coroutine[Any, Any, Answered]) -> Answered:
        """The outcome of `work`, which ends at once when the step's watch raises."""
        if step.watch is None:
            return await work
        working = asyncio.ensure_future(work)
        watching = asyncio.ensure_future(self._look_on(step.watch))
        try:
            await asyncio.wait({working, watching}, return_when=asyncio.FIRST_COMPLETED)
            if not working.done():
                await watching
            return await working
        finally:
            for task in (working, watching):
                task.cancel()
            await asyncio.gather(working, watching, return_exceptions=True)

    async def _look_on(self, watch: Watch) -> None:
        while True:
            await asyncio.sleep(watch.every_s)
            try:
                watch.judge(await self._runner.run(watch.command.line, timeout_s=60.0), {})
            except StepFailed:
                raise
            except CesoError:
                continue


def _counting(inner: Sink, step: Step, report: Report) -> Sink:
    moved = 0
    started = time.monotonic()

    async def counting(chunk: bytes) -> float | None:
        nonlocal moved
        moved += len(chunk)
        share = await inner(chunk)
        report(*_flow(moved, step.bytes_expected, share, time.monotonic() - started))
        return share

    return counting


async def _fed(feed: Feed, step: Step, report: Report) -> Feed:
    """The same chunks; tells how many of the expected bytes have gone out."""
    moved = 0
    started = time.monotonic()
    async for chunk in feed:
        yield chunk
        moved += len(chunk)
        report(*_flow(moved, step.bytes_expected, None, time.monotonic() - started))


def _flow(moved: int, expected: int | None, share: float | None, seconds: float) -> tuple[float | None, str]:
    """Percent and words of a stream: how much, how fast, how long still.

    How far it is tells the number of bytes, if it is known how many will come; else `share`.
    """
    rate = moved / max(seconds, 0.001)
    words = f"{moved / 2**20:.0f} MiB, {rate / 2**20:.0f} MiB/s"
    done = min(1.0, moved / expected) if expected else share
    if not done:
        return None, words
    return 100.0 * done, f"{words}, {_duration(seconds * (1 - done) / done)} left"


def _duration(seconds: float) -> str:
    whole = int(seconds + 0.5)
    hours, minutes = whole // 3600, whole // 60 % 60
    return f"{hours}:{minutes:02}:{whole % 60:02}" if hours else f"{minutes}:{whole % 60:02}"


def _watching(output: bytearray, reading: Callable[[str], float | None], report: Report) -> Sink:
    async def watching(chunk: bytes) -> None:
        output.extend(chunk)
        done = reading(chunk.decode("utf-8", "replace"))
        if done is not None:
            report(done, f"{done:.0f} %")

    return watching
