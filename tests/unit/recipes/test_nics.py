"""Which network card of a source gets what was asked for, and what is added to it."""

from __future__ import annotations

import re

import pytest

from ceso_mcp.errors import InvalidArguments, Refused
from ceso_mcp.esxi.vmx import Vmx
from ceso_mcp.operation import parse_arguments
from ceso_mcp.operations.vm.clone_vm import CloneVm
from ceso_mcp.recipes.guest_setup import GuestFields, new_identity
from ceso_mcp.recipes.nics import FurtherNic, cards_for
from ceso_mcp.recipes.reborn import Rebirth, reborn

SEED = bytes(range(32))
UUID = "56 4d aa aa aa aa aa aa-aa aa aa aa aa aa aa aa"


def source(*numbers: int, absent: tuple[int, ...] = (), hardware: int = 19) -> Vmx:
    lines = [f'virtualHW.version = "{hardware}"']
    for number in (*numbers, *absent):
        lines.append(f'ethernet{number}.present = "{"TRUE" if number in numbers else "FALSE"}"')
        lines.append(f'ethernet{number}.networkName = "net {number}"')
        lines.append(f'ethernet{number}.pciSlotNumber = "{192 + 32 * number}"')
    return Vmx.parse("\n".join(lines) + "\n")


def refusal(**arguments: object) -> str:
    with pytest.raises(InvalidArguments) as caught:
        parse_arguments(CloneVm, {"source": "a", "name": "b", **arguments})
    return caught.value.message


def test_cards_that_are_there_are_used_in_order_and_the_rest_is_added() -> None:
    wish = GuestFields(nics=(FurtherNic(), FurtherNic(portgroup="b"), FurtherNic(portgroup="c")))
    cards = cards_for(source(0, 3), wish, "a", wish.nics)
    assert cards.numbers == (0, 3, 4, 5)
    assert cards.portgroups == {0: "a", 4: "b", 5: "c"}
    assert cards.added == (4, 5)


def test_a_number_that_a_removed_card_still_holds_is_not_taken() -> None:
    wish = GuestFields(nics=(FurtherNic(portgroup="b"),))
    assert cards_for(source(0, absent=(1,)), wish, None, wish.nics).numbers == (0, 2)
    assert cards_for(source(9), wish, None, wish.nics).numbers == (9, 0)


def test_more_cards_than_asked_for_stay() -> None:
    cards = cards_for(source(0, 1, 2), GuestFields(), None, ())
    assert (cards.numbers, cards.portgroups, cards.added) == ((0, 1, 2), {}, ())


def test_a_source_without_cards_gets_one_only_when_it_is_asked_for() -> None:
    assert cards_for(source(), GuestFields(), None, ()).numbers == ()
    assert cards_for(source(), GuestFields(), "a", ()).added == (0,)
    with pytest.raises(Refused) as caught:
        cards_for(source(), GuestFields(ipv4="192.0.2.10/24"), None, ())
    assert caught.value.code == "portgroup_needed"


@pytest.mark.parametrize(
    ("vmx", "further", "code"),
    [
        (source(0), (FurtherNic(),), "portgroup_needed"),
        (source(*range(8)), tuple(FurtherNic(portgroup="n") for _ in range(10)), "too_many_nics"),
        (source(0, hardware=4), (FurtherNic(portgroup="n"),), "hardware_too_old"),
    ],
)
def test_what_cannot_be_added_is_refused(vmx: Vmx, further: tuple[FurtherNic, ...], code: str) -> None:
    with pytest.raises(Refused) as caught:
        cards_for(vmx, GuestFields(), None, further)
    assert caught.value.code == code


def test_an_added_card_is_vmxnet3_with_a_static_mac_and_no_slot() -> None:
    vmx = source(0)
    wish = GuestFields(nics=(FurtherNic(portgroup="b", mac="00:50:56:3F:00:01"),))
    cards = cards_for(vmx, wish, None, wish.nics)
    identity = new_identity(wish, "new", cards.numbers, SEED, set())
    new, _ = reborn(
        vmx,
        Rebirth(
            "new", UUID, identity.macs, cards.portgroups, {}, identity.guestinfo, None, added_nics=cards.added
        ),
    )
    (first, second) = new.nics()
    assert (first.pci_slot, first.network_name) == (192, "net 0")
    assert (second.virtual_dev, second.network_name, second.pci_slot) == ("vmxnet3", "b", None)
    assert (second.mac, second.generated) == ("00:50:56:3f:00:01", False)
    assert [mac for mac, _ in identity.expectation.nics] == [first.mac, second.mac]


