"""Real processes, really killed: the worker of a job, and the program that started it."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ceso_mcp.lab import Fault, Lab

from .conftest import KEY, settled
from .test_main_job import SMALL

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]
SLOW_STEP = Fault(match="registervm", effect="delay", seconds=4)
CREATE = ("vm", "create", "web01", "--template", SMALL, "--unprepared", "--ssh-key", KEY)


class Machine:
    """A lab, a state directory, and `ceso` as a program of its own."""

    def __init__(self, folder: Path) -> None:
        self.lab = Lab(folder / "lab")
        self.lab.start(boot_delay_s=0.05)
        self.folder = folder
        self.environment = {
            **os.environ,
            "CESO_LAB_DIR": str(folder / "lab"),
            "CESO_STATE": str(folder / "s"),
        }

    def begin(self, *words: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "ceso_mcp", "--lab", *words],
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def ceso(self, *words: str) -> tuple[int, str, str]:
        process = self.begin(*words)
        out, error = process.communicate(timeout=90)
        return process.returncode, out, error

    def newest_job(self) -> tuple[str, int, str, str]:
        """(id, pid, state, message) of the newest job, once there is one with a worker."""
        limit = time.monotonic() + 30
        while time.monotonic() < limit:
            found = list(self.folder.rglob("jobs.sqlite"))
            if found:
                row = _newest_row(found[0])
                if row is not None:
                    return row
            time.sleep(0.05)
        raise AssertionError("no job began")

    def until_message(self, wanted: str, *, after: str = "") -> tuple[str, int]:
        """The newest job and its worker, once it says `wanted`; `after` is the job before it."""
        limit = time.monotonic() + 60
        while time.monotonic() < limit:
            job, pid, state, message = self.newest_job()
            assert state == "running" or job == after, message
            if wanted in message:
                return job, pid
            time.sleep(0.05)
        raise AssertionError(f"no job came to {wanted!r}")

    def jobs(self) -> list[dict[str, Any]]:
        code, out, error = self.ceso("jobs", "list", "--json")
        assert code == 0, error
        return list(json.loads(out)["jobs"])


def _newest_row(path: Path) -> tuple[str, int, str, str] | None:
    """The newest job with a worker; None too while the file is there and its tables are not yet."""
    with contextlib.closing(sqlite3.connect(path)) as db:
        try:
            row = db.execute(
                "SELECT id, pid, state, message FROM jobs WHERE pid > 0 ORDER BY rowid DESC LIMIT 1"
            ).fetchone()
        except sqlite3.OperationalError as error:
            if "no such table" not in str(error):
                raise
            return None
    return None if row is None else tuple(row)


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    machine = Machine(tmp_path)
    settled(machine.lab)
    yield machine
    machine.lab.stop()


def test_a_killed_worker_is_noticed_and_recover_cleans_the_host(machine: Machine) -> None:
    before = machine.lab.fingerprint()
    machine.lab.add_fault(SLOW_STEP)
    cli = machine.begin(*CREATE, "--no-power-on", "--yes")
    _, pid = machine.until_message("register the VM")
    os.kill(pid, signal.SIGKILL)
    out, error = cli.communicate(timeout=60)
    assert cli.returncode != 0
    assert "worker_lost" in error
    assert "ceso recover" in out + error
    machine.lab.clear_faults()
    time.sleep(5)  # the delayed command of the dead worker runs to its end on the host
    code, _, error = machine.ceso("recover", "--yes")
    assert code == 0, error
    assert machine.lab.fingerprint() == before
    code, _, error = machine.ceso("audit", "verify")
    assert code == 0, error


def test_a_job_goes_on_when_the_program_that_started_it_is_killed(machine: Machine) -> None:
    machine.lab.add_fault(SLOW_STEP)
    cli = machine.begin(*CREATE, "--no-power-on", "--yes")
    job, _ = machine.until_message("register the VM")
    cli.kill()
    cli.communicate(timeout=30)
    code, _, error = machine.ceso("jobs", "follow", job)
    assert code == 0, error
    assert machine.jobs()[0]["state"] == "done"
    code, out, _ = machine.ceso("vm", "list", "--json")
    assert "web01" in {vm["name"] for vm in json.loads(out)["vms"]}


def test_a_cancelled_job_takes_back_what_it_did(machine: Machine) -> None:
    before = machine.lab.fingerprint()
    machine.lab.add_fault(Fault(match="registervm", effect="hang"))
    cli = machine.begin(*CREATE, "--no-power-on", "--yes")
    job, _ = machine.until_message("register the VM")
    code, _, error = machine.ceso("jobs", "cancel", job)
    assert code != 0
    assert "the host is as it was" in error
    cli.communicate(timeout=30)
    assert machine.jobs()[0]["state"] == "cancelled"
    assert machine.lab.fingerprint() == before


class McpServer:
    """`ceso mcp` on the machine's lab, spoken to by hand."""

    def __init__(self, machine: Machine) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "ceso_mcp", "--lab", "mcp"],
            env=machine.environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        self._number = 0
        client = {"name": "test", "version": "1"}
        self.ask("initialize", {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": client})
        self._send({"method": "notifications/initialized"})

    def _send(self, message: dict[str, Any]) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps({"jsonrpc": "2.0", **message}).encode() + b"\n")
        self.process.stdin.flush()

    def begin(self, method: str, params: dict[str, Any]) -> int:
        self._number += 1
        self._send({"id": self._number, "method": method, "params": params})
        return self._number

    def ask(self, method: str, params: dict[str, Any]) -> dict[str, Any]:
        number = self.begin(method, params)
        assert self.process.stdout is not None
        while True:
            message: dict[str, Any] = json.loads(self.process.stdout.readline())
            if message.get("id") == number:
                return dict(message["result"])

    def call(self, tool: str, **arguments: Any) -> dict[str, Any]:
        result = self.ask("tools/call", {"name": tool, "arguments": arguments})
        assert not result.get("isError"), result
        return dict(result["structuredContent"])

    def kill(self) -> None:
        os.kill(self.process.pid, signal.SIGKILL)
        self.process.communicate(timeout=20)


def test_a_backup_ends_well_when_its_mcp_server_is_killed(machine: Machine) -> None:
    code, _, error = machine.ceso(*CREATE, "--no-power-on", "--yes")
    assert code == 0, error
    created = machine.newest_job()[0]
    machine.lab.add_fault(Fault(match="python3 -c .* read ", effect="delay", seconds=4))
    server = McpServer(machine)
    token = server.call("backup_vm", vm="web01")["preview"]["confirm_token"]
    server.begin("tools/call", {"name": "backup_vm", "arguments": {"vm": "web01", "confirm_token": token}})
    job, pid = machine.until_message("read disk", after=created)
    server.kill()
    assert Path(f"/proc/{pid}").exists()  # the worker does not notice
    following = McpServer(machine)
    limit = time.monotonic() + 60
    while (found := following.call("job_status", job_id=job, wait_seconds=10))["state"] == "running":
        assert time.monotonic() < limit
    assert found["state"] == "done", found
    assert following.call("list_backups")["total"] == 1
    following.kill()
    code, out, _ = machine.ceso("audit", "verify")
    assert code == 0, out
