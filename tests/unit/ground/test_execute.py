"""Steps run in order; a failure takes back what was done, newest first, and says what is left."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from ceso_mcp.audit import Actor, AuditLog
from ceso_mcp.captures import scoped
from ceso_mcp.delivery import Patience
from ceso_mcp.errors import CesoError, HostFault
from ceso_mcp.execute import Execution, RunRecord
from ceso_mcp.fact import Reply
from ceso_mcp.journal import Journal
from ceso_mcp.plan import Capture, NotYet, Plan, Recheck, Step, Undo, Until
from ceso_mcp.recipes.place import is_gone
from ceso_mcp.recipes.recovery import settle
from ceso_mcp.shell import Captured, sh

pytestmark = pytest.mark.anyio


class FakeHost:
    """Answers lines from a table; a list is used up one by one, an exception is raised."""

    def __init__(self, answers: Mapping[str, Any] = {}) -> None:
        self.answers = dict(answers)
        self.lines: list[str] = []

    async def run(self, line: str, **_: Any) -> Reply:
        self.lines.append(line)
        answer = self.answers.get(line, Reply(0, ""))
        if isinstance(answer, list):
            answer = answer.pop(0) if len(answer) > 1 else answer[0]
        if isinstance(answer, Exception):
            raise answer
        return answer


def execution(plan: Plan, host: FakeHost, folder: Path) -> Execution:
    log = AuditLog(folder / "audit")
    return Execution(
        plan,
        host,
        None,  # type: ignore[arg-type]
        log,
        Journal(folder / "journal"),
        Actor("test"),
        RunRecord("0a1b2c3d", "host", "job", "toy"),
        lambda message, percent: None,
        Patience(2.0, 0.01, 0.02),
    )


def step(word: str, **more: Any) -> Step:
    undo = more.pop("undo", Undo((sh("un", word),)))
    return Step(f"do {word}", sh("do", word), undo=undo, **more)


async def test_captured_values_reach_later_steps_and_the_outcome(tmp_path: Path) -> None:
    register = Step("register", sh("reg"), capture=Capture("vmid", lambda reply: reply.stdout.strip()))
    plan = Plan("p", (register, Step("on", sh("on", Captured("vmid")))), outcome={"vmid": Captured("vmid")})
    host = FakeHost({"reg": Reply(0, "7\n")})
    assert await execution(plan, host, tmp_path).carry_out() == {"vmid": "7"}
    assert host.lines == ["reg", "on 7"]


async def test_a_failure_undoes_in_reverse_and_says_so(tmp_path: Path) -> None:
    host = FakeHost({"do c": Reply(1, "", "no")})
    with pytest.raises(CesoError) as caught:
        await execution(Plan("p", (step("a"), step("b"), step("c"))), host, tmp_path).carry_out()
    assert host.lines == ["do a", "do b", "do c", "un c", "un b", "un a"]
    assert "the host is as it was" in caught.value.changed


async def test_a_clean_failure_is_not_undone_where_only_success_leaves_traces(tmp_path: Path) -> None:
    claim = Undo((sh("rmdir", "x"),), when="succeeded")
    host = FakeHost({"do mkdir": Reply(1, "", "File exists")})
    with pytest.raises(CesoError):
        await execution(Plan("p", (step("mkdir", undo=claim),)), host, tmp_path).carry_out()
    assert host.lines == ["do mkdir"]


async def test_a_lost_connection_counts_as_done_when_undoing(tmp_path: Path) -> None:
    claim = Undo((sh("rmdir", "x"),), when="succeeded")
    host = FakeHost({"do mkdir": HostFault("lost", code="connection_lost")})
    with pytest.raises(CesoError):
        await execution(Plan("p", (step("mkdir", undo=claim),)), host, tmp_path).carry_out()
    assert host.lines == ["do mkdir", "rmdir x"]


async def test_undoing_tries_again_when_the_connection_is_lost(tmp_path: Path) -> None:
    host = FakeHost({"do a": Reply(1, ""), "un a": [HostFault("lost", code="connection_lost"), Reply(0, "")]})
    with pytest.raises(CesoError) as caught:
        await execution(Plan("p", (step("a"),)), host, tmp_path).carry_out()
    assert host.lines == ["do a", "un a", "un a"]
    assert "the host is as it was" in caught.value.changed


async def test_what_cannot_be_undone_is_named_with_its_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ceso_mcp.undoing.UNDO_TRIES", 1)
    host = FakeHost({"do b": Reply(1, ""), "un a": Reply(1, "busy")})
    with pytest.raises(CesoError) as caught:
        await execution(Plan("p", (step("a"), step("b"))), host, tmp_path).carry_out()
    assert "un a" in caught.value.changed


async def test_a_failed_last_proof_keeps_what_was_made(tmp_path: Path) -> None:
    wait = Step(
        "wait",
        sh("poll"),
        until=Until("address", lambda reply: NotYet("no address"), "an address", 0.05, every_s=0.01),
        keep_on_failure=True,
        reads_only=True,
    )
    host = FakeHost()
    with pytest.raises(CesoError) as caught:
        await execution(Plan("p", (step("a"), wait), touches=("VM web (new)",)), host, tmp_path).carry_out()
    assert "un a" not in host.lines
    assert "VM web (new)" in caught.value.changed
    assert "no address" in caught.value.message


async def test_nothing_runs_without_an_audit_log(tmp_path: Path) -> None:
    (tmp_path / "audit").write_text("in the way")
    host = FakeHost()
    with pytest.raises(CesoError) as caught:
        await execution(Plan("p", (step("a"),)), host, tmp_path).carry_out()
    assert caught.value.code == "audit_unwritable"
    assert host.lines == []


def machine(part: str) -> list[Step]:
    """The steps that make one of several things, which all capture a value under one name."""
    make = step(f"make-{part}", part=part, capture=Capture("vmid", lambda reply: reply.stdout.strip()))
    use = Step("use it", sh("use", Captured("vmid")), undo=Undo((sh("unuse", Captured("vmid")),)), part=part)
    return [make, use, Step("hand over", sh("hand", part), part=part, completes=True)]


THREE = Plan(
    "three",
    tuple(one for part in ("a", "b", "c") for one in machine(part)),
    outcome={"made": 3},
    parts={part: {"name": part, "vmid": Captured("vmid")} for part in ("a", "b", "c")},
)


async def test_each_part_has_captured_values_of_its_own(tmp_path: Path) -> None:
    host = FakeHost({f"do make-{part}": Reply(0, f"{number}\n") for number, part in enumerate("abc", 1)})
    outcome = await execution(THREE, host, tmp_path).carry_out()
    assert [line for line in host.lines if line.startswith("use")] == ["use 1", "use 2", "use 3"]
    assert outcome["made"] == 3
    assert [part["vmid"] for part in outcome["parts"]] == ["1", "2", "3"]


async def test_a_part_that_fails_is_taken_back_and_the_finished_ones_are_kept(tmp_path: Path) -> None:
    answers: dict[str, Any] = {
        f"do make-{part}": Reply(0, f"{number}\n") for number, part in enumerate("abc", 1)
    }
    host = FakeHost(answers | {"hand b": Reply(1, "", "no")})
    with pytest.raises(CesoError) as caught:
        await execution(THREE, host, tmp_path).carry_out()
    assert host.lines[3:] == ["do make-b", "use 2", "hand b", "unuse 2", "un make-b"]
    assert caught.value.changed == "Made and kept: a. What it had begun after that was undone."
    assert "(b: hand over)" in caught.value.message


@pytest.mark.parametrize(
    ("ended", "finding", "lines"),
    [
        (2, "to_undo", ["unuse 1", "un make-a"]),
        (3, "finished", []),
        (5, "partly", ["unuse 2", "un make-b"]),
        (9, "finished", []),
    ],
)
async def test_recovery_takes_back_the_part_that_was_not_finished(
    tmp_path: Path, ended: int, finding: str, lines: list[str]
) -> None:
    journal = Journal(tmp_path)
    journal.begin("0a1b2c3d", "host", "job", "toy", THREE)
    seen: dict[str, str] = {}
    for number, one in enumerate(THREE.steps[:ended], 1):
        journal.step_begun("0a1b2c3d", number, one, seen)
        if one.capture:
            seen |= scoped(one.part, {"vmid": str((number + 2) // 3)})
        journal.step_ended("0a1b2c3d", number, "succeeded", seen)
    (run,) = journal.open_runs("host")
    settlement = await settle(None, run)  # type: ignore[arg-type]
    assert settlement.finding == finding
    assert [one.line() for one in settlement.steps[:-1]] == lines


def deleting(word: str, **more: Any) -> Step:
    look = Recheck(sh("look", word), is_gone)
    return Step(f"delete {word}", sh("delete", word), recheck=look, destroys=True, **more)


async def test_a_deletion_that_failed_may_have_deleted_a_part(tmp_path: Path) -> None:
    host = FakeHost({"delete a": Reply(1, "", "busy")})
    plan = Plan("p", (deleting("a", piecemeal=True, completes=True),))
    with pytest.raises(CesoError) as caught:
        await execution(plan, host, tmp_path).carry_out()
    assert "in part" in caught.value.changed
    assert "as it was" not in caught.value.changed


@pytest.mark.parametrize("later", ["fails", "hangs"])
async def test_what_was_deleted_before_a_failure_is_not_called_taken_back(tmp_path: Path, later: str) -> None:
    """However the run ended, recovery finds that a part is gone: it says so, and closes it."""
    late = HostFault("it takes too long", code="timeout")
    host = FakeHost({"do b": late if later == "hangs" else Reply(1, ""), "un b": Reply(1, "busy")})
    plan = Plan("p", (deleting("a"), step("b"), deleting("c", piecemeal=True, completes=True)))
    with pytest.raises(CesoError) as caught:
        await execution(plan, host, tmp_path).carry_out()
    assert "cannot be undone had begun. Left on the host" in caught.value.changed
    (run,) = Journal(tmp_path / "journal").open_runs("host")
    settlement = await settle(None, run)  # type: ignore[arg-type]
    assert settlement.finding == "cut_short"
    assert [one.line() for one in settlement.steps[:-1]] == ["un b"]
