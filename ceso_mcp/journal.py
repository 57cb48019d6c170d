"""The journal: every step of every run, on disk before it is sent and again when it has ended.

It holds what recovery needs without the process that ran the plan: the lines that take a step
back, the line that tells whether it happened, and what was captured. It is no record for people;
that is the audit log.
"""

from __future__ import annotations

import importlib
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, is_dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, cast

from ceso_mcp.captures import visible
from ceso_mcp.config import private_directory
from ceso_mcp.errors import ConfigFault
from ceso_mcp.facts.runs import JournaledRun, JournaledStep
from ceso_mcp.plan import Here, Plan, Step, exit_zero, name_of
from ceso_mcp.state_database import StateDatabase

End = Literal["done", "undone", "left", "closed"]
KEEP_CLOSED_S = 90 * 86_400

_SCHEMA = """
CREATE TABLE IF NOT EXISTS runs (
  run TEXT PRIMARY KEY, host TEXT NOT NULL, job TEXT NOT NULL, operation TEXT NOT NULL,
  title TEXT NOT NULL, touches TEXT NOT NULL, started REAL NOT NULL, captures TEXT NOT NULL,
  end TEXT, ended REAL);
CREATE TABLE IF NOT EXISTS steps (
  run TEXT NOT NULL, number INTEGER NOT NULL, state TEXT NOT NULL, record TEXT NOT NULL,
  PRIMARY KEY (run, number));
"""


class Journal:
    """The journal in `directory`. Raises ConfigFault `state_unusable` when it cannot be kept."""

    def __init__(self, directory: Path) -> None:
        self._db = StateDatabase(
            private_directory(directory) / "journal.sqlite",
            _SCHEMA,
            what="the journal",
            hint="without a journal ceso changes nothing; make room or repair its state directory",
            timeout_s=20,
        ).transaction

    def begin(self, run: str, host: str, job: str, operation: str, plan: Plan) -> None:
        """Open a run. Nothing of it is sent before this returns."""
        row = (run, host, job, operation, plan.title, json.dumps(plan.touches), time.time(), "{}")
        with self._db() as db:
            db.execute("DELETE FROM steps WHERE run IN (SELECT run FROM runs WHERE ended < ?)", (_old(),))
            db.execute("DELETE FROM runs WHERE ended < ?", (_old(),))
            db.execute(
                "INSERT INTO runs (run, host, job, operation, title, touches, started, captures)"
                " VALUES (?,?,?,?,?,?,?,?)",
                row,
            )

    def step_begun(self, run: str, number: int, step: Step, captures: Mapping[str, str]) -> None:
        """Write down a step that is about to be sent, and what is captured so far."""
        with self._db() as db:
            db.execute("UPDATE runs SET captures = ? WHERE run = ?", (json.dumps(dict(captures)), run))
            db.execute(
                "INSERT OR REPLACE INTO steps (run, number, state, record) VALUES (?,?,?,?)",
                (run, number, "begun", json.dumps(_record(step, captures))),
            )

    def step_ended(
        self,
        run: str,
        number: int,
        state: Literal["succeeded", "failed", "unknown", "undone"],
        captures: Mapping[str, str],
    ) -> None:
        """Write down how a step ended, and what is captured so far."""
        with self._db() as db:
            db.execute(
                "UPDATE steps SET state = ?, record = json_set(record, '$.noted_s', ?)"
                " WHERE run = ? AND number = ?",
                (state, time.time(), run, number),
            )
            db.execute("UPDATE runs SET captures = ? WHERE run = ?", (json.dumps(dict(captures)), run))

    def close(self, run: str, end: End) -> None:
        """The run has ended: done, undone, or with things left that are named in its job's error."""
        with self._db() as db:
            db.execute("UPDATE runs SET end = ?, ended = ? WHERE run = ?", (end, time.time(), run))

    def job_of(self, run: str) -> str | None:
        """The job that carried out `run`."""
        with self._db("BEGIN") as db:
            row = db.execute("SELECT job FROM runs WHERE run = ?", (run,)).fetchone()
        return str(row[0]) if row else None

    def open_runs(self, host: str) -> list[JournaledRun]:
        """Every run on `host` that is not closed, or closed with things left; oldest first."""
        with self._db("BEGIN") as db:
            runs = db.execute(
                "SELECT run, job, operation, title, touches, started, captures FROM runs"
                " WHERE host = ? AND (end IS NULL OR end = 'left') ORDER BY started, run",
                (host,),
            ).fetchall()
            steps = {
                row[0]: db.execute(
                    "SELECT number, state, record FROM steps WHERE run = ? ORDER BY number", (row[0],)
                ).fetchall()
                for row in runs
            }
        return [_run(row, steps[row[0]]) for row in runs]


