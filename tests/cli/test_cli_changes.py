"""Changes at the command line: shown, asked for, run, reported."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from ceso_mcp.fact import Reply
from ceso_mcp.surfaces.cli import follow

Run = Callable[..., Result]
MAKE = ("vm", "create", "it's a bear", "--material", "plush")
BURN = ("vm", "delete", "bear")


def test_a_change_shows_its_plan_and_runs_exactly_that_after_a_yes(run: Run, host: Any) -> None:
    result = run(*MAKE, terminal=True, answer="y\n")
    assert result.exit_code == 0
    assert "Run these 2 commands? [y/N]" in result.stdout
    commands = [line.strip() for line in result.stdout.splitlines()]
    assert host.lines[0] in commands
    assert len(host.lines[0]) > 300
    assert host.lines == [
        f"cat {'x' * 300} > '/vmfs/volumes/toys/it'\"'\"'s a bear'",
        "ls 'it'\"'\"'s a bear'",
    ]
    assert "done: make toy it's a bear" in result.stdout
    assert "3.0 GiB" in result.stdout


def test_the_plan_tells_everything_a_reader_needs(run: Run) -> None:
    shown = run(*MAKE, "--dry-run").stdout
    for expected in (
        "make toy it's a bear",
        "toy  - → it's a bear",
        "1. write its papers",
        "2. look at it  (reads only)",
        "| line 5",
        "34 more lines",
        "undo: rm -f",
        "warning: It squeaks.",
        "copies 3.0 GiB",
        "free on toys: 80.0 GiB → 77.0 GiB",
    ):
        assert expected in shown
    assert "| line 6" not in shown


def test_full_shows_all_of_standard_input(run: Run) -> None:
    assert "| line 39" in run(*MAKE, "--dry-run", "--full").stdout


def test_a_no_runs_nothing(run: Run, host: Any) -> None:
    result = run(*MAKE, terminal=True, answer="n\n")
    assert result.exit_code == 4
    assert "[declined]" in result.stderr
    assert host.lines == []


def test_end_of_input_is_a_no(run: Run, host: Any) -> None:
    assert run(*MAKE, terminal=True, answer="").exit_code == 4
    assert host.lines == []


def test_what_destroys_wants_the_name_typed(run: Run, host: Any) -> None:
    assert run(*BURN, terminal=True, answer="y\n").exit_code == 4
    assert host.lines == []
    result = run(*BURN, terminal=True, answer="bear\n")
    assert result.exit_code == 0
    assert "cannot be undone" in result.stdout
    assert host.lines == ["burn bear"]


def test_dry_run_stops_after_the_plan_and_its_token_confirms_it(run: Run, host: Any) -> None:
    result = run(*MAKE, "--dry-run")
    assert result.exit_code == 0
    assert host.lines == []
    token = result.stdout.split()[-1]
    assert run("confirm", token).exit_code == 0
    assert len(host.lines) == 2
    again = run("confirm", token)
    assert again.exit_code == 4
    assert "[token_used]" in again.stderr


def test_without_a_person_or_yes_nothing_runs_and_the_status_says_so(run: Run, host: Any) -> None:
    result = run(*MAKE)
    assert result.exit_code == 4
    assert "ceso confirm " in result.stdout
    assert "[not_confirmed]" in result.stderr
    assert host.lines == []


def test_yes_runs_without_asking(run: Run, host: Any) -> None:
    result = run(*BURN, "--yes")
    assert result.exit_code == 0
    assert host.lines == ["burn bear"]


def test_json_prints_one_document_with_the_outcome(run: Run) -> None:
    document = json.loads(run(*MAKE, "--yes", "--json", "--no-power-on").stdout)
    assert document["status"] == "done"
    assert document["result"]["name"] == "it's a bear"
    assert document["result"]["power_on"] is False


def test_json_without_yes_is_a_preview_that_ran_nothing(run: Run, host: Any) -> None:
    result = run(*MAKE, "--json")
    assert result.exit_code == 4
    document = json.loads(result.stdout)
    assert document["status"] == "preview"
    assert document["preview"]["confirm_token"] in document["next"]
    assert host.lines == []
    assert run(*MAKE, "--json", "--dry-run").exit_code == 0


def test_a_failed_step_is_told_with_its_exit_status(run: Run, host: Any) -> None:
    host.reply = Reply(1, "", "no such bear")
    result = run(*BURN, "--yes")
    assert result.exit_code == 7
    assert result.stderr.startswith("error: [")
    assert "no such bear" in result.stderr
    assert "changed: " in result.stderr
    as_json = run(*BURN, "--yes", "--json")
    assert as_json.exit_code == 7
    assert json.loads(as_json.stdout)["error"]["job_id"]


def test_values_are_refused_in_the_words_of_the_command_line(run: Run) -> None:
    result = run(*MAKE, "--memory-mib", "5")
    assert result.exit_code == 2
    assert "--memory-mib: memory must be a multiple of 4 MiB" in result.stderr


def test_lists_are_given_by_repeating_or_from_a_file(run: Run, tmp_path: Path) -> None:
    keys = tmp_path / "keys.pub"
    keys.write_text("# mine\nkey one\n\nkey two\n")
    words = ("--ssh-key", f"@{keys}", "--ssh-keys", "key three", "--labels", "a=1", "--labels", "b=2=3")
    result = json.loads(run(*MAKE, "--yes", "--json", *words).stdout)["result"]
    assert result["keys"] == ["key one", "key two", "key three"]
    assert result["labels"] == ["a:1", "b:2=3"]


def test_a_key_file_that_cannot_be_read_is_named(run: Run) -> None:
    result = run(*MAKE, "--ssh-key", "@/nowhere/key.pub")
    assert result.exit_code == 2
    assert "--ssh-key: cannot read /nowhere/key.pub" in result.stderr


def test_leaving_does_not_stop_the_job(run: Run, host: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    host.hold.clear()

    def interrupted(ceso: object, job_id: str, progress: object = None) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(follow, "_wait", interrupted)
        result = run(*BURN, "--yes")
    assert result.exit_code == 130
    assert "goes on in the background" in result.stderr
    host.hold.set()
    job_id = result.stderr.split()[-1]
    assert run("jobs", "follow", job_id).exit_code == 0
    assert host.lines == ["burn bear"]
