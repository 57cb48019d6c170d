"""A destructive change for tests."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from ceso_mcp.fact import Facts
from ceso_mcp.operation import Change
from ceso_mcp.plan import Plan, Step
from ceso_mcp.shell import sh


class BurnToy(Change):
    """Burn a toy. Cannot be undone."""

    title: ClassVar[str] = "Burn a toy"
    toolset: ClassVar[str] = "toy"
    may_destroy: ClassVar[bool] = True

    vm: str = Field(description="name of the toy")

    async def plan(self, facts: Facts) -> Plan:
        return Plan(
            title=f"burn toy {self.vm}",
            steps=(Step("burn it", sh("burn", self.vm), destroys=True),),
            touches=(f"toy {self.vm}",),
        )
