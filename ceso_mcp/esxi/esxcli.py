"""esxcli's text forms: tables with a rule row, and blocks of `Label: value` (fact sheet esxcli §1.5)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from ceso_mcp.errors import Unreadable

_LABEL = re.compile(r"^( {3,})(\S[^:]*):(?: (.*)|)$")


@dataclass(frozen=True, slots=True)
class Volume:
    mount_point: str
    name: str
    uuid: str
    mounted: bool
    type: str
    size_bytes: int
    free_bytes: int


@dataclass(frozen=True, slots=True)
class Portgroup:
    name: str
    virtual_switch: str
    active_clients: int
    vlan_id: int


@dataclass(frozen=True, slots=True)
class RunningVm:
    world_id: int
    uuid: str
    display_name: str
    config_file: str


@dataclass(frozen=True, slots=True)
class CpuGlobal:
    packages: int
    cores: int
    threads: int


@dataclass(frozen=True, slots=True)
class PciDevice:
    address: str
    vendor_name: str
    device_name: str
    passthru_capable: bool


def table(stdout: str) -> list[dict[str, str]]:
    """Rows of a table, cut at the rule row; the last column runs to the end of the line."""
    lines = [line for line in stdout.replace("\r\n", "\n").split("\n") if line.strip()]
    if not lines:
        return []
    if len(lines) < 2 or not re.fullmatch(r"-+(  -+)*", lines[1].rstrip()):
        raise Unreadable("a table of esxcli", "its rule row is missing", line=lines[0])
    spans = [(m.start(), m.end()) for m in re.finditer(r"-+", lines[1])]
    spans[-1] = (spans[-1][0], 1 << 20)
    names = [lines[0][a:b].strip() for a, b in spans]
    rows = []
    for line in lines[2:]:
        if any(line[b : b + 2].strip() for _, b in spans[:-1]):
            raise Unreadable("a table of esxcli", "a row does not keep to the columns", line=line)
        rows.append({name: line[a:b].strip() for name, (a, b) in zip(names, spans, strict=True)})
    return rows


def blocks(stdout: str) -> list[tuple[str, dict[str, str]]]:
    """(header, fields) of each block; fields of nested structures are left to their label."""
    found: list[tuple[str, dict[str, str]]] = []
    for line in stdout.replace("\r\n", "\n").split("\n"):
        if not line.strip():
            continue
        match = _LABEL.match(line)
        if match is None and not line.startswith(" "):
            found.append((line.strip(), {}))
        elif match is None:
            raise Unreadable("a block of esxcli", "a line is no field", line=line)
        else:
            if not found:
                found.append(("", {}))
            if len(match[1]) == 3:
                found[-1][1][match[2]] = (match[3] or "").strip()
    return found


def block(stdout: str) -> Mapping[str, str]:
    """The fields of the one block."""
    found = blocks(stdout)
    if len(found) != 1:
        raise Unreadable("an answer of esxcli", f"it has {len(found)} blocks, not one")
    return found[0][1]


def filesystems(stdout: str) -> list[Volume]:
    return [
        Volume(
            row["Mount Point"],
            row["Volume Name"],
            row["UUID"],
            _flag(row["Mounted"]),
            row["Type"],
            _number(row["Size"]),
            _number(row["Free"]),
        )  # fmt: skip
        for row in _with(
            table(stdout), "Mount Point", "Volume Name", "UUID", "Mounted", "Type", "Size", "Free"
        )
    ]


def portgroups(stdout: str) -> list[Portgroup]:
    return [
        Portgroup(row["Name"], row["Virtual Switch"], _number(row["Active Clients"]), _number(row["VLAN ID"]))
        for row in _with(table(stdout), "Name", "Virtual Switch", "Active Clients", "VLAN ID")
    ]


def vm_processes(stdout: str) -> list[RunningVm]:
    found = []
    for header, fields in blocks(stdout):
        try:
            found.append(
                RunningVm(
                    _number(fields["World ID"]), fields["UUID"], fields["Display Name"], fields["Config File"]
                )
            )
        except KeyError as error:
            raise Unreadable("the running VMs", f"{error} is missing", line=header) from None
    return found


def cpu_global(stdout: str) -> CpuGlobal:
    fields = block(stdout)
    try:
        return CpuGlobal(*(_number(fields[f"CPU {part}"]) for part in ("Packages", "Cores", "Threads")))
    except KeyError as error:
        raise Unreadable("the CPUs", f"{error} is missing") from None


def hardware_memory(stdout: str) -> int:
    """Physical memory in bytes."""
    text = block(stdout).get("Physical Memory", "")
    match = re.fullmatch(r"(\d+) Bytes", text)
    if match is None:
        raise Unreadable("the memory", "Physical Memory is not a number of bytes", line=text)
    return int(match[1])


def pci_devices(stdout: str) -> list[PciDevice]:
    return [
        PciDevice(
            fields.get("Address", header),
            fields.get("Vendor Name", ""),
            fields.get("Device Name", ""),
            _flag(fields.get("Passthru Capable", "false")),
        )  # fmt: skip
        for header, fields in blocks(stdout)
    ]


def _with(rows: list[dict[str, str]], *names: str) -> list[dict[str, str]]:
    for row in rows:
        for name in names:
            if name not in row:
                raise Unreadable("a table of esxcli", f"the column {name} is missing")
    return rows


def _flag(text: str) -> bool:
    if text.lower() not in ("true", "false"):
        raise Unreadable("an answer of esxcli", "a truth value is neither true nor false", line=text)
    return text.lower() == "true"


def _number(text: str) -> int:
    if not re.fullmatch(r"-?\d+", text):
        raise Unreadable("an answer of esxcli", "a number is not one", line=text)
    return int(text)
