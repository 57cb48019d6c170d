"""Reads facts: many questions in one trip to the host.

Each round of all facts asked for together becomes one `sh -s` on the host, fed with a script that
runs the commands one after another and marks their ends on both streams. A `vim-cmd` costs 0.7 to
1 s and a login 0.7 s (fact sheet vim-cmd §1.1), so what counts is how few there are.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Sequence
from typing import Any

from ceso_mcp.errors import HostFault, Unreadable
from ceso_mcp.esxi.faults import hostd_unavailable
from ceso_mcp.fact import Fact, Fixed, HereQuestion, Question, Reply
from ceso_mcp.ports import Desk, Runner
from ceso_mcp.shell import Command

READ_LINE = "sh -s"
"""The one command line that fact reading sends; its script comes on standard input."""
FIRST_PAUSE_S = 0.3


class HostFacts:
    """Answers facts for one planning; each fact is read once, and each command that facts share is sent once.

    While hostd does not answer, which a restart of it takes, the same questions are asked again for
    `hostd_patience_s`; then the facts tell of it in their own words.
    """

    def __init__(
        self,
        runner: Runner,
        desk: Desk,
        fixed: Fixed,
        *,
        timeout_s: float = 120.0,
        hostd_patience_s: float = 0.0,
    ) -> None:
        self._runner = runner
        self._desk = desk
        self._fixed = fixed
        self._timeout_s = timeout_s
        self._hostd_patience_s = hostd_patience_s
        self._known: dict[Fact[Any], Any] = {}
        self._replies: dict[Command, Reply] = {}

    @property
    def fixed(self) -> Fixed:
        return self._fixed

    async def read(self, *facts: Fact[Any]) -> Any:
        wanted = [fact for fact in dict.fromkeys(facts) if fact not in self._known]
        await self._drive(wanted)
        values = tuple(self._known[fact] for fact in facts)
        return values[0] if len(values) == 1 else values

    async def _drive(self, facts: Sequence[Fact[Any]]) -> None:
        waiting: list[tuple[Fact[Any], Any, Sequence[Question]]] = []
        for fact in facts:
            generator = fact.reading()
            self._advance(fact, generator, None, waiting)
        while waiting:
            current, waiting = waiting, []
            replies = await self._round([question for _, _, questions in current for question in questions])
            position = 0
            for fact, generator, questions in current:
                answer = replies[position : position + len(questions)]
                position += len(questions)
                self._advance(fact, generator, answer, waiting)

    def _advance(self, fact: Fact[Any], generator: Any, answer: Any, waiting: list[Any]) -> None:
        try:
            questions = generator.send(answer)
        except StopIteration as stop:
            self._known[fact] = stop.value
        else:
            waiting.append((fact, generator, list(questions)))

    async def _round(self, questions: Sequence[Question]) -> list[Any]:
        asked = dict.fromkeys(question for question in questions if isinstance(question, Command))
        commands = [command for command in asked if command not in self._replies]
        if commands:
            self._replies.update(zip(commands, await self._ask_host(commands), strict=True))
        here: dict[HereQuestion, Any] = {}
        for question in questions:
            if isinstance(question, HereQuestion) and question not in here:
                here[question] = await self._desk.reply(question)
        return [here[q] if isinstance(q, HereQuestion) else self._replies[q] for q in questions]

    async def _ask_host(self, commands: Sequence[Command]) -> list[Reply]:
        limit, pause_s = time.monotonic() + self._hostd_patience_s, FIRST_PAUSE_S
        while True:
            replies = await self._ask_once(commands)
            hostd_answers = all(reply.ok or not hostd_unavailable(reply.output) for reply in replies)
            if hostd_answers or time.monotonic() + pause_s > limit:
                return replies
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, 4.0)

    async def _ask_once(self, commands: Sequence[Command]) -> list[Reply]:
        mark = f"#{secrets.token_hex(12)}"
        script = batch_script(commands, mark).encode()
        try:
            reply = await self._runner.run(READ_LINE, stdin=script, timeout_s=self._timeout_s)
        except HostFault as fault:
            if fault.code != "connection_lost":
                raise
            # An idle connection may have died unnoticed. Reading twice changes nothing.
            reply = await self._runner.run(READ_LINE, stdin=script, timeout_s=self._timeout_s)
        if reply.exit_status != 0:
            raise HostFault(
                f"reading the host failed ({reply.exit_status}): {reply.output.strip()[-300:]}",
                code="command_failed",
            )
        return split_batch(reply, mark, len(commands))


def batch_script(commands: Sequence[Command], mark: str) -> str:
    """The script for one round. Commands get no standard input: it is the script itself."""
    parts = []
    for index, command in enumerate(commands):
        if command.holes:
            raise ValueError("a reading command has no captured words")
        parts.append(
            f"{{ {command.line}\n}} </dev/null\n"
            f"r=$?; printf '\\n{mark} {index} %d\\n' $r; printf '\\n{mark} {index}\\n' >&2\n"
        )
    return "".join(parts) + "exit 0\n"


def split_batch(reply: Reply, mark: str, count: int) -> list[Reply]:
    """One reply a command; raises Unreadable if a mark is missing (the batch was cut)."""
    replies = []
    out, err = reply.stdout, reply.stderr
    for index in range(count):
        head, found, out = out.partition(f"\n{mark} {index} ")
        if not found:
            raise Unreadable(
                "the host's answers", f"the answer to question {index + 1} of {count} is cut off"
            )
        status, _, out = out.partition("\n")
        error, _, err = err.partition(f"\n{mark} {index}\n")
        replies.append(Reply(int(status), head, error))
    return replies
