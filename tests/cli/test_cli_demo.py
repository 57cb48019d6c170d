"""The demo's own parts: it must not call a bad result good."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from mcp.types import CallToolResult, TextContent

from ceso_mcp.errors import StepFailed
from ceso_mcp.guest.ssh_keys import ssh_public_key
from ceso_mcp.surfaces.cli import demo, demo_client
from ceso_mcp.surfaces.cli.output import console

PREVIEW = {
    "operation": "make_toy",
    "title": "make toy bear",
    "steps": [
        {"number": 1, "why": "make it", "command": "cat > bear", "stdin": "a\nb\n", "undo": ["rm bear"]}
    ],
    "touches": ["toy bear"],
    "warnings": [],
    "changes": [],
    "estimate": {"copy_bytes": 0, "datastore": None, "free_bytes_before": None, "free_bytes_after": None},
    "destructive": False,
    "confirm_token": "a-token",
    "expires": "2026-01-01T00:00:00+00:00",
    "needs_operator": False,
}


class ScriptedClient:
    """Answers calls in turn and keeps them."""

    def __init__(self, *answers: dict[str, Any] | str) -> None:
        self.answers = list(answers)
        self.calls: list[tuple[str, dict[str, Any]]] = []

    async def call_tool(self, name: str, arguments: dict[str, Any]) -> CallToolResult:
        self.calls.append((name, arguments))
        answer = self.answers.pop(0)
        if isinstance(answer, str):
            return CallToolResult(content=[TextContent(type="text", text=answer)], is_error=True)
        return CallToolResult(content=[], structured_content=answer)


def talk(client: ScriptedClient) -> demo_client.Talk:
    return demo_client.Talk(client, console())  # type: ignore[arg-type]


@pytest.mark.anyio
async def test_a_change_is_previewed_shown_confirmed_and_followed(capsys: pytest.CaptureFixture[str]) -> None:
    client = ScriptedClient(
        {"status": "preview", "preview": PREVIEW},
        {"status": "running", "job_id": "j1"},
        {"state": "running"},
        {"state": "done", "result": {"size_bytes": 2048}},
    )
    assert await talk(client).change("make_toy", name="bear") == {"size_bytes": 2048}
    assert client.calls[:2] == [("make_toy", {"name": "bear"}), ("make_toy", {"confirm_token": "a-token"})]
    assert client.calls[2][0] == "job_status"
    shown = capsys.readouterr().out
    assert "cat > bear" in shown
    assert "2.0 KiB" in shown


@pytest.mark.anyio
async def test_an_error_of_a_tool_ends_the_demo() -> None:
    with pytest.raises(StepFailed, match="no room"):
        await talk(ScriptedClient("[refused] no room")).ask("make_toy")


@pytest.mark.anyio
async def test_a_failed_job_ends_the_demo() -> None:
    client = ScriptedClient(
        {"status": "preview", "preview": PREVIEW},
        {"status": "running", "job_id": "j1"},
        {"state": "failed", "error": {"message": "it broke"}},
    )
    with pytest.raises(StepFailed, match="it broke"):
        await talk(client).change("make_toy", name="bear")


@pytest.mark.anyio
async def test_a_confirmed_call_that_answers_with_a_preview_again_is_no_success() -> None:
    client = ScriptedClient({"preview": PREVIEW}, {"status": "preview", "preview": PREVIEW})
    with pytest.raises(StepFailed, match="did not come to an end"):
        await talk(client).change("make_toy", name="bear")


@pytest.mark.anyio
async def test_the_dialog_is_shown_and_accepted(capsys: pytest.CaptureFixture[str]) -> None:
    class Params:
        message = "\n".join(f"line {n}" for n in range(30))

    answer = await demo_client._dialog_on(console())(None, Params())
    assert answer.action == "accept"
    assert answer.content == {"confirm": True}
    shown = capsys.readouterr().out
    assert "line 15" in shown
    assert "(and 14 more lines)" in shown


def test_the_key_of_the_demo_is_well_formed() -> None:
    assert ssh_public_key(demo._nobodys_key())


def test_equal_disks_are_equal_under_other_names() -> None:
    demo._compare(console(), {"a": (3, "x")}, {"b": (3, "x")})


@pytest.mark.parametrize("after", [{}, {"a": (3, "y")}, {"a": (4, "x")}, {"a": (3, "x"), "b": (1, "z")}])
def test_disks_that_differ_end_the_demo(after: dict[str, tuple[int, str]]) -> None:
    with pytest.raises(StepFailed):
        demo._compare(console(), {"a": (3, "x")}, after)


def test_no_disk_at_all_is_no_success() -> None:
    with pytest.raises(StepFailed):
        demo._compare(console(), {}, {})


def test_the_digest_is_that_of_the_whole_file(tmp_path: Path) -> None:
    import hashlib

    path = tmp_path / "disk"
    content = b"abc" * 700_000
    path.write_bytes(content)
    assert demo._sha256(path) == hashlib.sha256(content).hexdigest()
