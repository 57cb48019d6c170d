"""A change for tests."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field, field_validator

from ceso_mcp.fact import Facts
from ceso_mcp.operation import Change
from ceso_mcp.plan import Estimate, Plan, Step, Undo
from ceso_mcp.shell import sh
from ceso_mcp.text import Text


class MakeToy(Change):
    """Make a toy, and say so."""

    title: ClassVar[str] = "Make a toy"
    toolset: ClassVar[str] = "toy"

    name: str = Field(description="name of the toy", max_length=80)
    material: str = Field(description="what it is made of")
    memory_mib: int = Field(64, ge=4, description="memory in MiB")
    ssh_keys: tuple[str, ...] = Field((), description="who may play")
    labels: dict[str, str] = Field(default_factory=dict, description="labels")
    power_on: bool = Field(True, description="switch it on")

    @field_validator("memory_mib")
    @classmethod
    def _multiple_of_four(cls, value: int) -> int:
        if value % 4:
            raise ValueError("memory must be a multiple of 4 MiB")
        return value

    async def plan(self, facts: Facts) -> Plan:
        long_word = "x" * 300
        return Plan(
            title=f"make toy {self.name}",
            steps=(
                Step(
                    "write its papers",
                    sh("cat", long_word).to(f"/vmfs/volumes/toys/{self.name}"),
                    stdin=Text.of("".join(f"line {n}\n" for n in range(40))),
                    undo=Undo((sh("rm", "-f", f"/vmfs/volumes/toys/{self.name}"),)),
                ),
                Step("look at it", sh("ls", self.name), reads_only=True),
            ),
            touches=(f"toy {self.name}",),
            warnings=("It squeaks.",),
            before_after=(("toy", "-", self.name),),
            estimate=Estimate(
                copy_bytes=3 << 30,
                datastore="toys",
                free_bytes_before=80 << 30,
                free_bytes_after=77 << 30,
            ),
            outcome={
                "name": self.name,
                "keys": tuple(self.ssh_keys),
                "labels": tuple(f"{key}:{value}" for key, value in self.labels.items()),
                "power_on": self.power_on,
                "size_bytes": 3 << 30,
            },
        )
