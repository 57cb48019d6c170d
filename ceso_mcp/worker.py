"""Carrying out a job: what the detached worker process does, from the stored request to its end.

One writer per host at a time. The request is planned again on fresh facts and must come out as it
was shown; then, and only then, it runs.
"""

from __future__ import annotations

import asyncio
import contextlib
import difflib
import os
from typing import Any

from ceso_mcp import catalogue
from ceso_mcp.app import Ceso, Progress
from ceso_mcp.audit import Actor
from ceso_mcp.config import private_directory
from ceso_mcp.confirm import Pending
from ceso_mcp.delivery import Patience
from ceso_mcp.desk import RepositoryDesk
from ceso_mcp.errors import AuditFault, CesoError, Refused, StepFailed, TokenFault
from ceso_mcp.execute import Execution, RunRecord
from ceso_mcp.fact import Fixed
from ceso_mcp.operation import Change, Query
from ceso_mcp.plan import Plan
from ceso_mcp.progress import ThrottledProgress
from ceso_mcp.redact import Redactor
from ceso_mcp.writer_lock import WriterLock

ATTEND_EVERY_S = 0.5


async def perform(ceso: Ceso, job_id: str) -> None:
    """Carry out a job to its end and record how it ended. Never raises a CesoError."""
    request = ceso.jobs.request(job_id)
    actor = Actor(**request["actor"])
    progress = ThrottledProgress(lambda message, percent: ceso.jobs.progress(job_id, message, percent))
    ceso.jobs.adopt(job_id)
    watching = asyncio.create_task(_attend(ceso, job_id, progress, asyncio.current_task()))
    try:
        if "query" in request:
            query = catalogue.operation(request["query"]).model_validate(request["arguments"])
            assert isinstance(query, Query)
            result = (await ceso.answer(query, actor)).model_dump(mode="json")
        else:
            result = await _carry_out(ceso, job_id, Pending(**request["pending"]), actor, progress)
    except CesoError as error:
        end = ceso.jobs.cancelled if error.code == "cancelled" else ceso.jobs.fail
        end(job_id, _clean(ceso.redactor, error))
    except asyncio.CancelledError:
        if not ceso.jobs.cancel_asked(job_id):
            raise
        ceso.jobs.cancelled(
            job_id, StepFailed("it was cancelled", code="cancelled", changed="Nothing was changed.")
        )
    except BaseException as error:
        ceso.jobs.fail(job_id, _unexpected(error))
        with contextlib.suppress(AuditFault):  # the failure itself is what has to be seen
            ceso.audit.record("result", actor, ok=False, code="internal", job=job_id)
        raise
    else:
        ceso.jobs.finish(job_id, result)
    finally:
        watching.cancel()


async def _attend(
    ceso: Ceso, job_id: str, progress: ThrottledProgress, task: asyncio.Task[Any] | None
) -> None:
    """Keep the job's row fresh, and stop `task` once somebody has asked for it; it cleans up by itself."""
    while not ceso.jobs.cancel_asked(job_id):
        await asyncio.sleep(ATTEND_EVERY_S)
        progress.flush()
    if task is not None:
        task.cancel()


async def _carry_out(
    ceso: Ceso, job_id: str, pending: Pending, actor: Actor, progress: Progress
) -> dict[str, Any]:
    change = catalogue.operation(pending.operation).model_validate(pending.arguments)
    assert isinstance(change, Change)
    fixed = Fixed(pending.now, bytes.fromhex(pending.seed_hex))
    desk = ceso.desk()
    with WriterLock(private_directory(ceso.state / "locks"), ceso.host_identity()):
        progress("looking at the host again", 0.0)
        plan = await _plan_again(ceso, change, fixed, pending, actor, desk)
        record = RunRecord(fixed.run_id, ceso.host_identity(), job_id, pending.operation)
        patience = Patience(ceso.config.host.patience_s)
        run = Execution(plan, ceso.runner, desk, ceso.audit, ceso.journal, actor, record, progress, patience)
        try:
            return await run.carry_out()
        finally:
            await desk.close()


async def _plan_again(
    ceso: Ceso, change: Change, fixed: Fixed, pending: Pending, actor: Actor, desk: RepositoryDesk
) -> Plan:
    """The same plan on fresh facts, or TokenFault `host_changed` with the new preview."""
    try:
        plan = await ceso.plan(change, fixed, desk)
    except Refused as refusal:
        ceso.audit.record("host_changed", actor, fixed.run_id, reason=refusal.message)
        raise TokenFault(
            f"the host has changed since the preview: {refusal.message}",
            code="host_changed",
            hint=refusal.hint or "preview again",
        ) from None
    if plan.digest() == pending.digest:
        return plan
    difference = "\n".join(
        difflib.unified_diff(pending.lines, plan.lines(), "shown", "now", lineterm="", n=0)
    )
    token, _ = ceso.store(change, plan, fixed)
    ceso.audit.record("host_changed", actor, fixed.run_id, difference=difference, digest=plan.digest())
    raise TokenFault(
        "the host has changed since the preview, so the plan is another one now. "
        + (f"Difference:\n{difference}\n" if difference else "The input of a step differs.\n")
        + "The new plan:\n"
        + "\n".join(plan.lines()),
        code="host_changed",
        hint=f"look at the new plan; its confirm token is {token}",
    )


def _clean(redactor: Redactor, error: CesoError) -> CesoError:
    error.message = redactor.clean(error.message)
    error.hint = redactor.clean(error.hint)
    error.changed = redactor.clean(error.changed)
    return error


def _unexpected(error: BaseException) -> CesoError:
    return StepFailed(
        f"ceso failed unexpectedly ({type(error).__name__})",
        code="internal",
        changed="Steps up to the last one in the audit log may have run.",
        hint=f"the worker's log has the details (process {os.getpid()})",
    )
