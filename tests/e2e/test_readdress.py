"""Other addresses for a VM: as shown, without the former ones, and taken back by a failure."""

from __future__ import annotations

import base64
import gzip
import itertools
import re
from typing import Any

import pytest

from ceso_mcp.lab import Fault

from .conftest import KEY, TEMPLATE, House
from .test_main_job import CREATE, SMALL, expected_lines

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(120)]
NET = {"ipv4": "192.0.2.44/24", "gateway4": "192.0.2.1", "ipv6": "2001:db8::44/64"}


def vmx_of(house: House, name: str = "web01") -> bytes:
    return (house.lab.volume("datastore1") / name / f"{name}.vmx").read_bytes()


def addresses(vm: Any) -> list[str]:
    return [a for nic in vm.nics for a in nic.addresses if not a.startswith("fe80")]


async def test_a_running_vm_is_readdressed_as_shown_and_stays_who_it_is(house: House) -> None:
    await house.do("create_vm", name="web01", **CREATE)
    before = await house.ask("show_vm", vm="web01")
    preview = await house.preview("readdress_vm", vm="web01", hostname="db01", restart=True, **NET)
    rows = {row.what: (row.before, row.after) for row in preview.changes}
    assert rows["addresses"] == ("192.0.2.10", "192.0.2.44/24, 2001:db8::44/64")
    assert any("host keys" in warning for warning in preview.warnings)
    mark = house.mark()
    job = await house.confirm(preview.confirm_token)
    assert job.state == "done", job.error
    shown = expected_lines([s.command for s in preview.steps], job.result or {})
    assert house.executed(mark) == [line for line, _ in itertools.groupby(shown)]
    after = await house.ask("show_vm", vm="web01")
    assert (after.host_name, addresses(after)) == ("db01", ["192.0.2.44", "2001:db8::44"])
    assert (after.uuid_bios, after.nics[0].mac) == (before.uuid_bios, before.nics[0].mac)
    assert not re.search(r"before-|new-", str(house.lab.fingerprint()["files"].keys()))


@pytest.mark.slow
async def test_what_is_not_named_stays(house: House) -> None:
    await house.do("create_vm", name="web01", power_on=False, **CREATE)
    result = await house.do("readdress_vm", vm="web01", hostname="db01")
    vm = await house.ask("show_vm", vm="web01")
    assert (vm.host_name, addresses(vm), result["address"]) == ("db01", ["192.0.2.10"], "192.0.2.10")


@pytest.mark.slow
async def test_new_macs_another_network_and_a_further_card(house: House) -> None:
    await house.do("create_vm", name="web01", power_on=False, **CREATE)
    before = await house.ask("show_vm", vm="web01")
    card = {"portgroup": "Lab, internal", "ipv4": "198.51.100.7/24"}
    await house.do(
        "readdress_vm", vm="web01", portgroup="DMZ (vlan 20)", new_macs=True, nics=[card], ipv4="dhcp"
    )
    vm = await house.ask("show_vm", vm="web01")
    assert [nic.portgroup for nic in vm.nics] == ["DMZ (vlan 20)", "Lab, internal"]
    assert before.nics[0].mac not in {nic.mac for nic in vm.nics}
    assert "198.51.100.7" in vm.nics[1].addresses


@pytest.mark.parametrize(
    "broken",
    [
        pytest.param("^mv .*new-", marks=pytest.mark.slow),
        pytest.param("vmsvc/reload", marks=pytest.mark.slow),
        pytest.param("vmsvc/power.on", marks=pytest.mark.slow),
        "^rm -f .*before-",
    ],
)
async def test_a_failure_puts_the_old_configuration_back_byte_for_byte(house: House, broken: str) -> None:
    await house.do("create_vm", name="web01", power_on=False, **CREATE)
    old = vmx_of(house)
    preview = await house.preview("readdress_vm", vm="web01", **NET)
    house.lab.add_fault(Fault(match=broken, effect="fail", stderr="Operation failed\n"))
    job = await house.confirm(preview.confirm_token)
    house.lab.clear_faults()
    assert job.state == "failed"
    assert "as it was" in (job.error or {})["changed"]
    assert vmx_of(house) == old


