"""Every capture of esxcli: from a stated world the lab prints it to the byte, or it is listed why not.

Where the source of a capture lost blanks at line ends (`ENDS`) or all indentation and blank lines (`FLAT`),
the comparison leaves those out on both sides.
"""

from __future__ import annotations

import asyncio
import io
import re
import time
import zipfile
from calendar import timegm
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from test_reproduce_vim import Stated, captured, ends_stripped, state

from ceso_mcp.lab.esxcli_ground import table
from ceso_mcp.lab.esxcli_options import Command, Option
from ceso_mcp.lab.host_config import Ruleset, Setting, Vswitch
from ceso_mcp.lab.program_socket import ProgramSocket
from ceso_mcp.lab.world import ON, Datastore, Portgroup, Vm

HERE = Path(__file__).parent / "transcripts"
NAMES = sorted(path.stem for path in HERE.glob("esxcli-*.txt"))
Row = dict[str, Any]
Make = Callable[[Path, str], tuple[str, str]]
MADE: dict[str, Make] = {}


def reproduces(*names: str) -> Callable[[Make], Make]:
    """The function returns what the lab prints and what is expected of it."""

    def keep(function: Make) -> Make:
        MADE.update({f"esxcli-{name}": function for name in names})
        return function

    return keep


def host(folder: Path, version: str = "8.0.3", **facts: Any) -> Stated:
    """A bare host; `facts` are fields of the world or of its configuration."""
    made = state(folder)
    made.world.version = version
    for name, value in facts.items():
        setattr(made.world if hasattr(made.world, name) else made.world.host, name, value)
    made.hostd.rebuild(made.world)
    return made


def esxcli(stated: Stated, line: str) -> str:
    """stdout; a line that ends in `-> 1` fails with that status. stderr is always empty."""
    words, _, status = line.partition(" -> ")
    result = stated.hostd.cli.run(words.split())
    assert (result.exit, result.stderr) == (int(status or 0), "")
    return result.stdout


def typed(text: str) -> str | int | bool:
    if text in ("true", "false"):
        return text == "true"
    return int(text) if re.fullmatch(r"-?(0|[1-9]\d*)", text) else text


def rows_of_table(text: str, strings: str = "") -> list[Row]:
    """The rows of a captured table, cut at its rule; columns in `strings` (`a;b`) are kept as text."""
    head, rule, *lines = text.splitlines()
    spans = [found.span() for found in re.finditer("-+", rule)]
    spans[-1] = (spans[-1][0], 10_000)
    columns = [head[a:b].strip() for a, b in spans]
    kept = strings.split(";")
    cells = [[line[a:b].strip() for a, b in spans] for line in lines]
    return [
        {name: cell if name in kept else typed(cell) for name, cell in zip(columns, row, strict=True)}
        for row in cells
    ]


def rows_of_blocks(text: str, lists: str = "", strings: str = "", headed: bool = True) -> list[Row]:
    """The fields of captured blocks; columns in `lists` hold lists. The header line is `Heading`."""
    rows = []
    for block in text.rstrip("\n").split("\n\n"):
        lines = block.splitlines()
        row: Row = {"Heading": lines.pop(0)} if headed else {}
        for line in lines:
            name, _, value = line.strip().partition(":")
            value = value.strip()
            if name in lists.split(";"):
                row[name] = value.split(", ") if value else []
            else:
                row[name] = value if name in strings.split(";") else typed(value)
        rows.append(row)
    return rows


def store(name: str, uuid: str, size: int = 1 << 40, kind: str = "VMFS-6") -> Datastore:
    return Datastore(name, uuid, size, kind)


# --- system

VERSIONS = {
    "version-1": ("8.0.3", "25205845", "3", "95"),
    "version-2": ("8.0.1", "21495797", "1", "0"),
    "version-4": ("6.7.0", "14320388", "3", "73"),
    "version-5": ("6.5.0", "8294253", "2", "50"),
}


@reproduces(*VERSIONS)
def _version(folder: Path, name: str) -> tuple[str, str]:
    version, build, update, level = VERSIONS[name.removeprefix("esxcli-")]
    stated = host(folder, version, build=build, update=update, patch=level)
    options = "--debug --formatter=json " if name.endswith("-1") else ""
    return esxcli(stated, f"{options}system version get"), captured(name)


