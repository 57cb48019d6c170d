"""What a guest is told, and that it becomes so: several network cards, own user data, clones."""

from __future__ import annotations

from typing import Any

import pytest

from .conftest import KEY, TEMPLATE, House

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(120)]

CREATE: dict[str, Any] = {"template": TEMPLATE, "ssh_keys": [KEY]}
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
