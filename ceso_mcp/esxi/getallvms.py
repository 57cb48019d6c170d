"""The table of `vim-cmd vmsvc/getallvms` (fact sheet vim-cmd §2).

Columns are padded to their longest value, the header's words are centred in them, rows are left
aligned and ordered by id as text; annotations are printed raw. What is guaranteed: every row
returned stands in exactly the columns that header and first row agree on, ids occur once and in
order. What is not: an annotation that imitates a row of this very table, columns and order
included, is taken for one. So a row is a hint where to look; the .vmx it names is the authority.
"""

from __future__ import annotations

import itertools
import re
from dataclasses import dataclass

from ceso_mcp.errors import Unreadable
from ceso_mcp.esxi.paths import DatastorePath

_WHAT = "getallvms"
_LABELS = ("Vmid", "Name", "File", "Guest OS", "Version", "Annotation")
_HEADER = re.compile(" *Vmid +Name +File +Guest OS +Version +Annotation *")
_SKIPPING = re.compile(r"Skipping invalid VM '([0-9]{1,10})'")
_LOOKS_LIKE_A_ROW = re.compile(r"([0-9]+) {3,}\S.* {3,}\[[^\]]*\] \S.* {2,}vmx-[0-9]+\b")
_GAP = 3


@dataclass(frozen=True, slots=True)
class VmRow:
    """A registered VM. `file` is None if `raw_file` is not a place on a datastore.

    Blanks at the end of a name or an annotation are lost in the padding.
    """

    vmid: int
    name: str
    file: DatastorePath | None
    raw_file: str
    guest_os: str
    version: str
    annotation: str


def parse_getallvms(stdout: str, stderr: str = "") -> tuple[list[VmRow], list[int]]:
    """(rows, ids of VMs that are registered and whose .vmx cannot be loaded).

    The latter come on standard error, or above the table where a terminal merged the streams
    (getallvms-5, getallvms-22). Other lines on standard error are notes and not read. Raises
    Unreadable for a table of another layout, such as 4.x prints.
    """
    invalid = [int(number) for number in _SKIPPING.findall(stderr)]
    lines = [line.rstrip("\r") for line in stdout.split("\n")]
    while lines and not lines[-1].strip():
        lines.pop()
    while lines and (found := _SKIPPING.fullmatch(lines[0].strip())):
        invalid.append(int(found.group(1)))
        lines.pop(0)
    if not lines or not _HEADER.fullmatch(lines[0]):
        raise Unreadable(_WHAT, "it has no header", line=lines[0] if lines else "")
    rows = _rows(lines[0], lines[1:]) if len(lines) > 1 else []
    ids = [str(row.vmid) for row in rows]
    if any(later <= earlier for earlier, later in itertools.pairwise(ids)):
        raise Unreadable(_WHAT, "its ids are not in order: an annotation may imitate a row")
    return rows, invalid


def _rows(header: str, lines: list[str]) -> list[VmRow]:
    """Rows by column.

    It is not known whether widths count characters or bytes of UTF-8 (fact sheet vim-cmd §10), so
    the reading that finds more rows is taken. A line that looks like a row and stands elsewhere is
    part of an annotation, or raises Unreadable if letters beyond ASCII may have moved it.
    """
    best: list[VmRow] = []
    for codec, unit in (("utf-32-le", 4), ("utf-8", 1)):
        first = lines[0].encode(codec, "surrogatepass")
        for offsets in _offsets(header):
            bounds = [offset * unit for offset in offsets]
            if _cells(first, bounds, codec) is not None:
                best = max(best, _split(lines, bounds, codec), key=len)
    if not best:
        raise Unreadable(_WHAT, "its first row does not stand in the columns of its header", line=lines[0])
    known = {str(row.vmid) for row in best}
    for line in lines:
        found = _LOOKS_LIKE_A_ROW.match(line)
        if found and not line.isascii() and found.group(1) not in known:
            raise Unreadable(_WHAT, "a row does not stand in the columns of its header", line=line)
    return best


def _offsets(header: str) -> list[list[int]]:
    """Where columns may start, given that the header's words are centred, odd blank on the right.

    A word that starts `left` blanks into its column makes it `2 * left` or one more blank wider.
    """
    starts: list[int] = []
    for label in _LABELS:
        starts.append(header.index(label, starts[-1] + 1 if starts else 0))
    found: list[list[int]] = []
    for odd in itertools.product((0, 1), repeat=len(_LABELS) - 1):
        offsets = [0]
        for start, label, extra in zip(starts, _LABELS, odd, strict=False):
            width = len(label) + 2 * (start - offsets[-1]) + extra
            offsets.append(offsets[-1] + width + _GAP)
        if all(start >= offset for start, offset in zip(starts, offsets, strict=True)):
            found.append(offsets)
    return found


def _cells(line: bytes, bounds: list[int], codec: str) -> list[str] | None:
    """The six cells of a row, None if the line does not stand in these columns."""
    try:
        cells = [line[a:b].decode(codec) for a, b in itertools.pairwise([*bounds, len(line)])]
    except UnicodeDecodeError:
        return None
    if len(line) < bounds[4]:
        return None
    for cell in cells[:4]:
        if not cell.endswith(" " * _GAP) or (cell.startswith(" ") and cell.strip(" ")):
            return None
    version = cells[4].rstrip(" ")
    if len(line) > bounds[5] and not cells[4].endswith(" " * _GAP):
        return None
    vmid, name, file, guest = (cell.rstrip(" ") for cell in cells[:4])
    if not re.fullmatch("[0-9]{1,10}", vmid) or not name:
        return None
    if not re.fullmatch(r"\[[^\[\]]*\] \S.*", file) or not re.fullmatch(r"vmx-[0-9]+", version):
        return None
    if not re.fullmatch(r"\S*", guest):
        return None
    return [vmid, name, file, guest, version, cells[5]]


def _split(lines: list[str], bounds: list[int], codec: str) -> list[VmRow]:
    rows: list[tuple[list[str], list[str]]] = []
    for line in lines:
        cells = _cells(line.encode(codec, "surrogatepass"), bounds, codec)
        if cells is not None:
            rows.append((cells, [cells[5]]))
        else:
            rows[-1][1].append(line)
    return [_row(cells, "\n".join(notes).rstrip(" ")) for cells, notes in rows]


def _row(cells: list[str], annotation: str) -> VmRow:
    vmid, name, raw_file, guest, version, _ = cells
    try:
        file = DatastorePath.parse(raw_file)
    except Unreadable:
        file = None
    return VmRow(int(vmid), name, file, raw_file, guest, version, annotation)