# name: version, facts, command
PLAIN: dict[str, tuple[str, Row, str]] = {
    "hostname-1": ("6.5.0", {"hostname": "localhost"}, "system hostname get"),
    "installtime-1": ("6.5.0", {"installed_on": "2018-12-02T05:25:49"}, "system stats installtime get"),
    "account-list-1": ("6.5.0", {}, "system account list"),
    "account-add-help-1": ("6.5.0", {}, "system account add --help"),
    "permission-list-1": ("6.7.0", {}, "system permission list"),
    "maintenance-1": ("7.0.3", {"maintenance": True}, "system maintenanceMode get"),
    "settings-encryption-error-1": (
        "7.0.3",
        {},
        "system settings encryption set --require-secure-boot=T -> 1",
    ),
    "platform-1": (
        "8.0.3",
        {
            "hardware_uuid": "4c4c4544-0059-3410-804b-b8c04f353232",
            "vendor": "Dell Inc.",
            "model": "PowerEdge R620",
            "serial": "8Y4K522",
        },
        "hardware platform get",
    ),
    "cpu-global-2": (
        "8.0.3",
        {"cpu_packages": 2, "cpu_cores": 20, "cpu_threads": 40},
        "hardware cpu global get",
    ),
    "memory-2": ("8.0.3", {"memory_bytes": 240470433792, "numa_nodes": 2}, "hardware memory get"),
    "memory-3": ("6.5.0", {"memory_bytes": 34133794816, "numa_nodes": 1}, "hardware memory get"),
    "pcipassthru-set-error-1": (
        "8.0.3",
        {"passthru": {"0000:31:00.0": True}},
        "hardware pci pcipassthru set -a -d 0000:31:00.0 -e true -> 1",
    ),
    "firewall-get-1": ("5.0.0", {}, "network firewall get"),
    "firewall-ruleset-list-1": (
        "5.0.0",
        {"rulesets": [Ruleset("remoteSerialPort", False)]},
        "network firewall ruleset list -r remoteSerialPort",
    ),
    "firewall-rule-list-1": (
        "5.0.0",
        {
            "rulesets": [
                Ruleset(
                    "remoteSerialPort",
                    False,
                    [
                        ["Outbound", "TCP", "Dst", 0, 65535],
                        ["Inbound", "TCP", "Dst", 23, 23],
                        ["Inbound", "TCP", "Dst", 1024, 65535],
                    ],
                )
            ]
        },
        "network firewall ruleset rule list -r remoteSerialPort",
    ),
    "firewall-set-already-1": (
        "6.5.0",
        {},
        "network firewall ruleset set --ruleset-id snmp --allowed-all true -> 1",
    ),
    "error-unknown-1": ("6.0.0", {}, "graphics host refresh -> 1"),
    "error-formatter-1": ("8.0.3", {}, "--formatter=json system version get -> 1"),
    "error-fault-1": ("8.0.3", {}, "network sriovnic vf list -n vmnic6 -> 1"),
}


@reproduces(*PLAIN)
def _plain(folder: Path, name: str) -> tuple[str, str]:
    version, facts, line = PLAIN[name.removeprefix("esxcli-")]
    return esxcli(host(folder, version, **facts), line), captured(name)


@reproduces("time-1")
def _time(folder: Path, name: str) -> tuple[str, str]:
    moment = time.strptime("2021-08-13 08:46:15", "%Y-%m-%d %H:%M:%S")
    stated = host(folder, "6.7.0")
    with patch("time.gmtime", return_value=time.gmtime(timegm(moment))):
        return esxcli(stated, "system time get"), captured(name)


@reproduces("uptime-1")
def _uptime(folder: Path, name: str) -> tuple[str, str]:
    stated = host(folder, "7.0.3", booted_at=0.0)
    with patch("time.time", return_value=42825.414367):
        return esxcli(stated, "system stats uptime get"), captured(name)


@reproduces("settings-advanced-1", "settings-advanced-2")
def _advanced(folder: Path, name: str) -> tuple[str, str]:
    (row,) = rows_of_blocks(captured(name), headed=False)
    setting = Setting(
        row["Path"],
        row["Int Value"],
        row["Default Int Value"],
        row["Min Value"],
        row["Max Value"],
        description=row["Description"],
    )
    stated = host(folder, "6.0.0", settings=[setting])
    stated.world.vim.advanced[setting.path[1:].replace("/", ".")] = setting.value
    return esxcli(stated, f"system settings advanced list -o {setting.path}"), captured(name)


@reproduces("settings-kernel-1", "settings-kernel-2")
def _kernel(folder: Path, name: str) -> tuple[str, str]:
    rows = rows_of_table(captured(name), "Configured;Runtime;Default")
    stated = host(folder, "5.5.0" if name.endswith("-1") else "7.0.3", kernel=rows)
    return esxcli(stated, f"system settings kernel list -o {rows[0]['Name']}"), captured(name)


