"""A world described in a TOML file: read, checked, and refused with the place of the mistake."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any, TypeVar

from ceso_mcp.errors import LabFault
from ceso_mcp.lab.blueprint import (
    GIB,
    RELEASES,
    USUAL_DATASTORES,
    USUAL_PORTGROUPS,
    Blueprint,
    DatastorePlan,
    DiskPlan,
    PortgroupPlan,
    VmPlan,
)

Kind = TypeVar("Kind", str, int, float, bool, list[Any], dict[str, Any])
DATASTORE_TYPES = ("VMFS-5", "VMFS-6", "NFS", "NFS41")
DISK_KINDS = ("thin", "zeroedthick", "eagerzeroedthick")
STATES = ("off", "on")
NAMES: dict[type, str] = {
    str: "a text",
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    list: "a list",
    dict: "a table",
}


class Table:
    """One table of the file; every key must be asked for, or `done()` refuses it."""

    def __init__(self, value: Any, place: str) -> None:
        if not isinstance(value, dict):
            raise LabFault(f"the world file: {place} must be a table")
        self._left = dict(value)
        self.place = place

    def refuse(self, key: str, why: str) -> LabFault:
        return LabFault(f"the world file: {self.place}: {key} {why}")

    def take(self, key: str, kind: type[Kind], usual: Kind | None = None) -> Kind:
        """The value of `key`; None for `usual` makes the key necessary."""
        if key not in self._left:
            if usual is None:
                raise self.refuse(key, "is missing")
            return usual
        value = self._left.pop(key)
        if kind is float and isinstance(value, int) and not isinstance(value, bool):
            value = float(value)
        if not isinstance(value, kind) or (kind is not bool and isinstance(value, bool)):
            raise self.refuse(key, f"must be {NAMES[kind]}, not {value!r}")
        return value

    def above_zero(self, key: str, usual: int | None = None) -> int:
        value = self.take(key, int, usual)
        if value < 1:
            raise self.refuse(key, f"must be at least 1, not {value}")
        return value

    def one_of(self, key: str, words: tuple[str, ...], usual: str) -> str:
        value = self.take(key, str, usual)
        if value not in words:
            raise self.refuse(key, f"must be one of {', '.join(words)}, not {value!r}")
        return value

    def tables(self, key: str) -> list[Table]:
        """The tables `[[key]]`, each with its number as its place."""
        found = self.take(key, list, [])
        return [Table(item, f"{self._prefix()}{key} {at}") for at, item in enumerate(found, 1)]

    def _prefix(self) -> str:
        return "" if self.place == "the top" else f"{self.place}, "

    def done(self) -> None:
        for key in self._left:
            raise self.refuse(key, "is not known")


def read(path: Path, release: str | None = None) -> Blueprint:
    """The blueprint in the file; `release` wins over the file's. Raises `LabFault` naming the mistake."""
    try:
        value = tomllib.loads(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise LabFault(f"the world file {path} cannot be read: {error}") from None
    except tomllib.TOMLDecodeError as error:
        raise LabFault(f"the world file {path} is not TOML: {error}") from None
    return plan(value, release)


def plan(value: dict[str, Any], release: str | None = None) -> Blueprint:
    """The blueprint that the parsed file describes."""
    top = Table(value, "the top")
    datastores = tuple(_datastore(item) for item in top.tables("datastore")) or USUAL_DATASTORES
    portgroups = tuple(_portgroup(item) for item in top.tables("portgroup")) or USUAL_PORTGROUPS
    _unique("datastore", [item.name for item in datastores])
    _unique("portgroup", [item.name for item in portgroups])
    vms = tuple(
        _vm(item, [store.name for store in datastores], [group.name for group in portgroups])
        for item in top.tables("vm")
    )
    _unique("vm", [f"[{vm.datastore}] {vm.stem}" for vm in vms])
    host = Table(top.take("host", dict, {}), "host")
    made = Blueprint(
        release=release or host.one_of("release", tuple(RELEASES), "8.0"),
        hostname=host.take("hostname", str, Blueprint.hostname),
        memory_bytes=host.above_zero("memory_mib", Blueprint.memory_bytes >> 20) << 20,
        cpu_packages=host.above_zero("cpu_packages", Blueprint.cpu_packages),
        cpu_cores=host.above_zero("cpu_cores", Blueprint.cpu_cores),
        cpu_threads=host.above_zero("cpu_threads", Blueprint.cpu_threads),
        cpu_mhz=host.above_zero("cpu_mhz", Blueprint.cpu_mhz),
        datastores=datastores,
        portgroups=portgroups,
        vms=vms,
    )
    if release is not None:
        host.take("release", str, release)
    host.done()
    top.done()
    return made


def _unique(what: str, names: list[str]) -> None:
    for name in names:
        if names.count(name) > 1:
            raise LabFault(f"the world file: two {what}s are named {name!r}")


def _datastore(table: Table) -> DatastorePlan:
    name = table.take("name", str)
    if not name or "/" in name:
        raise table.refuse("name", "must not be empty and must not hold a slash")
    size_gib = table.take("size_gib", float)
    if size_gib < 2:
        raise table.refuse("size_gib", f"must be at least 2, not {size_gib:g}")
    made = DatastorePlan(name, int(size_gib * GIB), table.one_of("type", DATASTORE_TYPES, "VMFS-6"))
    table.done()
    return made


def _portgroup(table: Table) -> PortgroupPlan:
    made = PortgroupPlan(
        table.take("name", str), table.take("vswitch", str, "vSwitch0"), table.take("vlan", int, 0)
    )
    if not 0 <= made.vlan <= 4095:
        raise table.refuse("vlan", f"must be from 0 to 4095, not {made.vlan}")
    table.done()
    return made


def _disk(table: Table) -> DiskPlan:
    size_mib = int(table.take("size_gib", float, 1.0) * 1024)
    data_mib = table.take("data_mib", int, 2)
    if size_mib < 1 or not 0 <= data_mib <= size_mib:
        raise table.refuse("data_mib", "must be from 0 to the disk's size, which must be at least 1 MiB")
    made = DiskPlan(size_mib, data_mib, table.one_of("kind", DISK_KINDS, "thin"))
    table.done()
    return made


def _vm(table: Table, datastores: list[str], portgroups: list[str]) -> VmPlan:
    name = table.take("name", str)
    table.place = f"vm {name!r}"
    folder = table.take("folder", str, "")
    if not name or "/" in folder:
        raise table.refuse("name", "must not be empty, and folder must not hold a slash")
    networks = table.take("networks", list, ["VM Network"] if "VM Network" in portgroups else [])
    for network in networks:
        if network not in portgroups:
            raise table.refuse("networks", f"names {network!r}, which is no portgroup of this world")
    memory_mib = table.above_zero("memory_mib", 512)
    if memory_mib % 4:
        raise table.refuse("memory_mib", f"must be a multiple of 4, not {memory_mib}")
    snapshots = table.take("snapshots", list, [])
    if not all(isinstance(item, str) for item in snapshots):
        raise table.refuse("snapshots", "must be a list of names")
    made = VmPlan(
        name,
        table.one_of("datastore", tuple(datastores), datastores[0]),
        folder,
        tuple(_disk(item) for item in table.tables("disk")) or (DiskPlan(),),
        tuple(networks),
        memory_mib,
        table.above_zero("cpus", 1),
        table.take("annotation", str, ""),
        table.take("guest", bool, False),
        table.take("guest_os", str, ""),
        table.one_of("firmware", ("bios", "efi"), "bios"),
        table.take("hardware_version", int, 0),
        table.one_of("state", STATES, "off") == "on",
        tuple(snapshots),
    )
    if len(made.disks) > 15:
        raise table.refuse("disk", "is given more than 15 times")
    table.done()
    return made
