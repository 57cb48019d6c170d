"""A new instance-id, name and addresses for a VM that stays who it is to the host."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ceso_mcp.errors import Refused, Unreadable
from ceso_mcp.esxi.vmx import Vmx, VmxNic
from ceso_mcp.facts.inventory import Vm
from ceso_mcp.guest.cloudinit import GuestNic, GuestVlan, guestinfo, metadata, user_data
from ceso_mcp.guest.guestinfo import (
    METADATA_KEYS,
    REPORTED_KEYS,
    SECRET_KEYS,
    static_addresses,
)
from ceso_mcp.guest.identity import bios_uuid, instance_id
from ceso_mcp.guest.names import default_hostname
from ceso_mcp.guest.network import NicAddressing
from ceso_mcp.guest.own_data import OwnUserData
from ceso_mcp.guest.readback import nics_of, vlans_of
from ceso_mcp.recipes.guest_documents import documents
from ceso_mcp.recipes.guest_setup import Expectation, GuestFields, draw_macs, expected
from ceso_mcp.recipes.nics import Cards, NicFields
from ceso_mcp.recipes.proving import metadata_of
from ceso_mcp.text import Text

_MAC_KEYS = ("address", "addressType", "generatedAddress", "generatedAddressOffset", "checkMACAddress")

SET_UP_ANEW = (
    "To its guest the VM is a new instance: cloud-init makes the SSH host keys anew (known_hosts must forget"
    " the old ones), writes the network and the host name anew, and sets up users and keys again.",
    "Users, keys, files and the machine-id that are in the guest stay; user data that it was given before is"
    " not said again.",
)


@dataclass(frozen=True, slots=True)
class Readdressed:
    """The change: lines of the .vmx that go and that come, and what the guest must then report.

    `hidden` maps keys whose values are not to be shown to what is shown instead.
    """

    instance_id: str
    hostname: str
    macs: Mapping[int, str]
    gone: tuple[str, ...]
    changes: Mapping[str, str]
    hidden: Mapping[str, str]
    expectation: Expectation
    rows: tuple[tuple[str, str, str], ...]
    warnings: tuple[str, ...]


def readdressed(
    wish: GuestFields,
    vm: Vm,
    cards: Cards,
    seed: bytes,
    taken_macs: set[str],
    own: OwnUserData | None = None,
    *,
    new_macs: bool,
) -> Readdressed:
    """The change that makes the guest of `vm` what `wish` says; what the wish leaves out stays.

    If it says nothing of the network, all of that stays. `own` is the user data that the wish brings
    along. Raises Refused: `hostname_needed`, `addresses_needed` where the present ones cannot be read,
    `mac_taken`, `portgroup_needed`.
    """
    told = metadata_of(vm)
    host = hostname_after(wish, vm)
    if wish.vlans and not cards.numbers:
        raise Refused(
            "the VM has no network card that a VLAN could be on",
            code="portgroup_needed",
            hint="give portgroup, so that a card is added",
        )
    present = {nic.index: nic for nic in vm.readable.nics()}
    has = {number: nic.mac.lower() for number, nic in present.items() if nic.mac}
    wanted = dict(zip(cards.numbers, wish.cards(), strict=False))
    macs = draw_macs(wanted, cards.numbers, seed, taken_macs, has, new=new_macs)
    asked = _asked(wish, cards, told, present)
    nics = [GuestNic(mac, asked.get(number, NicAddressing())) for number, mac in macs.items()]
    identity = instance_id(vm.name, bios_uuid(seed, "instance"))
    users, vendor, said = documents(wish, host, own)
    if users is None:  # at least /etc/hosts has to follow the name
        users = user_data(hostname=host, user=None, ssh_keys=())
    vlans = _vlans(wish, told)
    info = guestinfo(metadata(identity, host, nics, vlans), users, vendor)
    changes = dict(info.values) | _card_changes(cards, macs, present)
    dropped = [f"ethernet{n}.{key}" for n in macs if f"ethernet{n}.address" in changes for key in _MAC_KEYS]
    expectation = expected(host, nics, vlans, static_addresses(told))
    gone = dict.fromkeys((*METADATA_KEYS, *SECRET_KEYS, *REPORTED_KEYS, *dropped, *changes))
    return Readdressed(
        instance_id=identity,
        hostname=host,
        macs=macs,
        gone=tuple(gone),
        changes=changes,
        hidden={} if own is None or own.shown is None else {"guestinfo.userdata": own.shown},
        expectation=expectation,
        rows=_rows(told, identity, host, expectation, macs, present),
        warnings=(*SET_UP_ANEW, *said, *info.warnings),
    )


def hostname_after(wish: GuestFields, vm: Vm) -> str:
    """The host name that the VM has afterwards; raises Refused `hostname_needed`."""
    host = wish.hostname or str(metadata_of(vm).get("local-hostname") or "") or default_hostname(vm.name)
    if not host:
        raise Refused(
            "no host name can be made from this VM name", code="hostname_needed", hint="give hostname"
        )
    return host


def lines(vmx: Vmx, change: Readdressed) -> Text:
    """The lines that come, as lines of a .vmx in the encoding of `vmx`."""
    return Vmx((), vmx.encoding).with_set(change.changes).text(change.hidden)


def says_of_the_network(wish: GuestFields) -> bool:
    """Whether anything at all was asked of any card or VLAN."""
    fields = GuestFields.model_fields
    return (
        bool(wish.nics)
        or bool(wish.vlans)
        or any(
            getattr(wish, name) != fields[name].default for name in NicFields.model_fields if name != "mac"
        )
    )


def _asked(
    wish: GuestFields, cards: Cards, told: Mapping[str, Any], present: Mapping[int, VmxNic]
) -> dict[int, NicAddressing]:
    if says_of_the_network(wish):
        asked = zip(cards.numbers, wish.cards(), strict=False)
        return {number: card.addressing() for number, card in asked}
    try:
        kept = {nic.mac: nic.addressing for nic in nics_of(told)}
    except Unreadable:
        kept = {}
    if not kept and cards.numbers:
        raise Refused(
            "the addresses that the guest has been given cannot be read, so they cannot be kept",
            code="addresses_needed",
            hint="give ipv4 or ipv6 (an address, or dhcp)",
        )
    return {n: kept[nic.mac.lower()] for n, nic in present.items() if nic.mac and nic.mac.lower() in kept}


def _vlans(wish: GuestFields, told: Mapping[str, Any]) -> list[GuestVlan]:
    if says_of_the_network(wish):
        return [GuestVlan(vlan.id, vlan.nic, vlan.addressing()) for vlan in wish.vlans]
    return list(vlans_of(told))


def _card_changes(cards: Cards, macs: Mapping[int, str], present: Mapping[int, VmxNic]) -> dict[str, str]:
    changes: dict[str, str] = {}
    for number in cards.added:
        changes |= {f"ethernet{number}.present": "TRUE", f"ethernet{number}.virtualDev": "vmxnet3"}
    for number, mac in macs.items():
        nic = present.get(number)
        if nic is None or (nic.mac or "").lower() != mac:
            changes |= {f"ethernet{number}.addressType": "static", f"ethernet{number}.address": mac}
    for number, name in cards.portgroups.items():
        if number not in present or present[number].network_name != name:
            changes[f"ethernet{number}.networkName"] = name
    return changes


def _rows(
    told: Mapping[str, Any],
    identity: str,
    host: str,
    expectation: Expectation,
    macs: Mapping[int, str],
    present: Mapping[int, VmxNic],
) -> tuple[tuple[str, str, str], ...]:
    rows = [
        ("instance-id", str(told.get("instance-id") or ""), identity),
        ("host name", str(told.get("local-hostname") or ""), host),
    ]
    had = {number: (nic.mac or "").lower() for number, nic in present.items()}
    rows += [
        (f"MAC of network card {number}", had.get(number, ""), mac)
        for number, mac in macs.items()
        if had.get(number) != mac
    ]
    before = ", ".join(sorted(map(str, static_addresses(told))))
    after = [str(address) for _, asked in expectation.nics for address in asked.addresses]
    after += ["by DHCP"] if any(asked.dhcp4 or asked.dhcp6 for _, asked in expectation.nics) else []
    return (*rows, ("addresses", before, ", ".join(after) or "none"))
