"""Who calls, what it can do, and telling it how things go: one request on either protocol era."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from mcp.server import ServerRequestContext
from mcp.types import CLIENT_CAPABILITIES_META_KEY

from ceso_mcp.audit import Actor
from ceso_mcp.jobs import Job

Context = ServerRequestContext[Any, Any]

MODERN = "2026-07-28"
"""The protocol revision in which a server sends no requests and a result may ask for input."""
TASKS = "io.modelcontextprotocol/tasks"
_TOOL_USE = "claudecode/toolUseId"
_LEAST_PROGRESS = 0.01


@dataclass(frozen=True)
class Caller:
    """The client behind one request."""

    context: Context

    @property
    def modern(self) -> bool:
        return self.context.protocol_version >= MODERN

    @property
    def actor(self) -> Actor:
        """Who acts, for the audit log."""
        params = self.context.session.client_params
        info = params.client_info if params is not None else None
        client = f"{info.name} {info.version}" if info is not None else ""
        meta: dict[str, Any] = dict(self.context.meta or {})
        call = meta.get(_TOOL_USE) or self.context.request_id or ""
        return Actor("mcp", client, str(call))

    @property
    def shows_dialogs(self) -> bool:
        """Whether the client declared that it can put a form before its user."""
        capabilities = self.context.session.client_capabilities
        elicitation = capabilities.elicitation if capabilities is not None else None
        return elicitation is not None and (elicitation.form is not None or elicitation.url is None)

    @property
    def follows_tasks(self) -> bool:
        """Whether this request declared the Tasks extension."""
        meta: dict[str, Any] = dict(self.context.meta or {})
        capabilities = meta.get(CLIENT_CAPABILITIES_META_KEY)
        extensions = capabilities.get("extensions") if isinstance(capabilities, dict) else None
        return self.modern and isinstance(extensions, dict) and TASKS in extensions


class ProgressReport:
    """Tells the caller how a job goes: percent of 100, always increasing, as the protocol asks."""

    def __init__(self, caller: Caller) -> None:
        self._session = caller.context.session
        self._sent = 0.0
        self._told: tuple[str, float | None] | None = None
        self._quiet = 0

    async def tell(self, job: Job, *, quiet_limit: int = 8) -> None:
        """Report `job` if it has moved, or after `quiet_limit` calls without a report."""
        state = (job.message, job.percent)
        self._quiet += 1
        if state == self._told and self._quiet < quiet_limit:
            return
        self._told, self._quiet = state, 0
        self._sent = max(self._sent + _LEAST_PROGRESS, job.percent or 0.0)
        await self._session.report_progress(self._sent, 100.0, job.message)
