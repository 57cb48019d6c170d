"""A long query for tests."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from ceso_mcp.fact import Facts
from ceso_mcp.operation import Answer, Query


class CheckAnswer(Answer):
    toy: str
    intact: bool
    damage: list[str]


class CheckToy(Query):
    """Check a toy for damage."""

    title: ClassVar[str] = "Check a toy"
    toolset: ClassVar[str] = "toy"
    long: ClassVar[bool] = True
    result: ClassVar[type[Answer]] = CheckAnswer

    toy: str = Field(description="name of the toy")

    async def answer(self, facts: Facts) -> CheckAnswer:
        bad = self.toy == "broken"
        return CheckAnswer(toy=self.toy, intact=not bad, damage=["an arm is off"] if bad else [])
