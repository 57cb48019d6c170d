"""Real releases read what is written for them: their own cloud-init and netplan (fact sheet cloud-init §10).

Every checked-in document, and requests put together at random of values that a YAML reader, a shell or a
unit file could take for something else. What comes out must be what went in.
"""

from __future__ import annotations

import ipaddress
import json
import os
import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from guest_cases import CASES, KEY
from release_trees import RELEASES, Release, missing, run_inside, tree

from ceso_mcp.guest.cloudinit import as_yaml
from ceso_mcp.guest.guestinfo import decode_guestinfo
from ceso_mcp.guest.network import NicAddressing
from ceso_mcp.guest.readback import nics_of, vlans_of
from ceso_mcp.recipes.guest_setup import GuestFields, new_identity

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(1500),
    pytest.mark.skipif(
        bool(missing()) and not os.environ.get("CI"), reason=f"not installed: {', '.join(missing())}"
    ),
]

WORDS = [
    "null", "no", "0123", "0x1f", "1e3", "1:30", "~", "a: b", "#x", "- a", "!!str x", "&a", "*a", "%x",
    "@x", "`x`", "'", '"', "\\", "\\n", "{{ x }}", "${x}", "$(true)", "\t x", "a\nb", "ü", "😀", "\x85x",
    "\u2028x", "---", "...", "| x", "> x", "yes", "on", "2001-01-01", "=", "<<", "[x", "{x", "?", ":", ",",
    "x #y", "x: ",
]  # fmt: skip
HOSTS = ["no", "null", "on", "0x1f", "y", "e3", "1e3", "true.example.test", "no.null", "a-1.b2.c3", "x" * 63]
DOMAINS = ["no", "null", "0x1f", "example.test", "1.example.test", "y.n", "123", "0123"]
USERS = ["no", "null", "y", "on", "true", "_x", "e1", "a-b"]
PACKAGES = ["g++", "0ad", "1oom", "libstdc++6", "nginx=1.2-3~x", "no-such", "7zip", "2to3=1:2.0"]
ZONES = ["UTC", "Europe/Berlin", "Etc/GMT+5", "America/Argentina/La_Rioja"]
RANDOM_CASES = 40


def address(chance: random.Random, version: int) -> str:
    if version == 4:
        net = ipaddress.ip_network((10 << 24 | chance.getrandbits(16) << 8, 24))
        return f"{net.network_address + chance.randint(2, 254)}/24"
    return f"2001:db8:{chance.getrandbits(16):x}::{chance.randint(2, 65535):x}/64"


def interface(chance: random.Random, gateways: set[int]) -> dict[str, Any]:
    asked: dict[str, Any] = {}
    for version in (4, 6):
        how = chance.choice(["static", "static", "dhcp", "none", "left out"])
        if how == "static":
            asked[f"ipv{version}"] = address(chance, version)
            if version not in gateways and chance.random() < 0.6:
                gateways.add(version)
                host = ipaddress.ip_interface(asked[f"ipv{version}"])
                asked[f"gateway{version}"] = (
                    "fe80::1" if version == 6 else str(host.network.network_address + 1)
                )
        elif how != "left out":
            asked[f"ipv{version}"] = how
    asked["dns"] = chance.sample(["192.0.2.1", "2001:db8::1", "198.51.100.53"], chance.randint(0, 3))
    asked["search"] = chance.sample(DOMAINS, chance.randint(0, 3))
    if chance.random() < 0.5:
        asked["accept_ra"] = asked.get("ipv6") == "dhcp" or chance.random() < 0.5
    return asked


