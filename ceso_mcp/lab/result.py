"""What a program of the host did: its output, its status, and whether the world is another now."""

from __future__ import annotations

from dataclasses import dataclass

from ceso_mcp.lab.dump import Obj, render


@dataclass(frozen=True)
class Result:
    stdout: str = ""
    stderr: str = ""
    exit: int = 0
    changed: bool = False


class Faulted(Exception):
    """A vim fault; the command that runs decides where it is printed."""

    def __init__(self, fault: Obj) -> None:
        self.fault = fault
        super().__init__(fault.msg or fault.type)

    def as_query(self) -> Result:
        """Faults of queries go to stdout with exit 1 (fact sheet vim-cmd §1.4)."""
        return Result(stdout=render(self.fault), exit=1)
