"""Jobs: every change that runs, durable in SQLite, done by a detached worker process.

Surfaces are views of this one list. The process that started a job may die; the worker does not.
A job that says `running` while its worker is gone is turned into a failure that says so.
"""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from ceso_mcp.clock import boot_id, process_started
from ceso_mcp.config import private_directory
from ceso_mcp.errors import CesoError, ConfigFault
from ceso_mcp.state_database import StateDatabase

State = Literal["running", "done", "failed", "cancelled"]

_SCHEMA = """
CREATE TABLE IF NOT EXISTS jobs (
  id TEXT PRIMARY KEY, operation TEXT NOT NULL, title TEXT NOT NULL, state TEXT NOT NULL,
  message TEXT NOT NULL, percent REAL, created REAL NOT NULL, updated REAL NOT NULL,
  pid INTEGER, pid_start TEXT, request TEXT NOT NULL, result TEXT, error TEXT, cancel REAL)
"""
KEEP_S = 90 * 86_400
KEEP_COUNT = 2000


@dataclass(frozen=True, slots=True)
class Job:
    """One job as it stands. `result` is set when done, `error` (code, message, …) when failed."""

    id: str
    operation: str
    title: str
    state: State
    message: str
    percent: float | None
    created_s: float
    updated_s: float
    result: dict[str, Any] | None
    error: dict[str, str] | None

    @property
    def ended(self) -> bool:
        return self.state != "running"


Spawn = Callable[[str, Path, Mapping[str, str]], int]


def spawn_worker(job_id: str, log: Path, environment: Mapping[str, str]) -> int:
    """Start the worker of a job in a session of its own, so that it outlives us; returns its pid."""
    with open(log, "ab") as stderr:
        worker = subprocess.Popen(
            [sys.executable, "-m", "ceso_mcp", "worker", job_id],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=stderr,
            start_new_session=True,
            env={**os.environ, **environment},
        )
    worker.returncode = 0  # it is meant to outlive us: not a child to wait for
    return worker.pid