@pytest.mark.slow
async def test_a_running_vm_is_on_again_with_its_old_addresses_after_a_failure(house: House) -> None:
    await house.do("create_vm", name="web01", **CREATE)
    preview = await house.preview("readdress_vm", vm="web01", restart=True, **NET)
    house.lab.add_fault(Fault(match="vmsvc/reload", effect="fail", stderr="Operation failed\n"))
    job = await house.confirm(preview.confirm_token)
    house.lab.clear_faults()
    assert job.state == "failed"
    for _ in range(40):
        vm = await house.ask("show_vm", vm="web01")
        if addresses(vm):
            break
    assert (vm.power, addresses(vm)) == ("on", ["192.0.2.10"])


async def test_each_reason_to_refuse_has_its_code(house: House) -> None:
    await house.do("create_vm", name="web01", power_on=False, **CREATE)
    for arguments, code in [
        ({"vm": "Büro-Server", "ipv4": "dhcp"}, "vm_not_off"),
        ({"vm": SMALL, "hostname": "other"}, "addresses_needed"),
        ({"vm": SMALL, "ipv4": "192.0.2.10/24"}, "address_taken"),
        ({"vm": "web01", "portgroup": "nowhere"}, "no_such_portgroup"),
        ({"vm": "nobody", "ipv4": "dhcp"}, "vm_not_found"),
    ]:
        error = await house.refusal("readdress_vm", **arguments)
        assert error.code == code, arguments


async def test_an_address_of_another_vm_is_refused_and_its_host_name_told(house: House) -> None:
    await house.do("create_vm", name="web01", power_on=False, **CREATE)
    again = {**CREATE, "hostname": "web01"}
    error = await house.refusal("create_vm", name="web02", **again)
    assert (error.code, "web01" in error.message) == ("address_taken", True)
    for allowed in ({"even_if_taken": True}, {"ipv4": "192.0.2.11/24"}):
        preview = await house.preview("create_vm", name="web02", **{**again, **allowed})
        assert any("host name web01 too" in warning for warning in preview.warnings)


@pytest.mark.slow
async def test_running_guests_are_asked_if_that_is_wanted(house: House) -> None:
    await house.do("create_vm", name="web01", template=TEMPLATE, ssh_keys=[KEY])
    (leased,) = addresses(await house.ask("show_vm", vm="web01"))
    asked = {**CREATE, "ipv4": f"{leased}/24"}
    await house.preview("create_vm", name="web02", **asked)
    error = await house.refusal("create_vm", name="web02", ask_guests=True, **asked)
    assert error.code == "address_taken"


async def test_a_vm_moves_from_one_pool_to_another_and_its_first_address_is_free(house: House) -> None:
    for name, ranges, gateway in (
        ("old", "198.18.1.0/24", "198.18.1.1"),
        ("new", "198.18.2.0/24", "198.18.2.1"),
    ):
        await house.do("create_pool", name=name, ranges=[ranges], gateway4=gateway)
    wish = {key: value for key, value in CREATE.items() if key not in ("ipv4", "gateway4", "dns", "search")}
    await house.do("create_vm", name="web01", power_on=False, pool="old", **wish)
    result = await house.do("readdress_vm", vm="web01", pool="new")
    assert result["address"] == "198.18.2.2"
    pools = {pool.name: pool for pool in (await house.ask("list_pools")).pools}
    assert [(row.address, row.state, row.vm) for row in pools["new"].addresses] == [
        ("198.18.2.2", "held", "web01")
    ]
    assert not [row for row in pools["old"].addresses if row.state == "held"]


async def test_readdressing_tells_the_guest_all_that_is_asked(house: House) -> None:
    await house.do("create_vm", name="web01", power_on=False, **CREATE)
    preview = await house.preview(
        "readdress_vm", vm="web01", users=[{"name": "ada", "ssh_keys": [KEY]}], timezone="Europe/Berlin"
    )
    job = await house.confirm(preview.confirm_token)
    assert job.state == "done", job.error
    assert addresses(await house.ask("show_vm", vm="web01")) == ["192.0.2.10"]
    told = next(step.stdin for step in preview.steps if "write the new configuration" in step.why) or ""
    document = user_data_in(told)
    assert "Europe/Berlin" in document
    assert '"ada"' in document


def user_data_in(lines: str) -> str:
    """The user data in lines of a .vmx."""
    values = dict(re.findall(r'^(\S+) = "(.*)"$', lines, re.M))
    raw = base64.b64decode(values["guestinfo.userdata"])
    return (gzip.decompress(raw) if "gzip" in values["guestinfo.userdata.encoding"] else raw).decode()