@reproduces("syslog-config-1", "syslog-config-2")
def _syslog(folder: Path, name: str) -> tuple[str, str]:
    (row,) = rows_of_blocks(captured(name), headed=False)
    return esxcli(host(folder, "6.5.0", syslog=row), "system syslog config get"), captured(name)


# --- hardware and storage


@reproduces("cpu-list-1", "cpu-list-2")
def _cpus(folder: Path, name: str) -> tuple[str, str]:
    (row,) = rows_of_blocks(captured(name))
    del row["Heading"]
    return esxcli(host(folder, "7.0.3", cpus=[row]), "hardware cpu list"), captured(name)


@reproduces("localcli-usb-1")
def _usb(folder: Path, name: str) -> tuple[str, str]:
    rows = rows_of_table(captured(name), "Bus;Dev;VendorId;ProductId")
    shown = [{**row, "Enabled": "true"} for row in rows]
    return localcli(host(folder, "7.0.3", usb=shown), "hardware usb passthrough device list"), captured(name)


def localcli(stated: Stated, line: str) -> str:
    """localcli while hostd is down."""
    stated.hostd.restart(60)
    socket = ProgramSocket(stated.hostd)
    return asyncio.run(socket._program(["localcli", *line.split()], "/")).stdout


@reproduces("filesystem-1", "filesystem-2", "filesystem-3")
def _filesystems(folder: Path, name: str) -> tuple[str, str]:
    rows = rows_of_table(captured(name), "Volume Name;UUID")
    stated = host(folder, "6.7.0" if name.endswith("-3") else "8.0.3")
    free = {}
    for row in rows:
        if row["Type"].startswith("VMFS-"):
            stated.world.datastores.append(store(row["Volume Name"], row["UUID"], row["Size"], row["Type"]))
            free[row["UUID"]] = row["Free"]
        else:
            stated.world.host.boot_volumes.append(row)
    stated.hostd.storage.free_bytes = lambda item: free[item.uuid]  # type: ignore[method-assign]
    return esxcli(stated, "storage filesystem list"), captured(name)


NFS = {"nfs-list-2": "6.7.0", "nfs-list-4": "7.0.0"}


@reproduces(*NFS)
def _nfs(folder: Path, name: str) -> tuple[str, str]:
    stated = host(folder, NFS[name.removeprefix("esxcli-")])
    for row in rows_of_table(captured(name)):
        mount = store(row["Volume Name"], row["Volume Name"], kind="NFS")
        mount.remote_host, mount.share, mount.accessible = row["Host"], row["Share"], row["Accessible"]
        stated.world.datastores.append(mount)
    return esxcli(stated, "storage nfs list"), captured(name)


@reproduces("nfs-add-error-1")
def _nfs_twice(folder: Path, name: str) -> tuple[str, str]:
    stated = host(folder, "7.0.3")
    line = "storage nfs add --host=192.168.1.22 --share=/volume1/vmnfsbackup --volume-name=nfsbackup"
    assert esxcli(stated, line) == ""
    return esxcli(stated, f"{line} -> 1"), captured(name)


ROWS = {
    "vmfs-extent-1": ("7.0.3", "extents", "storage vmfs extent list"),
    "nfs41-list-1": ("6.7.0", "nfs41", "storage nfs41 list"),
    "nic-list-1": ("7.0.3", "nics", "network nic list"),
    "nic-list-2": ("7.0.0", "nics", "network nic list"),
    "nic-list-3": ("6.5.0", "nics", "network nic list"),
    "nic-list-4": ("8.0.3", "nics", "network nic list"),
    "ip-ipv4-get-1": ("7.0.0", "ipv4", "network ip interface ipv4 get"),
    "ip-ipv4-get-2": ("6.7.0", "ipv4", "network ip interface ipv4 address list"),
}


@reproduces(*ROWS)
def _rows(folder: Path, name: str) -> tuple[str, str]:
    """The rows are stated as the capture has them; widths, rules and alignment are the lab's."""
    version, place, line = ROWS[name.removeprefix("esxcli-")]
    rows = rows_of_table(captured(name))
    return esxcli(host(folder, version, **{place: rows}), line), captured(name)


@reproduces("device-list-1", "device-list-4")
def _devices(folder: Path, name: str) -> tuple[str, str]:
    rows = rows_of_blocks(captured(name), "Attached Filters;Other UIDs", "Revision")
    line = "storage core device list"
    if name.endswith("-4"):
        line += f" -d {rows[0]['Heading']}"
    return esxcli(host(folder, devices=rows), line), captured(name)


