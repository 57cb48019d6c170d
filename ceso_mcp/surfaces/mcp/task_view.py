"""Jobs as tasks of the MCP Tasks extension: the job's id is the task's, the job list is the truth."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from mcp import types

from ceso_mcp.jobs import Job

POLL_MS = 2000
KEPT_MS = 7 * 86_400_000


def task_document(job: Job, result: types.CallToolResult | None) -> dict[str, Any]:
    """`job` as the extension writes a task; `result` is given once it has ended.

    A job that failed is a completed task with an error result: `failed` is for faults of the
    protocol.
    """
    document: dict[str, Any] = {
        "taskId": job.id,
        "status": "working" if result is None else "completed",
        "statusMessage": _message(job),
        "createdAt": _instant(job.created_s),
        "lastUpdatedAt": _instant(job.updated_s),
        "ttlMs": KEPT_MS,
        "pollIntervalMs": POLL_MS,
    }
    if result is not None:
        document["result"] = result.model_dump(by_alias=True, mode="json", exclude_none=True)
    return document


def _message(job: Job) -> str:
    return job.message if job.ended or job.percent is None else f"{job.percent:.0f}% {job.message}"


def _instant(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
