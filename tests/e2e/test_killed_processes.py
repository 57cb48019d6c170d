"""Real processes, really killed: the worker of a job, and the program that started it."""

from __future__ import annotations

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
CREATE = ("vm", "create", "web01", "--template", SMALL, "--ssh-key", KEY)


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
                with sqlite3.connect(found[0]) as db:
                    row = db.execute(
                        "SELECT id, pid, state, message FROM jobs WHERE pid > 0 ORDER BY rowid DESC LIMIT 1"
                    ).fetchone()
                if row:
                    return tuple(row)
            time.sleep(0.05)
        raise AssertionError("no job began")

    def until_message(self, wanted: str) -> tuple[str, int]:
        limit = time.monotonic() + 60
        while time.monotonic() < limit:
            job, pid, state, message = self.newest_job()
            assert state == "running", message
            if wanted in message:
                return job, pid
            time.sleep(0.05)
        raise AssertionError(f"no job came to {wanted!r}")

    def jobs(self) -> list[dict[str, Any]]:
        code, out, error = self.ceso("jobs", "list", "--json")
        assert code == 0, error
        return list(json.loads(out)["jobs"])


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
