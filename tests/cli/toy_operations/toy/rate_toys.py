"""A query for monitoring programs, for tests."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from ceso_mcp.errors import HostFault
from ceso_mcp.fact import Facts
from ceso_mcp.operation import Answer, Query


class RateAnswer(Answer):
    summary: str
    exit_status: int


class RateToys(Query):
    """Rate the toys."""

    title: ClassVar[str] = "Rate the toys"
    toolset: ClassVar[str] = "toy"
    result: ClassVar[type[Answer]] = RateAnswer
    monitors: ClassVar[bool] = True

    arms_off: int = Field(0, ge=0, le=9, description="how many arms are off")

    async def answer(self, facts: Facts) -> RateAnswer:
        if self.arms_off > 2:
            raise HostFault("the host is away", code="unreachable", hint="plug it in")
        return RateAnswer(summary=f"{self.arms_off} off", exit_status=self.arms_off)
