"""`tools/list` and `tools/call`: answers, previews, consent, and jobs that outlast a call."""

from __future__ import annotations

import logging
import traceback
from typing import Any

import anyio
from mcp import MCPError, types

from ceso_mcp import catalogue
from ceso_mcp.app import Ceso, Consent
from ceso_mcp.confirm import Pending
from ceso_mcp.errors import CesoError, InvalidArguments, Refused, TokenFault
from ceso_mcp.jobs import Job
from ceso_mcp.operation import Change, Query
from ceso_mcp.preview import ChangeOutcome, Preview
from ceso_mcp.surfaces.mcp import dialog, results
from ceso_mcp.surfaces.mcp.caller import Caller, Context, ProgressReport
from ceso_mcp.surfaces.mcp.follow_up import FollowUp
from ceso_mcp.surfaces.mcp.json_schema import TOKEN
from ceso_mcp.surfaces.mcp.known import Known
from ceso_mcp.surfaces.mcp.task_view import task_document
from ceso_mcp.surfaces.mcp.tool import OperationTool, tools
from ceso_mcp.surfaces.mcp.untrusted import tame

log = logging.getLogger("ceso.mcp")

CALL_PATIENCE_S = 50.0
"""How long a call waits for its job: under the 60 s that some clients allow a request."""
TASK_PATIENCE_S = 3.0
"""The same for a client that follows tasks: what ends at once needs none."""

CallResult = types.CallToolResult | types.InputRequiredResult | dict[str, Any]