@reproduces("device-list-3")
def _devices_csv(folder: Path, name: str) -> tuple[str, str]:
    rows = []
    for line in captured(name).splitlines()[1:]:
        path, vendor, model, _ = line.split(",")
        row = {"Heading": path.rpartition("/")[2], "Size": 1, "Devfs Path": path}
        rows.append(row | {"Vendor": vendor, "Model": model})
    line = "--formatter=csv --format-param=fields=DevfsPath,Vendor,Model storage core device list"
    return esxcli(host(folder, "7.0.3", devices=rows), line), captured(name)


@reproduces("device-capacity-1", "device-capacity-2")
def _capacity(folder: Path, name: str) -> tuple[str, str]:
    rows = rows_of_table(captured("esxcli-device-capacity-1"))
    for row in rows:
        row["Size"] = int(row["Size"].removesuffix(" MiB"))
    options = "--debug --formatter=json " if name.endswith("-2") else ""
    stated = host(folder, capacity=rows)
    return esxcli(stated, f"{options}storage core device capacity list"), captured(name)


@reproduces("smart-1", "smart-3")
def _smart(folder: Path, name: str) -> tuple[str, str]:
    rows = rows_of_table(captured(name), "Value;Threshold;Worst;Raw")
    version = "5.5.0" if name.endswith("-3") else "7.0.3"
    return esxcli(host(folder, version, smart={"x": rows}), "storage core device smart get -d x"), captured(
        name
    )


@reproduces("vaai-1")
def _vaai(folder: Path, name: str) -> tuple[str, str]:
    (row,) = rows_of_blocks(captured(name))
    device = row.pop("Heading")
    stated = host(folder, "6.5.0", vaai={device: row}, devices=[{"Heading": device, "Size": 1}])
    return esxcli(stated, f"storage core device vaai status get -d {device}"), captured(name)


# --- networks


def running(stated: Stated, name: str, world_id: int, cards: list[str], **settings: str) -> Vm:
    number = len(stated.world.vms) + 1
    pairs = [("displayName", name), *((key.replace("__", "."), item) for key, item in settings.items())]
    for card, network in enumerate(cards):
        pairs += [(f"ethernet{card}.present", "TRUE"), (f"ethernet{card}.networkName", network)]
    vm = Vm(number, f"/vmfs/volumes/u0/{number}/{number}.vmx", pairs, state=ON, world_id=world_id)
    stated.world.vms[number] = vm
    return vm


# How many cards of running VMs are on a portgroup.
CLIENTS = {"vswitch-1": {"VM Network": 12}, "vswitch-3": {"v0003": 2}, "vswitch-4": {}}
MANAGEMENT = {"vswitch-1": "Management Network", "vswitch-3": "", "vswitch-4": "defmng"}


@reproduces(*CLIENTS)
def _switches(folder: Path, name: str) -> tuple[str, str]:
    """Switches and portgroups are stated; used ports are counted by the lab."""
    short = name.removeprefix("esxcli-")
    stated = host(folder, interfaces=[{"Name": "vmk0", "Portgroup": MANAGEMENT[short]}])
    for row in rows_of_blocks(captured(name), "Uplinks;Portgroups"):
        stated.world.vswitches.append(row["Name"])
        stated.world.host.vswitches[row["Name"]] = Vswitch(
            row["Uplinks"], num_ports=row["Num Ports"], ports=row["Configured Ports"]
        )
        stated.world.portgroups += [Portgroup(group, row["Name"]) for group in row["Portgroups"]]
    for group, count in CLIENTS[short].items():
        for number in range(count):
            running(stated, f"vm{number}", 2100000 + number, [group])
    return esxcli(stated, "network vswitch standard list"), captured(name)


@reproduces("portgroup-1", "portgroup-2")
def _portgroups(folder: Path, name: str) -> tuple[str, str]:
    """Active clients are cards of running VMs; the order is the lab's."""
    stated = host(folder, "7.0.0", interfaces=[])
    for row in reversed(rows_of_table(captured(name))):
        stated.world.portgroups.append(Portgroup(row["Name"], row["Virtual Switch"], row["VLAN ID"]))
        running(stated, row["Name"], 1, [row["Name"]] * row["Active Clients"])
    return esxcli(stated, "network vswitch standard portgroup list"), captured(name)


@reproduces("nic-list-5", "nic-list-6")
def _nics_structured(folder: Path, name: str) -> tuple[str, str]:
    labels = {"AdminStatus": "Admin Status", "LinkStatus": "Link Status", "MACAddress": "MAC Address"}
    labels["PCIDevice"] = "PCI Device"
    nics: dict[str, Row] = {}
    for number, key, value in re.findall(
        r"structure\[(\d+)\]\.Nic\.(\w+)\.\w+=(.*)", captured("esxcli-nic-list-5")
    ):
        nics.setdefault(number, {})[labels.get(key, key)] = typed(value)
    stated = host(folder, nics=list(nics.values()))
    if name.endswith("-5"):
        return esxcli(stated, "--formatter=keyvalue network nic list"), captured(name)
    declaration = '<?xml version="1.0" encoding="utf-8"?>\n'
    made = esxcli(stated, "--formatter=xml network nic list")
    assert made.startswith(declaration)
    return made.removeprefix(declaration), captured(name)


