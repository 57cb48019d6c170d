"""Results of tool calls. Everything a model must know is in the structured part of a success and in
the text of a failure: clients show it no more than that.
"""

from __future__ import annotations

import json
from typing import Any

from mcp import types
from pydantic import BaseModel, ValidationError

from ceso_mcp.errors import CesoError
from ceso_mcp.jobs import Job
from ceso_mcp.preview import ChangeOutcome
from ceso_mcp.surfaces.mcp.tool import OperationTool
from ceso_mcp.surfaces.mcp.untrusted import STRING_CHARACTERS, tame, tame_document

RESULT_CHARACTERS = 40_000
"""The longest result that is sent."""
ERROR_CHARACTERS = 20_000
ERROR_META = "ceso/error"
_STDIN_CHARACTERS = 400


def succeeded(model: type[BaseModel], document: dict[str, Any]) -> types.CallToolResult:
    """`document`, tamed and valid against `model`; raises CesoError `result_too_large`."""
    tamed = tame_document(document, STRING_CHARACTERS)
    _require_valid(model, tamed)
    text = _compact(tamed)
    if len(text) > RESULT_CHARACTERS:
        raise CesoError(
            f"the answer has {len(text)} characters, more than the {RESULT_CHARACTERS} that are sent",
            code="result_too_large",
            hint="ask for less: a smaller limit, or only what matches a name",
        )
    return _sent(tamed, text)


def previewed(outcome: ChangeOutcome) -> types.CallToolResult:
    """A preview. No command in it is ever cut; what goes to standard input may be.

    Raises CesoError `result_too_large` if the commands alone are too long to be sent.
    """
    document = tame_document(outcome.model_dump(mode="json"), None)
    text = _compact(document)
    if len(text) > RESULT_CHARACTERS:
        for step in document["preview"]["steps"]:
            if step["stdin"] is not None:
                step["stdin"] = tame(step["stdin"], _STDIN_CHARACTERS)
        text = _compact(document)
    if len(text) > RESULT_CHARACTERS:
        raise CesoError(
            f"the preview has {len(text)} characters, more than the {RESULT_CHARACTERS} that are sent",
            code="result_too_large",
            hint="the same operation at the command line shows all of it: ceso --help",
        )
    _require_valid(ChangeOutcome, document)
    return _sent(document, text)


def failed(error: CesoError, **details: str) -> types.CallToolResult:
    """A failure the caller can act on: code, message, what was changed, and what to do next.

    The same in fields is in `_meta["ceso/error"]`. It is not structured content: that would have to
    fit the tool's output schema, and clients that check it even for failures (the MCP inspector,
    older SDKs) would replace the text by a complaint of their own.
    """
    document = {
        "code": error.code,
        "message": error.message,
        "changed": error.changed,
        "hint": error.hint,
        **details,
    }
    text = error.text()
    if details:
        text += "".join(f" {name}={value}" for name, value in details.items())
    return types.CallToolResult(
        is_error=True,
        content=[types.TextContent(type="text", text=tame(text, ERROR_CHARACTERS))],
        _meta={ERROR_META: tame_document(document, ERROR_CHARACTERS)},
    )


def ended(tool: OperationTool, job: Job) -> types.CallToolResult:
    """The result of a job that has ended, as the call that started it answers it."""
    if job.state != "done":
        error = job.error or {}
        return failed(
            CesoError(
                str(error.get("message", "the job was cancelled")),
                code=str(error.get("code", job.state)),
                changed=str(error.get("changed", "")),
                hint=str(error.get("hint", "")),
            ),
            job_id=job.id,
        )
    if not tool.changes:
        try:
            return succeeded(tool.result, job.result or {})
        except CesoError as error:
            return failed(error, job_id=job.id)
    outcome = ChangeOutcome(
        status="done",
        message=f"Done: {job.title}.",
        next=None,
        preview=None,
        job_id=job.id,
        result=job.result or {},
    )
    try:
        return succeeded(ChangeOutcome, outcome.model_dump(mode="json"))
    except CesoError:
        # What has been changed must not look like a failure because it is long to tell.
        shorter = outcome.model_copy(
            update={"message": f"Done: {job.title}. The details are too long; see the job.", "result": None}
        )
        return succeeded(ChangeOutcome, shorter.model_dump(mode="json"))


def running(tool: OperationTool, job: Job, arguments: dict[str, Any]) -> types.CallToolResult:
    """The result of a call whose job goes on: the job, and the call that follows it."""
    follow = f"call job_status with job_id={job.id} and wait_seconds=50"
    if tool.changes:
        outcome = ChangeOutcome(
            status="running",
            message=f"Still running: {job.title}. {job.message}",
            next=follow,
            preview=None,
            job_id=job.id,
            result=None,
        )
        return succeeded(ChangeOutcome, outcome.model_dump(mode="json"))
    document = {name: value for name, value in arguments.items() if name in tool.result.model_fields}
    document |= {"status": "running", "job_id": job.id, "next": follow}
    return succeeded(tool.result, tool.result.model_validate(document).model_dump(mode="json"))


def _require_valid(model: type[BaseModel], document: dict[str, Any]) -> None:
    try:
        model.model_validate(document)
    except ValidationError as error:
        raise AssertionError(f"a result is no {model.__name__}: {error.error_count()} errors") from error


def _compact(document: dict[str, Any]) -> str:
    return json.dumps(document, ensure_ascii=False, separators=(",", ":"))


def _sent(document: dict[str, Any], text: str) -> types.CallToolResult:
    return types.CallToolResult(
        content=[types.TextContent(type="text", text=text)], structured_content=document
    )