class ToolCalls:
    """The catalogue's operations as tools, over one `Ceso`."""

    def __init__(
        self, ceso: Ceso, known: Known, follow_up: FollowUp, *, call_patience_s: float = CALL_PATIENCE_S
    ) -> None:
        settings = ceso.config.operations
        self._ceso = ceso
        self._known = known
        self._follow_up = follow_up
        self._call_patience_s = call_patience_s
        self.tools = tools(catalogue.operations(read_only=settings.read_only, allow=settings.allow))

    async def list_tools(self, context: Context, params: Any) -> types.ListToolsResult:
        """All of them, by name, in one page."""
        require_first_page(params)
        self._follow_up.announcements.remember(Caller(context))
        return types.ListToolsResult(tools=[tool.listing for tool in self.tools.values()])

    async def call_tool(self, context: Context, params: types.CallToolRequestParams) -> CallResult:
        """One call. Failures that the caller can act on are results; an unknown tool is -32602."""
        tool = self.tools.get(params.name)
        if tool is None and params.name not in catalogue.names():
            raise MCPError(types.INVALID_PARAMS, f"Unknown tool: {tame(params.name, 80)}")
        caller = Caller(context)
        self._follow_up.announcements.remember(caller)
        try:
            if tool is None:
                raise _switched_off(params.name)
            arguments = dict(params.arguments or {})
            if tool.changes:
                return await self._change(tool, caller, params, arguments)
            return await self._query(tool, caller, arguments)
        except CesoError as error:
            return results.failed(error)
        except MCPError:
            raise
        except Exception:
            log.error("%s failed unexpectedly\n%s", params.name, self._cleaned_traceback())
            return results.failed(
                CesoError(
                    f"{params.name} failed unexpectedly",
                    code="internal",
                    changed="`ceso audit show` lists everything that was sent to the host.",
                    hint="the standard error of `ceso mcp` has the details",
                )
            )

    # -- reading -----------------------------------------------------------------------------

    async def _query(self, tool: OperationTool, caller: Caller, arguments: dict[str, Any]) -> CallResult:
        query = tool.parse(arguments)
        assert isinstance(query, Query)
        asked = query.model_dump(mode="json", exclude_defaults=True)
        if query.long:
            return await self._await_job(
                tool, caller, self._ceso.start_query(query, caller.actor), query.model_dump(mode="json")
            )
        if tool.name == "job_status" and asked.get("wait_seconds"):
            await self._follow(asked["job_id"], asked["wait_seconds"], caller)
            query = query.model_copy(update={"wait_seconds": 0})
        answer = (await self._ceso.answer(query, caller.actor)).model_dump(mode="json")
        await self._follow_up.answered(tool.name, asked, answer)
        return results.succeeded(tool.result, answer)

    # -- changing ----------------------------------------------------------------------------

    async def _change(
        self,
        tool: OperationTool,
        caller: Caller,
        params: types.CallToolRequestParams,
        arguments: dict[str, Any],
    ) -> CallResult:
        token = arguments.pop(TOKEN, None)
        if token is None or token == "":
            return await self._preview(tool, caller, arguments)
        if not isinstance(token, str):
            raise InvalidArguments(f"{TOKEN}: Input should be a valid string")
        pending = self._ceso.look(token if token.isascii() else "?")
        self._require_same(tool, pending, arguments)
        consent = await self._consent(caller, params, token, pending)
        if isinstance(consent, types.InputRequiredResult):
            return consent
        job_id = self._ceso.confirm(token, caller.actor, consent=consent)
        return await self._await_job(tool, caller, job_id, {})

    async def _preview(self, tool: OperationTool, caller: Caller, arguments: dict[str, Any]) -> CallResult:
        change = tool.parse(arguments)
        assert isinstance(change, Change)
        preview = await self._ceso.preview(change, caller.actor)
        await self._follow_up.reached_host()
        count = len(preview.steps)
        outcome = ChangeOutcome(
            status="preview",
            message=f"Nothing has been changed. To {preview.title}, {count} "
            f"{'command' if count == 1 else 'commands'} would run.",
            next=self._next_call(tool, caller, preview),
            preview=preview,
            job_id=None,
            result=None,
        )
        return results.previewed(outcome)

    def _next_call(self, tool: OperationTool, caller: Caller, preview: Preview) -> str:
        call = f"call {tool.name} with confirm_token={preview.confirm_token} to run exactly these commands"
        policy = self._ceso.config.consent.policy
        if policy in ("auto", "dialog") and caller.shows_dialogs:
            return f"show the user the commands, then {call}; the user is asked in a dialog"
        if not preview.needs_operator:
            return f"show the user the commands; once they agree, {call}"
        command = self._approve_command(preview.confirm_token)
        return f"show the user the commands and ask them to run `{command}` in a terminal; then {call}"

    def _approve_command(self, token: str) -> str:
        return f"ceso --lab approve {token}" if self._ceso.config.lab else f"ceso approve {token}"

    def _require_same(self, tool: OperationTool, pending: Pending, repeated: dict[str, Any]) -> None:
        """Arguments beside a token must be those that were previewed."""
        if pending.operation != tool.name:
            raise TokenFault(
                f"this confirm token is for {pending.operation}, not for {tool.name}",
                code="token_other_operation",
                hint=f"call {pending.operation} with it, or preview {tool.name} for a token of its own",
            )
        if not repeated:
            return
        change = tool.parse({**pending.arguments, **repeated})
        if change.model_dump(mode="json", exclude_defaults=True) != pending.arguments:
            raise TokenFault(
                "the arguments are not those that were previewed with this confirm token",
                code="token_other_arguments",
                hint=f"give the token alone to run what was shown, or call {tool.name} without it to "
                "preview the new arguments",
            )

    async def _consent(
        self, caller: Caller, params: types.CallToolRequestParams, token: str, pending: Pending
    ) -> Consent | types.InputRequiredResult:
        """Who agreed, by the operator's policy; raises TokenFault `declined` if the person said no."""
        policy = self._ceso.config.consent.policy
        if pending.approved or policy in ("operator", "token") or not caller.shows_dialogs:
            return "token"
        host = self._ceso.config.host
        text = dialog.dialog_text(pending, f"{host.user}@{host.address}")
        answer = await dialog.ask(caller, params, text, pending)
        if isinstance(answer, types.InputRequiredResult):
            return answer
        if dialog.agreed(answer):
            return "dialog"
        how = "declined" if answer.action == "decline" else "did not agree"
        raise TokenFault(
            f"the user {how}, so nothing was run; the confirm token is still unused",
            code="declined",
            hint="do not try again unless the user asks for it; where no dialog can be shown, the operator "
            f"can agree in a terminal with `{self._approve_command(token)}`",
        )

    # -- jobs ----------------------------------------------------------------------------------

    async def _await_job(
        self, tool: OperationTool, caller: Caller, job_id: str, arguments: dict[str, Any]
    ) -> CallResult:
        """The result of the job if it ends soon, else what follows it: a task, or its id."""
        self._follow_up.started(tool, job_id)
        tasks = caller.follows_tasks
        patience_s = min(TASK_PATIENCE_S, self._call_patience_s) if tasks else self._call_patience_s
        job = await self._follow(job_id, patience_s, caller)
        if job.ended:
            return results.ended(tool, job)
        if tasks:
            return {"resultType": "task", **task_document(job, None)}
        return results.running(tool, job, arguments)

    async def _follow(self, job_id: str, limit_s: float, caller: Caller) -> Job:
        """The job, once it has ended or `limit_s` have passed, with progress at most twice a second."""
        report = ProgressReport(caller)
        end = anyio.current_time() + limit_s
        while True:
            left = end - anyio.current_time()
            job = await self._ceso.wait(job_id, max(0.0, min(0.5, left)))
            if job.ended or left <= 0:
                return job
            await report.tell(job)

    def _cleaned_traceback(self) -> str:
        return self._ceso.redactor.clean(traceback.format_exc())


def _switched_off(name: str) -> Refused:
    """The refusal of an operation that exists and that the operator's configuration leaves out."""
    return Refused(
        f"{name} is switched off in ceso's configuration",
        code="not_allowed",
        hint="only the operator can change that, in the [operations] section",
    )


def require_first_page(params: Any) -> None:
    """Lists come in one page, so any cursor is one that was never given: -32602."""
    if params is not None and getattr(params, "cursor", None) is not None:
        raise MCPError(types.INVALID_PARAMS, "Unknown cursor")
