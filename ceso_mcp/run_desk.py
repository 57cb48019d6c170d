"""Jobs and unfinished runs, for whoever plans: answers about them, and settling them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

from ceso_mcp.backup.keeping import BackupRun
from ceso_mcp.facts.runs import JournaledRun, Unfinished
from ceso_mcp.jobs import Job, Jobs
from ceso_mcp.journal import End, Journal
from ceso_mcp.recipes.recovery import CloseRun, Finding

_BACKUP_RUNS = 200
WaitForJob = Callable[[str, float], Awaitable[Job]]
_ENDS: dict[Finding, End] = {
    "finished": "done",
    "partly": "undone",
    "nothing_done": "undone",
    "to_undo": "undone",
    "cut_short": "closed",
    "may_come": "closed",
    "unknown": "closed",
}
_SENTENCES: dict[Finding, str] = {
    "finished": "It had done what it was for.",
    "partly": "The parts that it had finished are kept; what it had begun after that was taken back.",
    "nothing_done": "It had changed nothing.",
    "to_undo": "What it had begun was taken back by `ceso recover`; the host is as it was.",
    "cut_short": "It was cut off while it deleted; asked for again it goes on with what is left.",
    "may_come": "Its last command may still take effect; the host did not show it yet.",
    "unknown": "Its last command may or may not have run; nothing can tell.",
}


class RunDesk:
    """The journal and the list of jobs, of one host."""

    def __init__(
        self,
        journal: Callable[[], Journal],
        jobs: Callable[[], Jobs],
        host: str,
        wait: WaitForJob,
        settle_s: float = 60.0,
    ) -> None:
        self._journal = journal
        self._jobs = jobs
        self._host = host
        self._settle_s = settle_s
        self.wait = wait

    async def unfinished(self) -> Unfinished:
        """The open runs of this host, told apart by whether a worker still carries them out."""
        return await asyncio.to_thread(self._unfinished)

    def _unfinished(self) -> Unfinished:
        dead, alive = [], []
        for run in self._journal().open_runs(self._host):
            if self._jobs().state_of(run.job) == "running":
                alive.append(run.run)
            else:
                dead.append(run)
        restless_s = max((self._restless_s(run) for run in dead), default=0.0)
        return Unfinished(tuple(dead), tuple(alive), restless_s)

    def _restless_s(self, run: JournaledRun) -> float:
        """How long the last command of a dead worker may still be running.

        Its connection is gone, but the host ends a command with it only once that writes something.
        """
        sent = [step.noted_s for step in run.steps if step.sent_and_not_answered]
        since_s = time.time() - max(sent, default=0.0)
        return self._settle_s - since_s if 0 <= since_s < self._settle_s else 0.0

    async def backups(self) -> tuple[BackupRun, ...]:
        """The newest runs of backups by this machine that ended, newest first."""
        return await asyncio.to_thread(self._backups)

    def _backups(self) -> tuple[BackupRun, ...]:
        found = []
        for job in self._jobs().recent(_BACKUP_RUNS):
            if job.operation == "backup_vm" and job.ended:
                arguments = self._jobs().request(job.id).get("pending", {}).get("arguments", {})
                ended = datetime.fromtimestamp(int(job.updated_s), UTC)
                found.append(BackupRun(str(arguments.get("vm", "")), job.state == "done", job.message, ended))
        return tuple(found)

    async def close(self, action: CloseRun) -> None:
        """Settle a run, and say so in the error of its job."""
        await asyncio.to_thread(self._close, action)

    def _close(self, action: CloseRun) -> None:
        job = self._journal().job_of(action.run)
        self._journal().close(action.run, _ENDS[action.finding])
        if job is not None:
            self._jobs().amend(job, _SENTENCES[action.finding])
