"""Many facts, few trips; a cut answer is an error, a dead connection is tried once more."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import anyio
import pytest

from ceso_mcp.errors import HostFault, Unreadable
from ceso_mcp.fact import Fact, Fixed, Reading, Reply
from ceso_mcp.gather import READ_LINE, HostFacts, batch_script, split_batch
from ceso_mcp.shell import Command, sh

pytestmark = pytest.mark.anyio


class LocalShell:
    """A `Runner` that gives its lines to this machine's shell."""

    def __init__(self, *faults: Exception) -> None:
        self.faults = list(faults)
        self.trips = 0

    async def run(self, line: str, *, stdin: bytes = b"", **_: Any) -> Reply:
        self.trips += 1
        if self.faults:
            raise self.faults.pop(0)
        done = await anyio.run_process(["sh", "-c", line], input=stdin, check=False)
        return Reply(done.returncode, done.stdout.decode(), done.stderr.decode())


@dataclass(frozen=True)
class Says(Fact[str]):
    word: str

    def reading(self) -> Reading[str]:
        (reply,) = yield [sh("printf", "%s", self.word)]
        return str(reply.stdout)


@dataclass(frozen=True)
class Twice(Fact[str]):
    """A fact of two rounds, the second made from the first."""

    word: str

    def reading(self) -> Reading[str]:
        (first,) = yield [sh("printf", "%s!", self.word)]
        (second,) = yield [sh("printf", "%s!", first.stdout)]
        return str(second.stdout)


def facts(shell: LocalShell) -> HostFacts:
    return HostFacts(shell, None, Fixed("2026-01-01T00:00:00+00:00", bytes(32)))  # type: ignore[arg-type]


async def test_facts_of_one_round_share_one_trip() -> None:
    shell = LocalShell()
    assert await facts(shell).read(Says("a"), Says("b"), Says("c")) == ("a", "b", "c")
    assert shell.trips == 1


async def test_rounds_of_different_facts_go_together() -> None:
    shell = LocalShell()
    assert await facts(shell).read(Twice("a"), Says("x"), Twice("b")) == ("a!!", "x", "b!!")
    assert shell.trips == 2


async def test_a_fact_is_read_once_for_one_planning() -> None:
    shell = LocalShell()
    known = facts(shell)
    assert [await known.read(Says("a")), await known.read(Says("a"))] == ["a", "a"]
    assert shell.trips == 1


async def test_a_command_that_two_facts_need_is_sent_once() -> None:
    shell = LocalShell()
    known = facts(shell)
    # The first question of `Twice("a!")` is the second of `Twice("a")`.
    assert await known.read(Twice("a")) == "a!!"
    assert await known.read(Twice("a!")) == "a!!!"
    assert shell.trips == 3


async def test_an_idle_connection_that_died_is_tried_once_more() -> None:
    lost = HostFault("lost", code="connection_lost")
    assert await facts(LocalShell(lost)).read(Says("a")) == "a"
    with pytest.raises(HostFault):
        await facts(LocalShell(lost, lost)).read(Says("a"))


@pytest.mark.parametrize("text", ["", "\n", "no end", "end\n", "two\n\n", "#mark 0 0\n"])
async def test_outputs_come_back_as_they_were(text: str) -> None:
    mark = "#0123456789"
    says = sh("printf", "%b", text.replace("\n", "\\n"))
    script = batch_script([says, Command("false")], mark)
    reply = await LocalShell().run(READ_LINE, stdin=script.encode())
    first, second = split_batch(reply, mark, 2)
    assert (first.exit_status, first.stdout) == (0, text)
    assert (second.exit_status, second.stdout) == (1, "")


async def test_errors_of_one_command_do_not_reach_another() -> None:
    mark = "#0123456789"
    script = batch_script([Command("echo one >&2"), Command("echo two >&2; cat")], mark)
    reply = await LocalShell().run(READ_LINE, stdin=script.encode())
    assert [part.stderr for part in split_batch(reply, mark, 2)] == ["one\n", "two\n"]


def test_a_cut_batch_is_unreadable() -> None:
    with pytest.raises(Unreadable, match="question 2 of 2"):
        split_batch(Reply(0, "a\n#m 0 0\nb", "\n#m 0\n"), "#m", 2)


@pytest.mark.anyio
async def test_hostd_is_waited_for_while_it_restarts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ceso_mcp.gather.FIRST_PAUSE_S", 0.01)
    down = Reply(1, "", "Failed to login: Connection refused\n")
    answers = [[down], [down], [Reply(0, "at last", "")]]
    facts = HostFacts(None, None, Fixed("2026-01-01T00:00:00+00:00", bytes(32)), hostd_patience_s=5)  # type: ignore[arg-type]

    async def once(commands: object) -> list[Reply]:
        return answers.pop(0)

    monkeypatch.setattr(facts, "_ask_once", once)
    assert (await facts._ask_host([sh("true")]))[0].stdout == "at last"
    assert not answers


@pytest.mark.anyio
async def test_hostd_is_not_waited_for_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    down = Reply(1, "", "Failed to login: Connection refused\n")
    facts = HostFacts(None, None, Fixed("2026-01-01T00:00:00+00:00", bytes(32)), hostd_patience_s=0)  # type: ignore[arg-type]

    async def once(commands: object) -> list[Reply]:
        return [down]

    monkeypatch.setattr(facts, "_ask_once", once)
    assert await facts._ask_host([sh("true")]) == [down]
