"""Each way in which a guest is not as asked has its own code and hint, and goes on being waited for."""

from __future__ import annotations

from typing import get_args

import pytest

from ceso_mcp.errors import StepFailed
from ceso_mcp.fact import Reply
from ceso_mcp.guest.expectation import Kind, Mismatch
from ceso_mcp.guest.network import NicAddressing
from ceso_mcp.plan import NotYet
from ceso_mcp.recipes.guest_setup import Expectation
from ceso_mcp.recipes.proving import verdict, wait_for_guest

MAC = "00:50:56:01:02:03"
ASKED = Expectation("web01", ((MAC, NicAddressing(addresses=("192.0.2.10/24",))),))


def guest(name: str | None, *addresses: str, tools: bool = True) -> Reply:
    """`get.guest` in the form of vimcmd-get.guest-3, its other properties left out."""
    listed = "".join(f'            "{address}", \n' for address in addresses)
    return Reply(
        0,
        "Guest information:\n\n(vim.vm.GuestInfo) {\n"
        '   toolsStatus = "toolsOk", \n'
        f'   toolsRunningStatus = "{"guestToolsRunning" if tools else "guestToolsNotRunning"}", \n'
        f"   hostName = {'<unset>' if name is None else repr(name).replace(chr(39), chr(34))}, \n"
        "   net = (vim.vm.GuestInfo.NicInfo) [\n      (vim.vm.GuestInfo.NicInfo) {\n"
        '         network = "VM Network", \n'
        f"         ipAddress = (string) [\n{listed}         ], \n"
        f'         macAddress = "{MAC}", \n'
        "      }, \n   ], \n"
        '   guestState = "running"\n}\n',
    )


def test_every_reason_has_a_code_and_a_hint_of_its_own() -> None:
    found = [verdict([Mismatch(kind, "x")], 10) for kind in get_args(Kind)]
    assert len({error.code for error in found}) == len(found)
    assert len({error.hint for error in found}) == len(found)
    assert all(error.code.startswith("guest_") for error in found)


@pytest.mark.parametrize(
    ("reply", "code"),
    [
        (guest(None, tools=False), "guest_silent"),
        (guest("ubuntu", "192.0.2.10"), "guest_not_set_up"),
        (guest("web01", "fe80::1"), "guest_address_missing"),
        (guest("web01", "192.0.2.10", "192.0.2.77"), "guest_extra_address"),
    ],
)
def test_the_last_answer_tells_the_reason_when_time_is_up(reply: Reply, code: str) -> None:
    until = wait_for_guest(ASKED, 20, 7).until
    assert until is not None
    assert until.at_limit is not None
    going_on = until.done(reply)
    assert isinstance(going_on, NotYet)
    with pytest.raises(StepFailed) as caught:
        until.at_limit(reply)
    assert caught.value.code == code
    assert going_on.reason in caught.value.message
    assert "after 20 s" in caught.value.message


def test_a_guest_that_is_as_asked_ends_the_wait_with_its_address() -> None:
    until = wait_for_guest(ASKED, 20, 7).until
    assert until is not None
    assert until.done(guest("web01", "fe80::1", "192.0.2.10")) == "192.0.2.10"
    assert isinstance(until.done(Reply(1, "", "Failed to login: Connection refused")), NotYet)


def test_an_address_of_a_vlan_may_be_reported_on_its_card_and_is_no_extra_one() -> None:
    vlan = NicAddressing(addresses=("198.51.100.7/24",))
    asked = Expectation("web01", ASKED.nics, vlans=((MAC, vlan),))
    until = wait_for_guest(asked, 20, 7).until
    assert until is not None
    for reply in (guest("web01", "192.0.2.10"), guest("web01", "192.0.2.10", "198.51.100.7")):
        assert until.done(reply) == "192.0.2.10"
    assert {str(address) for address in asked.static()} == {"192.0.2.10", "198.51.100.7"}
