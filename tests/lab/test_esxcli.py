"""esxcli: the forms of real captures, options, failures."""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ElementTree

import pytest
from lab_fixtures import HostShell

from ceso_mcp.lab import Lab, esxcli_forms
from ceso_mcp.lab.esxcli_forms import Answer

from conftest import DATASTORE1  # isort: skip


# Commands that want an option, with one.
NEEDED = {
    "network nic get": "-n vmnic0",
    "network nic stats get": "-n vmnic0",
    "network vswitch standard policy security get": "-v vSwitch0",
    "network vswitch standard portgroup policy security get": "-p 'DMZ (vlan 20)'",
    "network vm port list": "-w $(esxcli vm process list | sed -n 's/.*World ID: //p')",
    "storage core device smart get": "-d $(esxcli storage vmfs extent list | awk 'NR==3{print $(NF-1)}')",
}
# The seeded host has no such card and no offline bundle.
ABSENT = ("network sriovnic vf list", "software sources profile list")


def _value(text: str) -> object:
    if text in ("true", "false"):
        return text == "true"
    return int(text) if text.isdigit() else text


def _table(real: str, strings: tuple[str, ...]) -> Answer:
    """The answer that a captured table shows, cut at its rule."""
    head, rule, *lines = real.splitlines()
    spans = [found.span() for found in re.finditer("-+", rule)]
    spans[-1] = (spans[-1][0], 10_000)
    columns = tuple(head[a:b].strip() for a, b in spans)
    rows = [
        {
            name: line[a:b].strip() if name in strings else _value(line[a:b].strip())
            for name, (a, b) in zip(columns, spans, strict=True)
        }
        for line in lines
    ]
    return Answer("X", columns, rows)


@pytest.mark.parametrize("name", ["esxcli-portgroup-2", "esxcli-filesystem-3", "esxcli-nic-list-4"])
def test_tables_are_those_of_a_real_host(transcript, name: str) -> None:
    real = transcript(name)
    assert esxcli_forms.text(_table(real, strings=("Name", "UUID"))) == real


def test_blocks_are_those_of_a_real_host(transcript) -> None:
    real = transcript("esxcli-vswitch-3")
    rows = []
    for block in real.split("\n\n"):
        pairs = [line.strip().partition(": ") for line in block.splitlines()[1:]]
        rows.append({key.rstrip(":"): value for key, _, value in pairs})
    answer = Answer("VirtualSwitch", tuple(rows[0]), rows, form="simple", header="Name")
    assert esxcli_forms.text(answer) == real


def test_keyvalue_xml_csv_and_json_have_the_real_shape(transcript) -> None:
    nic = {
        "Admin Status": "Up",
        "DPUId": "N/A",
        "Description": "Intel(R) Ethernet Controller X550",
        "Driver": "ixgben",
        "Duplex": "Full",
        "Link": "Up",
        "Link Status": "Up",
        "MAC Address": "78:ac:44:07:b2:c4",
        "MTU": 1500,
        "Name": "vmnic0",
        "PCI Device": "0000:18:00.0",
        "Speed": 10000,
    }
    real = [line for line in transcript("esxcli-nic-list-5").splitlines() if line.startswith("structure[0]")]
    made = esxcli_forms.keyvalue(Answer("Nic", tuple(nic), [nic])).splitlines()
    assert sorted(made) == sorted(real)
    version = json.loads(transcript("esxcli-version-1"))
    answer = Answer("VersionGet", tuple(version), [version], one=True)
    assert esxcli_forms.json_text(answer) == transcript("esxcli-version-1")
    firewall = {"Ruleset": "sshClient", "Allowed IP Addresses": ["All"]}
    csv = esxcli_forms.csv(Answer("F", tuple(firewall), [firewall]))
    real_csv = transcript("esxcli-firewall-allowedip-1").splitlines()
    assert csv.splitlines() == [real_csv[0], real_csv[-1]]


