"""LVM2: the logical volumes of a group whose physical volume is one partition.

Sources: lib/format_text/layout.h and lib/label/label.c of LVM2 (label, physical volume, metadata
area and the initial value of its checksums), lvm.conf(5) for the grammar of the metadata's text.
"""

from __future__ import annotations

import re
import struct
import zlib
from dataclasses import dataclass
from typing import Any

from ceso_mcp.guest.disk.ranges import Asking, Piece, Range, Unknown, Volume, ask

_CRC_START = 0xF597A6CF
_SECTOR_BYTES = 512
_LABEL = struct.Struct("<8sQII8s")
_AREA = struct.Struct("<QQ")
_MDA = struct.Struct("<I16sIQQ")
_MDA_MAGIC = b" LVM2 x[5A%r0N*>"
_LOCATION = struct.Struct("<QQII")
_IGNORED = 1
_MAX_TEXT = 4 << 20
_TOKEN = re.compile(r'\s+|#[^\n]*|("(?:[^"\\]|\\.)*")|([A-Za-z0-9_.+-]+)|([{}=\[\],])')


@dataclass(frozen=True, slots=True)
class Group:
    """A volume group. `volumes` maps a logical volume's name to it, or to why it cannot be read.

    `ids` maps its name to `VGUUID` + `LVUUID` without dashes, by which device-mapper names it.
    """

    name: str
    volumes: dict[str, Volume | Unknown]
    ids: dict[str, str]


def is_physical_volume(first_sectors: bytes) -> bool:
    """Whether the first four sectors of a partition carry LVM2's label."""
    return _label_at(first_sectors) is not None


def _label_at(data: bytes) -> int | None:
    for at in range(0, min(len(data), 4 * _SECTOR_BYTES), _SECTOR_BYTES):
        if data[at : at + 8] == b"LABELONE" and data[at + 24 : at + 32] == b"LVM2 001":
            return at
    return None


def checksum(data: bytes) -> int:
    """LVM2's checksum: CRC-32 from a start value of its own, not inverted."""
    return zlib.crc32(data, _CRC_START ^ 0xFFFFFFFF) ^ 0xFFFFFFFF


def group_on(partition_bytes: int) -> Asking[Group]:
    """The group of a physical volume; asks for ranges of the partition, on which its volumes lie."""
    head = yield from ask(0, 4 * _SECTOR_BYTES)
    at = _label_at(head)
    if at is None:
        raise Unknown("it has no LVM2 label")
    _, _, crc, offset, _ = _LABEL.unpack_from(head, at)
    sector = head[at : at + _SECTOR_BYTES]
    if checksum(sector[20:]) != crc or not 32 <= offset < 400:
        raise Unknown("the checksum of its LVM2 label is wrong")
    uuid = sector[offset : offset + 32].decode("ascii", "replace")
    areas = _metadata_areas(sector, offset + 40)
    if not areas:
        raise Unknown("its LVM2 metadata lies on another disk")
    text = yield from _text(areas[0])
    return _group(parse(text), uuid, partition_bytes)


def _metadata_areas(sector: bytes, at: int) -> list[Range]:
    lists: list[list[Range]] = [[]]
    while len(lists) < 3:
        if at + _AREA.size > len(sector):
            raise Unknown("its LVM2 label is damaged")
        start, size = _AREA.unpack_from(sector, at)
        at += _AREA.size
        if start == 0:
            lists.append([])
        else:
            lists[-1].append(Range(start, size))
    return lists[1]


def _text(area: Range) -> Asking[str]:
    header = yield from ask(area.start, _SECTOR_BYTES)
    crc, magic, version, start, size = _MDA.unpack_from(header)
    if magic != _MDA_MAGIC or version != 1 or checksum(header[4:]) != crc or start != area.start:
        raise Unknown("the header of its LVM2 metadata is damaged")
    offset, length, text_crc, flags = _LOCATION.unpack_from(header, _MDA.size)
    if flags & _IGNORED or not 0 < length <= _MAX_TEXT or not _SECTOR_BYTES <= offset < size:
        raise Unknown("it has no LVM2 metadata in use")
    # The text runs round: what does not fit before the end goes on after the header.
    here = min(length, size - offset)
    wanted = [Range(start + offset, here)]
    if here < length:
        wanted.append(Range(start + _SECTOR_BYTES, length - here))
    data = b"".join((yield wanted))
    if checksum(data) != text_crc:
        raise Unknown("the checksum of its LVM2 metadata is wrong")
    return data.rstrip(b"\0").decode("utf-8", "replace")


