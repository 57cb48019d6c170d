"""One running QEMU: its process, its monitor (QMP), and the two lines to the guest."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ceso_mcp.errors import LabFault

ANSWER_TIMEOUT_S = 30.0
QUIT_TIMEOUT_S = 20.0
Command = Callable[[int, int, int], list[str]]


class QemuMachine:
    """Started by the constructor; `command(qmp, rpc, report)` gives the words for inherited descriptors.

    It dies with this process. Raises `LabFault` with what QEMU said when it does not start.
    """

    def __init__(self, entry: list[str], command: Command, folder: Path) -> None:
        pairs = [socket.socketpair() for _ in range(3)]
        self._qmp, self.rpc, self.report = (ours for ours, _ in pairs)
        theirs = [their for _, their in pairs]
        self._said = folder / "qemu.log"
        numbers = [item.fileno() for item in theirs]
        argv = [*entry, "setpriv", "--pdeathsig", "KILL", *command(*numbers)]
        with open(self._said, "wb") as output:
            self.process = subprocess.Popen(
                argv, stdin=subprocess.DEVNULL, stdout=output, stderr=output, pass_fds=numbers
            )
        for item in theirs:
            item.close()
        self._qmp.settimeout(ANSWER_TIMEOUT_S)
        self._lines = self._qmp.makefile("rb")
        try:
            if not self._lines.readline():
                raise OSError("no greeting")
            self.ask("qmp_capabilities")
        except OSError:
            self.kill()
            said = self._said.read_text("utf-8", "replace")[-600:].strip()
            raise LabFault(f"QEMU did not start: {said or 'no answer in time'}") from None

    def ask(self, command: str, **arguments: Any) -> Any:
        """The answer of one QMP command. Raises OSError when QEMU is gone, `LabFault` when it refuses."""
        self._qmp.sendall(json.dumps({"execute": command, "arguments": arguments}).encode() + b"\n")
        while line := self._lines.readline():
            reply = json.loads(line)
            if "error" in reply:
                raise LabFault(f"QEMU refused {command}: {reply['error'].get('desc')}")
            if "return" in reply:
                return reply["return"]
        raise OSError("QEMU is gone")

    @property
    def running(self) -> bool:
        return self.process.poll() is None

    def quit(self) -> None:
        """End it as a power cut does: what the guest had written is in the overlays."""
        with contextlib.suppress(OSError, LabFault):
            self.ask("quit")
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(QUIT_TIMEOUT_S)
        self.kill()

    def kill(self) -> None:
        if self.running:
            self.process.kill()
        self.process.wait(QUIT_TIMEOUT_S)
        self._lines.close()
        self._qmp.close()

    async def ended(self) -> None:
        """Until the process is gone."""
        await asyncio.to_thread(self.process.wait)
