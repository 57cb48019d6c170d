"""Resources: the host, its VMs, the backups and the jobs, each as one JSON document.

Listing never makes the first contact with the host: a client lists as it connects, and starting a
client must neither log in anywhere nor wait for a host that is down. Until the host has been asked
something, the VMs are those seen last time.
"""

from __future__ import annotations

import json
import logging
import time
from datetime import UTC, datetime
from typing import Any

import anyio
from mcp import MCPError, types

from ceso_mcp import catalogue
from ceso_mcp.app import Ceso
from ceso_mcp.errors import CesoError
from ceso_mcp.operation import Query, parse_arguments
from ceso_mcp.surfaces.mcp.caller import Caller, Context
from ceso_mcp.surfaces.mcp.calls import require_first_page
from ceso_mcp.surfaces.mcp.follow_up import FollowUp
from ceso_mcp.surfaces.mcp.known import Known
from ceso_mcp.surfaces.mcp.untrusted import tame, tame_document
from ceso_mcp.surfaces.mcp.uris import (
    BACKUP_TEMPLATE,
    BACKUPS,
    HOST,
    JOBS,
    VM_TEMPLATE,
    VMS,
    backup_of,
    backup_uri,
    vm_uri,
    vmid_of,
)

log = logging.getLogger("ceso.mcp")
LISTING_PATIENCE_S = 5.0
_FRESH_S = 15.0
_JSON = "application/json"
_PAGE = 200

_STATIC = (
    (
        HOST,
        "discover",
        "host",
        "The ESXi host",
        "Version, hardware, datastores and networks.",
    ),
    (VMS, "list_vms", "vms", "VMs", "The VMs of the host, the first hundred."),
    (BACKUPS, "list_backups", "backups", "Backups", "The newest backups of the repository."),
    (JOBS, "job_status", "jobs", "Jobs", "The newest jobs, running and ended."),
)


