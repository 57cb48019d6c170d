"""Questions at the command line."""

from __future__ import annotations

import io
import json
from collections.abc import Callable

import pytest
from click.testing import Result
from rich.console import Console

from ceso_mcp.surfaces.cli.render import render

Run = Callable[..., Result]


def test_a_list_is_a_table_with_sizes_in_words(run: Run) -> None:
    result = run("vm", "list")
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert lines[0] == "toys (2)"
    assert lines[1].split() == ["name", "size", "memory", "note"]
    assert "bear [old]" in lines[2]
    assert "24.0 MiB" in lines[2]
    assert "2048 MiB" in lines[2]
    assert any(line.split() == ["broken", "none"] for line in lines)
    assert "next offset" not in result.stdout


def test_a_hosts_text_cannot_steer_the_terminal(run: Run) -> None:
    shown = run("vm", "list").stdout
    assert "\x1b" not in shown
    assert "\u202e" not in shown
    assert "evil\ufffd[31m\ufffdbear" in shown
    assert "line 1; line 2" in shown


def test_json_is_the_whole_answer(run: Run) -> None:
    result = run("vm", "list", "--json")
    assert "\u202e" not in result.stdout
    document = json.loads(result.stdout)
    assert document["total"] == 2
    assert document["toys"][1]["name"] == "evil\x1b[31m\u202ebear"
    assert document["next_offset"] is None


def test_json_may_stand_before_the_noun(run: Run) -> None:
    assert json.loads(run("--json", "vm", "list").stdout)["total"] == 2


def test_a_failure_says_what_happened_and_what_to_do(run: Run) -> None:
    result = run("vm", "list", "--colour", "red")
    assert result.exit_code == 5
    assert result.stdout == ""
    assert result.stderr.splitlines() == ["error: [unreachable] the host is away", "hint: plug it in"]


def test_a_failure_in_json_is_an_object(run: Run) -> None:
    result = run("vm", "list", "--colour", "red", "--json")
    assert result.exit_code == 5
    error = json.loads(result.stdout)["error"]
    assert error["code"] == "unreachable"
    assert error["exit_status"] == 5


def test_wrong_usage_in_json_is_an_object(run: Run) -> None:
    result = run("vm", "list", "--json", "--colour", "green")
    assert result.exit_code == 2
    assert json.loads(result.stdout)["error"]["code"] == "invalid_arguments"


def test_wrong_usage_for_a_person_shows_the_usage(run: Run) -> None:
    result = run("vm", "list", "--limit", "900")
    assert result.exit_code == 2
    assert "Usage: ceso vm list" in result.stderr


def test_a_long_question_runs_as_a_job_and_prints_its_answer(run: Run) -> None:
    result = run("vm", "check", "bear", "--json")
    assert result.exit_code == 0
    assert json.loads(result.stdout) == {"toy": "bear", "intact": True, "damage": []}
    listed = json.loads(run("jobs", "list", "--json").stdout)["jobs"]
    assert [job["title"] for job in listed] == ["Check a toy"]


def test_damage_is_an_answer_with_an_exit_status(run: Run) -> None:
    result = run("vm", "check", "broken")
    assert result.exit_code == 8
    assert "an arm is off" in result.stdout


@pytest.mark.parametrize("arms_off", [0, 1, 2])
def test_a_monitoring_program_goes_by_the_exit_status(run: Run, arms_off: int) -> None:
    result = run("vm", "rate", "--arms-off", str(arms_off))
    assert result.exit_code == arms_off
    assert f"{arms_off} off" in result.stdout


def test_what_cannot_be_told_is_unknown_to_a_monitoring_program(run: Run) -> None:
    result = run("vm", "rate", "--arms-off", "3")
    assert result.exit_code == 3
    assert "[unreachable]" in result.stderr


def test_an_unexpected_failure_keeps_its_traceback_for_debug(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ceso_mcp.surfaces.cli import opening

    def broken(settings: object) -> None:
        raise KeyError("inside")

    monkeypatch.setattr(opening, "open_ceso", broken)
    plain = run("vm", "list")
    assert plain.exit_code == 1
    assert "[internal]" in plain.stderr
    assert "Traceback" not in plain.stderr
    assert "Traceback" in run("vm", "list", "--debug").stderr


def test_a_row_that_holds_a_long_table_of_its_own_is_a_block() -> None:
    addresses = [
        {"address": f"192.0.2.{number}", "state": "held", "vm": f"web{number}"} for number in range(9)
    ]
    answer = {"pools": [{"name": "lab", "addresses": addresses}, {"name": "empty", "addresses": []}]}
    console = Console(width=80, record=True, file=io.StringIO())
    render(console, answer)
    lines = console.export_text().splitlines()
    assert lines[:5] == [
        "pools (2)",
        "  name  lab",
        "  addresses (9)",
        "    address    state  vm",
        "    192.0.2.0  held   web0",
    ]
    assert lines[-2:] == ["  name       empty", "  addresses  none"]
