from __future__ import annotations

import base64
import gzip
import json
import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ceso_mcp.errors import Refused, Unreadable
from ceso_mcp.guest.cloudinit import GuestNic, decode_guestinfo, guestinfo, metadata
from ceso_mcp.guest.guestinfo import secrets_pending, static_addresses, was_read
from ceso_mcp.guest.network import NicAddressing
from ceso_mcp.guest.readback import nics_of

MAC = "00:50:56:01:02:03"
NOISE = random.Random(1).randbytes(64 * 1024).hex()


def _b64(raw: bytes) -> str:
    return base64.b64encode(raw).decode()


def test_a_small_document_is_base64_and_a_large_one_is_gzip() -> None:
    for size, encoding in [(1023, "base64"), (1024, "gzip+base64")]:
        made = guestinfo({}, "x" * size).values
        assert made["guestinfo.userdata.encoding"] == encoding
        raw = base64.b64decode(made["guestinfo.userdata"], validate=True)
        assert (gzip.decompress(raw) if encoding.startswith("gzip") else raw) == b"x" * size


def test_only_given_documents_have_keys_and_the_metadata_always_has() -> None:
    assert list(guestinfo({"instance-id": "i"}).values) == [
        "guestinfo.metadata",
        "guestinfo.metadata.encoding",
    ]
    assert "guestinfo.vendordata" in guestinfo({}, None, "#cloud-config\n").values


def test_equal_documents_give_equal_bytes_without_a_time_in_them() -> None:
    first, second = (guestinfo({"a": "b" * 2000}, NOISE[:5000]) for _ in range(2))
    assert first == second
    packed = base64.b64decode(first.values["guestinfo.userdata"])
    assert packed[:3] == b"\x1f\x8b\x08"
    assert packed[4:8] == b"\0\0\0\0"


def test_what_is_too_large_is_refused_and_what_is_large_is_said() -> None:
    assert guestinfo({}, NOISE[:40_000]).warnings == []
    (warning,) = guestinfo({}, NOISE[:60_000]).warnings
    assert "userdata" in warning
    with pytest.raises(Refused) as caught:
        guestinfo({}, NOISE)
    assert caught.value.code == "guestinfo_too_large"
    assert NOISE[:20] not in caught.value.text()


def test_a_value_never_needs_escaping_in_a_vmx() -> None:
    made = guestinfo({"a": '"|\n'}, '"|\n' * 1000).values
    assert not set("".join(made.values())) & set('"|\n\r')


def _get(value: str | None, encoding: str | None = None) -> Any:
    return {"guestinfo.metadata": value, "guestinfo.metadata.encoding": encoding}.get


@given(st.dictionaries(st.text(max_size=10), st.text(max_size=300), max_size=8))
def test_what_was_written_is_read_back(document: dict[str, str]) -> None:
    document = {key: text for key, text in document.items() if key not in ("network", "network.encoding")}
    assert decode_guestinfo(guestinfo(document).values.get) == document


PLAIN = b'{"instance-id": "i"}'


@pytest.mark.parametrize(
    ("value", "encoding"),
    [
        (PLAIN.decode(), None),
        (PLAIN.decode(), ""),
        (PLAIN.decode(), " "),
        (f" {PLAIN.decode()} \n", "plain"),
        (_b64(PLAIN), "base64"),
        (_b64(PLAIN), "b64"),
        (_b64(PLAIN), "base64 "),
        (_b64(gzip.compress(PLAIN, mtime=0)), "gzip+base64"),
        (_b64(gzip.compress(PLAIN, mtime=0)), "gz+b64"),
    ],
)
def test_every_encoding_that_cloud_init_knows_is_read(value: str, encoding: str | None) -> None:
    assert decode_guestinfo(_get(value, encoding)) == {"instance-id": "i"}


@pytest.mark.parametrize("value", [None, "", " ", "---"])
def test_no_metadata_is_an_empty_document(value: str | None) -> None:
    assert decode_guestinfo(_get(value, " ")) == {}


def test_a_network_with_an_encoding_of_its_own_is_read() -> None:
    network = _b64(gzip.compress(b'{"version": 2}', mtime=0))
    outer = json.dumps({"network": network, "network.encoding": "gzip+base64"}).encode()
    assert decode_guestinfo(_get(_b64(outer), "base64")) == {"network": {"version": 2}}


