"""`--lab`, `ceso lab`, `ceso mcp` and the worker: which configuration each gets."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from ceso_mcp import lab as lab_module
from ceso_mcp.config import Config
from ceso_mcp.surfaces import mcp as mcp_surface
from ceso_mcp.surfaces.cli import opening
from ceso_mcp.surfaces.cli.root import ceso
from ceso_mcp.surfaces.cli.settings import Settings


@dataclass(frozen=True)
class Address:
    host: str = "127.0.0.1"
    port: int = 2222
    user: str = "root"
    key_file: Path = Path("/lab/key")
    host_keys: tuple[str, ...] = ("ssh-rsa AAAA",)
    password: str = "hidden-password"


@dataclass(frozen=True)
class Status:
    running: bool
    pid: int | None = None
    release: str | None = None
    address: Address | None = None


@dataclass(frozen=True)
class Entry:
    seq: int = 7
    kind: str = "shim"
    time: str = "2026-01-01T00:00:00Z"
    line: str | None = None
    argv: tuple[str, ...] | None = ("vim-cmd", "vmsvc/destroy", "1")
    exit: int | None = 0
    changed: bool = True


class RememberingLab:
    """A stand-in for the lab's handle, with its names."""

    calls: list[tuple[str, Any]]

    def __init__(self, directory: Path | None = None) -> None:
        self.calls.append(("directory", directory))

    def start(self, **options: Any) -> Address:
        self.calls.append(("start", options))
        return Address()

    def stop(self) -> bool:
        return True

    def status(self) -> Status:
        return Status(True, 42, "8.0", Address())

    def reset(self) -> None:
        self.calls.append(("reset", None))

    def vanish(self, datastore: str) -> None:
        self.calls.append(("vanish", datastore))

    def come_back(self, datastore: str) -> None:
        self.calls.append(("come_back", datastore))

    def log(self, since: int = 0) -> list[Entry]:
        return [Entry(seq=since + 1)]

    def shell_argv(self) -> list[str]:
        return ["ssh", "root@lab"]


@pytest.fixture
def lab(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> type[RememberingLab]:
    RememberingLab.calls = []
    monkeypatch.setattr(lab_module, "Lab", RememberingLab, raising=False)
    monkeypatch.setenv("CESO_LAB_DIR", str(tmp_path / "lab"))
    monkeypatch.delenv("CESO_LAB", raising=False)
    return RememberingLab


def type_in(*words: str) -> Result:
    return CliRunner().invoke(ceso, list(words), prog_name="ceso")


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> list[Config]:
    found: list[Config] = []
    monkeypatch.setattr(mcp_surface, "serve", found.append, raising=False)
    return found


@pytest.mark.parametrize(
    "words", [("--lab", "mcp"), ("mcp", "--lab")], ids=["before the noun", "after the verb"]
)
def test_lab_may_stand_first_or_last(
    words: tuple[str, ...], lab: type[RememberingLab], served: list[Config], tmp_path: Path
) -> None:
    assert type_in(*words).exit_code == 0
    [config] = served
    assert config.lab
    assert config.host.port == 2222
    assert config.state_dir == tmp_path / "lab" / "ceso" / "state"


def test_the_environment_can_ask_for_the_lab(
    lab: type[RememberingLab], served: list[Config], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CESO_LAB", "1")
    assert type_in("mcp").exit_code == 0
    assert served[0].lab


def test_an_empty_variable_does_not_ask_for_the_lab(
    lab: type[RememberingLab], served: list[Config], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("CESO_LAB", "")
    monkeypatch.setenv("CESO_CONFIG", str(tmp_path / "none.toml"))
    result = type_in("mcp")
    assert result.exit_code == 2
    assert "[config_missing]" in result.stderr
    assert result.stdout == ""
    assert served == []


def test_starting_says_where_it_listens_and_keeps_the_password(lab: type[RememberingLab]) -> None:
    result = type_in("lab", "start", "--release", "7.0", "--fresh", "--json")
    assert json.loads(result.stdout)["port"] == 2222
    assert "hidden-password" not in result.stdout
    options = dict(lab.calls)["start"]
    assert options["release"] == "7.0"
    assert options["fresh"] is True


def test_status_is_told_for_people_too(lab: type[RememberingLab]) -> None:
    shown = type_in("lab", "status").stdout
    assert ["running", "yes"] in [line.split() for line in shown.splitlines()]
    assert "hidden-password" not in shown


def test_the_log_marks_what_changed_the_world(lab: type[RememberingLab]) -> None:
    assert type_in("lab", "log", "--since", "3").stdout.split() == [
        *("4", "*", "shim", "0"),
        *("vim-cmd", "vmsvc/destroy", "1"),
    ]
    assert json.loads(type_in("lab", "log", "--json").stdout)["entries"][0]["changed"] is True


def test_the_shell_takes_the_place_of_the_command(
    lab: type[RememberingLab], monkeypatch: pytest.MonkeyPatch
) -> None:
    become: list[list[str]] = []
    monkeypatch.setattr(os, "execvp", lambda program, argv: become.append(argv))
    assert type_in("lab", "shell").exit_code == 0
    assert become == [["ssh", "root@lab"]]


def test_a_server_of_nfs_goes_and_comes_back(lab: type[RememberingLab]) -> None:
    assert type_in("lab", "vanish", "my share").exit_code == 0
    assert type_in("lab", "come-back", "my share").exit_code == 0
    told = [call for call in lab.calls if call[0] != "directory"]
    assert told == [("vanish", "my share"), ("come_back", "my share")]


def test_reset_and_stop_are_told(lab: type[RememberingLab]) -> None:
    assert type_in("lab", "reset").exit_code == 0
    assert ("reset", None) in lab.calls
    assert json.loads(type_in("lab", "stop", "--json").stdout) == {"stopped": True}


def test_the_worker_performs_its_job_and_closes(monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[str] = []

    async def perform(ceso: object, job_id: str) -> None:
        done.append(job_id)

    class Performing:
        async def close(self) -> None:
            done.append("closed")

    def opened(settings: Settings) -> Performing:
        return Performing()

    monkeypatch.setattr(opening, "open_ceso", opened)
    monkeypatch.setattr("ceso_mcp.worker.perform", perform)
    assert type_in("worker", "a-job").exit_code == 0
    assert done == ["a-job", "closed"]
