from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from ceso_mcp.guest.network import NicAddressing, check_together

V4 = "192.0.2.10/24"
V6 = "2001:db8::10/64"


def test_a_dual_stack_request_keeps_what_was_asked() -> None:
    nic = NicAddressing(
        addresses=(V4, V6),
        gateway4="192.0.2.1",
        gateway6="2001:db8::1",
        nameservers=("192.0.2.53", "2001:db8::53"),
        search=("example.test",),
        mtu=9000,
    )
    assert [str(address) for address in nic.addresses] == [V4, V6]
    assert [str(address) for address in nic.ipv4 + nic.ipv6] == [V4, V6]
    assert NicAddressing.model_validate_json(nic.model_dump_json()) == nic
    assert NicAddressing.model_validate(nic.model_dump()) == nic


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"dhcp4": True},
        {"dhcp4": True, "dhcp6": True},
        {"dhcp4": True, "addresses": [V6], "gateway6": "fe80::1"},
        {"addresses": ["192.0.2.0/31"], "gateway4": "192.0.2.1"},
        {"addresses": ["192.0.2.7/32"]},
        {"addresses": ["2001:db8::/127"]},
        {"addresses": ["192.0.2.10/24", "198.51.100.9/24"], "gateway4": "198.51.100.1"},
        {"addresses": [V6], "gateway6": "2001:db8::"},
        {"mtu": 576},
    ],
)
def test_what_a_nic_can_have_is_accepted(fields: dict[str, Any]) -> None:
    NicAddressing(**fields)


@pytest.mark.parametrize(
    ("fields", "mistake"),
    [
        ({"addresses": ["192.0.2.10"]}, "needs its prefix length"),
        ({"addresses": ["192.0.2.10/255.255.255.0"]}, "is a prefix length"),
        ({"addresses": ["192.0.2.10/33"]}, "is a prefix length"),
        ({"addresses": ["192.0.2.10/"]}, "is a prefix length"),
        ({"addresses": ["192.0.2.10/0"]}, "prefix length 0"),
        ({"addresses": ["192.0.2.300/24"]}, "not an IPv4 or IPv6 address"),
        ({"addresses": ["192.0.2.010/24"]}, "not an IPv4 or IPv6 address"),
        ({"addresses": ["web01/24"]}, "not an IPv4 or IPv6 address"),
        ({"addresses": [3232235786]}, "given as text"),
        ({"addresses": ["192.0.2.0/24"]}, "address of the network itself"),
        ({"addresses": ["2001:db8::/64"]}, "address of the network itself"),
        ({"addresses": ["192.0.2.255/24"]}, "broadcast"),
        ({"addresses": ["0.0.0.0/24"]}, "unspecified"),
        ({"addresses": ["::/64"]}, "unspecified"),
        ({"addresses": ["224.0.0.5/24"]}, "multicast"),
        ({"addresses": ["ff02::1/64"]}, "multicast"),
        ({"addresses": ["127.0.0.1/8"]}, "loopback"),
        ({"addresses": ["::1/128"]}, "loopback"),
        ({"addresses": ["0.1.2.3/8"]}, "reserved"),
        ({"addresses": ["250.1.2.3/8"]}, "reserved"),
        ({"addresses": ["169.254.1.2/16"]}, "link-local"),
        ({"addresses": ["fe80::2/64"]}, "link-local"),
        ({"addresses": ["fe80::2%eth0/64"]}, "zone"),
        ({"addresses": ["::ffff:192.0.2.1/96"]}, "IPv4 address in IPv6 notation"),
        ({"addresses": [V4, "192.0.2.10/25"]}, "same address is given twice"),
        ({"dhcp4": True, "addresses": [V4]}, "either dhcp4 or static"),
        ({"dhcp6": True, "addresses": [V6]}, "either dhcp6 or static"),
        ({"gateway4": "192.0.2.1"}, "gateway4 needs a static IPv4"),
        ({"gateway6": "fe80::1"}, "gateway6 needs a static IPv6"),
        ({"gateway4": "192.0.2.1", "addresses": [V6]}, "gateway4 needs a static IPv4"),
        ({"gateway6": "2001:db8::1", "addresses": [V4]}, "gateway6 needs a static IPv6"),
        ({"gateway4": "192.0.2.1", "dhcp4": True}, "DHCP brings its own"),
        ({"gateway4": "192.0.2.10", "addresses": [V4]}, "own address"),
        ({"gateway6": "2001:db8::10", "addresses": [V6]}, "own address"),
        ({"gateway4": "198.51.100.1", "addresses": [V4]}, "not in the subnet"),
        ({"gateway6": "2001:db8:1::1", "addresses": [V6]}, "not in the subnet"),
        ({"gateway4": "192.0.2.0", "addresses": [V4]}, "its broadcast address"),
        ({"gateway4": "192.0.2.255", "addresses": [V4]}, "its broadcast address"),
        ({"gateway4": "2001:db8::1", "addresses": [V6]}, "goes into gateway6"),
        ({"gateway6": "192.0.2.1", "addresses": [V4]}, "goes into gateway4"),
        ({"gateway4": "192.0.2.1/24", "addresses": [V4]}, "without a prefix"),
        ({"gateway4": "router", "addresses": [V4]}, "is an IPv4 or IPv6 address"),
        ({"nameservers": ["127.0.0.53"]}, "nameserver must not be a loopback"),
        ({"nameservers": ["224.0.0.1"]}, "nameserver must not be a multicast"),
        ({"nameservers": ["dns.example.test"]}, "a nameserver is an IPv4"),
        ({"nameservers": ["192.0.2.1", "192.0.2.1"]}, "same nameserver"),
        ({"search": ["exa mple"]}, "search domain is made of"),
        ({"search": ["example.test."]}, "end with a dot"),
        ({"search": ["-x.test"]}, "begin or end with a dash"),
        ({"search": ["a.test", "A.test"]}, "same search domain"),
        ({"search": [5]}, "given as text"),
        ({"mtu": 100}, "greater than or equal to 576"),
        ({"mtu": 65535}, "less than or equal to 9000"),
        ({"mtu": 1000, "addresses": [V6]}, "IPv6 needs an mtu"),
        ({"dns": ["192.0.2.1"]}, "Extra inputs"),
    ],
)
def test_each_mistake_has_its_own_words(fields: dict[str, Any], mistake: str) -> None:
    with pytest.raises(ValidationError, match=mistake):
        NicAddressing(**fields)


