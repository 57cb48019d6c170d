"""What vim-cmd keeps in a world: its era, hostd's tasks, autostart, advanced options, the licence."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from ceso_mcp.lab.dump import ERAS, NEWEST, Value, render

# Finished tasks stay listed for some time (vimcmd-get.tasklist-1); how long is not known.
TASKS_KEPT = 10
AUTOSTART = {
    "enabled": False,
    "startDelay": 120,
    "stopDelay": 120,
    "waitForHeartbeat": False,
    "stopAction": "PowerOff",
}
ADVANCED: dict[str, str | int] = {
    "Misc.HostName": "",
    "Net.FollowHardwareMac": 1,
    "Security.AccountLockFailures": 5,
    "Security.AccountUnlockTime": 900,
    "Syslog.global.logDir": "[] /scratch/log",
    "Syslog.global.logHost": "",
    "UserVars.ESXiShellInteractiveTimeOut": 0,
    "UserVars.ESXiShellTimeOut": 0,
    "UserVars.SuppressShellWarning": 0,
}
LICENCE = {
    "serial": "00000-00000-00000-00000-00000",
    "vmodl key": "esx.eval.cpuPackageCoreLimited",
    "name": "Evaluation Mode",
    "total": "0",
    "used": "0",
    "unit": "cpuPackage:32core",
}


@dataclass
class Task:
    """One task of hostd; `entity` is a vmid or `ha-host`, times are in seconds since 1970."""

    number: int
    entity: str
    entity_name: str
    method: str
    queued_at: float
    state: str = "running"
    completed_at: float = 0.0
    error: tuple[str, str] | None = None

    @property
    def kind(self) -> str:
        return "HostSystem" if self.entity == "ha-host" else "VirtualMachine"

    @property
    def key(self) -> str:
        return f"haTask-{self.entity}-vim.{self.kind}.{self.method}-{self.number}"


@dataclass
class VimState:
    """`era` is one of `dump.ERAS`; without `line_end_blanks` every line is as a web page keeps it."""

    era: str = NEWEST
    line_end_blanks: bool = True
    tasks: list[Task] = field(default_factory=list)
    autostart: dict[str, Any] = field(default_factory=lambda: dict(AUTOSTART))
    autostart_entries: dict[str, dict[str, Any]] = field(default_factory=dict)
    advanced: dict[str, str | int] = field(default_factory=lambda: dict(ADVANCED))
    licence: dict[str, str] = field(default_factory=lambda: dict(LICENCE))

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> VimState:
        """From what `json` made of it."""
        tasks = [
            Task(**{**item, "error": tuple(item["error"]) if item["error"] else None})
            for item in value.get("tasks", [])
        ]
        return cls(**{**value, "tasks": tasks})

    def at_least(self, era: str) -> bool:
        """True when the dumps are those of `era` or later."""
        return ERAS.index(self.era) >= ERAS.index(era)

    def render(self, value: Value) -> str:
        return render(value, self.era)
