"""Derived identifiers are those that real files hold."""

from __future__ import annotations

import uuid
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ceso_mcp.errors import Unreadable
from ceso_mcp.esxi.identity import (
    is_mac,
    is_reserved_mac,
    is_static_mac,
    mac_of_uuid,
    parse_uuid,
    sas_wwid,
    uuid_text,
    vmci_id,
)
from ceso_mcp.esxi.vmkfstools import decode_errno, failure, parse_progress
from ceso_mcp.esxi.vmx import Vmx

SAMPLES = Path(__file__).parents[2] / "transcripts" / "samples"


def _documents() -> list[Vmx]:
    found = []
    for path in sorted(SAMPLES.glob("*.vmx")):
        try:
            vmx = Vmx.parse_bytes(path.read_bytes())
            parse_uuid(vmx.require("uuid.bios"))
        except Unreadable:
            continue
        found.append(vmx)
    return found


def test_vmci_and_sas_ids_of_every_sample_come_from_its_uuid() -> None:
    checked = {"vmci": 0, "sas": 0, "mac": 0}
    for vmx in _documents():
        bios = parse_uuid(vmx.require("uuid.bios"))
        if vmx.get("vmci0.id") is not None:
            assert vmci_id(bios) == vmx.number("vmci0.id")
            checked["vmci"] += 1
        if vmx.get("scsi0.sasWWID"):
            assert sas_wwid(bios) == vmx.get("scsi0.sasWWID")
            checked["sas"] += 1
        for nic in vmx.nics():
            if nic.address_type == "generated" and nic.mac:
                offset = vmx.number(f"ethernet{nic.index}.generatedAddressOffset") or 0
                assert mac_of_uuid(parse_uuid(vmx.require("uuid.location")), offset) == nic.mac
                checked["mac"] += 1
    assert checked == {"vmci": 14, "sas": 10, "mac": 6}


def test_further_cards_add_their_offset() -> None:
    location = uuid.UUID("564d0000-0000-0000-0000-0000007cbf81")
    assert [mac_of_uuid(location, n) for n in (0, 10, 20)] == [
        "00:0c:29:7c:bf:81",
        "00:0c:29:7c:bf:8b",
        "00:0c:29:7c:bf:95",
    ]


@given(st.uuids())
def test_both_text_forms_of_a_uuid_read_back(value: uuid.UUID) -> None:
    assert parse_uuid(uuid_text(value)) == value == parse_uuid(str(value))


def test_text_that_is_no_uuid_is_refused() -> None:
    assert (
        uuid_text(uuid.UUID("564dd928-841b-9d6a-4eb5-a940b4534327"))
        == "56 4d d9 28 84 1b 9d 6a-4e b5 a9 40 b4 53 43 27"
    )
    for text in ("", "56 4d", "56 4d f0 93 9b e4 bf 0a-fa a6 91 62 e3 70 VPSHEXID2"):
        with pytest.raises(Unreadable):
            parse_uuid(text)


@pytest.mark.parametrize(
    ("mac", "static", "reserved"),
    [
        ("00:50:56:00:00:00", True, False),
        ("00:50:56:3F:ff:ff", True, False),
        ("00:50:56:40:00:00", False, True),
        ("00:0c:29:1f:4a:ab", False, True),
        ("fa:16:3e:00:00:01", False, False),
        ("00:50:56:00:00", False, True),
    ],
)
def test_the_static_range_is_vmwares_own(mac: str, static: bool, reserved: bool) -> None:
    assert (is_static_mac(mac), is_reserved_mac(mac)) == (static, reserved)


def test_a_mac_has_six_pairs() -> None:
    assert is_mac("00:0C:29:1f:4a:ab")
    assert not is_mac("00-0c-29-1f-4a-ab")


def test_errno_hides_in_some_numbers_only() -> None:
    assert [decode_errno(n) for n in (393225, 1835017, 327689, 1638402, 16392, 15, 9)] == [
        6,
        28,
        5,
        25,
        None,
        None,
        None,
    ]


def test_a_path_with_failed_in_it_is_no_failure() -> None:
    said = (
        "Destination disk format: VMFS thin-provisioned\n"
        "Cloning disk '/vmfs/volumes/ds/Failed (15)/a.vmdk'...\n\rClone: 3% done.\rClone: 4% done."
    )
    assert failure(said) is None
    assert parse_progress(said) == 4


def test_progress_in_a_piece_without_any_is_none() -> None:
    assert parse_progress("") is None
    assert parse_progress("\rClone: 100% done.Failed to clone disk: x (1).") == 100
