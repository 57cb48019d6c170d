"""What the host's ping says, and which zone a record goes to."""

from __future__ import annotations

import ipaddress

import pytest

from ceso_mcp.addresses.records import host_records, pointer, words, zone_of
from ceso_mcp.fact import Reply
from ceso_mcp.facts.ping import heard

REPLY = "PING 192.0.2.9 (192.0.2.9): 56 data bytes\n64 bytes from 192.0.2.9: icmp_seq=0 ttl=64 time=0.3 ms\n"
NONE = "PING 192.0.2.9 (192.0.2.9): 56 data bytes\n\n--- 192.0.2.9 ping statistics ---\n"


@pytest.mark.parametrize(
    ("stdout", "stderr", "answers"),
    [
        (REPLY, "", True),
        (NONE + "1 packets transmitted, 1 packets received, 0% packet loss\n", "", True),
        (NONE + "1 packets transmitted, 0 packets received, 100% packet loss\n", "", False),
        ("", "sendto() failed (No route to host)\n", None),
        ("", "sh: vmkping: not found\n", None),
    ],
)
def test_only_what_was_heard_counts(stdout: str, stderr: str, answers: bool | None) -> None:
    assert heard(Reply(0 if answers else 1, stdout, stderr)) is answers


def test_records_and_their_zones() -> None:
    four, six = ipaddress.ip_address("192.0.2.9"), ipaddress.ip_address("2001:db8::9")
    records = host_records("Web01.Lab.example", (four, six))
    assert words(records) == "A web01.lab.example 192.0.2.9, AAAA web01.lab.example 2001:db8::9"
    assert pointer("web01.lab.example", four) == ("9.2.0.192.in-addr.arpa.", "PTR", "web01.lab.example.")
    zones = ("192.in-addr.arpa", "2.0.192.in-addr.arpa", "8.b.d.0.1.0.0.2.ip6.arpa")
    assert zone_of(pointer("x.y", four)[0], zones) == "2.0.192.in-addr.arpa"
    assert zone_of(pointer("x.y", six)[0], zones) == "8.b.d.0.1.0.0.2.ip6.arpa"
    assert zone_of("web01.notlab.example", ("lab.example",)) is None
    assert zone_of("lab.example.", ("lab.example",)) == "lab.example"
