"""`ceso lab fault` and the words of `ceso lab start`, on a handle that only remembers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, get_args

import pytest
from click.testing import CliRunner, Result

from ceso_mcp import lab as lab_module
from ceso_mcp.lab import Fault
from ceso_mcp.lab.records import Effect
from ceso_mcp.surfaces.cli.lab_faults import EFFECTS
from ceso_mcp.surfaces.cli.root import ceso


class Address:
    host = "127.0.0.1"
    port = 2222
    user = "root"
    key_file = Path("/lab/key")


class RememberingLab:
    """Keeps rules in the order they were added, and what it was told."""

    rules: list[Fault]
    started: dict[str, Any]
    configured: dict[str, Any]

    def __init__(self, directory: Path | None = None) -> None:
        pass

    def start(self, **options: Any) -> Address:
        RememberingLab.started = options
        return Address()

    def configure(self, **settings: Any) -> None:
        RememberingLab.configured = settings

    def add_fault(self, fault: Fault) -> str:
        self.rules.append(fault)
        return f"f{len(self.rules)}"

    def faults(self) -> tuple[Fault, ...]:
        return tuple(self.rules)

    def clear_faults(self) -> None:
        self.rules.clear()


@pytest.fixture
def lab(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> type[RememberingLab]:
    RememberingLab.rules, RememberingLab.started, RememberingLab.configured = [], {}, {}
    monkeypatch.setattr(lab_module, "Lab", RememberingLab)
    monkeypatch.setenv("CESO_LAB_DIR", str(tmp_path / "lab"))
    return RememberingLab


def type_in(*words: str) -> Result:
    return CliRunner().invoke(ceso, ["lab", *words], prog_name="ceso")


def test_the_command_knows_every_effect_of_the_lab() -> None:
    assert get_args(Effect) == EFFECTS


def test_every_field_of_a_rule_has_its_option(lab: type[RememberingLab]) -> None:
    words = (
        "vmkfstools -i", "kill", "--where", "shim", "--after", "1", "--times", "0", "--stdout", "a",
        "--stderr", "b\n", "--exit-status", "3", "--at-bytes", "5MiB", "--seconds", "1.5", "--percent", "37",
        "--datastore", "datastore1", "--vm", "web",
    )  # fmt: skip
    result = type_in("fault", "add", *words, "--json")
    assert (result.exit_code, json.loads(result.output)) == (0, {"id": "f1"})
    assert lab.rules == [
        Fault(
            "vmkfstools -i", "kill", "shim", 1, None, "a\n", "b\n", 3, 5 << 20, 1.5, 37, "datastore1", "web"
        )
    ]


def test_rules_are_listed_with_what_was_given_and_cleared(lab: type[RememberingLab]) -> None:
    type_in("fault", "add", "power.on", "fail", "--stderr", "no")
    listed = json.loads(type_in("fault", "list", "--json").output)["faults"]
    assert listed == [{"match": "power.on", "effect": "fail", "where": "exec", "stderr": "no\n", "id": ""}]
    assert "fail  exec  'power.on'  stderr='no\\n'" in type_in("fault", "list").output
    assert type_in("fault", "clear").exit_code == 0
    assert lab.rules == []


@pytest.mark.parametrize(
    "words", [("(", "fail"), ("x", "kill"), ("x", "explode"), ("x", "fail", "--percent", "7e")]
)
def test_a_rule_that_makes_no_sense_is_refused(lab: type[RememberingLab], words: tuple[str, ...]) -> None:
    assert type_in("fault", "add", *words).exit_code != 0
    assert lab.rules == []


def test_help_has_examples_for_every_effect(lab: type[RememberingLab]) -> None:
    said = type_in("fault", "add", "--help").output
    assert "ceso lab fault add 'vmkfstools -i' kill --where shim --percent 37" in said
    for effect in EFFECTS:
        assert f"  {effect} " in said


def test_start_takes_pace_rate_and_world(lab: type[RememberingLab], tmp_path: Path) -> None:
    pace = ("--latency", "real", "--throughput", "40MB/s")
    result = type_in("start", *pace, "--vms", "200", "--world", "w.toml", "--release", "9.0")
    assert result.exit_code == 0, result.output
    found = lab.started
    assert (found["vms"], found["world_file"], found["release"]) == (200, Path("w.toml"), "9.0")
    assert lab.configured == {"latency_s": 0.85, "login_s": 0.7, "throughput_bytes_s": 40_000_000}


@pytest.mark.parametrize(
    ("words", "configured"),
    [
        (("--latency", "none"), {"latency_s": 0.0, "login_s": None}),
        (("--latency", "1.5"), {"latency_s": 1.5, "login_s": None}),
        (("--throughput", "512KiB"), {"throughput_bytes_s": 512 << 10}),
        (("--throughput", "0"), {"throughput_bytes_s": 0}),
        ((), {}),
    ],
)
def test_pace_and_rate_are_read(
    lab: type[RememberingLab], words: tuple[str, ...], configured: dict[str, Any]
) -> None:
    assert type_in("start", *words).exit_code == 0
    assert lab.configured == configured


@pytest.mark.parametrize("words", [("--latency", "fast"), ("--latency", "61"), ("--throughput", "quick")])
def test_a_pace_that_is_none_is_refused(lab: type[RememberingLab], words: tuple[str, ...]) -> None:
    assert type_in("start", *words).exit_code == 2
