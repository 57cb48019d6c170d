"""What the host's programs say about a disk that they wrote or compared, and how it is read."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass

from ceso_mcp.errors import StepFailed, Unreadable

MOST_OFFSETS = 16
"""A comparison names so many of the blocks that differ, the first ones."""


@dataclass(frozen=True, slots=True)
class WriteResult:
    """What the host's writer says it did. Sizes in bytes."""

    capacity_bytes: int
    frames: int
    written_bytes: int


@dataclass(frozen=True, slots=True)
class CompareResult:
    """What a comparison of a disk with a backup found; `first` are the offsets in bytes of the first
    unlike blocks, at most `MOST_OFFSETS`."""

    blocks: int
    different: int
    first: tuple[int, ...]

    def require_same(self) -> None:
        """Raises StepFailed `restore_differs` if any block is another than in the backup."""
        if self.different:
            first = ", ".join(str(offset) for offset in self.first[:4])
            raise StepFailed(
                f"{self.different} of {self.blocks} blocks differ from the backup, at {first}…",
                code="restore_differs",
            )


def parse_write_result(stdout: str) -> WriteResult:
    """Read the writer's JSON line; raises Unreadable if it is missing (nothing is proved then)."""
    what = "the host's disk writer"
    line = _json_line(what, stdout, {"capacity", "frames", "written"})
    return WriteResult(*(_number(what, line[key]) for key in ("capacity", "frames", "written")))


def compared_up_to(stdout: str) -> int | None:
    """The last offset in bytes that a comparison has told, if `stdout` holds one."""
    told = re.findall(r"^at (\d+)\n", stdout, re.M)
    return int(told[-1]) if told else None


def parse_compare_result(stdout: str) -> CompareResult:
    """Read the comparison's JSON line, the last one; raises Unreadable if it is missing."""
    what = "the host's disk comparison"
    said = re.sub(r"^at \d+\n", "", stdout, flags=re.M)
    line = _json_line(what, said, {"blocks", "different", "first"})
    first = line["first"]
    if not isinstance(first, list):
        raise Unreadable(what, "its offsets are not a list", line=stdout)
    offsets = tuple(_number(what, offset) for offset in first)
    return CompareResult(_number(what, line["blocks"]), _number(what, line["different"]), offsets)


def _json_line(what: str, stdout: str, keys: set[str]) -> dict[str, object]:
    try:
        document = json.loads(stdout)
    except ValueError:
        raise Unreadable(what, "it did not end with its one line of JSON", line=stdout) from None
    if not isinstance(document, dict) or set(document) != keys:
        raise Unreadable(what, "its line of JSON holds something else", line=stdout)
    return document


def _number(what: str, value: object) -> int:
    if type(value) is not int or value < 0:
        raise Unreadable(what, "a count is not a number", line=repr(value))
    return value