def function_named(name: str) -> Callable[..., Any]:
    """The function that `plan.name_of` named; raises ConfigFault if this version has none of that name."""
    module, _, attribute = name.partition(":")
    try:
        if module.startswith("ceso_mcp."):
            return cast("Callable[..., Any]", getattr(importlib.import_module(module), attribute))
    except (ImportError, AttributeError):
        pass
    raise ConfigFault(
        f"the journal speaks of {name}, which this version of ceso does not have",
        code="other_version",
        hint="recover with the version that began the run",
    )


def _old() -> float:
    return time.time() - KEEP_CLOSED_S


def _record(step: Step, captures: Mapping[str, str]) -> dict[str, Any]:
    undo, recheck, here = step.undo, step.recheck, step.here
    seen = visible(step.part, captures)
    line = step.line() if step.command is None else step.command.filled(seen).line
    return {
        "why": step.why,
        "part": step.part,
        "line": line,
        "reads_only": step.reads_only,
        "destroys": step.destroys,
        "piecemeal": step.piecemeal,
        "completes": step.completes,
        "undo": [command.line for command in undo.commands] if undo else [],
        "undo_when": undo.when if undo else "",
        "undo_judge": name_of(undo.done) if undo else "",
        "undo_only_if": undo.only_if.line if undo and undo.only_if else "",
        "recheck": recheck.command.line if recheck else "",
        "recheck_reader": name_of(recheck.happened) if recheck else "",
        "within_s": recheck.within_s if recheck else 0.0,
        "leaves": (here.leaves() or "") if here else "",
        "undo_here": _named_action(here.taken_back_by()) if here else None,
        "here": _named_action(here if here.taken_back_by() else None) if here else None,
        "noted_s": time.time(),
    }


def _run(row: tuple[Any, ...], steps: list[tuple[Any, ...]]) -> JournaledRun:
    run, job, operation, title, touches, started, captures = row
    found = tuple(
        JournaledStep(number=number, state=state, **_revived(json.loads(record)))
        for number, state, record in steps
    )
    when = datetime.fromtimestamp(started, UTC).isoformat(timespec="seconds")
    return JournaledRun(
        run, job, operation, title, tuple(json.loads(touches)), when, json.loads(captures), found
    )


def _revived(record: dict[str, Any]) -> dict[str, Any]:
    """A record with its functions found again; what an older version named and this one lacks is left out."""
    judge, reader = record["undo_judge"], record["recheck_reader"]
    within_s = record.pop("within_s", 0.0)
    return (
        {"part": "", "may_come": time.time() - record.get("noted_s", 0.0) < within_s}
        | record
        | {
            "undo": tuple(record["undo"]),
            "undo_judge": function_named(judge) if judge else exit_zero,
            "recheck_reader": function_named(reader) if reader else None,
            "undo_here": _action(record.get("undo_here")),
            "here": _action(record.get("here")),
        }
    )


def _named_action(action: Here | None) -> dict[str, Any] | None:
    """An action on this machine by its class and its plain values."""
    if action is None:
        return None
    assert is_dataclass(action)
    return {"action": name_of(type(action)), "values": asdict(action)}


def _action(named: dict[str, Any] | None) -> Here | None:
    if named is None:
        return None
    values = {name: _plain(value) for name, value in named["values"].items()}
    return cast(Here, function_named(named["action"])(**values))


def _plain(value: Any) -> Any:
    """JSON has lists only; actions have tuples only."""
    return tuple(_plain(item) for item in value) if isinstance(value, list) else value
