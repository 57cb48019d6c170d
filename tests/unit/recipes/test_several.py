"""Names that count on, addresses that move on, and what several VMs of one plan may not share."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from ceso_mcp.operations.vm.create_vm import CreateVm
from ceso_mcp.recipes.several import moved_on, names_from

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ2nqvjQ4S0sF0VYVwWw0jvVd9Cl8u1yq2fQxJ0b7m5c"


@pytest.mark.parametrize(
    ("name", "count", "names"),
    [
        ("web01", 3, ("web01", "web02", "web03")),
        ("web08", 3, ("web08", "web09", "web10")),
        ("web9", 2, ("web9", "web10")),
        ("web", 2, ("web1", "web2")),
        ("web 099", 2, ("web 099", "web 100")),
        ("42", 2, ("42", "43")),
        ("web", 1, ("web",)),
    ],
)
def test_names_count_on(name: str, count: int, names: tuple[str, ...]) -> None:
    assert names_from(name, count) == names


def test_static_addresses_move_on_and_nothing_else_does() -> None:
    document = {
        "ipv4": "192.0.2.10/24",
        "ipv6": "dhcp",
        "gateway4": "192.0.2.1",
        "dns": ("192.0.2.53",),
        "nics": ({"ipv4": "none", "ipv6": "2001:db8::ff/64"}, {"ipv4": None}),
    }
    assert moved_on(document, 2) == document | {
        "ipv4": "192.0.2.12/24",
        "nics": ({"ipv4": "none", "ipv6": "2001:db8::101/64"}, {"ipv4": None}),
    }


def create(**more: Any) -> CreateVm:
    return CreateVm.model_validate({"name": "web01", "template": "golden", "ssh_keys": [KEY], **more})


def test_each_of_several_has_its_name_and_its_addresses() -> None:
    several = create(count=3, ipv4="192.0.2.10/24", gateway4="192.0.2.1").each()
    assert [(one.name, one.ipv4, one.count) for one in several] == [
        ("web01", "192.0.2.10/24", 1),
        ("web02", "192.0.2.11/24", 1),
        ("web03", "192.0.2.12/24", 1),
    ]
    assert [one.name for one in create(more_names=["db 1", "mail"]).each()] == ["web01", "db 1", "mail"]


@pytest.mark.parametrize(
    ("asked", "why"),
    [
        ({"count": 2, "more_names": ["db"]}, "exclude each other"),
        ({"count": 2, "hostname": "web"}, "hostname is for one VM"),
        ({"count": 2, "mac": "00:50:56:00:00:01"}, "mac is for one VM"),
        ({"more_names": ["WEB01"]}, "the same name"),
        ({"more_names": ["web 1", "web-1"]}, "the same host name"),
        ({"count": 3, "ipv4": "192.0.2.253/24"}, "VM web03: "),
        (
            {"count": 2, "ipv4": "192.0.2.10/24", "nics": [{"ipv4": "192.0.2.11/24", "portgroup": "a"}]},
            "the same address",
        ),
        ({"name": "w" * 79 + "9", "count": 2}, "VM w"),
        ({"count": 33}, "less than or equal to 32"),
    ],
)
def test_what_cannot_be_is_refused_at_once(asked: dict[str, Any], why: str) -> None:
    with pytest.raises(ValidationError, match=why):
        create(**asked)
