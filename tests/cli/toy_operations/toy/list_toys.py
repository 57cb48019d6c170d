"""A query for tests."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from ceso_mcp.errors import HostFault
from ceso_mcp.fact import Facts
from ceso_mcp.operation import Answer, Query


class ToyRow(Answer):
    name: str
    size_bytes: int
    memory_mib: int | None
    note: str


class ToyList(Answer):
    toys: list[ToyRow]
    total: int
    broken: list[str]
    next_offset: int | None = None


class ListToys(Query):
    """List the toys.

    A second paragraph.
    """

    title: ClassVar[str] = "List toys"
    toolset: ClassVar[str] = "toy"
    result: ClassVar[type[Answer]] = ToyList

    colour: Literal["red", "blue"] | None = Field(None, description="only toys of this colour")
    limit: int = Field(50, ge=1, le=200, description="page size")

    async def answer(self, facts: Facts) -> ToyList:
        if self.colour == "red":
            raise HostFault("the host is away", code="unreachable", hint="plug it in")
        rows = [
            ToyRow(name="bear [old]", size_bytes=25_165_824, memory_mib=2048, note=""),
            ToyRow(name="evil\x1b[31m\u202ebear", size_bytes=12, memory_mib=None, note="line 1\nline 2"),
        ]
        return ToyList(toys=rows, total=2, broken=[])
