from __future__ import annotations

import ipaddress

import pytest

from ceso_mcp.errors import Unreadable
from ceso_mcp.guest.expectation import Kind, Mismatch, Reported, mismatches, to_blame
from ceso_mcp.guest.network import NicAddressing

MAC = "00:50:56:01:02:03"
STATIC = NicAddressing(addresses=("192.0.2.10/24", "2001:db8::10/64"))
DHCP = NicAddressing(dhcp4=True)


def _reasons(
    asked: NicAddressing,
    *addresses: str,
    hostname: str | None = None,
    name: str | None = None,
    mac: str = MAC,
) -> list[str]:
    reported = Reported(tools_running=True, host_name=name, addresses={mac: addresses})
    return [found.text for found in mismatches(hostname, [(MAC, asked)], reported)]


def test_without_tools_nothing_else_is_judged() -> None:
    reported = Reported(tools_running=False, host_name=None, addresses={})
    assert mismatches("web01", [(MAC, STATIC)], reported) == [Mismatch("tools", "tools are not running")]


def test_a_guest_that_is_as_asked_has_no_mismatch() -> None:
    found = _reasons(
        STATIC, "192.0.2.10", "2001:db8::10", "fe80::250:56ff:fe01:203", hostname="web01", name="web01"
    )
    assert found == []


def test_the_guest_of_a_real_capture_is_recognised() -> None:
    # transcript vimcmd-get.guest-3
    reported = Reported(True, "debian", {"00:0c:29:62:e8:6d": ["192.168.200.9", "fe80::20c:29ff:fe62:e86d"]})
    assert mismatches("debian", [("00:0C:29:62:E8:6D", DHCP)], reported) == []
    static = NicAddressing(addresses=("192.168.200.9/24",))
    assert mismatches("debian", [("00:0c:29:62:e8:6d", static)], reported) == []


def test_each_missing_address_is_named_with_its_nic() -> None:
    assert _reasons(STATIC, "192.0.2.10") == [f"address 2001:db8::10 missing on MAC {MAC}"]


def test_an_ipv6_address_is_recognised_in_any_spelling() -> None:
    assert _reasons(STATIC, "192.0.2.10", "2001:0DB8:0::0010") == []


def test_further_ipv6_addresses_are_fine_and_further_ipv4_addresses_are_not() -> None:
    assert _reasons(STATIC, "192.0.2.10", "2001:db8::10", "2001:db8::d00d", "169.254.7.7") == []
    assert _reasons(STATIC, "192.0.2.10", "192.0.2.99", "2001:db8::10") == [
        f"address 192.0.2.99 on MAC {MAC} was not asked for"
    ]


@pytest.mark.parametrize("only", [(), ("169.254.1.2",), ("fe80::1%ens192",), ("2001:db8::5",)])
def test_dhcp_waits_for_an_address_that_is_not_link_local(only: tuple[str, ...]) -> None:
    assert _reasons(DHCP, *only) == [f"no IPv4 address by DHCP yet on MAC {MAC}"]


def test_dhcp_takes_any_address_of_its_family() -> None:
    assert _reasons(DHCP, "203.0.113.5") == []
    assert _reasons(NicAddressing(dhcp6=True), "2001:db8::5") == []
    assert _reasons(NicAddressing(dhcp6=True), "203.0.113.5") == [f"no IPv6 address by DHCP yet on MAC {MAC}"]


def test_a_nic_that_is_not_reported_is_named_unless_it_was_to_be_silent() -> None:
    assert _reasons(STATIC, "192.0.2.10", mac="00:50:56:09:09:09") == [f"MAC {MAC} is not reported"]
    assert _reasons(NicAddressing(), mac="00:50:56:09:09:09") == []


@pytest.mark.parametrize(
    ("asked", "name", "same"),
    [
        ("web01", "web01", True),
        ("web01", "WEB01", True),
        ("web01.example.test", "web01", True),
        ("web01", "web01.lan", True),
        ("web01.example.test", "web01.example.test.", True),
        ("web01.example.test", "web01.other.test", False),
        ("web01", "localhost", False),
        ("web01", "web011", False),
        ("web01", None, False),
        ("web01", "", False),
    ],
)
def test_the_host_name_is_compared_short_or_full(asked: str, name: str | None, same: bool) -> None:
    found = _reasons(DHCP, "203.0.113.5", hostname=asked, name=name)
    assert found == ([] if same else [f"host name is {name or 'not reported'}, asked {asked}"])


def test_the_guests_own_words_are_shown_harmlessly() -> None:
    (text,) = _reasons(DHCP, "203.0.113.5", hostname="web01", name="\x1b[31m\u202e" + "x" * 500)
    assert text.startswith("host name is ?[31m?xxx")
    assert len(text) < 110


def test_an_address_that_is_none_is_unreadable() -> None:
    with pytest.raises(Unreadable):
        _reasons(DHCP, "192.0.2")


OTHER = "00:50:56:01:02:04"


def _blamed(reported: Reported, former: tuple[str, ...] = ()) -> Kind:
    """What is blamed when the first card was to have two addresses and the second one a lease."""
    gone = [ipaddress.ip_address(text) for text in former]
    found = mismatches("web01", [(MAC, STATIC), (OTHER, DHCP)], reported, gone)
    return to_blame(found).kind


ALL = {MAC: ["192.0.2.10", "2001:db8::10"], OTHER: ["203.0.113.5"]}


@pytest.mark.parametrize(
    ("reported", "kind"),
    [
        (Reported(False, None, {}), "tools"),
        (Reported(True, None, {}), "host_name"),
        (Reported(True, "ubuntu", {MAC: ["192.0.2.77"], OTHER: []}), "host_name"),
        (Reported(True, "web01", {OTHER: ["203.0.113.5"]}), "nic"),
        (Reported(True, "web01", {MAC: ["fe80::1"], OTHER: ["192.0.2.10", "2001:db8::10"]}), "elsewhere"),
        (Reported(True, "web01", ALL | {MAC: ["192.0.2.10", "fe80::1"]}), "address"),
        (Reported(True, "web01", ALL | {OTHER: ["169.254.3.4", "fe80::1"]}), "dhcp"),
        (Reported(True, "web01", ALL | {MAC: [*ALL[MAC], "192.0.2.77"]}), "extra_address"),
    ],
)
def test_what_explains_the_rest_is_blamed(reported: Reported, kind: Kind) -> None:
    assert _blamed(reported) == kind


def test_a_former_address_must_be_gone_from_every_card() -> None:
    reported = Reported(True, "web01", ALL | {OTHER: ["203.0.113.5", "2001:db8::9"]})
    assert _blamed(reported, ("2001:db8::9",)) == "former_address"
    clean = [(MAC, STATIC), (OTHER, DHCP)]
    assert (
        mismatches("web01", clean, Reported(True, "web01", ALL), [ipaddress.ip_address("2001:db8::9")]) == []
    )