def parse(text: str) -> dict[str, Any]:
    """The metadata's text as nested dictionaries; raises Unknown for a text of another form."""
    tokens: list[str] = []
    at = 0
    while at < len(text):
        found = _TOKEN.match(text, at)
        if found is None:
            raise Unknown("the text of its LVM2 metadata has an unknown form")
        at = found.end()
        if token := next((part for part in found.groups() if part is not None), None):
            tokens.append(token)
    section, used = _section(tokens, 0, 0)
    if used != len(tokens):
        raise Unknown("the text of its LVM2 metadata has an unknown form")
    return section


def _section(tokens: list[str], at: int, depth: int) -> tuple[dict[str, Any], int]:
    found: dict[str, Any] = {}
    while at < len(tokens) and tokens[at] != "}":
        name, mark = tokens[at], tokens[at + 1] if at + 1 < len(tokens) else ""
        if mark == "{" and depth < 8:
            found[name], at = _section(tokens, at + 2, depth + 1)
            if at >= len(tokens):
                raise Unknown("the text of its LVM2 metadata ends too early")
            at += 1
        elif mark == "=" and at + 2 < len(tokens):
            found[name], at = _value(tokens, at + 2)
        else:
            raise Unknown("the text of its LVM2 metadata has an unknown form")
    return found, at


def _value(tokens: list[str], at: int) -> tuple[Any, int]:
    if tokens[at] != "[":
        return _scalar(tokens[at]), at + 1
    found = []
    at += 1
    while at < len(tokens) and tokens[at] != "]":
        if tokens[at] != ",":
            found.append(_scalar(tokens[at]))
        at += 1
    if at >= len(tokens):
        raise Unknown("the text of its LVM2 metadata ends too early")
    return found, at + 1


def _scalar(token: str) -> str | int:
    if token.startswith('"'):
        return re.sub(r"\\(.)", r"\1", token[1:-1])
    return int(token) if re.fullmatch(r"-?\d+", token) else token


def _group(document: dict[str, Any], uuid: str, partition_bytes: int) -> Group:
    groups = [(name, value) for name, value in document.items() if isinstance(value, dict)]
    if len(groups) != 1:
        raise Unknown("its LVM2 metadata names no volume group")
    name, group = groups[0]
    try:
        extent = int(group["extent_size"]) * _SECTOR_BYTES
        starts = {
            pv: int(value["pe_start"]) * _SECTOR_BYTES
            for pv, value in group["physical_volumes"].items()
            if str(value["id"]).replace("-", "") == uuid
        }
        volumes: dict[str, Volume | Unknown] = {}
        ids = {}
        for lv, value in group.get("logical_volumes", {}).items():
            ids[lv] = f"{group['id']}{value['id']}".replace("-", "")
            try:
                volumes[lv] = _logical_volume(f"{name}/{lv}", value, extent, starts, partition_bytes)
            except Unknown as reason:
                volumes[lv] = reason
    except (KeyError, TypeError, ValueError, AttributeError):
        raise Unknown("its LVM2 metadata lacks what it must have") from None
    return Group(name, volumes, ids)


def _logical_volume(
    name: str, value: dict[str, Any], extent: int, starts: dict[str, int], partition_bytes: int
) -> Volume:
    pieces: list[Piece] = []
    at = 0
    for number in range(1, int(value["segment_count"]) + 1):
        segment = value[f"segment{number}"]
        if segment["type"] != "striped" or segment.get("stripe_count") != 1:
            raise Unknown(f"{name} is of the LVM2 type {segment['type']}, not linear")
        pv, first = segment["stripes"]
        if pv not in starts:
            raise Unknown(f"{name} lies in part on another disk")
        if int(segment["start_extent"]) * extent != at:
            raise Unknown(f"the segments of {name} are out of order")
        length = int(segment["extent_count"]) * extent
        start = starts[pv] + int(first) * extent
        if length <= 0 or start + length > partition_bytes:
            raise Unknown(f"{name} lies beyond the end of its partition")
        pieces.append(Piece(at, length, start))
        at += length
    return Volume(name, tuple(pieces))
