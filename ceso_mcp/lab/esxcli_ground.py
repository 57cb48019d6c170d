"""What esxcli's commands stand on: the world, its files, and how a change is kept."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ceso_mcp.lab.esxcli_forms import Answer, Row, Scalar
from ceso_mcp.lab.host_config import HostConfig
from ceso_mcp.lab.power import Power
from ceso_mcp.lab.storage import Storage
from ceso_mcp.lab.world import ON, Vm, World


@dataclass
class Ground:
    """One host as esxcli sees it. `root` is the host's file system here, `exports` what NFS servers hold."""

    world: World
    storage: Storage
    power: Power
    save: Callable[[], None]
    root: Path
    exports: Path

    @property
    def host(self) -> HostConfig:
        return self.world.host

    @property
    def major(self) -> int:
        return int(self.world.version.partition(".")[0])

    def done(self) -> Scalar:
        """Keep the change; text prints nothing, other forms the boolean (fact sheet §1.3)."""
        self.save()
        return Scalar(True)

    @staticmethod
    def today() -> str:
        return time.strftime("%Y-%m-%d", time.gmtime())

    def running(self) -> list[Vm]:
        return [vm for vm in self.world.vms.values() if vm.state == ON]


def block(type_name: str, row: Row, header: str = "") -> Answer:
    """The answer of a get command."""
    return Answer(type_name, tuple(row), [row], form="simple", one=True, header=header)


def blocks(type_name: str, rows: list[dict[str, Any]], header: str = "") -> Answer:
    """The answer of a list command that prints blocks."""
    return Answer(type_name, tuple(rows[0]) if rows else (), rows, form="simple", header=header)


def table(type_name: str, rows: list[dict[str, Any]], more: tuple[str, ...] = ()) -> Answer:
    """The answer of a list command that prints a table; `more` are labels that only other forms show."""
    columns = tuple(name for name in rows[0] if name not in more) if rows else ()
    return Answer(type_name, columns, rows, more=more)
