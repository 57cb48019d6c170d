"""The table of `vim-cmd vmsvc/getallvms` (fact sheet vim-cmd §2).

Rows are padded columns; annotations are printed raw and can hold lines that look like rows. What is
promised: ids and files are those of the table's columns, each id and each file at most once, or
Unreadable. A look-alike row inside an annotation needs the File column's exact offset and a free id.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from ceso_mcp.errors import Unreadable
from ceso_mcp.esxi.paths import DatastorePath

_HEADER = re.compile(r"^Vmid\s+Name\s+File\s+Guest OS\s+Version\s+Annotation\s*$")
_ROW = re.compile(
    r"^(?P<vmid>\d+)\s{3,}(?P<name>\S.*?)\s{3,}(?P<file>\[[^\]]*\] \S.*?\.vmx)\s{2,}(?P<os>\S+)\s{2,}"
    r"(?P<version>vmx-\d+)(?:\s+(?P<annotation>.*))?$"
)
_SKIPPED = re.compile(r"^Skipping invalid VM '(\d+)'\s*$")


@dataclass(frozen=True, slots=True)
class VmRow:
    """One row. `file` is None for a VM whose path is on no datastore (vCLS)."""

    vmid: int
    name: str
    file: DatastorePath | None
    raw_file: str
    guest_os: str
    version: str
    annotation: str


def parse_getallvms(stdout: str, stderr: str = "") -> tuple[list[VmRow], list[int]]:
    """Rows by id as printed, and the ids of invalid VMs. Raises Unreadable."""
    invalid: list[int] = []
    lines = []
    for line in [*stderr.split("\n"), *stdout.split("\n")]:
        skipped = _SKIPPED.match(line)
        if skipped:
            invalid.append(int(skipped[1]))
        elif line in stdout.split("\n"):
            lines.append(line)
    while lines and not lines[0].strip():
        lines.pop(0)
    if not lines or not _HEADER.match(lines[0]):
        raise Unreadable("the table of VMs", "its header is missing", line=lines[0] if lines else "")
    rows: list[VmRow] = []
    offset: int | None = None
    for line in lines[1:]:
        match = _ROW.match(line)
        if match and (offset is None or match.start("file") == offset):
            offset = match.start("file")
            rows.append(_row(match))
        elif rows:
            last = rows[-1]
            rows[-1] = VmRow(
                last.vmid, last.name, last.file, last.raw_file, last.guest_os, last.version,
                f"{last.annotation}\n{line}".rstrip(),
            )  # fmt: skip
        elif line.strip():
            raise Unreadable("the table of VMs", "a line is no row", line=line)
    if len({row.vmid for row in rows}) != len(rows) or len({row.raw_file for row in rows}) != len(rows):
        raise Unreadable("the table of VMs", "an id or a file occurs twice: an annotation may imitate a row")
    return rows, invalid


def _row(match: re.Match[str]) -> VmRow:
    raw = match["file"]
    path = None if raw.startswith("[]") else DatastorePath.parse(raw)
    return VmRow(
        int(match["vmid"]), match["name"], path, raw, match["os"], match["version"],
        (match["annotation"] or "").rstrip(),
    )  # fmt: skip
