"""The command line over the real `Ceso`, with toy operations and a host that obeys and remembers.

Workers are threads of the test instead of processes; everything else is the product's own.
"""

from __future__ import annotations

import asyncio
import importlib.util
import inspect
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from ceso_mcp import catalogue
from ceso_mcp.app import Ceso
from ceso_mcp.config import Config, HostSection
from ceso_mcp.errors import InvalidArguments
from ceso_mcp.fact import Reply
from ceso_mcp.operation import Operation
from ceso_mcp.surfaces.cli import opening, output, table
from ceso_mcp.surfaces.cli.root import ceso
from ceso_mcp.worker import perform

TOYS = Path(__file__).parent / "toy_operations"
ROWS = (
    table.Row("vm", "list", "list_toys", (), ("ceso vm list --colour blue",)),
    table.Row("vm", "create", "make_toy", ("name",), ("ceso vm create bear --material plush",)),
    table.Row("vm", "delete", "burn_toy", ("vm",), ()),
    table.Row("vm", "check", "check_toy", ("toy",), ()),
    table.Row("vm", "rate", "rate_toys", (), ()),
)

Run = Callable[..., Result]


class ObedientHost:
    """A runner that answers every line alike and keeps what it was sent."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.reply = Reply(0, "")
        self.hold = threading.Event()
        self.hold.set()

    async def run(self, line: str, **rest: Any) -> Reply:
        self.lines.append(line)
        await asyncio.to_thread(self.hold.wait, 20)
        return self.reply


@pytest.fixture
def host() -> ObedientHost:
    return ObedientHost()


@pytest.fixture
def config(tmp_path: Path) -> Config:
    section = HostSection(address="192.0.2.1", host_keys=("ssh-rsa AAAA",))
    return Config(host=section, state_dir=tmp_path / "state")


@pytest.fixture
def toys(monkeypatch: pytest.MonkeyPatch) -> dict[str, type[Operation]]:
    """The toy operations stand in for the catalogue."""
    found: dict[str, type[Operation]] = {}
    for path in sorted(TOYS.glob("*/*.py")):
        spec = importlib.util.spec_from_file_location(f"toy_{path.stem}", path)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        monkeypatch.setitem(__import__("sys").modules, spec.name, module)
        spec.loader.exec_module(module)
        for _, value in inspect.getmembers(module, inspect.isclass):
            if issubclass(value, Operation) and value.__module__ == spec.name:
                found[path.stem] = value

    def operation(name: str) -> type[Operation]:
        if name not in found:
            raise InvalidArguments("no such toy")
        return found[name]

    monkeypatch.setattr(table, "OPERATIONS", TOYS)
    monkeypatch.setattr(table, "TABLE", ROWS)
    monkeypatch.setattr(catalogue, "operation", operation)
    return found


@pytest.fixture
def run(
    monkeypatch: pytest.MonkeyPatch, host: ObedientHost, config: Config, toys: dict[str, type[Operation]]
) -> Iterator[Run]:
    """`run("vm", "list")` is what a user types; `terminal=True` seats a person before it."""
    threads: list[threading.Thread] = []

    class Worker:
        pid = os.getpid()
        returncode: int | None = None

        def __init__(self, argv: list[str], **rest: Any) -> None:
            def work() -> None:
                asyncio.run(perform(Ceso(config, runner=host), argv[-1]))

            threads.append(threading.Thread(target=work, daemon=True))
            threads[-1].start()

    monkeypatch.setattr("ceso_mcp.jobs.subprocess.Popen", Worker)
    monkeypatch.setattr(opening, "open_ceso", lambda settings: Ceso(config, runner=host))
    monkeypatch.delenv("CESO_LAB", raising=False)

    def type_in(*words: str, terminal: bool = False, answer: str | None = None) -> Result:
        monkeypatch.setattr(output, "interactive", lambda: terminal)
        return CliRunner().invoke(ceso, list(words), input=answer, prog_name="ceso")

    yield type_in
    host.hold.set()
    for thread in threads:
        thread.join(10)