class Jobs:
    """The list of jobs in `directory`. Raises ConfigFault `state_unusable` when it cannot be kept."""

    def __init__(self, directory: Path, spawn: Spawn = spawn_worker) -> None:
        self._spawn = spawn
        self._directory = private_directory(directory)
        self._db = StateDatabase(
            self._directory / "jobs.sqlite",
            _SCHEMA,
            what="the job list",
            hint="make room or repair the state directory",
            timeout_s=20,
        ).transaction
        with self._db() as db:
            if "cancel" not in {row[1] for row in db.execute("PRAGMA table_info(jobs)")}:
                db.execute("ALTER TABLE jobs ADD COLUMN cancel REAL")

    def start(
        self, operation: str, title: str, request: Mapping[str, Any], environment: Mapping[str, str]
    ) -> str:
        """Record a job and spawn its worker in a session of its own; returns the job's id."""
        job_id = str(uuid.uuid4())
        now = time.time()
        with self._db() as db:
            self._forget_old(db)
            db.execute(
                "INSERT INTO jobs (id, operation, title, state, message, created, updated, request)"
                " VALUES (?,?,?,?,?,?,?,?)",
                (job_id, operation, title, "running", "starting", now, now, json.dumps(request)),
            )
        try:
            pid = self._spawn(job_id, self._directory / "worker.log", environment)
        except OSError as error:
            self.fail(job_id, ConfigFault(f"the job's worker cannot be started: {error}", code="no_worker"))
            return job_id
        with contextlib.suppress(ConfigFault):  # the worker notes itself too
            self._update(job_id, pid=pid, pid_start=process_start(pid))
        return job_id

    def _forget_old(self, db: sqlite3.Connection) -> None:
        """Drop jobs that ended long ago, and the oldest ended ones beyond the number that is kept."""
        db.execute("DELETE FROM jobs WHERE state <> 'running' AND updated < ?", (time.time() - KEEP_S,))
        db.execute(
            "DELETE FROM jobs WHERE state <> 'running' AND id IN"
            " (SELECT id FROM jobs ORDER BY rowid DESC LIMIT -1 OFFSET ?)",
            (KEEP_COUNT,),
        )

    def request(self, job_id: str) -> dict[str, Any]:
        """What the worker of `job_id` was asked to do."""
        row = self._row(job_id, "request")
        return dict(json.loads(row[0]))

    def progress(self, job_id: str, message: str, percent: float | None) -> None:
        self._update(job_id, message=message, percent=percent)

    def adopt(self, job_id: str) -> None:
        """This process carries the job out: it is alive as long as this process is."""
        self._update(job_id, pid=os.getpid(), pid_start=process_start(os.getpid()))

    def ask_to_cancel(self, job_id: str) -> Job:
        """Ask the job's worker to stop and take back what it has done; returns the job as it stands.

        A job that has ended is returned as it is; the worker decides, so look at it again later.
        """
        with self._db() as db:
            db.execute(
                "UPDATE jobs SET cancel = ? WHERE id = ? AND state = 'running' AND cancel IS NULL",
                (time.time(), job_id),
            )
        return self.get(job_id)

    def cancel_asked(self, job_id: str) -> bool:
        return self._row(job_id, "cancel")[0] is not None

    def cancelled(self, job_id: str, error: CesoError) -> None:
        """The job was stopped as asked; `error.changed` says what the host is like now."""
        self._update(job_id, state="cancelled", message=error.message, error=json.dumps(_error_doc(error)))

    def amend(self, job_id: str, changed: str) -> None:
        """What was later found out or put right about an ended job's traces."""
        with self._db() as db:
            row = db.execute(
                "SELECT error FROM jobs WHERE id = ? AND state <> 'running'", (job_id,)
            ).fetchone()
            if row is not None and row[0]:
                doc = json.loads(row[0]) | {"changed": changed, "hint": ""}
                db.execute("UPDATE jobs SET error = ? WHERE id = ?", (json.dumps(doc), job_id))

    def finish(self, job_id: str, result: Mapping[str, Any]) -> None:
        self._update(job_id, state="done", message="done", percent=100.0, result=json.dumps(result))

    def fail(self, job_id: str, error: CesoError) -> None:
        self._update(job_id, state="failed", message=error.message, error=json.dumps(_error_doc(error)))

    def get(self, job_id: str) -> Job:
        """The job as it stands; raises CesoError `no_such_job`."""
        row = self._row(
            job_id,
            "id, operation, title, state, message, percent, created, updated, result, error, pid, pid_start",
        )
        job = _job(row)
        young = 0 <= time.time() - job.updated_s <= 2  # its worker may not be noted yet
        if job.state == "running" and not _alive(row[10], row[11]) and not (row[10] is None and young):
            return self._orphaned(job_id)
        return job

    def state_of(self, job_id: str) -> State | None:
        """The job's state; None for one that is no longer listed."""
        try:
            return self.get(job_id).state
        except CesoError:
            return None

    def recent(self, limit: int = 20) -> list[Job]:
        """The newest jobs first."""
        with self._db("BEGIN") as db:
            ids = [row[0] for row in db.execute("SELECT id FROM jobs ORDER BY rowid DESC LIMIT ?", (limit,))]
        return [self.get(job_id) for job_id in ids]

    def _orphaned(self, job_id: str) -> Job:
        error = CesoError(
            "the worker of this job ended before the job did",
            code="worker_lost",
            changed="Steps up to the last one in the audit log may have run.",
            hint="`ceso recover` finds out what is true on the host and takes back what was begun half-way",
        )
        with self._db() as db:
            db.execute(
                "UPDATE jobs SET state='failed', message=?, error=?, updated=?"
                " WHERE id=? AND state='running'",
                (error.message, json.dumps(_error_doc(error)), time.time(), job_id),
            )
        return self.get(job_id)

    def _row(self, job_id: str, columns: str) -> tuple[Any, ...]:
        with self._db("BEGIN") as db:
            found = db.execute(f"SELECT {columns} FROM jobs WHERE id = ?", (job_id,)).fetchone()
        if found is None:
            raise CesoError(
                "there is no such job", code="no_such_job", hint="`ceso jobs list` shows the jobs"
            )
        return tuple(found)

    def _update(self, job_id: str, **values: Any) -> None:
        assignments = ", ".join(f"{name} = ?" for name in values)
        with self._db() as db:
            db.execute(
                f"UPDATE jobs SET {assignments}, updated = ? WHERE id = ?",
                (*values.values(), time.time(), job_id),
            )


def _error_doc(error: CesoError) -> dict[str, str]:
    return {
        "code": error.code,
        "message": error.message,
        "changed": error.changed,
        "hint": error.hint,
        "exit_status": str(error.exit_status),
    }


def _job(row: tuple[Any, ...]) -> Job:
    return Job(
        id=row[0],
        operation=row[1],
        title=row[2],
        state=row[3],
        message=row[4],
        percent=row[5],
        created_s=row[6],
        updated_s=row[7],
        result=json.loads(row[8]) if row[8] else None,
        error=json.loads(row[9]) if row[9] else None,
    )


def process_start(pid: int) -> str:
    """When process `pid` started: this boot and clock ticks since then; "" if there is no such process.

    Tells a reused pid from the old one, also after a reboot.
    """
    ticks = process_started(pid)
    return "" if ticks is None else f"{boot_id()}:{ticks}"


def _alive(pid: int | None, start: str | None) -> bool:
    return bool(pid and start) and process_start(int(pid or 0)) == start
