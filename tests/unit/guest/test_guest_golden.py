"""The documents of every case are the ones checked in.

To write them anew after an intended change: CESO_UPDATE_GOLDEN=1 pytest tests/unit/guest/test_guest_golden.py
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import yaml
from guest_cases import CASES, Case

from ceso_mcp.guest.multipart import multipart

GOLDEN = Path(__file__).parents[2] / "golden" / "guest"


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_documents_are_the_ones_checked_in(case: Case) -> None:
    documents = case.documents()
    if os.environ.get("CESO_UPDATE_GOLDEN"):
        GOLDEN.mkdir(parents=True, exist_ok=True)
        for name, text in documents.items():
            (GOLDEN / name).write_bytes(text.encode())
    there = {path.name: path.read_bytes().decode() for path in GOLDEN.glob(f"{case.name}.*")}
    assert there == documents


def test_no_golden_file_is_left_without_a_case() -> None:
    assert {path.name for path in GOLDEN.iterdir()} == {name for case in CASES for name in case.documents()}


def test_checked_in_networks_are_what_a_yaml_reader_sees() -> None:
    seen = yaml.safe_load((GOLDEN / "static-dual-stack.network.json").read_text(encoding="utf-8"))
    assert seen["ethernets"]["nic0"]["addresses"] == ["192.0.2.10/24", "2001:db8::10/64"]
    assert seen["ethernets"]["nic0"]["routes"][1] == {"to": "::/0", "via": "2001:db8::1"}


def test_a_message_of_two_parts_has_a_boundary_that_neither_part_holds() -> None:
    message = multipart("#cloud-config\n{}\n", "#!/bin/sh\n")
    boundary = message.partition('boundary="')[2].partition('"')[0]
    assert message.count(f"--{boundary}") == 3