def wish(chance: random.Random) -> GuestFields:
    gateways: set[int] = set()
    host = chance.choice(HOSTS)
    asked: dict[str, Any] = interface(chance, gateways)
    if asked.get("gateway4") and asked["ipv4"].startswith(asked["gateway4"] + "/"):
        del asked["gateway4"]
    asked["mtu"] = chance.choice([None, 1280, 9000])
    asked["nics"] = [interface(chance, gateways) | {"portgroup": "x"} for _ in range(chance.randint(0, 3))]
    numbers = chance.sample(range(1, 4095), chance.randint(0, 2))
    cards = len(asked["nics"]) + 1
    asked["vlans"] = [
        interface(chance, gateways) | {"id": n, "nic": chance.randrange(cards), "mtu": 1280} for n in numbers
    ]
    users = chance.sample(USERS, chance.randint(1, 4))
    return GuestFields.model_validate(
        asked
        | {
            "hostname": host,
            "prefer_fqdn": "." in host and chance.random() < 0.5,
            "user": users[0] if chance.random() < 0.7 else None,
            "ssh_keys": [f"{KEY} {chance.choice(['no', 'a b', '#x'])}"],
            "users": [
                {"name": name, "groups": chance.sample(USERS, 2), "sudo": chance.random() < 0.5}
                | ({"ssh_keys": [KEY]} if chance.random() < 0.7 else {})
                for name in users[1:]
            ],
            "packages": chance.sample(PACKAGES, chance.randint(0, 4)),
            "timezone": chance.choice([None, *ZONES]),
            "run_commands": [
                f"echo {w}" if chance.random() < 0.5 else w for w in chance.sample(WORDS, 6) if w.strip()
            ],
            "grow_root": chance.random() < 0.5,
            "new_machine_id": chance.random() < 0.5,
        }
    )


def at_random() -> dict[str, dict[str, Any]]:
    chance = random.Random(20_04_26_04)
    found: dict[str, dict[str, Any]] = {}
    for number in range(RANDOM_CASES):
        asked = wish(chance)
        seed = number.to_bytes(32, "big")
        made = new_identity(asked, f"vm {number}", range(len(asked.cards())), seed, set())
        told = {
            name: decode_guestinfo(
                {"guestinfo.metadata": made.guestinfo.get(f"guestinfo.{name}"),
                 "guestinfo.metadata.encoding": made.guestinfo.get(f"guestinfo.{name}.encoding")}.get
            ) if name == "metadata" else plain(made.guestinfo, name)
            for name in ("metadata", "userdata", "vendordata")
        }  # fmt: skip
        network = told["metadata"]["network"]
        found[f"random {number}"] = {
            "userdata": told["userdata"],
            "vendordata": told["vendordata"],
            "network": as_yaml(network),
            "macs": list(made.macs.values()),
        }
    return found


def plain(guestinfo: Mapping[str, str], name: str) -> str | None:
    import base64
    import gzip

    value = guestinfo.get(f"guestinfo.{name}")
    if value is None:
        return None
    raw = base64.b64decode(value)
    return (
        gzip.decompress(raw) if guestinfo[f"guestinfo.{name}.encoding"].startswith("gzip") else raw
    ).decode()


def checked_in() -> dict[str, dict[str, Any]]:
    return {
        case.name: {
            "userdata": case.documents()[f"{case.name}.userdata.txt"],
            "vendordata": case.documents().get(f"{case.name}.vendordata.txt"),
            "network": case.documents().get(f"{case.name}.network.json"),
            "macs": [nic.mac for nic in case.nics],
        }
        for case in CASES
    }


DOCUMENTS = {**checked_in(), **at_random()}


