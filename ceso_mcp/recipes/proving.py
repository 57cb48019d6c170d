"""Proof that a guest has become what was asked: the wait for it, and why it is not there when time is up."""

from __future__ import annotations

import contextlib
import ipaddress
from collections.abc import Collection
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address

from pydantic import BaseModel, ConfigDict, Field

from ceso_mcp.errors import CesoError, Refused, StepFailed
from ceso_mcp.esxi.guest import GuestInfo, parse_guest
from ceso_mcp.fact import Facts, Reply
from ceso_mcp.facts.guest import GuestOf
from ceso_mcp.facts.inventory import HostVms, Vm
from ceso_mcp.guest.expectation import Kind, Mismatch, to_blame
from ceso_mcp.guest.guestinfo import decode_guestinfo, static_addresses
from ceso_mcp.plan import Here, NotYet, Step, Until
from ceso_mcp.recipes.guest_setup import Expectation, reported
from ceso_mcp.recipes.judging import HOSTD_DOWN, no_answer
from ceso_mcp.shell import Captured, sh

Address = IPv4Address | IPv6Address
ADDRESS = Captured("address")
REACHED = Captured("reached")
REACH_PORT = 22
REACH_LIMIT_S = 60.0


class ProofFields(BaseModel):
    """How far a new guest is looked at, before and after."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    reach: bool = Field(
        False, description="at the end, connect to TCP port 22 of its address from the machine ceso runs on"
    )
    ask_guests: bool = Field(
        False,
        description="first ask every running guest for its addresses too, about a second each; what VMs were"
        " told by cloud-init is always looked at",
    )
    even_if_taken: bool = Field(False, description="use an address although another VM of the host has it")


# -- before -------------------------------------------------------------------------------------


async def refuse_taken(
    facts: Facts, proof: ProofFields, asked: Expectation, inventory: HostVms, besides: int | None = None
) -> list[str]:
    """Warnings about other VMs with the same host name; `besides` is the id of the VM that is meant.

    Raises Refused `address_taken` when a static address that is asked for belongs to another VM: one whose
    guestinfo says so, powered off or not, or, with `ask_guests`, whose running guest reports it. Metadata
    that ceso cannot read (YAML of another author) is passed over: its VM is not ours to judge.
    """
    wanted = asked.static()
    others = [vm for vm in inventory.vms if vm.vmid != besides]
    warnings = []
    for vm in others:
        document = metadata_of(vm)
        for address in sorted(wanted & static_addresses(document), key=str):
            _taken(address, vm, "was given it", proof)
        name = str(document.get("local-hostname") or "")
        if name and name.partition(".")[0].lower() == asked.hostname.partition(".")[0].lower():
            warnings.append(f"The VM {vm.name!r} has the host name {name} too.")
    if proof.ask_guests and wanted:
        running = [vm for vm in others if vm.power == "on"]
        for vm, info in await _guests(facts, running):
            told = {text for nic in info.nics for text in nic.addresses}
            for address in sorted(wanted & _addresses(told), key=str):
                _taken(address, vm, "reports it", proof)
    return warnings


def _addresses(texts: Collection[str]) -> set[Address]:
    found = set()
    for text in texts:
        with contextlib.suppress(ValueError):
            found.add(ipaddress.ip_address(text))
    return found


async def _guests(facts: Facts, running: list[Vm]) -> list[tuple[Vm, GuestInfo]]:
    if not running:
        return []
    replies = await facts.read(*(GuestOf(vm.vmid) for vm in running))
    return list(zip(running, replies if len(running) > 1 else (replies,), strict=True))


def metadata_of(vm: Vm) -> dict[str, object]:
    """What a VM's guest is told, or nothing if that cannot be read."""
    if vm.vmx is None:
        return {}
    try:
        return decode_guestinfo(vm.vmx.get)
    except CesoError:
        return {}


def _taken(address: Address, vm: Vm, how: str, proof: ProofFields) -> None:
    if not proof.even_if_taken:
        raise Refused(
            f"the address {address} is taken: the VM {vm.name!r}, which is {vm.power}, {how}",
            code="address_taken",
            hint="choose another one, or set even_if_taken if the two can never meet",
        )


# -- after --------------------------------------------------------------------------------------