LISTS = "Advertised Link Modes;Supported Ports;Wakeon"


@reproduces("nic-get-1", "nic-get-2")
def _nic(folder: Path, name: str) -> tuple[str, str]:
    (row,) = rows_of_blocks(captured(name), LISTS, headed=False)
    row["Driver Info"] = {key: row.pop(key) for key in ("Bus Info", "Driver", "Firmware Version", "Version")}
    stated = host(folder, "6.5.0", nic_details={"vmnic0": row})
    return esxcli(stated, "network nic get -n vmnic0"), captured(name)


@reproduces("nic-get-xml-1")
def _nic_xml(folder: Path, name: str) -> tuple[str, str]:
    """The seeded host has the card of the capture."""
    nic = {"Name": "vmnic0", "PCI Device": "0000:18:00.0", "Driver": "ixgben", "Link Status": "Up"}
    return esxcli(host(folder, nics=[nic]), "--formatter=xml network nic get -n vmnic0"), captured(name)


@reproduces("nic-tso-1")
def _tso(folder: Path, name: str) -> tuple[str, str]:
    nics = [{"Name": nic, "TSO": "off"} for nic in ("vmnic0", "vmnic32")]
    return esxcli(host(folder, "6.5.0", nics=nics), "network nic tso get"), captured(name)


@reproduces("nic-stats-1")
def _stats(folder: Path, name: str) -> tuple[str, str]:
    (row,) = rows_of_blocks(captured(name))
    del row["Heading"]
    return esxcli(
        host(folder, "7.0.3", nic_stats={"vmnic0": row}), "network nic stats get -n vmnic0"
    ), captured(name)


@reproduces("ip-interface-list-1")
def _interfaces(folder: Path, name: str) -> tuple[str, str]:
    rows = rows_of_blocks(captured(name))
    for row in rows:
        del row["Heading"]
    return esxcli(host(folder, "7.0.0", interfaces=rows), "network ip interface list"), captured(name)


@reproduces("dvs-list-1")
def _dvs(folder: Path, name: str) -> tuple[str, str]:
    switch, _, inner = captured(name).partition("DVPort:\n")
    ports = rows_of_blocks(inner, headed=False)
    (row,) = rows_of_blocks(switch, "Uplinks")
    del row["Heading"]
    stated = host(folder, "7.0.3", dvs=[{**row, "DVPort": ports}])
    return esxcli(stated, "network vswitch dvs vmware list"), captured(name)


@reproduces("vm-list-1")
def _vms(folder: Path, name: str) -> tuple[str, str]:
    stated = host(folder, "7.0.3")
    for row in rows_of_table(captured(name)):
        running(stated, row["Name"], row["World ID"], row["Networks"].split(", "))
    return esxcli(stated, "network vm list"), captured(name)


@reproduces("vm-port-list-1")
def _ports(folder: Path, name: str) -> tuple[str, str]:
    stated = host(folder, "7.0.3")
    for number, uplink in ((0, 5), (1, 8)):
        stated.world.vswitches.append(f"vSwitch{number}")
        stated.world.host.vswitches[f"vSwitch{number}"] = Vswitch(
            [f"vmnic{number}"], portset=(number + 2) << 25, uplink_port=uplink
        )
    stated.world.portgroups = [Portgroup("VM Network", "vSwitch0"), Portgroup("VM Network1", "vSwitch1")]
    stated.world.host.port_ids = {"vSwitch0/2270220/0": 17, "vSwitch1/2270220/1": 16}
    macs = {
        "ethernet0__generatedAddress": "00:0c:29:72:3f:e3",
        "ethernet1__generatedAddress": "00:0c:29:72:3f:ed",
    }
    running(stated, "fnOS_2", 2270220, ["VM Network", "VM Network1"], **macs)
    return esxcli(stated, "network vm port list -w 2270220"), captured(name)


CSV_SETS = ("sshServer", "sshClient", "nfsClient", "nfs41Client")