@given(st.text(min_size=4, max_size=40).map(lambda text: f"s3cr3t{text}"))
def test_a_refusal_never_repeats_what_was_given(text: str) -> None:
    for fields in (
        {"addresses": [text]},
        {"gateway4": text},
        {"nameservers": [text]},
        {"search": [text + "_"]},
    ):
        with pytest.raises(ValidationError) as caught:
            NicAddressing(**fields)
        assert "s3cr3t" not in str(caught.value)


def test_two_nics_cannot_both_have_the_default_gateway() -> None:
    one = NicAddressing(addresses=(V4,), gateway4="192.0.2.1")
    two = NicAddressing(addresses=("198.51.100.9/24",), gateway4="198.51.100.1")
    six = NicAddressing(addresses=(V6,), gateway6="fe80::1")
    check_together([one, six])
    with pytest.raises(ValueError, match="only one NIC can have the IPv4 default gateway"):
        check_together([one, two])
    with pytest.raises(ValueError, match="only one NIC can have the IPv6 default gateway"):
        check_together([six, NicAddressing(addresses=("2001:db8::11/64",), gateway6="fe80::1")])


def test_two_nics_cannot_have_the_same_address() -> None:
    with pytest.raises(ValueError, match="same address"):
        check_together([NicAddressing(addresses=(V4,)), NicAddressing(addresses=("192.0.2.10/25",))])


def test_every_field_is_described_and_bounded_in_the_schema() -> None:
    schema = NicAddressing.model_json_schema()
    assert schema["additionalProperties"] is False
    for field in schema["properties"].values():
        assert field["description"]
    assert schema["properties"]["addresses"]["items"] == {"type": "string", "maxLength": 64}
