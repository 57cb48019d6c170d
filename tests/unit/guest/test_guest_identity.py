from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ceso_mcp.errors import Refused
from ceso_mcp.guest import identity

SEED = bytes(range(32))
FORM = re.compile(r"56 4d( [0-9a-f]{2}){6}-[0-9a-f]{2}( [0-9a-f]{2}){7}")


@given(st.binary(min_size=32, max_size=32), st.text())
def test_a_uuid_has_the_form_that_a_standalone_host_writes(seed: bytes, label: str) -> None:
    uuid = identity.bios_uuid(seed, label)
    assert FORM.fullmatch(uuid)
    assert uuid == identity.bios_uuid(seed, label)


def test_other_seeds_and_labels_give_other_values() -> None:
    uuids = {identity.bios_uuid(SEED, f"vm{n}") for n in range(200)} | {identity.bios_uuid(bytes(32), "vm0")}
    assert len(uuids) == 201


def test_a_known_seed_gives_known_values_for_ever() -> None:
    # A preview made by one version must be confirmed by the next: these values may not move.
    assert identity.bios_uuid(SEED, "web01") == "56 4d 97 62 c0 2a ed 88-ae d3 26 b0 97 58 6b 13"
    assert identity.static_mac(SEED, "web01/0", set()) == "00:50:56:11:4f:76"


@given(st.binary(min_size=32, max_size=32), st.text())
def test_a_mac_is_in_the_static_range_and_never_taken(seed: bytes, label: str) -> None:
    taken: set[str] = set()
    for _ in range(5):
        mac = identity.static_mac(seed, label, taken)
        assert "00:50:56:00:00:00" <= mac <= "00:50:56:3f:ff:ff"
        assert mac not in taken
        taken.add(mac)


def test_taken_macs_are_recognised_in_any_spelling() -> None:
    first = identity.static_mac(SEED, "a", set())
    assert identity.static_mac(SEED, "a", {first.upper().replace(":", "-")}) != first


def test_the_last_free_macs_are_found_and_then_there_is_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(identity, "STATIC_MAC_COUNT", 200)
    taken: set[str] = set()
    for _ in range(200):
        taken.add(identity.static_mac(SEED, "a", taken))
    assert len(taken) == 200
    with pytest.raises(Refused, match="in use") as caught:
        identity.static_mac(SEED, "a", taken)
    assert caught.value.code == "no_free_mac"


def test_a_seed_of_the_wrong_length_is_refused() -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        identity.bios_uuid(b"short", "a")


@pytest.mark.parametrize(
    ("name", "start"),
    [
        ("web01", "ceso-web01-"),
        ("web01.example.test", "ceso-web01-"),
        ("it's a $(x)", "ceso-its-a-x-"),
        ("日本", "ceso-vm-"),
    ],
)
def test_an_instance_id_is_the_name_and_the_uuid(name: str, start: str) -> None:
    uuid = "56 4d 6f ca 63 a5 a8 3e-13 ec 73 89 1d 94 89 23"
    assert identity.instance_id(name, uuid) == start + "564d6fca63a5a83e13ec73891d948923"
    assert identity.instance_id(name, "564d6fca-63a5-a83e-13ec-73891d948923") == identity.instance_id(
        name, uuid
    )


@given(st.text(max_size=200))
def test_an_instance_id_is_safe_as_a_folder_name(name: str) -> None:
    made = identity.instance_id(name, identity.bios_uuid(SEED, name))
    assert re.fullmatch(r"ceso-[a-z0-9-]{1,40}-[0-9a-f]{32}", made)


def test_what_is_no_uuid_gives_no_instance_id() -> None:
    with pytest.raises(ValueError, match="32 hexadecimal"):
        identity.instance_id("a", "56 4d")


def test_mac_addresses_are_normalised() -> None:
    assert identity.mac_address("00-0C-29-AB-cd-EF") == "00:0c:29:ab:cd:ef"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "00:50:56:01:02",
        "00:50:56:01:02:0g",
        "01:50:56:01:02:03",
        "ff:ff:ff:ff:ff:ff",
        "00:00:00:00:00:00",
        "00:50:56:01:02:03\n",
    ],
)
def test_what_no_nic_can_have_as_mac_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="MAC address"):
        identity.mac_address(text)