@reproduces("firewall-ruleset-list-2", "firewall-rule-list-2", "firewall-allowedip-1")
def _rulesets_csv(folder: Path, name: str) -> tuple[str, str]:
    usual = {item.name: item for item in host(folder).world.host.rulesets}
    sets = [usual[one] for one in CSV_SETS]
    for one in sets[:3]:
        one.enabled = True
    line = {"f": "ruleset list", "r": "ruleset rule list", "a": "ruleset allowedip list"}
    word = {"ruleset-list-2": "f", "rule-list-2": "r", "allowedip-1": "a"}[name.partition("firewall-")[2]]
    if word == "a":
        sets = sets[:2]
        sets[0].allowed = captured(name).split('"')[1].rstrip(",").split(",")
    stated = host(folder, "6.5.0", rulesets=sets)
    return esxcli(stated, f"--formatter=csv network firewall {line[word]}"), captured(name)


@reproduces("firewall-ruleset-grep-1")
def _grep(folder: Path, name: str) -> tuple[str, str]:
    """The longest name of the host, which the capture does not show, has 24 letters."""
    stated = host(folder, "6.5.0", rulesets=[Ruleset("x" * 24, True), Ruleset("custom-firewall", True)])
    return esxcli(stated, "network firewall ruleset list").splitlines(True)[-1], captured(name)


# --- virtual machines

PROPERTIES = {
    "ConfigFile": "Config File",
    "DisplayName": "Display Name",
    "ProcessID": "Process ID",
    "UUID": "UUID",
    "VMXCartelID": "VMX Cartel ID",
    "WorldID": "World ID",
}
PROCESSES = ("vm-process-1", "vm-process-3", "vm-process-4", "vm-process-5")


@reproduces(*PROCESSES, "vm-process-xml-1")
def _processes(folder: Path, name: str) -> tuple[str, str]:
    stated = host(folder)
    text = captured(name)
    if name.endswith("xml-1"):
        rows = []
        for one in text.split("<structure ")[1:]:
            fields = re.findall(r'name="(\w+)">\s*<\w+>(.*?)</', one)
            rows.append({PROPERTIES[key]: value for key, value in fields})
        rows = [{"Heading": row["Display Name"], **row} for row in rows]
    else:
        text = re.sub(r"(?<=\.vmx)\n(?=\S)", "\n\n", text)
        rows = rows_of_blocks(text, strings="UUID")
    for row in rows:
        vm = running(stated, row["Display Name"], int(row["World ID"]), [], uuid__bios=row["UUID"])
        vm.path = row["Config File"]
        vm.measured = {"started_as": row["Heading"], "cartel_id": int(row["VMX Cartel ID"])}
    if name.endswith("xml-1"):
        return esxcli(stated, "--formatter=xml vm process list"), captured(name)
    return esxcli(stated, "vm process list"), captured(name)


# --- software


def vibs_of(rows: list[Row]) -> list[Row]:
    return [{"ID": row["Name"], **row, "Platforms": "host"} for row in rows]


@reproduces("vib-list-1", "vib-list-2")
def _vibs(folder: Path, name: str) -> tuple[str, str]:
    """A last row as wide as the rules stands for those that the capture leaves out."""
    text = captured(name)
    rows = rows_of_table(text)
    widths = [len(rule) for rule in text.splitlines()[1].split()]
    rows.append({key: "x" * width for key, width in zip(rows[0], widths, strict=True)})
    made = esxcli(host(folder, "7.0.3", vibs=vibs_of(rows)), "software vib list")
    return "".join(made.splitlines(True)[:-1]), text


@reproduces("vib-list-grep-1")
def _vib(folder: Path, name: str) -> tuple[str, str]:
    names = ("Name", "Version", "Vendor", "Acceptance Level", "Install Date")
    cells = re.split(r"\s{2,}", captured(name).strip())
    rows = [
        dict(zip(names, ("x" * 29, "x" * 36, "x" * 7, "", ""), strict=True)),
        dict(zip(names, cells, strict=True)),
    ]
    made = esxcli(host(folder, "6.5.0", vibs=vibs_of(rows)), "software vib list")
    return made.splitlines(True)[-1], captured(name)


def write_vib(place: Path, vendor: str, name: str, version: str, live: bool) -> None:
    descriptor = (
        f"<vib><type>bootbank</type><name>{name}</name><version>{version}</version><vendor>{vendor}</vendor>"
        f"<acceptance-level>community</acceptance-level>"
        f"<live-install-allowed>{str(live).lower()}</live-install-allowed></vib>"
    ).encode()
    head = f"{'descriptor.xml':<16}{0:<12}{0:<6}{0:<6}{100644:<8}{len(descriptor):<10}`\n".encode()
    place.write_bytes(b"!<arch>\n" + head + descriptor)


