"""What a guest is told, and that it becomes so: several network cards, own user data, clones."""

from __future__ import annotations

import base64
import email
import gzip
import hashlib
import json
import re
from typing import Any

import pytest

from .conftest import KEY, TEMPLATE, House
from .test_main_job import SMALL

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(120)]

CREATE: dict[str, Any] = {"template": TEMPLATE, "ssh_keys": [KEY]}
SMALLER: dict[str, Any] = {"template": SMALL, "ssh_keys": [KEY], "unprepared": True}
DMZ = "DMZ (vlan 20)"


async def test_several_cards_each_have_their_own_network_and_addresses(house: House) -> None:
    preview = await house.preview(
        "create_vm",
        name="router",
        ipv4="192.0.2.10/24",
        gateway4="192.0.2.1",
        nics=[
            {"portgroup": DMZ, "ipv4": "198.51.100.9/24", "ipv6": "2001:db8::9/64", "mtu": 9000},
            {"portgroup": "Lab, internal", "mac": "00:50:56:00:00:42"},
        ],
        **CREATE,
    )
    rows = {row.what: (row.before, row.after) for row in preview.changes}
    assert rows["portgroup of network card 1"] == ("no such card", DMZ)
    assert rows["MAC of network card 2"] == ("", "00:50:56:00:00:42")
    job = await house.confirm(preview.confirm_token)
    assert job.state == "done", job.error
    vm = await house.ask("show_vm", vm="router")
    assert [nic.portgroup for nic in vm.nics] == ["VM Network", DMZ, "Lab, internal"]
    for nic, wanted in zip(vm.nics, ({"192.0.2.10"}, {"198.51.100.9", "2001:db8::9"}, set()), strict=True):
        assert {address for address in nic.addresses if not address.startswith("fe80")} == wanted
    assert vm.nics[2].mac == "00:50:56:00:00:42"


@pytest.mark.slow
async def test_a_clone_keeps_its_cards_and_only_what_is_asked_of_them_has_an_address(house: House) -> None:
    cards = [{"portgroup": DMZ, "ipv4": "198.51.100.9/24"}]
    await house.do("create_vm", name="one", ipv4="192.0.2.10/24", nics=cards, power_on=False, **CREATE)
    await house.do("clone_vm", source="one", name="two", ipv4="192.0.2.11/24", power_on=True)
    vm = await house.ask("show_vm", vm="two")
    assert [nic.portgroup for nic in vm.nics] == ["VM Network", DMZ]
    assert "192.0.2.11" in vm.nics[0].addresses
    assert [address for address in vm.nics[1].addresses if not address.startswith("fe80")] == []


async def test_a_mac_that_another_vm_has_is_refused(house: House) -> None:
    await house.do("create_vm", name="one", mac="00:50:56:00:00:42", power_on=False, **CREATE)
    error = await house.refusal("create_vm", name="two", mac="00:50:56:00:00:42", **CREATE)
    assert error.code == "mac_taken"


async def test_a_card_on_a_network_that_is_not_there_is_refused(house: House) -> None:
    error = await house.refusal("create_vm", name="two", nics=[{"portgroup": "nowhere"}], **CREATE)
    assert (error.code, "DMZ" in (error.hint or "")) == ("no_such_portgroup", True)
    error = await house.refusal("create_vm", name="two", nics=[{}], **CREATE)
    assert error.code == "portgroup_needed"


def inside(house: House, vm: str) -> dict[str, Any]:
    """What the guest's operating system is, as its disk holds it."""
    with open(house.lab.volume("datastore1") / vm / f"{vm}-flat.vmdk", "rb") as disk:
        disk.seek(512 << 10)
        content = disk.read(16 << 10)
    mark, _, record = content.rstrip(b"\0").partition(b"\n")
    assert mark == b"LAB GUEST BLOCK"
    found: dict[str, Any] = json.loads(record)
    return found


def guest_reads(house: House, vm: str, name: str = "userdata") -> str:
    """A document as the guest would read it at its first boot."""
    text = (house.lab.volume("datastore1") / vm / f"{vm}.vmx").read_text("utf-8")
    (value,) = re.findall(rf'(?m)^guestinfo\.{name} = "(.*)"$', text)
    (encoding,) = re.findall(rf'(?m)^guestinfo\.{name}\.encoding = "(.*)"$', text)
    raw = base64.b64decode(value)
    return (gzip.decompress(raw) if encoding.startswith("gzip") else raw).decode()


def parts(message: str) -> list[Any]:
    """What a MIME message holds: nothing for itself, then its parts."""
    return [part.get_payload(decode=True) for part in email.message_from_string(message).walk()]