@pytest.fixture(scope="module", params=RELEASES, ids=lambda release: release.name)
def seen(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What a release makes of all documents."""
    release: Release = request.param
    root, work = tree(release), tmp_path_factory.mktemp(release.name)
    driver = Path(__file__).with_name("inside_a_release.py")
    (work / "driver.py").write_text(driver.read_text("utf-8"), "utf-8")
    (work / "cases.json").write_text(json.dumps(DOCUMENTS), "utf-8")
    run_inside(root, work, "python3", "/case/driver.py", timeout_s=600)
    found: dict[str, Any] = json.loads((work / "results.json").read_text("utf-8"))
    assert found["version"].startswith(release.cloud_init)
    return found


def test_its_own_schema_finds_no_fault(seen: dict[str, Any]) -> None:
    faults = []
    for name, found in seen["results"].items():
        for kind in ("userdata", "vendordata", "network"):
            verdict = found.get(kind, {}).get("schema")
            if verdict is not None and (
                verdict[0] != 0 or "Valid" not in verdict[1] or "deprecat" in verdict[1]
            ):
                faults.append((name, kind, verdict))
    assert faults == []


def test_what_it_reads_is_what_was_written(seen: dict[str, Any]) -> None:
    for name, case in DOCUMENTS.items():
        for kind in ("userdata", "vendordata"):
            text = case.get(kind)
            if text is None or not text.startswith("#cloud-config\n"):
                continue
            written = json.loads(text.partition("\n")[2])
            assert seen["results"][name][kind]["read"] == written, name
            assert seen["results"][name][kind]["config"] == written, name


def test_its_netplan_makes_of_every_interface_what_was_asked(seen: dict[str, Any]) -> None:
    for name, case in DOCUMENTS.items():
        if case["network"] is None:
            continue
        found = seen["results"][name]["network"]
        assert found["convert"][0] == 0, (name, found["convert"])
        assert found["generate"][0] == 0, (name, found["generate"])
        assert "deprecated" not in found["generate"][1], (name, found["generate"])
        document = {"network": json.loads(case["network"])}
        assert found["plan"] == document, name
        for position, nic in enumerate(nics_of(document)):
            unit = Unit(found["units"][f"10-netplan-nic{position}.network"])
            assert nic.mac in unit["Match", "PermanentMACAddress"] + unit["Match", "MACAddress"], name
            tagged = [vlan.name for vlan in vlans_of(document) if vlan.link == position]
            assert sorted(unit["Network", "VLAN"]) == sorted(tagged), name
            as_asked(f"{name}: nic{position}", unit, nic.addressing, position)
        for position, vlan in enumerate(vlans_of(document), len(nics_of(document))):
            device = Unit(found["units"][f"10-netplan-{vlan.name}.netdev"])
            assert (device["NetDev", "Name"], device["VLAN", "Id"]) == ([vlan.name], [str(vlan.number)])
            as_asked(f"{name}: {vlan.name}", Unit(found["units"][f"10-netplan-{vlan.name}.network"]),
                     vlan.addressing, position)  # fmt: skip


def test_its_merging_lets_ours_win_and_joins_lists(seen: dict[str, Any]) -> None:
    config = seen["results"]["extra"]["userdata"]["config"]
    assert config["ssh_pwauth"] is False
    assert config["runcmd"] == ["echo ours", "echo theirs"]
    assert [user["name"] for user in config["users"]] == ["ann", "bob"]
    assert config["locale"] == "de_DE.UTF-8"
    commands = seen["results"]["clone-with-own-bootcmd"]["userdata"]["config"]["bootcmd"]
    assert [command[0] for command in commands] == ["cloud-init-per", "echo"]


class Unit:
    """A unit file of systemd: the values of a key, in order."""

    def __init__(self, text: str) -> None:
        self._values: dict[tuple[str, str], list[str]] = {}
        section = ""
        for line in text.splitlines():
            if line.startswith("["):
                section = line.strip("[]")
            elif "=" in line and not line.startswith("#"):
                key, _, value = line.partition("=")
                self._values.setdefault((section, key), []).append(value)

    def __getitem__(self, key: tuple[str, str]) -> list[str]:
        return self._values.get(key, [])


def as_asked(name: str, unit: Unit, asked: NicAddressing, position: int) -> None:
    assert unit["Network", "Address"] == [str(a) for a in asked.addresses], name
    gateways = [str(via) for via in (asked.gateway4, asked.gateway6) if via is not None]
    assert unit["Route", "Gateway"] + unit["Network", "Gateway"] == gateways, name
    # netplan keeps a list for each family, IPv4 first.
    servers = sorted(asked.nameservers, key=lambda server: server.version)
    assert unit["Network", "DNS"] == [str(dns) for dns in servers], name
    assert " ".join(unit["Network", "Domains"]).split() == list(asked.search), name
    dhcp = {(True, True): ["yes"], (True, False): ["ipv4"], (False, True): ["ipv6"]}
    assert unit["Network", "DHCP"] == dhcp.get((asked.dhcp4, asked.dhcp6), []), name
    wanted = {None: [], True: ["yes"], False: ["no"]}[asked.router_advertisements]
    assert unit["Network", "IPv6AcceptRA"] == wanted, name
    assert ("mac" in unit["DHCP", "ClientIdentifier"] + unit["DHCPv4", "ClientIdentifier"]) == (
        asked.dhcp4 or asked.dhcp6
    ), name
    if asked.dhcp4 or asked.dhcp6:
        metrics = set(unit["DHCP", "RouteMetric"] + unit["DHCPv4", "RouteMetric"])
        assert str(100 * (position + 1)) in metrics, (name, metrics)
    if asked.mtu is not None:
        assert str(asked.mtu) in unit["Link", "MTUBytes"], name
