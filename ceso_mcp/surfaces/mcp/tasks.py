"""The methods of the Tasks extension, for clients that declare it with each request."""

from __future__ import annotations

from typing import Any

from mcp import MCPError, types
from mcp.server import Server

from ceso_mcp import catalogue
from ceso_mcp.app import Ceso
from ceso_mcp.errors import CesoError
from ceso_mcp.jobs import Job
from ceso_mcp.surfaces.mcp import results
from ceso_mcp.surfaces.mcp.caller import TASKS, Caller, Context
from ceso_mcp.surfaces.mcp.task_view import task_document
from ceso_mcp.surfaces.mcp.tool import OperationTool


class TaskParams(types.RequestParams):
    """Names one task."""

    task_id: str


class TaskAnswers(TaskParams):
    """Answers to a task's questions. Jobs ask none: everything is agreed to before they start."""

    input_responses: dict[str, Any] | None = None


class TaskMethods:
    """`tasks/get`, `tasks/update` and `tasks/cancel` over the job list."""

    def __init__(self, ceso: Ceso) -> None:
        self._ceso = ceso

    def add_to(self, server: Server[Any]) -> None:
        """Serve the methods and advertise the extension to modern clients."""
        server.extensions[TASKS] = {}
        server.add_request_handler("tasks/get", TaskParams, self.get)
        server.add_request_handler("tasks/update", TaskAnswers, self.update)
        server.add_request_handler("tasks/cancel", TaskParams, self.cancel)

    async def get(self, context: Context, params: TaskParams) -> dict[str, Any]:
        """The task as it stands; with its result once the job has ended."""
        job = self._job(context, "tasks/get", params.task_id)
        result = None
        if job.ended:
            result = results.ended(OperationTool(catalogue.operation(job.operation)), job)
        return {"resultType": "complete", **task_document(job, result)}

    async def update(self, context: Context, params: TaskAnswers) -> dict[str, Any]:
        self._job(context, "tasks/update", params.task_id)
        return {"resultType": "complete"}

    async def cancel(self, context: Context, params: TaskParams) -> dict[str, Any]:
        """Ask the job's worker to stop and take back what it has done; `tasks/get` tells how it ended."""
        self._ceso.jobs.ask_to_cancel(self._job(context, "tasks/cancel", params.task_id).id)
        return {"resultType": "complete"}

    def _job(self, context: Context, method: str, task_id: str) -> Job:
        caller = Caller(context)
        if not caller.modern:
            raise MCPError(types.METHOD_NOT_FOUND, "Method not found", method)
        if not caller.follows_tasks:
            raise MCPError(
                types.MISSING_REQUIRED_CLIENT_CAPABILITY,
                "Missing required client capability",
                {"requiredCapabilities": {"extensions": {TASKS: {}}}},
            )
        try:
            return self._ceso.jobs.get(task_id)
        except (CesoError, UnicodeError):
            raise MCPError(types.INVALID_PARAMS, "Unknown task", {"taskId": task_id[:80]}) from None
