"""What the SSH sessions and hostd share: the host, the log, the rules, the running commands."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from ceso_mcp.lab.command_log import CommandLog
from ceso_mcp.lab.fault_rules import FaultRules
from ceso_mcp.lab.namespace import Host
from ceso_mcp.lab.records import Fault


class Cuttable(Protocol):
    """A running command whose client can be cut off."""

    def cut(self) -> None: ...


class Machine:
    """What a session needs of the lab: the host to run in, the log, the rules, the running calls."""

    def __init__(self, host: Host, log: CommandLog, rules: FaultRules, latency_s: float, banner: str) -> None:
        self.host = host
        self.log = log
        self.rules = rules
        self.latency_s = latency_s
        self.banner = banner
        self.running: dict[int, Cuttable] = {}
        self.apply_to_world: Callable[[Fault], None] = lambda fault: None