def test_each_card_gets_its_own_addresses() -> None:
    wish = GuestFields(
        ipv4="192.0.2.10/24",
        gateway4="192.0.2.1",
        nics=(FurtherNic(ipv4="198.51.100.2/24", mtu=9000), FurtherNic(), FurtherNic(ipv6="dhcp")),
    )
    identity = new_identity(wish, "vm", (0, 1, 2, 3, 4), SEED, set())
    asked = [addressing for _, addressing in identity.expectation.nics]
    assert [str(a) for a in asked[0].addresses + asked[1].addresses] == ["192.0.2.10/24", "198.51.100.2/24"]
    assert asked[1].mtu == 9000
    assert [(a.dhcp4, a.dhcp6) for a in asked[2:]] == [(False, False), (False, True), (False, False)]


def test_only_the_first_card_asks_for_an_address_when_nothing_is_said() -> None:
    assert GuestFields().addressing().dhcp4
    assert not GuestFields(ipv4="none").addressing().dhcp4
    assert not GuestFields(ipv6="2001:db8::1/64").addressing().dhcp4
    assert not FurtherNic().addressing().dhcp4


def test_a_mac_of_another_vm_is_refused_in_any_spelling() -> None:
    wish = GuestFields(mac="00:50:56:00:00:0a")
    with pytest.raises(Refused) as caught:
        new_identity(wish, "vm", (0,), SEED, {"00-50-56-00-00-0A"})
    assert caught.value.code == "mac_taken"


def test_a_drawn_mac_never_meets_a_given_one() -> None:
    drawn = new_identity(GuestFields(), "vm", (0, 1), SEED, set()).macs
    wish = GuestFields(nics=(FurtherNic(mac=drawn[0]),))
    again = new_identity(wish, "vm", (0, 1), SEED, set()).macs
    assert again[1] == drawn[0]
    assert again[0] != drawn[0]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"ipv4": "192.0.2.10/24", "nics": [{"ipv4": "192.0.2.10/25"}]}, "two NICs .* the same address"),
        (
            {"ipv4": "192.0.2.10/24", "gateway4": "192.0.2.1"}
            | {"nics": [{"ipv4": "198.51.100.2/24", "gateway4": "198.51.100.1"}]},
            "only one NIC can have the IPv4 default gateway",
        ),
        ({"mac": "00:50:56:01:02:03", "nics": [{"mac": "00:50:56:01:02:03"}]}, "the same MAC address"),
        ({"mac": "00:50:56:40:00:00"}, "from 00:50:56:00:00:00"),
        ({"mac": "00:0c:29:00:00:00"}, "from 00:50:56:00:00:00"),
        ({"mac": "not a mac, really"}, "six pairs"),
        ({"nics": [{"ipv4": "198.51.100.0/24"}]}, r"nics\.0: .*network itself"),
        ({"nics": [{}, {"ipv4": "198.51.100.255/24"}]}, r"nics\.1: .*broadcast"),
        ({"nics": [{"ipv4": "198.51.100.2/24", "gateway4": "192.0.2.1"}]}, r"nics\.0: .*not in the subnet"),
        ({"ipv4": "2001:db8::1/64"}, "ipv4 is an IPv6 address"),
        ({"ipv6": "192.0.2.1/24"}, "ipv6 is an IPv4 address"),
        ({"ipv4": "none", "gateway4": "192.0.2.1"}, "needs a static IPv4 address"),
        ({"mtu": 1000, "ipv6": "2001:db8::1/64"}, "mtu of at least 1280"),
        ({"mtu": 100}, "mtu"),
        ({"nics": [{}] * 10}, "nics"),
    ],
)  # fmt: skip
def test_contradictions_are_named_and_no_value_is_repeated(arguments: dict[str, object], words: str) -> None:
    message = refusal(**arguments)
    assert re.search(words, message), message
    assert "192.0.2.10" not in message
    assert "198.51" not in message
