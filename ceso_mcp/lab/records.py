"""The values a lab hands out: its address, its state, its command log, its fault rules."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Literal

from ceso_mcp.errors import LabFault

Effect = Literal[
    "fail",
    "cut_before",
    "cut_after",
    "cut_stdout",
    "cut_stdin",
    "full_stdin",
    "hang",
    "delay",
    "fill",
    "kill",
    "drop_vm",
    "lie",
    "late",
    "hostd_restart",
]


@dataclass(frozen=True)
class LabAddress:
    """How an SSH client reaches the lab. `host_keys` are like `ecdsa-sha2-nistp256 AAAA…`."""

    host: str
    port: int
    user: str
    key_file: Path
    host_keys: tuple[str, ...]
    password: str

    def shell_argv(self, known_hosts: Path) -> list[str]:
        """OpenSSH's command for an interactive shell; writes the host's keys to `known_hosts`."""
        known_hosts.write_text("".join(f"[{self.host}]:{self.port} {key}\n" for key in self.host_keys))
        options = [
            f"UserKnownHostsFile={known_hosts}",
            "GlobalKnownHostsFile=/dev/null",
            "StrictHostKeyChecking=yes",
            "IdentitiesOnly=yes",
            "LogLevel=ERROR",
        ]
        argv = ["ssh", "-F", "none", "-i", str(self.key_file), "-p", str(self.port)]
        for option in options:
            argv += ["-o", option]
        return [*argv, f"{self.user}@{self.host}"]


@dataclass(frozen=True)
class LabStatus:
    """What the lab is doing. `vms` are (vmid, name, power state); `notes` what this machine cannot do;
    `moving` how many guests boot or go down just now."""

    running: bool
    pid: int | None
    address: LabAddress | None
    release: str
    vms: tuple[tuple[int, str, str], ...] = ()
    notes: tuple[str, ...] = ()
    moving: int = 0


@dataclass(frozen=True)
class LogEntry:
    """One line of the command log.

    kind "exec": `line` is what the client sent, `exit` its status (None when it was cut). kind "shim":
    `argv` is the program and its words, `changed` whether it changed the world. `time` is in seconds
    since 1970; `exec` is the sequence number of the exec that a shim call belongs to.
    """

    kind: Literal["exec", "shim"]
    seq: int
    time: float
    line: str
    argv: tuple[str, ...]
    exit: int | None
    changed: bool
    exec: int


@dataclass(frozen=True)
class Fault:
    """A rule for something to go wrong.

    `match` is a regular expression searched in the exec line (`where="exec"`) or in a program's words
    joined by blanks (`where="shim"`). The first `after` matches pass, the next `times` are hit (None:
    all of them). Effects:

    fail        give `stdout`, `stderr`, `exit_status` in place of running it
    cut_before  cut the SSH connection, nothing runs
    cut_after   it runs to its end, then the connection is cut before its output
    cut_stdout  cut the connection after `at_bytes` of stdout; cut_stdin likewise of stdin
    full_stdin  after `at_bytes` of stdin the command ends as if its datastore were full
    hang        nothing happens until the client gives up; delay: wait `seconds`, then go on
    fill        leave `at_bytes` free on `datastore` (empty: on every one), then go on
    kill        kill vmkfstools when it has done `percent`
    drop_vm     unregister the VM named `vm`, then go on
    lie         it runs, but `stdout`, `stderr`, `exit_status` are given in place of what it said
    late        `stdout`, `stderr`, `exit_status` are given at once, and it runs `seconds` later all the same
    hostd_restart  hostd is away for `seconds`: vim-cmd and esxcli cannot connect, vmkfstools goes on

    `fail` with exit status 0 and a text of success is the lie the other way round: nothing ran. `lie` and
    `late` are for vim-cmd, esxcli and the like (`where="shim"`), not for vmkfstools.
    """

    match: str
    effect: Effect
    where: Literal["exec", "shim"] = "exec"
    after: int = 0
    times: int | None = 1
    stdout: str = ""
    stderr: str = ""
    exit_status: int = 1
    at_bytes: int = 0
    seconds: float = 0.0
    percent: int = 50
    datastore: str = ""
    vm: str = ""
    id: str = field(default="")

    def __post_init__(self) -> None:
        try:
            re.compile(self.match)
        except re.error as error:
            raise LabFault(f"the fault's match is not a regular expression: {error}") from None
        if self.where == "shim" and self.effect in ("cut_stdout", "cut_stdin", "full_stdin"):
            raise LabFault(f"the effect {self.effect} needs where='exec'")
        if self.where == "exec" and self.effect in ("kill", "lie", "late"):
            raise LabFault(f"the effect {self.effect} needs where='shim'")

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> Fault:
        known = {item.name for item in fields(cls)}
        return cls(**{key: item for key, item in value.items() if key in known})