class Resources:
    """The resources of one `Ceso`, as far as its configuration admits the operations behind them."""

    def __init__(self, ceso: Ceso, known: Known, follow_up: FollowUp) -> None:
        settings = ceso.config.operations
        admitted = catalogue.operations(read_only=settings.read_only, allow=settings.allow)
        self._ceso = ceso
        self._known = known
        self._follow_up = follow_up
        self._admitted = {operation.operation_name() for operation in admitted}
        if ceso.config.backup.repository is None:
            self._admitted.discard("list_backups")

    # -- listing -------------------------------------------------------------------------------

    async def list_resources(self, context: Context, params: Any) -> types.ListResourcesResult:
        """Static resources, and each VM and backup; answers within about five seconds."""
        require_first_page(params)
        caller = Caller(context)
        self._follow_up.announcements.remember(caller)
        await self._look_again(caller)
        listed = [
            types.Resource(uri=uri, name=name, title=title, description=text, mime_type=_JSON)
            for uri, operation, name, title, text in _STATIC
            if operation in self._admitted
        ]
        names = self._known.names
        if self._sees_vms:
            listed += [
                types.Resource(
                    uri=vm_uri(vmid), name=f"vm-{vmid}", title=tame(f"VM {name}", 200), mime_type=_JSON
                )
                for vmid, name in names.vms.items()
            ]
        if "list_backups" in self._admitted:
            listed += [
                types.Resource(uri=backup_uri(backup), name=f"backup {backup}", mime_type=_JSON)
                for backup in names.backups
            ]
        return types.ListResourcesResult(resources=listed)

    async def list_templates(self, context: Context, params: Any) -> types.ListResourceTemplatesResult:
        require_first_page(params)
        found = []
        if self._sees_vms:
            found.append(
                types.ResourceTemplate(
                    uri_template=VM_TEMPLATE,
                    name="vm",
                    title="One VM",
                    description="Hardware, disks, networks, snapshots and addresses of a VM, by its vmid.",
                    mime_type=_JSON,
                )
            )
        if "list_backups" in self._admitted:
            found.append(
                types.ResourceTemplate(
                    uri_template=BACKUP_TEMPLATE,
                    name="backup",
                    title="One backup",
                    description="Sizes, time and completeness of a backup, by its id.",
                    mime_type=_JSON,
                )
            )
        return types.ListResourceTemplatesResult(resource_templates=found)

    async def _look_again(self, caller: Caller) -> None:
        """Refresh the names, where that is allowed to take place and does not take long."""
        reached = self._follow_up.reached_at
        with anyio.move_on_after(LISTING_PATIENCE_S):
            async with anyio.create_task_group() as group:
                if self._sees_vms and reached is not None and time.monotonic() - reached > _FRESH_S:
                    group.start_soon(self._refresh, self._refresh_vms, caller)
                if "list_backups" in self._admitted:
                    group.start_soon(self._refresh, self._refresh_backups, caller)

    async def _refresh(self, read: Any, caller: Caller) -> None:
        try:
            await read(caller)
        except CesoError as error:
            log.info("resources are listed as they were: %s", self._ceso.redactor.clean(error.text()))

    async def _refresh_vms(self, caller: Caller) -> None:
        rows = await self._vm_rows(caller)
        self._known.see_vms({str(row["vmid"]): row["name"] for row in rows})
        self._follow_up.reached_at = time.monotonic()

    async def _refresh_backups(self, caller: Caller) -> None:
        self._known.see_backups([row["backup_id"] for row in await self._backup_rows(caller)])

    # -- reading -------------------------------------------------------------------------------

    async def read_resource(
        self, context: Context, params: types.ReadResourceRequestParams
    ) -> types.ReadResourceResult:
        """One document. An address that stands for nothing is -32602 and names the address."""
        uri = str(params.uri)
        caller = Caller(context)
        self._follow_up.announcements.remember(caller)
        try:
            document = await self._document(uri, caller)
        except CesoError as error:
            raise MCPError(
                types.INTERNAL_ERROR,
                tame(self._ceso.redactor.clean(error.text()), 4000),
                {"uri": tame(uri, 300), "code": error.code},
            ) from None
        text = json.dumps(tame_document(document), ensure_ascii=False, separators=(",", ":"))
        return types.ReadResourceResult(
            contents=[types.TextResourceContents(uri=uri, mime_type=_JSON, text=text)]
        )

    async def _document(self, uri: str, caller: Caller) -> dict[str, Any]:
        for static, operation, *_ in _STATIC:
            if uri == static and operation in self._admitted:
                return await self._static(uri, caller)
        vmid, backup = vmid_of(uri), backup_of(uri)
        if vmid is not None and self._sees_vms:
            for row in await self._vm_rows(caller):
                if str(row["vmid"]) == vmid:
                    return await self._ask(caller, "show_vm", vm=row["name"])
        if backup is not None and "list_backups" in self._admitted:
            for row in await self._backup_rows(caller):
                if row["backup_id"] == backup:
                    return row
        raise MCPError(types.INVALID_PARAMS, "Resource not found", {"uri": tame(uri, 300)})

    async def _static(self, uri: str, caller: Caller) -> dict[str, Any]:
        if uri == HOST:
            return await self._ask(caller, "discover")
        if uri == VMS:
            return await self._ask(caller, "list_vms", limit=100)
        if uri == BACKUPS:
            return await self._ask(caller, "list_backups")
        return {"jobs": [_job_row(job) for job in self._ceso.jobs.recent(20)]}

    @property
    def _sees_vms(self) -> bool:
        return {"list_vms", "show_vm"} <= self._admitted

    async def _vm_rows(self, caller: Caller) -> list[dict[str, Any]]:
        return await self._all_rows(caller, "list_vms", "vms")

    async def _backup_rows(self, caller: Caller) -> list[dict[str, Any]]:
        return await self._all_rows(caller, "list_backups", "backups")

    async def _all_rows(self, caller: Caller, operation: str, field: str) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = []
        offset: int | None = 0
        while offset is not None:
            page = await self._ask(caller, operation, limit=_PAGE, offset=offset)
            rows += page[field]
            offset = page["next_offset"]
        return rows

    async def _ask(self, caller: Caller, operation: str, **arguments: Any) -> dict[str, Any]:
        query = parse_arguments(catalogue.operation(operation), arguments)
        assert isinstance(query, Query)
        answer = (await self._ceso.answer(query, caller.actor)).model_dump(mode="json")
        await self._follow_up.answered(operation, arguments, answer)
        return answer

    # -- subscriptions of the handshake era --------------------------------------------------

    async def subscribe(self, context: Context, params: types.SubscribeRequestParams) -> types.EmptyResult:
        self._follow_up.announcements.subscribe(Caller(context), str(params.uri))
        return types.EmptyResult()

    async def unsubscribe(
        self, context: Context, params: types.UnsubscribeRequestParams
    ) -> types.EmptyResult:
        self._follow_up.announcements.unsubscribe(Caller(context), str(params.uri))
        return types.EmptyResult()


def _job_row(job: Any) -> dict[str, Any]:
    return {
        "job_id": job.id,
        "operation": job.operation,
        "title": job.title,
        "state": job.state,
        "message": job.message,
        "percent": job.percent,
        "started": datetime.fromtimestamp(job.created_s, UTC).isoformat(timespec="seconds"),
    }