def prove(asked: Expectation, wait_s: float, proof: ProofFields, vm: Captured | int) -> list[Step]:
    """Wait until the guest is as asked and, if wanted, reach it. A failure keeps the VM."""
    steps = [wait_for_guest(asked, wait_s, vm)]
    if proof.reach:
        static = asked.address_asked()
        steps.append(reach_guest(static if static is not None else str(ADDRESS)))
    return steps


def wait_for_guest(asked: Expectation, timeout_s: float, vm: Captured | int) -> Step:
    """Wait until the guest reports what was asked for; its failure tells the reason and keeps the VM."""

    def look(reply: Reply) -> tuple[str, list[Mismatch]]:
        info = parse_guest(reply.require("asking for the guest"))
        return asked.address(info) or "", asked.mismatches(reported(info))

    def done(reply: Reply) -> str | NotYet:
        if no_answer(reply):
            return NotYet(HOSTD_DOWN)
        address, found = look(reply)
        return NotYet("; ".join(mismatch.text for mismatch in found)) if found else address

    def at_limit(reply: Reply) -> str:
        if no_answer(reply):
            raise StepFailed(HOSTD_DOWN, code="hostd_down")
        address, found = look(reply)
        if found:
            raise verdict(found, timeout_s)
        return address

    return Step(
        "wait until the guest reports its name and address",
        sh("vim-cmd", "vmsvc/get.guest", vm),
        until=Until(ADDRESS.name, done, asked.words(), timeout_s, every_s=2.0, at_limit=at_limit),
        reads_only=True,
        keep_on_failure=True,
    )


def verdict(found: Collection[Mismatch], waited_s: float) -> StepFailed:
    """The failure that tells why a guest is not as asked, with a code of its own for each reason."""
    listed = list(found)
    code, said, hint = _REASONS[to_blame(listed).kind]
    what = "; ".join(mismatch.text for mismatch in listed)
    return StepFailed(f"after {waited_s:g} s {said} ({what})", code=code, hint=hint)


_REASONS: dict[Kind, tuple[str, str, str]] = {
    "tools": (
        "guest_silent",
        "the guest's tools have not answered",
        "look at its console: either it did not boot, or open-vm-tools is not in the template",
    ),
    "host_name": (
        "guest_not_set_up",
        "the guest runs, but did not take what it was told",
        "in the guest, `cloud-init status --long` and /run/cloud-init/ds-identify.log tell why; cloud-init "
        "and open-vm-tools have to be in the template, and no other datasource (ds= on the kernel's command "
        "line, datasource_list in /etc/cloud)",
    ),
    "nic": (
        "guest_card_missing",
        "the guest does not have one of its network cards up",
        "is the card connected, and does the guest have a driver for it? `ip link` in the guest tells",
    ),
    "elsewhere": (
        "guest_cards_mixed_up",
        "an address is on another network card than it was asked for",
        "a network configuration in the template that goes by names wins over the one by MAC address: look "
        "into /etc/netplan and /etc/cloud/cloud.cfg.d there",
    ),
    "address": (
        "guest_address_missing",
        "the guest has its name, but not its address",
        "a network configuration left in the template wins over what cloud-init is told: look into "
        "/etc/cloud/cloud.cfg.d (network:) and /etc/netplan there; in the guest, `cloud-init status --long`",
    ),
    "dhcp": (
        "guest_no_lease",
        "the guest got no address by DHCP",
        "is there a DHCP server in the card's portgroup, and is its VLAN the right one?",
    ),
    "extra_address": (
        "guest_extra_address",
        "the guest has an address that nobody asked for",
        "most likely another file in /etc/netplan of the template, which netplan merges: delete it there",
    ),
    "former_address": (
        "guest_former_address",
        "the guest still has an address that it was to give up",
        "most likely another file in /etc/netplan of the guest keeps it: delete it there",
    ),
}


@dataclass(frozen=True, slots=True)
class ReachGuest(Here):
    """Connect to a TCP port of the guest from this machine; `{address}` is the one it has reported."""

    address: str
    port: int
    limit_s: float

    def shown(self) -> str:
        return f"connect to TCP port {self.port} of {self.address}, tried for at most {self.limit_s:g} s"


def reach_guest(address: str) -> Step:
    """Connect to the guest's SSH port; captured as `reached`."""
    return Step(
        "see that the guest can be reached from here",
        here=ReachGuest(address, REACH_PORT, REACH_LIMIT_S),
        keep_on_failure=True,
    )
