"""`vim-cmd vmsvc/snapshot.get` (fact sheet vim-cmd §5)."""

from __future__ import annotations

import re
from dataclasses import dataclass

from ceso_mcp.errors import Unreadable

_LABEL = re.compile(
    r"^\s*-*-?-(Snapshot Name|Snapshot Id|Snapshot Desciption|Snapshot Created On|Snapshot State)\s*: ?(.*)$"
)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One snapshot; `depth` 0 is a root."""

    id: int
    name: str
    description: str
    depth: int


def parse_snapshots(stdout: str) -> list[Snapshot]:
    """The snapshots in the order printed, parents before children. Raises Unreadable."""
    lines = stdout.replace("\r\n", "\n").rstrip("\n").split("\n")
    if not lines or not lines[0].startswith("Get Snapshot"):
        raise Unreadable("the snapshots", "the title is missing", line=lines[0] if lines else "")
    found: list[dict[str, str]] = []
    depths: list[int] = []
    label = ""
    for line in lines[1:]:
        if re.match(r"^\s*\|-(ROOT|CHILD)\s*$", line):
            found.append({})
            depths.append(line.index("|") // 3 if "CHILD" in line else 0)
            continue
        match = _LABEL.match(line)
        if match and found:
            label = match[1]
            found[-1][label] = match[2]
        elif found and label == "Snapshot Desciption":
            found[-1][label] += f"\n{line}"
        elif line.strip():
            raise Unreadable("the snapshots", "a line is of no known form", line=line)
    try:
        return [
            Snapshot(int(f["Snapshot Id"]), f["Snapshot Name"], f.get("Snapshot Desciption", ""), d)
            for f, d in zip(found, depths, strict=True)
        ]
    except (KeyError, ValueError):
        raise Unreadable("the snapshots", "a snapshot has no id or name") from None
