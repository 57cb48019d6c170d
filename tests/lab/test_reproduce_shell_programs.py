"""The captures of `esxcfg-*`, `lspci`, `net-stats`, `uptime` and `vsish`, from stated facts to the byte."""

from __future__ import annotations

from calendar import timegm
from collections.abc import Callable
from pathlib import Path

import pytest
from lab_fixtures import HostShell

from ceso_mcp.lab import shell_worlds
from ceso_mcp.lab.shell_network import (
    Card,
    Device,
    Interface,
    Port,
    Switch,
    ens,
    interfaces,
    lspci_n,
    nics,
    ports,
    switches,
)

TRANSCRIPTS = Path(__file__).parent / "transcripts"


def text(name: str) -> str:
    return (TRANSCRIPTS / f"{name}.txt").read_text()


def cards() -> str:
    broadcom = "Broadcom Corporation NetXtreme BCM5720 Gigabit Ethernet"
    intel = "Intel(R) Ethernet Controller E810-C for QSFP"
    return nics(
        [
            Card("vmnic0", "0000:e1:00.0", "ntg3", "Up", 1000, "Full", "70:b5:aa:bb:cc:ce", 1500, broadcom),
            Card("vmnic1", "0000:e1:00.1", "ntg3", "Down", 0, "Half", "70:b5:aa:bb:cc:cf", 1500, broadcom),
            Card("vmnic2", "0000:24:00.0", "icen", "Down", 100000, "Full", "b4:96:aa:bb:cc:f8", 1500, intel),
            Card("vmnic3", "0000:21:00.0", "icen", "Up", 100000, "Full", "b4:96:aa:bb:cc:fc", 1500, intel),
        ]
    )


def ens_cards() -> str:
    def card(number: int, driver: str, description: str, flags: str) -> Card:
        facts = [flag == "T" for flag in flags]
        mac = "00:00:00:00:00:00"
        return Card(f"vmnic{number}", "", driver, "Up", 0, "Full", mac, 1500, description, *facts)

    found = [card(number, "igbn", "Intel(R) I350", "FFFF") for number in range(4)]
    found += [card(4, "ixgben", "Intel(R) 82599 10", "TTFF"), card(5, "ixgben", "Intel(R) 82599 10", "TFFF")]
    found.append(card(6, "i40en", "Intel(R) Ethernet", "TFTT"))
    found += [card(number, "i40en", "Intel(R) Ethernet", "TFTF") for number in (7, 8, 9)]
    return ens(found)


def two_switches() -> str:
    def switch(name: str, used: int, card: str, *groups: tuple[str, int, int]) -> Switch:
        return Switch(name, 8570, used, 128, 1500, (card,), groups)

    return switches(
        [
            switch("ATvSwitchLongName", 8, "vmnic10", ("ATNetwork", 0, 4), ("ATvmnic10", 0, 1)),
            switch(
                "vSwitch0",
                6,
                "vmnic4",
                ("ATmng", 0, 1),
                ("VM Network", 0, 1),
                ("Management Network", 0, 1),
            ),
        ]
    )


def addresses() -> str:
    ilo, own = "48:df:37:aa:bb:cc", "00:50:56:aa:bb:cc"
    preferred = "STATIC, PREFERRED"
    net = "Management Network"
    return interfaces(
        [
            Interface("vmk0", net, "IPv4", "172.31.0.82", "255.255.0.0", "172.31.255.255", ilo, kind="DHCP"),
            Interface("vmk0", net, "IPv6", "fe80::4adf:37ff:fe07:1f14", "64", "", ilo, kind=preferred),
            Interface("vmk1", "ATvmnic10", "IPv4", "1.1.1.1", "255.0.0.0", "1.255.255.255", own),
            Interface("vmk1", "ATvmnic10", "IPv6", "fe80::250:56ff:fe66:5642", "64", "", own, kind=preferred),
        ]
    )


def devices() -> str:
    def functions(place: str, numbers: str, kind: str, first: int, name: str = "vmnic") -> list[Device]:
        vendor, device = kind.split(":")
        return [
            Device(f"0000:{place}.{number}", vendor, device, f"{name}{first + at}", "0200")
            for at, number in enumerate(numbers)
        ]

    return lspci_n(
        [
            *functions("31:00", "0123", "8086:1521", 4),
            *functions("4b:00", "0123", "8086:1593", 0),
            *functions("98:00", "01", "14e4:16d8", 14),
            *functions("b1:00", "01", "8086:10fb", 8),
            *functions("ca:00", "0123", "8086:1572", 10),
            *functions("ca:02", "01", "8086:154c", 0, "PF_0.202.0_VF_"),
            *functions("cb:00", "01", "8086:154c", 0, "PF_0.202.1_VF_"),
        ]
    )


