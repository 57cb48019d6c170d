"""Fixtures around a started lab, for every test that wants a host: `lab` and `host_shell`.

A conftest takes them in with `from lab_fixtures import host_shell, lab, lab_server`.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Coroutine, Iterator
from dataclasses import dataclass
from typing import Any

import asyncssh
import pytest

from ceso_mcp.lab import Lab

TIMEOUT_S = 20
BOOT_DELAY_S = 0.05


@dataclass(frozen=True)
class Ran:
    """What came back from one exec; `exit` is None when the connection was cut."""

    exit: int | None
    stdout: bytes
    stderr: bytes

    @property
    def text(self) -> str:
        return self.stdout.decode("utf-8", "surrogateescape")


class HostShell:
    """Runs lines on the lab over one SSH connection, opened anew when it was lost."""

    def __init__(self, lab: Lab) -> None:
        self._lab = lab
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._connection: asyncssh.SSHClientConnection | None = None

    def call(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(TIMEOUT_S)

    async def connection(self) -> asyncssh.SSHClientConnection:
        if self._connection is None or self._connection.is_closed():
            address = self._lab.address()
            self._connection = await asyncssh.connect(
                address.host,
                address.port,
                username=address.user,
                client_keys=[str(address.key_file)],
                known_hosts=None,
                config=None,
            )
        return self._connection

    def run(self, line: str, stdin: bytes = b"") -> Ran:
        return self.call(self._run(line, stdin))

    def ok(self, line: str, stdin: bytes = b"") -> str:
        """The stdout of a line that must end with 0."""
        ran = self.run(line, stdin)
        assert ran.exit == 0, f"{line}: {ran}"
        return ran.text

    async def _run(self, line: str, stdin: bytes) -> Ran:
        try:
            connection = await self.connection()
            process = await connection.create_process(line, encoding=None)
            # A command that ended without reading all of its input has an answer like any other.
            with contextlib.suppress(BrokenPipeError):
                process.stdin.write(stdin)
                process.stdin.write_eof()
            ran = await process.wait(timeout=TIMEOUT_S)
        except (asyncssh.Error, OSError):
            return Ran(None, b"", b"")
        assert isinstance(ran.stdout, bytes)
        assert isinstance(ran.stderr, bytes)
        return Ran(ran.exit_status, ran.stdout, ran.stderr)

    def close(self) -> None:
        if self._connection is not None:
            self.call(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(TIMEOUT_S)
        self._loop.close()

    async def _close(self) -> None:
        assert self._connection is not None
        self._connection.close()
        await self._connection.wait_closed()


@pytest.fixture(scope="session")
def lab_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """A lab that runs for the whole session; tests take `lab`, which is fresh each time."""
    lab = Lab(tmp_path_factory.mktemp("lab"))
    lab.start(boot_delay_s=BOOT_DELAY_S)
    yield lab
    lab.stop()


@pytest.fixture
def lab(lab_server: Lab) -> Lab:
    """The lab with its seeded world, no rules, and running."""
    lab_server.start(boot_delay_s=BOOT_DELAY_S)
    lab_server.reset()
    return lab_server


@pytest.fixture
def host_shell(lab: Lab) -> Iterator[HostShell]:
    """A way to run lines on the lab."""
    shell = HostShell(lab)
    yield shell
    shell.close()