def test_xml_of_running_vms_is_that_of_a_real_host(transcript) -> None:
    real = transcript("esxcli-vm-process-xml-1")
    rows = []
    for structure in re.findall(r"<structure.*?</structure>", real, re.S):
        fields = re.findall(r'<field name="(\w+)">\s*<(\w+)>(.*?)</', structure)
        rows.append({name: int(value) if kind == "integer" else value for name, kind, value in fields})
    assert esxcli_forms.xml(Answer("VirtualMachine", tuple(rows[0]), rows)).rstrip() == real.rstrip()


def test_running_vms_are_listed_and_stopped_ones_are_not(host_shell: HostShell) -> None:
    text = host_shell.ok("esxcli vm process list")
    assert text.startswith("Büro-Server\n   World ID: ")
    config = host_shell.ok(f"cd {DATASTORE1}/Büro-Server; pwd -P; cd -").splitlines()[0]
    assert f"   Config File: {config}/Büro-Server.vmx\n" in text
    host_shell.ok("vim-cmd vmsvc/power.off 4")
    assert host_shell.ok("esxcli vm process list") == ""


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ("graphics host refresh", "Error: Unknown command or namespace graphics host refresh\n"),
        ("--formatter=json system version get", "Unable to find requested formatter: json\n"),
        ("system version get --test", "Error: Invalid option --test\n"),
    ],
)
def test_failures_go_to_stdout_with_1(host_shell: HostShell, arguments: str, text: str) -> None:
    ran = host_shell.run(f"esxcli {arguments}")
    assert (ran.exit, ran.stderr) == (1, b"")
    assert ran.text.startswith(text)


def test_every_listed_command_works_in_every_form(host_shell: HostShell) -> None:
    listed = json.loads(host_shell.ok("esxcli --debug --formatter=json esxcli command list"))
    names = [f"{row['Namespace'].replace('.', ' ')} {row['Command']}" for row in listed]
    needy = {*NEEDED, *ABSENT}
    assert needy <= set(names)
    names = [name for name in names if name.split()[-1] in ("get", "list") and name not in needy]
    assert "storage filesystem list" in names
    names += [f"{name} {words}" for name, words in NEEDED.items()]
    lines = [
        f"esxcli {form} {name} >/dev/null || echo FAILED {name}"
        for name in names
        for form in ("", "--formatter=csv", "--formatter=keyvalue", "--debug --formatter=json")
    ]
    assert host_shell.ok("; ".join(lines)) == ""
    for name in names:
        ElementTree.fromstring(host_shell.ok(f"esxcli --formatter=xml {name}"))


def test_a_portgroup_comes_changes_and_goes_silently(host_shell: HostShell) -> None:
    command = "esxcli network vswitch standard portgroup"
    assert host_shell.ok(f"{command} add -p 'New, net' -v vSwitch1; {command} set -p 'New, net' -v 7") == ""
    assert "New, net            vSwitch1                     0        7\n" in host_shell.ok(f"{command} list")
    assert host_shell.run(f"{command} add -p 'New, net' -v vSwitch1").exit == 1
    assert host_shell.ok(f"{command} remove -p 'New, net' --vswitch-name=vSwitch1") == ""
    assert "New, net" not in host_shell.ok(f"{command} list")


def test_missing_options_are_named_one_a_line(host_shell: HostShell) -> None:
    ran = host_shell.run("esxcli vm process kill")
    assert ran.exit == 1
    words = "Missing required parameter"
    assert ran.text.startswith(f"Error: {words} -t|--type\n       {words} -w|--world-id\n\nUsage: ")


def test_hostd_down_is_said_as_on_a_real_host(lab: Lab, host_shell: HostShell) -> None:
    socket = lab.directory / "host" / "var" / "run" / "hostd.sock"
    kept = socket.with_suffix(".kept")
    socket.rename(kept)
    try:
        ran = host_shell.run("esxcli system version get")
        assert (ran.exit, ran.text) == (1, "Connect to localhost failed: Connection failure\n")
    finally:
        kept.rename(socket)


def test_df_has_the_layout_of_a_real_host(transcript, host_shell: HostShell) -> None:
    real, made = transcript("shell-df-2").splitlines(), host_shell.ok("df").splitlines()
    assert real[0].split() == made[0].split()
    assert re.fullmatch(r"VMFS-6 +\d+ +\d+ \d+ +\d+% /vmfs/volumes/datastore1", made[1])