NSX = ("esxcliext", "esxcli-nsx-ext", "1.0.0-0.0.0", True)
DUMMY = ("williamlam.com", "dummy-esxi-reboot", "1.0.0-1.0", False)


@reproduces("vib-install-1", "vib-install-2", "vib-install-error-1")
def _install(folder: Path, name: str) -> tuple[str, str]:
    """The package lies on a datastore, as /tmp of the lab is out of hostd's reach."""
    stated = host(folder)
    stated.world.datastores.append(store("ds", "u0"))
    stated.hostd.storage.make_links()
    write_vib(folder / "volumes" / "u0" / "x.vib", *(DUMMY if name.endswith("install-2") else NSX))
    status = " -> 1"
    if "error" not in name:
        assert esxcli(stated, "software acceptance set --level=CommunitySupported") == ""
        status = ""
    return esxcli(stated, f"software vib install -v file:/vmfs/volumes/ds/x.vib{status}"), captured(name)


@reproduces("profile-sources-1")
def _profiles(folder: Path, name: str) -> tuple[str, str]:
    stated = host(folder, "7.0.2")
    stated.world.datastores.append(store("ds", "u0"))
    stated.hostd.storage.make_links()
    inner = io.BytesIO()
    with zipfile.ZipFile(inner, "w") as metadata:
        for row in rows_of_table(captured(name)):
            metadata.writestr(
                f"profiles/{row['Name']}",
                f"<imageprofile><name>{row['Name']}</name><creator>{row['Vendor']}</creator>"
                f"<creationtime>{row['Creation Time']}.000001+00:00</creationtime>"
                f"<modifiedtime>{row['Modification Time']}.000001+00:00</modifiedtime>"
                "<acceptancelevel>partner</acceptancelevel></imageprofile>",
            )
    with zipfile.ZipFile(folder / "volumes" / "u0" / "depot.zip", "w") as bundle:
        bundle.writestr("metadata.zip", inner.getvalue())
    return esxcli(stated, "software sources profile list -d /vmfs/volumes/ds/depot.zip"), captured(name)


# --- the program itself: commands of third parties, stated by their declarations


def no_run(given: Row) -> Any:
    raise AssertionError(given)


EXTENSION = [
    Command("netstats ports", "Run net-stats -l", no_run),
    Command("netstats stats", "Run net-stats -A -t <stats> -i <interval>", no_run),
    Command("netstats syntax", "Run net-stats -h", no_run),
    Command(
        "storage guestvol vmgroup create",
        "Create a new vmgroup",
        no_run,
        (
            Option("name", description="The name of the vmgroup", required=True),
            Option("description", description="The description of the vmgroup"),
            Option("vm-list", description="A list of VM names to place in this vmgroup"),
            Option(
                "default-datastore",
                description="Datastore to be used by default for volumes placement",
                required=True,
            ),
        ),
    ),
    Command(
        "storage guestvol vmgroup ls",
        "List vmgroups",
        lambda _: table("VmGroup", rows_of_table(captured("esxcli-table-empty-cells-1"))),
    ),
    Command(
        "intnet sriovnic vf set",
        "Set SR-IOV virtual function for a NIC",
        no_run,
        (
            Option("vmnic", "n", description="Specifies the name for the SRIOV NIC.", required=True),
            Option("vfid", "v", "long", "Specifies the VF id for the virtual function.", required=True),
            Option("trusted", "t", "bool", "Set trusted mode to true or false.", required=True),
            Option("spoofchk", "s", "bool", "Set mac/vlan spoof check to true or false. (optional)"),
            Option("floating", "f", "bool", "Set floating VEB to true or false. (optional)"),
        ),
    ),
    Command(
        "intnet misc vmdqlb set",
        "Allow VMDQ VSIs to send loopback traffic on the given PF.",
        no_run,
        (
            Option(
                "loopback",
                "l",
                "bool",
                "enable/disable the VMDQ VSIs loopback (1 - enable (default), 0 - disable)",
                required=True,
            ),
            Option("vmnic", "n", description="Vmnic name to operate on", required=True),
        ),
    ),
]
EXTENDED = {
    "help-2": "netstats",
    "help-4": "storage guestvol vmgroup create --help",
    "table-empty-cells-1": "storage guestvol vmgroup ls",
    "error-missing-param-1": "intnet sriovnic vf set -> 1",
    "error-type-mismatch-1": "intnet misc vmdqlb set --vmnic=vmnic4 -l Falsefff -> 1",
}


@reproduces(*EXTENDED)
def _extended(folder: Path, name: str) -> tuple[str, str]:
    stated = host(folder)
    stated.hostd.cli.add(EXTENSION)
    return esxcli(stated, EXTENDED[name.removeprefix("esxcli-")]), captured(name)