async def test_a_guest_is_told_all_that_was_asked_for(house: House) -> None:
    await house.do(
        "create_vm",
        name="full",
        hostname="full.example.test",
        prefer_fqdn=True,
        user="ann",
        users=[{"name": "bob", "ssh_keys": [KEY], "sudo": True, "groups": ["docker"]}],
        timezone="Europe/Berlin",
        packages=["nginx"],
        run_commands=["echo 'a: b' # \"x\"", "no"],
        grow_root=False,
        ipv6="2001:db8::5/64",
        vlans=[{"id": 20, "ipv4": "198.51.100.5/24"}],
        power_on=False,
        **CREATE,
    )
    told = json.loads(guest_reads(house, "full").removeprefix("#cloud-config\n"))
    assert (told["hostname"], told["fqdn"]) == ("full", "full.example.test")
    assert told["prefer_fqdn_over_hostname"] is True
    assert [(user["name"], user["groups"]) for user in told["users"]] == [
        ("ann", ["adm", "sudo"]),
        ("bob", ["adm", "sudo", "docker"]),
    ]
    assert told["runcmd"] == ["echo 'a: b' # \"x\"", "no"]
    assert (told["timezone"], told["packages"]) == ("Europe/Berlin", ["nginx"])
    assert told["growpart"] == {"mode": "off"}
    network = json.loads(guest_reads(house, "full", "metadata"))["network"]
    assert network["vlans"]["vlan20"]["link"] == "nic0"


async def test_a_vlan_needs_a_trunk_and_its_address_is_reported_beside_its_card(house: House) -> None:
    vlans = [{"id": 20, "ipv4": "198.51.100.5/24"}]
    preview = await house.preview("create_vm", name="tagged", ipv4="192.0.2.10/24", vlans=vlans, **CREATE)
    assert any("VLAN 20 in the guest needs a portgroup with VLAN ID 4095" in w for w in preview.warnings)
    job = await house.confirm(preview.confirm_token)
    assert job.state == "done", job.error


async def test_own_user_data_is_shown_and_sent_beside_ours(house: House) -> None:
    text = "#cloud-config\nruncmd:\n- echo theirs\nhostname: theirs\n"
    preview = await house.preview(
        "create_vm", name="own", run_commands=["echo ours"], user_data=text, power_on=False, **CREATE
    )
    assert ("your user data", "", text) in [(row.what, row.before, row.after) for row in preview.changes]
    assert any("give way" in warning and "hostname" in warning for warning in preview.warnings)
    job = await house.confirm(preview.confirm_token)
    assert job.state == "done", job.error
    assert parts(guest_reads(house, "own"))[2] == text.encode()


async def test_user_data_of_a_file_is_nowhere_but_in_the_guests_configuration(house: House) -> None:
    secret = "hunter2canary"
    file = house.folder / "user data.yaml"
    file.write_text(f"#cloud-config\nusers:\n- name: {secret}\n  passwd: {secret}\n")
    file.chmod(0o600)
    preview = await house.preview(
        "create_vm", name="own", user_data_file=str(file), power_on=False, **SMALLER
    )
    shown = preview.model_dump_json()
    assert secret not in shown
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    assert str(file) in shown
    assert digest in shown
    assert f"{file.stat().st_size} bytes" in shown
    job = await house.confirm(preview.confirm_token)
    assert job.state == "done", job.error
    told = guest_reads(house, "own")
    assert parts(told)[2] == file.read_bytes()
    vmx = (house.lab.volume("datastore1") / "own/own.vmx").read_text("utf-8")
    encoded = re.search(r'guestinfo\.userdata = "(.{20})', vmx)
    assert encoded is not None
    hidden = [secret.encode(), encoded[1].encode()]
    for path in house.folder.rglob("*"):
        if path.is_file() and path != file:
            content = path.read_bytes()
            assert not any(word in content for word in hidden), path
    assert not any(word.decode() in json.dumps([entry.line for entry in house.lab.log()]) for word in hidden)


@pytest.mark.slow
async def test_a_drill_knows_nothing_of_what_the_guest_was_told(house: House) -> None:
    await house.do("create_vm", name="own", user_data="#!/bin/sh\ntrue\n", power_on=False, **SMALLER)
    vmx = (house.lab.volume("datastore1") / "own/own.vmx").read_text("utf-8")
    told = re.search(r'guestinfo\.userdata = "(.{20})', vmx)
    assert told is not None
    made = await house.do("backup_vm", vm="own")
    preview = await house.preview("drill_backup", backup_id=made["backup_id"])
    assert told[1] not in preview.model_dump_json()
    assert told[1] not in "".join(step.stdin or "" for step in preview.steps)
