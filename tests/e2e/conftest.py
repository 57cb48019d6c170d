"""A whole ceso on a lab of its own: what the tests of the main job stand on."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from ceso_mcp import catalogue
from ceso_mcp.app import Ceso, parse_arguments
from ceso_mcp.audit import Actor
from ceso_mcp.config import BackupSection, Config, HostSection
from ceso_mcp.errors import CesoError
from ceso_mcp.jobs import Job
from ceso_mcp.lab import Lab
from ceso_mcp.operation import Change, Query
from ceso_mcp.preview import Preview
from ceso_mcp.worker import perform

WHO = Actor("test")
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ2nqvjQ4S0sF0VYVwWw0jvVd9Cl8u1yq2fQxJ0b7m5c ada@example"
TEMPLATE = "ubuntu-24.04-golden"


class House:
    """A ceso whose jobs run in this process, so that a test can wait for them and see them fail."""

    def __init__(self, lab: Lab, folder: Path, **sections: Any) -> None:
        self.lab = lab
        self.folder = folder
        address = lab.address()
        host = HostSection(
            address=address.host,
            port=address.port,
            user=address.user,
            host_keys=address.host_keys,
            key_file=address.key_file,
            settle_s=0,
        )
        backup = sections.pop("backup", BackupSection(repository=folder / "backups"))
        self.config = Config(host=host, backup=backup, state_dir=folder / "state", **sections)
        self.ceso = Ceso(self.config, spawn=lambda job, log, environment: os.getpid())
        self._backed_up_s = 0

    async def ask(self, name: str, /, **arguments: Any) -> Any:
        query = parse_arguments(catalogue.operation(name), arguments)
        assert isinstance(query, Query)
        return await self.ceso.answer(query, WHO)

    async def preview(self, name: str, /, **arguments: Any) -> Preview:
        change = parse_arguments(catalogue.operation(name), arguments)
        assert isinstance(change, Change)
        return await self.ceso.preview(change, WHO)

    async def confirm(self, token: str) -> Job:
        job_id = self.ceso.confirm(token, WHO, consent="terminal")
        await perform(self.ceso, job_id)
        return self.ceso.jobs.get(job_id)

    async def do(self, name: str, /, **arguments: Any) -> dict[str, Any]:
        """Preview, confirm, and the result; fails the test if the job failed.

        Backups are dated to the second: each is made in a second of its own, so that one is the newest.
        """
        if name == "backup_vm":
            while int(time.time()) == self._backed_up_s:  # noqa: ASYNC110
                await asyncio.sleep(0.05)
            self._backed_up_s = int(time.time())
        job = await self.confirm((await self.preview(name, **arguments)).confirm_token)
        assert job.state == "done", job.error
        assert job.result is not None
        return job.result

    async def refusal(self, name: str, /, **arguments: Any) -> CesoError:
        with pytest.raises(CesoError) as caught:
            await self.preview(name, **arguments)
        return caught.value

    def executed(self, since: int) -> list[str]:
        """Command lines that the lab received, without the reading of facts; repeats of a poll once."""
        lines: list[str] = []
        for entry in sorted(self.lab.log(since), key=lambda entry: entry.seq):
            if entry.kind == "exec" and entry.line != "sh -s" and (not lines or lines[-1] != entry.line):
                lines.append(entry.line)
        return lines

    def mark(self) -> int:
        return max((entry.seq for entry in self.lab.log()), default=0)


@pytest.fixture(scope="session")
def shared_lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    lab = Lab(tmp_path_factory.mktemp("lab"))
    lab.start(boot_delay_s=0.05)
    yield lab
    lab.stop()


def settled(lab: Lab) -> None:
    """Wait until no guest boots or goes down, and nothing is written any more."""
    before = None
    for _ in range(100):
        moving = lab.status().moving
        now = lab.fingerprint()
        if now == before and not moving:
            return
        before = now
        time.sleep(0.15)
    raise AssertionError("the lab does not come to rest")


def at_rest(house: House) -> dict[str, Any]:
    """The host as it is, but for the number of the last snapshot in a .vmsd, which only grows."""
    found = house.lab.fingerprint()
    found["files"] = {name: digest for name, digest in found["files"].items() if not name.endswith(".vmsd")}
    return found


@pytest.fixture
async def house(shared_lab: Lab, tmp_path: Path) -> AsyncIterator[House]:
    await asyncio.to_thread(shared_lab.configure, python3=True)
    await asyncio.to_thread(shared_lab.reset)
    await asyncio.to_thread(settled, shared_lab)
    house = House(shared_lab, tmp_path)
    yield house
    await house.ceso.close()
