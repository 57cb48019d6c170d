"""A fact: a question to the host (or to this machine) and how its answer is read.

A fact does no I/O. Its `reading` is a generator: it yields the questions of one round, receives
their replies in order, may yield further rounds, and returns the value. Whoever drives it can put
the rounds of many facts into one trip to the host.
"""

from __future__ import annotations

import hashlib
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar, overload

from ceso_mcp.errors import HostFault
from ceso_mcp.shell import Command

T = TypeVar("T")
T1 = TypeVar("T1")
T2 = TypeVar("T2")
T3 = TypeVar("T3")
T4 = TypeVar("T4")


@dataclass(frozen=True, slots=True)
class Reply:
    """What a command answered. `exit_status` is None if the host never told us."""

    exit_status: int | None
    stdout: str
    stderr: str = ""

    @property
    def ok(self) -> bool:
        return self.exit_status == 0

    @property
    def output(self) -> str:
        """Both streams, for programs whose split is not documented."""
        return self.stdout + self.stderr

    def require(self, what: str) -> str:
        """Standard output of a command that must succeed; raises HostFault otherwise."""
        if not self.ok:
            tail = self.output.strip()[-400:] or "no output"
            raise HostFault(
                f"{what} failed with exit status {self.exit_status}: {tail}", code="command_failed"
            )
        return self.stdout


class HereQuestion:
    """A question to this machine rather than to the host (a backup's manifest, say)."""


Question = Command | HereQuestion
Reading = Generator[Sequence[Question], Sequence[Any], T]


class Fact(Generic[T]):
    """One noun of the host: the commands that read it and the parser of their replies."""

    def reading(self) -> Reading[T]:
        raise NotImplementedError


REQUEST_BYTES = 16
"""So many bytes of a seed are the same for all that one request makes."""


@dataclass(frozen=True, slots=True)
class Fixed:
    """Time and chance, drawn once at preview and kept with the request.

    `now` is UTC as ISO 8601 with seconds; `seed` is 32 random bytes, from which operations derive
    UUIDs, MAC addresses and run ids by label, so that planning again gives the same values.
    """

    now: str
    seed: bytes

    @property
    def run_id(self) -> str:
        """Eight hex digits that mark everything this run makes on the host."""
        return self.seed[:4].hex()

    def for_part(self, name: str) -> Fixed:
        """The same time, and other chance for one of several things that a request makes.

        The first half of the seed stays: it is of the request, and so is the run id.
        """
        drawn = hashlib.sha256(self.seed + name.encode()).digest()
        return Fixed(self.now, self.seed[:REQUEST_BYTES] + drawn[REQUEST_BYTES:])


class Facts(Protocol):
    """What an operation may know. One value a fact within one planning."""

    @property
    def fixed(self) -> Fixed: ...

    @overload
    async def read(self, a: Fact[T1], /) -> T1: ...
    @overload
    async def read(self, a: Fact[T1], b: Fact[T2], /) -> tuple[T1, T2]: ...
    @overload
    async def read(self, a: Fact[T1], b: Fact[T2], c: Fact[T3], /) -> tuple[T1, T2, T3]: ...
    @overload
    async def read(self, a: Fact[T1], b: Fact[T2], c: Fact[T3], d: Fact[T4], /) -> tuple[T1, T2, T3, T4]: ...
    @overload
    async def read(self, *facts: Fact[Any]) -> tuple[Any, ...]: ...
    async def read(self, *facts: Fact[Any]) -> Any:
        """The values of `facts`, in as few trips to the host as their rounds need."""
        ...
