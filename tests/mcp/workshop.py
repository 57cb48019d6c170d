"""A ceso of toys behind an MCP server, and clients of both eras that check every result they get."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
from mcp import Client, types

from ceso_mcp.app import Ceso
from ceso_mcp.config import BackupSection, Config, ConsentSection, HostSection, OperationsSection
from ceso_mcp.fact import Reply
from ceso_mcp.surfaces.mcp.server import build_server
from ceso_mcp.worker import perform

ERAS = ("2026-07-28", "legacy")
Answer = types.ElicitResult
YES = Answer(action="accept", content={"confirm": True})


class ToyHost:
    """A runner that records the lines it is sent and answers them all alike, while its gate is open."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.reply = Reply(0, "")
        self.gate = asyncio.Event()
        self.gate.set()

    async def run(self, line: str, **rest: Any) -> Reply:
        self.lines.append(line)
        await self.gate.wait()
        return self.reply


class Dialog:
    """The user before the dialog: gives one answer, and keeps what was shown."""

    def __init__(self, answer: Answer = YES) -> None:
        self.answer = answer
        self.shown: list[str] = []

    async def __call__(self, context: Any, params: Any) -> Answer:
        self.shown.append(params.message)
        return self.answer


class Caller:
    """A client whose every successful result is checked against the schema that was published."""

    def __init__(self, client: Client, schemas: dict[str, Any]) -> None:
        self.client = client
        self._schemas = schemas

    async def call(
        self, tool: str, arguments: dict[str, Any] | None = None, **rest: Any
    ) -> types.CallToolResult:
        result = await self.client.call_tool(tool, arguments or {}, **rest)
        if result.is_error:
            assert result.structured_content is None
            assert self.text(result).startswith(f"[{self.failure(result)['code']}] ")
        else:
            jsonschema.validate(result.structured_content, self._schemas[tool])
        assert len(self.text(result)) <= 40_000
        return result

    @staticmethod
    def text(result: types.CallToolResult) -> str:
        (block,) = result.content
        assert isinstance(block, types.TextContent)
        return block.text

    @staticmethod
    def failure(result: types.CallToolResult) -> dict[str, str]:
        """The failure in fields."""
        return dict((result.meta or {})["ceso/error"])

    async def ok(self, tool: str, /, **arguments: Any) -> dict[str, Any]:
        result = await self.call(tool, arguments)
        assert not result.is_error, self.text(result)
        return dict(result.structured_content or {})

    async def error(self, tool: str, /, **arguments: Any) -> tuple[str, str]:
        """Code and text of the failure."""
        result = await self.call(tool, arguments)
        assert result.is_error, self.text(result)
        return self.failure(result)["code"], self.text(result)

    async def token(self, tool: str, /, **arguments: Any) -> str:
        answer = await self.ok(tool, **arguments)
        assert answer["status"] == "preview"
        return str(answer["preview"]["confirm_token"])


class Workshop:
    """One ceso whose jobs run in this process."""

    def __init__(self, folder: Path, **settings: Any) -> None:
        self.host = ToyHost()
        patience_s = settings.pop("call_patience_s", 20.0)
        self.config = Config(
            host=HostSection(address="192.0.2.1", host_keys=("ssh-rsa AAAA",)),
            state_dir=folder / "state",
            consent=ConsentSection(policy=settings.pop("policy", "auto")),
            operations=OperationsSection(**settings.pop("operations", {})),
            backup=BackupSection(),
        )
        assert not settings
        self._workers: set[asyncio.Task[None]] = set()
        self.ceso = Ceso(self.config, runner=self.host, spawn=self._work)
        self.server = build_server(self.ceso, call_patience_s=patience_s)

    def _work(self, job_id: str, *rest: Any) -> int:
        task = asyncio.get_running_loop().create_task(perform(self.ceso, job_id))
        self._workers.add(task)
        task.add_done_callback(self._workers.discard)
        return os.getpid()

    async def finish(self) -> None:
        self.host.gate.set()
        await asyncio.gather(*self._workers)

    def client(self, era: str, dialog: Callable[..., Any] | None = None, **rest: Any) -> Client:
        return Client(
            self.server, mode=era, elicitation_callback=dialog, read_timeout_seconds=20, cache=None, **rest
        )

    async def caller(self, client: Client) -> Caller:
        listed = await client.list_tools()
        return Caller(client, {tool.name: tool.output_schema for tool in listed.tools})
