"""What follows from an answer or a job: names are remembered, clients are told that things changed."""

from __future__ import annotations

import time
from typing import Any

from ceso_mcp.app import Ceso
from ceso_mcp.jobs import Job
from ceso_mcp.surfaces.mcp.announcements import Announcements
from ceso_mcp.surfaces.mcp.known import Known
from ceso_mcp.surfaces.mcp.tool import OperationTool
from ceso_mcp.surfaces.mcp.uris import BACKUPS, HOST, JOBS, VMS, backup_uri, vm_uri

_HOST_QUESTIONS = ("discover", "list_vms", "show_vm")


class FollowUp:
    """Keeps `known` and the clients up to date with what this process sees happen."""

    def __init__(self, ceso: Ceso, known: Known, announcements: Announcements) -> None:
        self._ceso = ceso
        self._known = known
        self.announcements = announcements
        self.reached_at: float | None = None
        """When the VMs were last read from the host, in monotonic seconds; None until it was reached."""

    async def answered(self, operation: str, arguments: dict[str, Any], answer: dict[str, Any]) -> None:
        """A query was answered."""
        other = self._known.learn(operation, arguments, answer)
        if operation == "list_vms" and not arguments:
            self.reached_at = time.monotonic()
        elif operation in _HOST_QUESTIONS:
            await self.reached_host()
        if other:
            await self.announcements.changed([], listing=True)

    async def reached_host(self) -> None:
        """The host answered. The first time, the list of resources can be had in full from now on."""
        if self.reached_at is None:
            self.reached_at = float("-inf")
            await self.announcements.changed([], listing=True)

    def started(self, tool: OperationTool, job_id: str) -> None:
        """A job was started; its end will be announced, whoever waits for it."""
        if tool.changes:
            self.announcements.later(lambda: self._announce_end(tool, job_id))

    async def _announce_end(self, tool: OperationTool, job_id: str) -> None:
        await self.announcements.changed([JOBS], listing=False)
        job = await self._ceso.wait(job_id, 7 * 86_400)
        if self.reached_at is not None:
            self.reached_at = float("-inf")
        await self.announcements.changed(_changed_by(tool, job), listing=True)


def _changed_by(tool: OperationTool, job: Job) -> list[str]:
    """The resources that a change may have changed; a failed one may have, too."""
    result = job.result or {}
    uris = [JOBS, HOST, VMS]
    if tool.operation.toolset == "backup":
        uris.append(BACKUPS)
        if result.get("backup_id"):
            uris.append(backup_uri(str(result["backup_id"])))
    if result.get("vmid") is not None:
        uris.append(vm_uri(str(result["vmid"])))
    return uris
