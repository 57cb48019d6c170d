"""What an operation is: a frozen pydantic model whose fields are its parameters.

The class name, in snake case, is the operation's name on every surface; its docstring is the
description, its first line the summary. A `Query` answers; a `Change` plans. Whether an operation
only reads is its kind, and whether it may destroy is checked against its plans, so the hints that
clients see cannot lie.
"""

from __future__ import annotations

import inspect
import re
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, ValidationError

from ceso_mcp.errors import InvalidArguments
from ceso_mcp.fact import Facts
from ceso_mcp.plan import Plan


class Answer(BaseModel):
    """A result: closed, so that what is published as its schema is all there is."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Operation(BaseModel):
    """Parameters of one operation; unknown ones are an error."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    title: ClassVar[str]
    toolset: ClassVar[str]

    @classmethod
    def operation_name(cls) -> str:
        return re.sub(r"(?<!^)(?=[A-Z])", "_", cls.__name__).lower()

    @classmethod
    def description(cls) -> str:
        return inspect.cleandoc(cls.__doc__ or "")

    @classmethod
    def summary(cls) -> str:
        return cls.description().split("\n", 1)[0]


class Query(Operation):
    """An operation that only reads. A `long` one may outlast a call, so surfaces run it as a job.

    One that `monitors` has an `exit_status` in its answer, by which monitoring programs go.
    """

    long: ClassVar[bool] = False
    monitors: ClassVar[bool] = False
    result: ClassVar[type[Answer]]

    async def answer(self, facts: Facts) -> Answer:
        raise NotImplementedError


class Change(Operation):
    """An operation that changes the host or a repository; it is previewed, then confirmed.

    `may_destroy` must be set by an operation whose plan can contain a step that destroys;
    `settles_runs` by one that deals with runs that stopped half-way, so that no preview of it names them.
    """

    may_destroy: ClassVar[bool] = False
    settles_runs: ClassVar[bool] = False

    async def plan(self, facts: Facts) -> Plan:
        """The exact steps, for the host as `facts` describe it; raises Refused when unsafe.

        Pure: the same facts and the same `facts.fixed` give the same plan, byte for byte.
        """
        raise NotImplementedError


def parse_arguments(model: type[Operation], arguments: dict[str, Any]) -> Operation:
    """`arguments` as an operation; raises InvalidArguments that names fields and never values."""
    try:
        return model.model_validate(arguments)
    except ValidationError as error:
        names = _field_names(model.model_json_schema())
        problems = []
        for item in error.errors(include_url=False, include_input=False, include_context=False):
            where = item["loc"]
            if item["type"] == "extra_forbidden" and len(where) > 1:
                where = where[:-1]
            problems.append(f"{'.'.join(_place(where, arguments, names)) or 'arguments'}: {item['msg']}")
        raise InvalidArguments("; ".join(problems)) from None


def _field_names(schema: Any) -> set[str]:
    """The names of all fields that a JSON schema speaks of."""
    if isinstance(schema, list):
        return {name for item in schema for name in _field_names(item)}
    if not isinstance(schema, dict):
        return set()
    own = schema.get("properties")
    return {*(own if isinstance(own, dict) else ()), *_field_names(list(schema.values()))}


def _place(where: tuple[int | str, ...], arguments: Any, names: set[str]) -> list[str]:
    """`where` in words; a key of the input that is no field's name is input like any value."""
    said: list[str] = []
    for number, part in enumerate(where):
        given = isinstance(arguments, dict) and part in arguments
        # At the top an unknown name is what the caller has to see.
        said.append("…" if given and number and part not in names else str(part))
        if given or (isinstance(arguments, list) and isinstance(part, int) and part < len(arguments)):
            arguments = arguments[part]
    return said
