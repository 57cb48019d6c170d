"""What the SSH sessions and hostd share: the host, the log, the rules, the running commands."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from ceso_mcp.lab.access import Access
from ceso_mcp.lab.command_log import CommandLog
from ceso_mcp.lab.fault_rules import FaultRules
from ceso_mcp.lab.host_log import HostLog
from ceso_mcp.lab.namespace import Host
from ceso_mcp.lab.records import Fault
from ceso_mcp.lab.world import World


class Cuttable(Protocol):
    """A running command whose client can be cut off."""

    def cut(self) -> None: ...


class Machine:
    """What a session needs of the lab: the host to run in, the log, the rules, the running calls."""

    def __init__(
        self, host: Host, log: CommandLog, rules: FaultRules, etc: Path, world_now: Callable[[], World]
    ) -> None:
        self.host = host
        self.log = log
        self.rules = rules
        self._etc = etc
        self._world_now = world_now
        self.access = Access(etc, world_now)
        self.host_log = HostLog(etc.parent / "var" / "log", self.world.release)
        self.running: dict[int, Cuttable] = {}
        self.before_exec: Callable[[], Callable[[], None] | None] = lambda: None
        self.apply_to_world: Callable[[Fault], None] = lambda fault: None

    @property
    def world(self) -> World:
        """The world that holds now; a reset replaces it."""
        return self._world_now()

    @property
    def banner(self) -> str:
        """`/etc/issue`, shown before authentication (shell-sshd-config-1)."""
        try:
            return (self._etc / "issue").read_text("utf-8", "replace")
        except OSError:
            return ""

    def pid(self, seq: int) -> int:
        """The process number that the host's own logs give to a session."""
        return self.world.next_world + 7 * seq