@pytest.mark.parametrize(
    ("value", "encoding"),
    [
        ("instance-id: yaml", None),
        ("[1]", None),
        (_b64(PLAIN), None),
        (_b64(PLAIN), "Base64"),
        ("!!!", "base64"),
        ("ü", "base64"),
        (_b64(PLAIN), "gzip+base64"),
        (_b64(gzip.compress(PLAIN, mtime=0)[:-9]), "gzip+base64"),
        (_b64(gzip.compress(b" " * 5_000_000, mtime=0)), "gzip+base64"),
        (_b64(b"\xff\xfe"), "base64"),
        ('{"network": "x"}', None),
        ('{"network": "x", "network.encoding": 5}', None),
        ("[" * 100_000, None),
    ],
)
def test_what_does_not_decode_is_unreadable_and_never_guessed(value: str, encoding: str | None) -> None:
    with pytest.raises(Unreadable):
        decode_guestinfo(_get(value, encoding))


NICS = (
    GuestNic(
        MAC,
        NicAddressing(
            addresses=("192.0.2.10/24", "2001:db8::10/64"), gateway4="192.0.2.1", gateway6="fe80::1",
            nameservers=("192.0.2.1",), search=("example.test",), mtu=1400,
        ),
        "ens192",
    ),
    GuestNic("00:50:56:01:02:04", NicAddressing(dhcp4=True, dhcp6=True)),
    GuestNic("00:50:56:01:02:05", NicAddressing()),
)  # fmt: skip


def test_metadata_of_ceso_gives_back_the_request() -> None:
    document = decode_guestinfo(guestinfo(metadata("i", "web01", NICS)).values.get)
    assert nics_of(document) == NICS
    assert nics_of({"instance-id": "i"}) == ()


@pytest.mark.parametrize(
    "change",
    [
        {"wakeonlan": True},
        {"addresses": ["192.0.2.10"]},
        {"routes": [{"to": "default", "via": "192.0.2.1"}]},
        {"routes": [{"to": "0.0.0.0/0", "via": "192.0.2.1", "metric": 5}]},
        {"match": {"name": "ens*"}},
        {"match": "x"},
        {"nameservers": 5},
    ],
)
def test_a_network_of_another_author_is_not_half_understood(change: dict[str, Any]) -> None:
    document = metadata("i", "web01", NICS[:1])
    document["network"]["ethernets"]["nic0"] |= change
    with pytest.raises(Unreadable):
        nics_of(document)


def test_other_kinds_of_devices_are_not_half_understood() -> None:
    document = metadata("i", "web01", NICS[:1])
    document["network"]["bonds"] = {}
    with pytest.raises(Unreadable):
        nics_of(document)


@pytest.mark.parametrize(
    ("keys", "pending"),
    [
        ({}, ()),
        ({"guestinfo.userdata": ""}, ()),
        ({"guestinfo.userdata": "---", "guestinfo.userdata.encoding": " "}, ()),
        ({"guestinfo.userdata": "aGk=", "guestinfo.vendordata": "---"}, ("userdata",)),
        ({"guestinfo.userdata": "aGk=", "guestinfo.vendordata": "aGk="}, ("userdata", "vendordata")),
        ({"guestinfo.metadata": "aGk="}, ()),
    ],
)
def test_what_a_guest_has_not_overwritten_is_pending(keys: dict[str, str], pending: tuple[str, ...]) -> None:
    assert secrets_pending(keys.get) == pending


def test_a_guest_that_told_of_itself_has_read_its_documents() -> None:
    assert was_read({"guestinfo.local-ipv4": "192.0.2.1"}.get)
    assert not was_read({"guestinfo.local-ipv4": " ", "guestinfo.userdata": "---"}.get)


def test_addresses_are_found_in_metadata_of_any_author() -> None:
    network = {
        "ethernets": {"a": {"addresses": ["192.0.2.10/24", {"2001:db8::1/64": {}}, "no"]}, "b": None},
        "vlans": {"v": {"addresses": ["2001:db8::7/64"]}},
        "bonds": [],
    }
    found = {str(address) for address in static_addresses({"network": network})}
    assert found == {"192.0.2.10", "2001:db8::1", "2001:db8::7"}
    assert static_addresses({"network": "text"}) == frozenset()
