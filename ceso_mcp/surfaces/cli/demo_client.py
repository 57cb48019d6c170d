"""An MCP client that speaks to `ceso mcp` over stdio and shows a reader everything it is shown."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ceso_mcp.errors import StepFailed
from ceso_mcp.surfaces.cli.output import line
from ceso_mcp.surfaces.cli.plan_view import show_plan
from ceso_mcp.surfaces.cli.render import render

if TYPE_CHECKING:
    from mcp import Client
    from rich.console import Console

DIALOG_LINES = 16
CALL_TIMEOUT_S = 90.0
JOB_TIMEOUT_S = 300.0


def lab_environment(directory: Path) -> dict[str, str]:
    """The environment in which every ceso process works on the lab in `directory`."""
    return {**os.environ, "CESO_LAB": "1", "CESO_LAB_DIR": str(directory)}


def connect(directory: Path, console: Console) -> Client:
    """A client of a `ceso mcp` of its own, which works on the lab in `directory`."""
    from mcp import Client, StdioServerParameters

    server = StdioServerParameters(
        command=sys.executable, args=["-m", "ceso_mcp", "mcp", "--lab"], env=lab_environment(directory)
    )
    return Client(server, elicitation_callback=_dialog_on(console), read_timeout_seconds=CALL_TIMEOUT_S)


class Talk:
    """Calls tools, and prints what they are asked and what they answer."""

    def __init__(self, client: Client, console: Console) -> None:
        self._client = client
        self._console = console

    async def ask(self, tool: str, **arguments: Any) -> dict[str, Any]:
        """What `tool` answers; raises StepFailed `demo_failed` with the text of its error."""
        result = await self._client.call_tool(tool, arguments)
        if result.is_error:
            text = " ".join(getattr(block, "text", "") for block in result.content)
            raise StepFailed(f"{tool}: {text}", code="demo_failed")
        return dict(result.structured_content or {})

    async def change(self, tool: str, **arguments: Any) -> dict[str, Any]:
        """Preview and confirm; returns what came of it once it is done."""
        from ceso_mcp.preview import Preview

        self._call(tool, arguments)
        outcome = await self.ask(tool, **arguments)
        preview = Preview.model_validate(outcome["preview"])
        show_plan(self._console, preview)
        self._call(tool, {"confirm_token": preview.confirm_token})
        began = time.monotonic()
        outcome = await self.ask(tool, confirm_token=preview.confirm_token)
        limit = began + JOB_TIMEOUT_S
        while outcome.get("status") == "running" and time.monotonic() < limit:
            job = await self.ask("job_status", job_id=outcome["job_id"], wait_seconds=20)
            if job["state"] == "failed":
                raise StepFailed(f"{tool}: {job.get('error')}", code="demo_failed")
            if job["state"] == "done":
                outcome = {"status": "done", "result": job["result"]}
        if outcome.get("status") != "done":
            raise StepFailed(f"{tool} did not come to an end: {outcome}", code="demo_failed")
        line(self._console, f"done in {time.monotonic() - began:.1f} s: {preview.title}", "bold green")
        result: dict[str, Any] = outcome["result"] or {}
        render(self._console, result, 2)
        return result

    def _call(self, tool: str, arguments: Mapping[str, Any]) -> None:
        shown = ", ".join(f"{name}={_short(value)}" for name, value in arguments.items())
        line(self._console, "")
        line(self._console, f"→ {tool}({shown})", "bold cyan")


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "…"


def _dialog_on(console: Console) -> Any:
    """The callback of a client whose user reads every dialog, and says yes."""

    async def dialog(context: Any, params: Any) -> Any:
        from mcp.types import ElicitResult

        lines = str(params.message).split("\n")
        line(console, "  ┌ the client asks its user:", "yellow")
        for text in lines[:DIALOG_LINES]:
            line(console, f"  │ {text}", "yellow")
        if len(lines) > DIALOG_LINES:
            line(console, f"  │ (and {len(lines) - DIALOG_LINES} more lines)", "yellow")
        line(console, "  └ the user says yes", "yellow")
        return ElicitResult(action="accept", content={"confirm": True})

    return dialog