@reproduces("error-invalid-option-1", "error-invalid-option-2")
def _invalid(folder: Path, name: str) -> tuple[str, str]:
    """The usage behind the first line is not in the source."""
    stated = host(folder)
    stated.hostd.cli.add(EXTENSION)
    line = "hardware pci pcipassthru set --device=0000:01:00.0 -> 1"
    if name.endswith("-2"):
        line = "intnet sriovnic vf set -n vmnic6 --test=True -> 1"
    first, rest = esxcli(stated, line).split("\n\n", 1)
    assert rest.startswith("Usage: esxcli ")
    return f"{first}\n", captured(name)


@reproduces("error-hostd-down-1", "error-hostd-down-2")
def _down(folder: Path, name: str) -> tuple[str, str]:
    stated = host(folder)
    stated.hostd.restart(60)
    line = "esxcli network" + ("" if name.endswith("-2") else " ip connection list")
    result = asyncio.run(ProgramSocket(stated.hostd)._program(line.split(), "/"))
    assert (result.exit, result.stderr) == (1, "")
    return result.stdout, captured(name)


ENDS = {
    "esxcli-device-list-1",
    "esxcli-device-list-4",
    "esxcli-error-missing-param-1",
    "esxcli-error-type-mismatch-1",
    "esxcli-help-4",
    "esxcli-nfs-list-2",
    "esxcli-nfs-list-4",
    "esxcli-nfs41-list-1",
    "esxcli-nic-get-1",
    "esxcli-nic-list-2",
    "esxcli-nic-list-3",
    "esxcli-nic-tso-1",
    "esxcli-permission-list-1",
    "esxcli-settings-advanced-1",
    "esxcli-settings-advanced-2",
    "esxcli-settings-kernel-1",
    "esxcli-smart-3",
    "esxcli-vaai-1",
    "esxcli-vib-install-1",
    "esxcli-vib-install-2",
    "esxcli-vib-list-grep-1",
    "esxcli-vm-port-list-1",
    "esxcli-vswitch-1",
    "esxcli-vswitch-4",
}
FLAT = {
    "esxcli-cpu-global-2",
    "esxcli-dvs-list-1",
    "esxcli-memory-2",
    "esxcli-nic-get-2",
    "esxcli-syslog-config-1",
    "esxcli-syslog-config-2",
    "esxcli-vm-process-5",
    "esxcli-vm-process-xml-1",
}
DIFFERS: dict[str, str] = {
    "esxcli-component-apply-1": "the lab has no components, only VIBs",
    "esxcli-component-remove-1": "the lab has no components, only VIBs",
    "esxcli-cpu-global-3": "5.x with fields that later releases lack; its head is lost",
    "esxcli-error-fault-3": "the sentence of a third party's command",
    "esxcli-help-1": "namespaces of third parties, and of VMware that the lab lacks; see test_esxcli",
    "esxcli-help-3": "a third party's namespace, whose words are in an order of their own",
    "esxcli-ip-connection-1": "rows without their header; addresses altered without padding",
    "esxcli-nfs-list-3": "not proven to be a capture; the lab keeps no VMkernel card of a mount",
    "esxcli-pci-list-1": "a part, with labels in lower case by its author",
    "esxcli-pcipassthru-list-1": "its first row is one blank off the column",
    "esxcli-platform-2": "its UUID is masked",
    "esxcli-schema-hints-1": "no output but a description of commands",
    "esxcli-schema-types-1": "no output but a description of commands",
    "esxcli-soap-network-vm-list-1": "an answer of the SOAP interface",
    "esxcli-soap-network-vm-port-list-1": "an answer of the SOAP interface",
    "esxcli-soap-system-hostname-get-1": "an answer of the SOAP interface",
    "esxcli-vf-list-1": "rows without their header, on which their widths depend",
    "esxcli-vf-list-2": "rows without their header, on which their widths depend",
    "esxcli-vib-install-error-2": "the lab's image has no place that could be full",
}


def flat(text: str) -> str:
    return "".join(f"{line.strip()}\n" for line in text.splitlines() if line.strip())


@pytest.mark.parametrize("name", sorted(MADE))
def test_the_lab_prints_what_a_host_printed(tmp_path: Path, name: str) -> None:
    made, expected = MADE[name](tmp_path, name)
    lost = flat if name in FLAT else ends_stripped if name in ENDS else str
    assert lost(made) == lost(expected)


def test_every_capture_is_reproduced_or_listed() -> None:
    assert not set(MADE) & set(DIFFERS)
    assert {*ENDS, *FLAT} <= set(MADE)
    assert sorted({*MADE, *DIFFERS}) == NAMES
