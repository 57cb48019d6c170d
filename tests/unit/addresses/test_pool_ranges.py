"""Pools: what they take, what they give out, and in which order."""

from __future__ import annotations

import ipaddress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from ceso_mcp.addresses.pool import Pool, address_range
from ceso_mcp.errors import Refused


def pool(*ranges: str, **rest: Any) -> Pool:
    return Pool(name="p", ranges=ranges, **rest)


def first(found: Pool, family: Any, count: int) -> list[str]:
    candidates = found.candidates(family)
    return [str(next(candidates)) for _ in range(count)]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("192.0.2.10", "prefix length"),
        ("192.0.2.10/24", "neither a range"),
        ("192.0.2.10-192.0.2.9/24", "ends before it begins"),
        ("192.0.2.10-192.0.3.9/24", "in one subnet"),
        ("192.0.2.10-2001:db8::1/24", "one family"),
        ("192.0.2.0-192.0.2.9/24", "address of the network"),
        ("192.0.2.1-192.0.2.255/24", "broadcast"),
        ("192.0.2.1-192.0.2.9/33", "prefix length"),
        ("fe80::1-fe80::9/64", "link-local"),
        ("127.0.0.1-127.0.0.9/8", "loopback"),
        ("web01-web09/24", "not an IPv4 or IPv6"),
        ("192.0.2.1-192.0.2.9/x", "prefix length"),
        ("224.0.0.0/24", "multicast"),
    ],
)
def test_a_range_that_is_none_is_told_by_its_reason(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        address_range(text)


@pytest.mark.parametrize(
    ("ranges", "rest", "said"),
    [
        (("192.0.2.10-192.0.2.20/24", "192.0.2.20-192.0.2.30/24"), {}, "overlap"),
        (("192.0.2.10-192.0.2.20/24", "198.51.100.1-198.51.100.9/24"), {}, "one subnet"),
        (("192.0.2.10-192.0.2.20/24",), {"gateway6": "2001:db8::1"}, "IPv6 range"),
        (("192.0.2.10-192.0.2.20/24",), {"gateway4": "198.51.100.1"}, "subnet"),
        (("192.0.2.10-192.0.2.20/24",), {"dns": ("nobody",)}, "nameserver"),
        (("192.0.2.10-192.0.2.20/24",), {"search": ("-x",)}, "dash"),
        (("192.0.2.10-192.0.2.10/24",), {"exclude": ("192.0.2.10",)}, "left"),
    ],
)
def test_a_pool_that_contradicts_itself_is_refused(ranges: Any, rest: Any, said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        pool(*ranges, **rest)


def test_what_is_never_given_out() -> None:
    found = pool("192.0.2.0/29", gateway4="192.0.2.1", dns=("192.0.2.2",), exclude=("192.0.2.4-192.0.2.5",))
    assert [str(a) for a in found.candidates(4)] == ["192.0.2.3", "192.0.2.6"]
    assert found.size(4) == 2


def test_ranges_are_used_in_their_order_and_large_ones_are_not_counted_out() -> None:
    found = pool(
        "192.0.2.20-192.0.2.21/24", "192.0.2.10-192.0.2.11/24", "2001:db8::/64", gateway6="2001:db8::1"
    )
    assert first(found, 4, 4) == ["192.0.2.20", "192.0.2.21", "192.0.2.10", "192.0.2.11"]
    assert first(found, 6, 2) == ["2001:db8::2", "2001:db8::3"]
    assert found.size(6) == 2**64 - 2


def test_a_large_exclusion_is_stepped_over() -> None:
    found = pool("2001:db8::/64", exclude=("2001:db8::-2001:db8::ffff:ffff:ffff",))
    assert first(found, 6, 1) == ["2001:db8:0:0:1::"]


def test_pools_that_share_an_address_are_refused() -> None:
    one = pool("192.0.2.10-192.0.2.20/24")
    other = Pool(name="q", ranges=("192.0.2.0/28",))
    with pytest.raises(Refused, match="share") as caught:
        one.refuse_overlap(other)
    assert caught.value.code == "pool_overlaps"


bytes_ = st.integers(0, 255)


@given(st.integers(24, 32), bytes_, bytes_, st.lists(st.tuples(bytes_, bytes_), max_size=4), st.data())
def test_size_is_the_number_of_candidates_and_each_is_usable(
    prefix: int, low: int, high: int, holes: list[tuple[int, int]], data: st.DataObject
) -> None:
    network = ipaddress.ip_network("192.0.2.0/24")
    text = f"192.0.2.{min(low, high)}-192.0.2.{max(low, high)}/{prefix}"
    exclude = tuple(f"192.0.2.{min(h)}-192.0.2.{max(h)}" for h in holes)
    gateway = f"192.0.2.{data.draw(bytes_)}"
    try:
        found = pool(text, exclude=exclude, gateway4=gateway)
    except ValidationError:
        return
    given_out = list(found.candidates(4))
    assert found.size(4) == len(given_out) == len(set(given_out))
    assert given_out == sorted(given_out)
    assert all(found.why_not(a) is None and a in network for a in given_out)
    kept_back = [a for a in network if a not in given_out]
    assert all(found.why_not(a) is not None for a in kept_back)
