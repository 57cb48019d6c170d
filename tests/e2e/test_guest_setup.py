"""What a guest is told, and that it becomes so: several network cards, own user data, clones."""

from __future__ import annotations

import asyncio
import base64
import email
import gzip
import hashlib
import json
import os
import re
from typing import Any

import pytest

from .conftest import KEY, TEMPLATE, House, settled
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
async def test_a_drill_does_not_show_what_another_guest_was_told(house: House) -> None:
    await house.do("create_vm", name="own", user_data="#!/bin/sh\ntrue\n", power_on=False, **SMALLER)
    made = await house.do("backup_vm", vm="own")
    shown = (await house.preview("drill_backup", backup_id=made["backup_id"])).model_dump_json()
    assert "‹secret user data›" in shown
    vmx = (house.lab.volume("datastore1") / "own/own.vmx").read_text("utf-8")
    (encoded,) = re.findall(r'guestinfo\.userdata = "(.*)"', vmx)
    assert encoded not in shown


async def test_a_file_that_changed_since_the_preview_is_noticed(house: House) -> None:
    file = house.folder / "data"
    file.write_text("#!/bin/sh\necho one\n")
    preview = await house.preview("create_vm", name="own", user_data_file=str(file), **CREATE)
    before = house.lab.fingerprint()
    file.write_text("#!/bin/sh\necho two\n")
    job = await house.confirm(preview.confirm_token)
    assert (job.state, (job.error or {})["code"]) == ("failed", "host_changed")
    assert house.lab.fingerprint() == before


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ({"user_data": "hello"}, "user_data_invalid"),
        ({"user_data": "#cloud-config\na: [\n"}, "user_data_invalid"),
        ({"user_data": "#cloud-config\npassword: hunter2\n"}, "user_data_secret"),
        ({"run_commands": ["mysql --password=hunter2"]}, "secret_in_commands"),
        ({"user_data_file": "relative"}, "user_data_path"),
        ({"user_data_file": "/nowhere/at/all"}, "user_data_missing"),
        ({"user_data_file": "/dev/null"}, "user_data_missing"),
        ({"user_data_file": "/nul\0"}, "user_data_missing"),
        ({"user_data": "#!/bin/sh\ntrue\n", "user_data_file": "/x"}, "invalid_arguments"),
        ({"prefer_fqdn": True, "hostname": "short"}, "invalid_arguments"),
        ({"user": "ann", "users": [{"name": "ann"}]}, "invalid_arguments"),
        ({"vlans": [{"id": 20, "nic": 3}]}, "invalid_arguments"),
        ({"vlans": [{"id": 20}, {"id": 20}]}, "invalid_arguments"),
        ({"vlans": [{"id": 20, "mtu": 9000}]}, "invalid_arguments"),
        ({"accept_ra": False, "ipv6": "dhcp"}, "invalid_arguments"),
        ({"ssh_keys": ["ssh-ed25519 AAAA"]}, "invalid_arguments"),
    ],
)
async def test_what_a_guest_cannot_be_told_is_refused_before_the_host_is_asked(
    house: House, arguments: dict[str, Any], code: str
) -> None:
    mark = house.mark()
    error = await house.refusal("create_vm", name="new", **{**CREATE, **arguments})
    assert (error.code, "hunter2" in error.text()) == (code, False)
    assert house.mark() == mark


async def test_files_of_others_too_large_ones_and_ones_that_are_no_text_are_refused(house: House) -> None:
    file = house.folder / "data"
    for content, mode, code in (
        (b"#!/bin/sh\ntrue\n", 0o666, "user_data_writable"),
        (b"#!/bin/sh\n" + b"x" * (600 << 10), 0o600, "user_data_too_large"),
        (b"#!/bin/sh\n" + os.urandom(80 << 10).hex().encode(), 0o600, "guestinfo_too_large"),
        (b"#!/bin/sh\n\xff\xfe\n", 0o600, "user_data_invalid"),
        (b"root:x:0:0:hunter2\n", 0o600, "user_data_invalid"),
    ):
        file.write_bytes(content)
        file.chmod(mode)
        error = await house.refusal("create_vm", name="new", user_data_file=str(file), **CREATE)
        assert (error.code, "hunter2" in error.text()) == (code, False)


async def test_a_clone_of_a_machine_that_has_booted_gets_a_machine_id_of_its_own(house: House) -> None:
    await house.do("create_vm", name="one", **CREATE)
    await house.do("power_vm", vm="one", action="off")
    preview = await house.preview("clone_vm", source="one", name="two", power_on=True)
    assert any("machine-id" in warning for warning in preview.warnings)
    job = await house.confirm(preview.confirm_token)
    assert job.state == "done", job.error
    assert inside(house, "two")["machine_id"] != inside(house, "one")["machine_id"]
    assert inside(house, "two")["ssh_host_key"] != inside(house, "one")["ssh_host_key"]


@pytest.mark.slow
async def test_a_machine_id_is_made_once_and_only_if_wanted(house: House) -> None:
    await house.do("create_vm", name="one", **CREATE)
    await house.do("power_vm", vm="one", action="off")
    await house.do("clone_vm", source="one", name="two", power_on=True, new_machine_id=False)
    assert inside(house, "two")["machine_id"] == inside(house, "one")["machine_id"]
    await house.do("clone_vm", source="one", name="three", power_on=True)
    before = inside(house, "three")
    await house.do("power_vm", vm="three", action="off")
    await house.do("power_vm", vm="three", action="on")
    await asyncio.to_thread(settled, house.lab)
    after = inside(house, "three")
    assert after["boots"] == before["boots"] + 1
    assert (after["machine_id"], after["ssh_host_key"]) == (before["machine_id"], before["ssh_host_key"])


@pytest.mark.slow
async def test_own_boot_commands_do_not_keep_a_clone_from_its_machine_id(house: House) -> None:
    await house.do("create_vm", name="one", **CREATE)
    await house.do("power_vm", vm="one", action="off")
    text = '#cloud-config\n{"bootcmd": ["echo theirs"]}\n'
    await house.do("clone_vm", source="one", name="two", power_on=True, user_data=text)
    assert inside(house, "two")["machine_id"] != inside(house, "one")["machine_id"]


@pytest.mark.slow
async def test_a_restored_copy_gets_a_machine_id_of_its_own(house: House) -> None:
    await house.do("create_vm", name="one", **CREATE)
    await house.do("power_vm", vm="one", action="off")
    made = await house.do("backup_vm", vm="one")
    cards = [{"portgroup": DMZ, "ipv4": "198.51.100.9/24"}]
    await house.do(
        "restore_vm",
        backup_id=made["backup_id"],
        name="two",
        datastore="datastore1",
        power_on=True,
        nics=cards,
    )
    assert inside(house, "two")["machine_id"] != inside(house, "one")["machine_id"]
    vm = await house.ask("show_vm", vm="two")
    assert "198.51.100.9" in vm.nics[1].addresses
