"""The snapshot tree that `vim-cmd vmsvc/snapshot.*` prints (fact sheet vim-cmd §5).

Names and descriptions are free text and not escaped. A description may run over several lines; one
that imitates the lines of a further snapshot cannot be told from it. The current snapshot is not
marked. For decisions about disks prefer the .vmsd.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime

from ceso_mcp.errors import Unreadable

_WHAT = "snapshot tree"
_TITLES = ("Get Snapshot:", "Remove Snapshot:", "Revert Snapshot:", "Remove All Snapshots:")
_NODE = re.compile(r"((?:--)*)\|-(ROOT|CHILD)")
_FIELD = re.compile(r"(-+)Snapshot (Name|Id|Desciption|Description|Created On|State)[ ]*:(?: (.*))?")
_CREATED = re.compile(r"([0-9]{1,2})/([0-9]{1,2})/([0-9]{4}) ([0-9]{1,2}):([0-9]{1,2}):([0-9]{1,2})")


@dataclass(frozen=True, slots=True)
class SnapshotNode:
    """One snapshot. `parent_id` is None at the root, whose `depth` is 0.

    `created` is taken for UTC (the host prints no zone; assumed). `state` is that of the VM then:
    `powered on`, `powered off`.
    """

    id: int
    name: str
    description: str
    created: datetime
    state: str
    depth: int
    parent_id: int | None


def parse_snapshots(stdout: str) -> list[SnapshotNode]:
    """The snapshots in the order printed, every parent before its children; [] for the title alone.

    Raises Unreadable for another layout, and for an id that occurs twice.
    """
    lines = [line.rstrip("\r") for line in stdout.split("\n")]
    while lines and not lines[-1].strip():
        lines.pop()
    if not lines or lines[0].strip() not in _TITLES:
        raise Unreadable(_WHAT, "it does not begin with its title", line=lines[0] if lines else "")
    nodes: list[SnapshotNode] = []
    path: list[int] = []
    at = 1
    while at < len(lines):
        found = _NODE.fullmatch(lines[at].rstrip())
        if found is None:
            raise Unreadable(_WHAT, "a line belongs to no snapshot", line=lines[at])
        depth = len(found.group(1)) // 2
        if (found.group(2) == "ROOT") != (depth == 0) or depth > len(path):
            raise Unreadable(_WHAT, "a snapshot is below none", line=lines[at])
        values, at = _values(lines, at + 1, 2 * depth + 2)
        node = _node(values, depth, path[depth - 1] if depth else None)
        if any(node.id == other.id for other in nodes):
            raise Unreadable(_WHAT, f"the id {node.id} occurs twice")
        nodes.append(node)
        path[depth:] = [node.id]
    return nodes


def _values(lines: list[str], at: int, dashes: int) -> tuple[dict[str, str], int]:
    """The five values of a snapshot and the index of the line after them."""
    values: dict[str, str] = {}
    for label in ("Name", "Id", "Desciption", "Created On", "State"):
        found = _label(lines, at, dashes)
        if found is None or found[0] != label:
            raise Unreadable(_WHAT, f"a snapshot has no {label}", line=lines[at] if at < len(lines) else "")
        text = [found[1]]
        at += 1
        while label == "Desciption" and (_label(lines, at, dashes) or ("", ""))[0] != "Created On":
            if at >= len(lines):
                raise Unreadable(_WHAT, "it is cut off")
            text.append(lines[at])
            at += 1
        values[label] = "\n".join(text)
    return values, at


def _label(lines: list[str], at: int, dashes: int) -> tuple[str, str] | None:
    found = _FIELD.fullmatch(lines[at]) if at < len(lines) else None
    if found is None or len(found.group(1)) != dashes:
        return None
    return found.group(2).replace("Description", "Desciption"), found.group(3) or ""


def _node(values: dict[str, str], depth: int, parent_id: int | None) -> SnapshotNode:
    number, state = values["Id"].strip(), values["State"].strip()
    when = _CREATED.fullmatch(values["Created On"].strip())
    if not re.fullmatch("[0-9]{1,10}", number) or when is None or not re.fullmatch("[a-z ]+", state):
        raise Unreadable(_WHAT, "an id, time or state of unknown form", line=repr(values))
    month, day, year, hour, minute, second = (int(part) for part in when.groups())
    try:
        created = datetime(year, month, day, hour, minute, second, tzinfo=UTC)
    except ValueError:
        raise Unreadable(_WHAT, "a time that does not exist", line=values["Created On"]) from None
    return SnapshotNode(
        int(number), values["Name"], values["Desciption"].rstrip(" "), created, state, depth, parent_id
    )
