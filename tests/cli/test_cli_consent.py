"""`ceso confirm`, `ceso approve`, `ceso audit`."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from click.testing import Result

from ceso_mcp.app import Ceso, parse_arguments
from ceso_mcp.audit import Actor
from ceso_mcp.config import Config
from ceso_mcp.errors import TokenFault
from ceso_mcp.operation import Change, Operation

Run = Callable[..., Result]


@pytest.fixture
async def asked_by_a_model(config: Config, host: Any, toys: dict[str, type[Operation]]) -> str:
    """The token of a destructive request that came in over another surface."""
    change = parse_arguments(toys["burn_toy"], {"vm": "bear"})
    assert isinstance(change, Change)
    preview = await Ceso(config, runner=host).preview(change, Actor("mcp", "a model"))
    return preview.confirm_token


@pytest.mark.anyio
async def test_a_request_that_needs_a_person_is_not_confirmed_without_one(
    config: Config, host: Any, asked_by_a_model: str
) -> None:
    with pytest.raises(TokenFault) as caught:
        Ceso(config, runner=host).confirm(asked_by_a_model, Actor("mcp"), consent="token")
    assert caught.value.code == "not_approved"


def test_confirming_without_a_person_is_refused_and_spends_nothing(
    run: Run, config: Config, host: Any
) -> None:
    preview = json.loads(run("vm", "delete", "bear", "--dry-run", "--json").stdout)["preview"]
    token = preview["confirm_token"]
    refused = run("confirm", token)
    assert refused.exit_code == 4
    assert "[not_approved]" in refused.stderr
    assert host.lines == []
    assert run("confirm", token, "--yes").exit_code == 0
    assert host.lines == ["burn bear"]


def test_confirming_at_a_terminal_shows_the_commands_again_and_asks(run: Run, host: Any) -> None:
    token = run("vm", "create", "bear", "--material", "wool", "--dry-run").stdout.split()[-1]
    no = run("confirm", token, terminal=True, answer="n\n")
    assert no.exit_code == 4
    assert "ls bear" in no.stdout
    assert host.lines == []
    assert run("confirm", token, terminal=True, answer="y\n").exit_code == 0
    assert len(host.lines) == 2


def test_approving_needs_a_terminal(run: Run) -> None:
    result = run("approve", "a" * 27)
    assert result.exit_code == 4
    assert "[needs_terminal]" in result.stderr


def test_approving_shows_the_lines_and_wants_a_typed_yes(run: Run, config: Config, host: Any) -> None:
    token = run("vm", "delete", "bear", "--dry-run").stdout.split()[-1]
    weak = run("approve", token, terminal=True, answer="y\n")
    assert weak.exit_code == 4
    assert "burn bear" in weak.stdout
    result = run("approve", token, terminal=True, answer="yes\n")
    assert result.exit_code == 0
    assert "approved until" in result.stdout
    assert host.lines == []
    assert Ceso(config, runner=host).look(token).approved
    assert run("confirm", token).exit_code == 0
    assert host.lines == ["burn bear"]


def test_an_unknown_token_is_refused(run: Run) -> None:
    result = run("confirm", "a" * 27)
    assert result.exit_code == 4
    assert "[token_unknown]" in result.stderr


def test_the_audit_log_shows_what_was_sent(run: Run) -> None:
    run("vm", "delete", "bear", "--yes")
    shown = run("audit", "show")
    assert shown.exit_code == 0
    assert any("step " in line and "burn bear" in line for line in shown.stdout.splitlines())
    events = json.loads(run("audit", "show", "--json").stdout)["events"]
    [run_id] = {event["run"] for event in events if event["kind"] == "intent"}
    of_run = json.loads(run("audit", "show", "--run", run_id, "--last", "2", "--json").stdout)["events"]
    assert [event["kind"] for event in of_run] == ["step_end", "result"]


def test_a_whole_audit_log_verifies_and_a_changed_one_does_not(run: Run, config: Config) -> None:
    run("vm", "delete", "bear", "--yes")
    assert json.loads(run("audit", "verify", "--json").stdout)["whole"] is True
    assert config.state_dir is not None
    log = config.state_dir / "audit" / "audit.jsonl"
    log.write_bytes(log.read_bytes().replace(b"burn bear", b"burn wolf", 1))
    result = run("audit", "verify")
    assert result.exit_code == 9
    assert "[audit_broken]" in result.stderr
