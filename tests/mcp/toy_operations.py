"""Operations for tests: each shows one thing that the surface has to carry."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, Field

from ceso_mcp.fact import Facts
from ceso_mcp.fields import ExistingVm, existing_name
from ceso_mcp.operation import Answer, Change, Operation, Query
from ceso_mcp.operations.admin.job_status import JobStatus
from ceso_mcp.plan import Plan, Step
from ceso_mcp.shell import sh
from ceso_mcp.text import Text

SHELF: list[str] = []
"""Names of toys that `list_toys` answers: what the host says, so anything."""

GATES: list[asyncio.Event] = []
"""What `weigh_toy` waits for."""


class Toy(Answer):
    """One toy."""

    name: str
    colour: Literal["red", "blue"]


class ToyList(Answer):
    """Toys."""

    toys: list[Toy]
    comment: str | None = Field(None, description="what is to be said about them")


class ListToys(Query):
    """List the toys."""

    title: ClassVar[str] = "List toys"
    toolset: ClassVar[str] = "toy"
    result: ClassVar[type[Answer]] = ToyList

    colour: Literal["red", "blue"] | None = Field(None, description="only toys of this colour")
    tags: tuple[str, ...] = Field((), description="only toys with these tags")
    limit: int = Field(50, ge=1, le=200, description="page size")

    async def answer(self, facts: Facts) -> ToyList:
        comment = ",".join(self.tags) or None
        return ToyList(toys=[Toy(name=name, colour="red") for name in SHELF], comment=comment)


class BreakToy(Query):
    """Fail in a way that nobody foresaw."""

    title: ClassVar[str] = "Break a toy"
    toolset: ClassVar[str] = "toy"
    result: ClassVar[type[Answer]] = ToyList

    name: str = Field(description="name of the toy")

    async def answer(self, facts: Facts) -> ToyList:
        raise RuntimeError(f"cannot open /root/secret of {self.name}")


class Weight(Answer):
    """The outcome."""

    status: Literal["done", "running"] = "done"
    name: str
    grams: int | None = None
    job_id: str | None = None
    next: str | None = None


class WeighToy(Query):
    """Weigh a toy. Takes its time."""

    title: ClassVar[str] = "Weigh a toy"
    toolset: ClassVar[str] = "toy"
    long: ClassVar[bool] = True
    result: ClassVar[type[Answer]] = Weight

    name: str = Field(description="name of the toy")

    async def answer(self, facts: Facts) -> Weight:
        for gate in GATES:
            await gate.wait()
        return Weight(name=self.name, grams=len(self.name))


class MakeToy(Change):
    """Make a toy.

    It is cut out and then
    painted.
    """

    title: ClassVar[str] = "Make a toy"
    toolset: ClassVar[str] = "toy"

    name: ExistingVm = Field(description="name of the toy")
    colour: Literal["red", "blue"] = Field("red", description="its colour")
    parts: tuple[Annotated[str, AfterValidator(existing_name)], ...] = Field(
        (), description="what it consists of"
    )
    labels: dict[str, str] = Field(default_factory=dict, description="labels")
    papers: str = Field("", description="what is written about it", max_length=100_000)

    async def plan(self, facts: Facts) -> Plan:
        steps = [Step("cut it out", sh("cut", self.name))]
        steps += [Step("add a part", sh("add", self.name, part)) for part in self.parts]
        if self.papers:
            steps.append(Step("write its papers", sh("cat").to("/toys/papers"), stdin=Text.of(self.papers)))
        steps.append(Step("paint it", sh("paint", self.name, self.colour)))
        return Plan(
            title=f"make toy {self.name}",
            steps=tuple(steps),
            touches=(f"toy {self.name} (new)",),
            warnings=("It squeaks.",),
            outcome={"name": self.name, "vmid": "7"},
        )


class BurnToy(Change):
    """Burn a toy. Cannot be undone."""

    title: ClassVar[str] = "Burn a toy"
    toolset: ClassVar[str] = "toy"
    may_destroy: ClassVar[bool] = True

    name: ExistingVm = Field(description="name of the toy")

    async def plan(self, facts: Facts) -> Plan:
        return Plan(
            title=f"burn toy {self.name}",
            steps=(Step("burn it", sh("burn", self.name), destroys=True),),
            touches=(f"toy {self.name}",),
        )


TOYS: dict[str, type[Operation]] = {
    operation.operation_name(): operation
    for operation in (ListToys, BreakToy, WeighToy, MakeToy, BurnToy, JobStatus)
}


def stand_in(monkeypatch: Any) -> None:
    """Put the toys in the place of the catalogue."""
    from ceso_mcp import catalogue
    from ceso_mcp.errors import InvalidArguments

    def operation(name: str) -> type[Operation]:
        if name not in TOYS:
            raise InvalidArguments("no such toy", code="unknown_operation")
        return TOYS[name]

    def operations(*, read_only: bool = False, allow: tuple[str, ...] = ()) -> list[type[Operation]]:
        found = [TOYS[name] for name in sorted(TOYS) if not allow or name in allow]
        return [op for op in found if issubclass(op, Query) or not read_only]

    monkeypatch.setattr(catalogue, "names", lambda: sorted(TOYS))
    monkeypatch.setattr(catalogue, "operation", operation)
    monkeypatch.setattr(catalogue, "operations", operations)