def switch_ports() -> str:
    uplink = "00:50:56:01:10:01"
    return ports(
        [
            Port(2214592518, 4, 0, "DvsPortset-0", uplink, "vmnic0"),
            Port(67108874, 3, 0, "DvsPortset-0", uplink, "vmk0"),
            Port(67108881, 5, 9, "DvsPortset-0", "00:50:56:a2:ec:46", "vedge3.eth4"),
        ]
    )


def since_boot() -> str:
    now = timegm((2019, 6, 1, 9, 43, 24))
    return shell_worlds.uptime(now, now - 141 * 86400 - 3 * 3600 - 33 * 60 - 10, (0.06, 0.07, 0.07))


MADE: dict[str, Callable[[], str]] = {
    "shell-esxcfg-nics-1": cards,
    "shell-esxcfg-nics-2": ens_cards,
    "shell-esxcfg-vswitch-2": two_switches,
    "shell-esxcfg-vmknic-1": addresses,
    "shell-lspci-n-1": devices,
    "shell-netstats-1": switch_ports,
    "shell-uptime-1": since_boot,
    "shell-vsish-memory-1": lambda: shell_worlds.memory(134045160, 63205300),
    "shell-mce-1": lambda: shell_worlds.MCE,
}
# Names that the source of the capture shortened by two characters without padding them anew.
SHORTENED = ("ATmng", "VM Network", "Management Network", "ATNetwork", "ATvmnic10")
REPAIRED = {"shell-esxcfg-vswitch-2": 42, "shell-esxcfg-vmknic-1": 40}


def padded_anew(capture: str, width: int) -> str:
    """The capture with those names as wide as their column; nothing else is touched."""
    lines = []
    for line in capture.splitlines(keepends=True):
        for name in SHORTENED:
            at = line.find(f"{name} ")
            if at in (2, 11) and not line.startswith("Interface"):
                end = at + len(name)
                blanks = len(line[end:]) - len(line[end:].lstrip(" "))
                line = line[:end] + " " * (width - len(name)) + line[end + blanks :]
                break
        lines.append(line)
    return "".join(lines)


@pytest.mark.parametrize("name", MADE)
def test_stated_facts_give_the_transcript_to_the_byte(name: str) -> None:
    expected = text(name)
    if name in REPAIRED:
        expected = padded_anew(expected, REPAIRED[name])
    assert MADE[name]() == expected


def test_the_programs_show_the_world_of_the_lab(host_shell: HostShell) -> None:
    assert host_shell.ok("esxcfg-nics -l | awk 'NR == 2 {print $1, $4, $5}'") == "vmnic0 Up 10000Mbps\n"
    assert "vSwitch0 " in host_shell.ok("esxcfg-vswitch -l")
    assert host_shell.ok("esxcfg-vmknic -l | awk 'NR == 2 {print $1, $4, $5}'") == "vmk0 IPv4 192.0.2.10\n"
    assert host_shell.ok("lspci -n | grep -c 0200") == "2\n"
    assert "vmk0\n" in host_shell.ok("net-stats -l")
    assert " up 1 days, 00:" in host_shell.ok("uptime")
    assert host_shell.ok("vsish -e cat /hardware/health/mce") == text("shell-mce-1")
    refused = host_shell.run("esxcfg-vswitch -a vSwitch9")
    assert (refused.exit, refused.stdout) == (1, b"")


def test_ps_shows_running_commands_by_their_number(host_shell: HostShell) -> None:
    printed = host_shell.ok("sleep 4713 & ps -c; kill $!")
    assert printed.startswith("WID ")
    rows = [line.split() for line in printed.splitlines()]
    assert [row[-2:] for row in rows if row[-1] == "4713"] == [["sleep", "4713"]]


@pytest.mark.parametrize("name", ["ed", "su", "ts", "w", "tr", "base64"])
def test_an_applet_that_the_host_lacks_is_not_found(host_shell: HostShell, name: str) -> None:
    ran = host_shell.run(name)
    assert (ran.exit, ran.stderr) == (127, f"sh: {name}: not found\n".encode())


def test_a_listing_shows_names_of_all_scripts_as_their_bytes(host_shell: HostShell) -> None:
    name = "größe–日本"
    assert host_shell.ok(f"mkdir '/tmp/{name}' && ls /tmp && rmdir '/tmp/{name}'").count(name) == 1


def test_a_full_ramdisk_refuses_more(host_shell: HostShell) -> None:
    ran = host_shell.run("dd if=/dev/zero of=/opt/filled bs=1M count=40")
    try:
        assert ran.exit == 1
        assert b"No space left on device" in ran.stderr
        assert host_shell.ok("vdf -h | awk '$1 == \"opt\" {print $2, $4, $5}'") == "32M 0B 100%\n"
    finally:
        host_shell.ok("rm /opt/filled")
