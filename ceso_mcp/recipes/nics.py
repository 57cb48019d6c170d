"""Network cards as they are asked for, and where they go in a .vmx: those that are there, then new ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ceso_mcp.errors import Refused
from ceso_mcp.esxi.esxcli import Portgroup
from ceso_mcp.esxi.vmx import Vmx
from ceso_mcp.fields import PortgroupName
from ceso_mcp.guest.identity import StaticMac
from ceso_mcp.guest.network import MTU_MAX, MTU_MIN, NicAddressing

NICS_MAX = 10
"""ethernet0 to ethernet9: what a VM can have."""
OLDEST_VMXNET3 = 7
"""The first hardware version with vmxnet3 (VMware KB 1001805)."""
TRUNK = 4095
"""The VLAN ID of a portgroup that passes all tags on to the guest."""
_DHCP = "dhcp"
_NONE = "none"


class AddressFields(BaseModel):
    """What one interface of the guest is to have. `addressing` is the same in the guest's words."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    dhcp_by_default: ClassVar[bool] = False
    """Whether an interface without any address asks for one by DHCP."""

    ipv4: str | None = Field(
        None, description="IPv4: 'dhcp', 'none' or an address with prefix, 192.0.2.10/24", max_length=64
    )
    gateway4: str | None = Field(None, description="IPv4 gateway, for a static address", max_length=64)
    ipv6: str | None = Field(
        None, description="IPv6: 'dhcp', 'none' or an address with prefix, 2001:db8::10/64", max_length=64
    )
    gateway6: str | None = Field(None, description="IPv6 gateway, for a static address", max_length=64)
    dns: tuple[str, ...] = Field((), description="DNS servers", max_length=8)
    search: tuple[str, ...] = Field((), description="DNS search domains", max_length=32)
    mtu: int | None = Field(None, ge=MTU_MIN, le=MTU_MAX, description="MTU in bytes, if not 1500")
    accept_ra: bool | None = Field(
        None, description="take IPv6 router advertisements; if left out, only without a static IPv6 address"
    )

    @property
    def addressed(self) -> bool:
        """Whether it was given an address or a way to get one."""
        return any(text is not None and not _is(text, _NONE) for text in (self.ipv4, self.ipv6))

    def addressing(self) -> NicAddressing:
        """Its addresses; raises ValueError where they contradict each other."""
        given = [text for text in (self.ipv4, self.ipv6) if text is not None]
        asked: dict[str, Any] = {
            "dhcp4": _is(self.ipv4, _DHCP) or (self.dhcp_by_default and not given),
            "dhcp6": _is(self.ipv6, _DHCP),
            "addresses": tuple(text for text in given if not _is(text, _DHCP) and not _is(text, _NONE)),
            "gateway4": self.gateway4,
            "gateway6": self.gateway6,
            "nameservers": self.dns,
            "search": self.search,
            "mtu": self.mtu,
            "accept_ra": self.accept_ra,
        }
        try:
            found = NicAddressing.model_validate(asked)
        except ValidationError as error:
            raise ValueError(_in_words(error)) from None
        if self.ipv4 and not found.ipv4 and found.ipv6 and not _is(self.ipv4, _DHCP, _NONE):
            raise ValueError("ipv4 is an IPv6 address")
        if self.ipv6 and not found.ipv6 and found.ipv4 and not _is(self.ipv6, _DHCP, _NONE):
            raise ValueError("ipv6 is an IPv4 address")
        return found


class NicFields(AddressFields):
    """What one network card is to have."""

    mac: StaticMac | None = Field(
        None, description="MAC address, 00:50:56:00:00:00 to 00:50:56:3f:ff:ff; drawn if left out"
    )


class VlanFields(AddressFields):
    """A tagged VLAN inside the guest. Without any address it is up and has none."""

    id: int = Field(ge=1, le=4094, description="VLAN id")
    nic: int = Field(
        0, ge=0, le=NICS_MAX - 1, description="its network card: 0 the first, 1 the first of nics…"
    )


class FurtherNic(NicFields):
    """A network card after the first one. Without any address it is up and has none."""

    portgroup: PortgroupName | None = Field(
        None, description="its network; left out, that of the card the VM already has"
    )


@dataclass(frozen=True, slots=True)
class Cards:
    """The network cards of a new VM by number: all of them in order, new portgroups, and the added ones."""

    numbers: tuple[int, ...]
    portgroups: Mapping[int, str]
    added: tuple[int, ...]


def cards_for(source: Vmx, first: NicFields, portgroup: str | None, further: Sequence[FurtherNic]) -> Cards:
    """Which card gets what: the first present one is `first` on `portgroup`, the next are `further`.

    Where the source has fewer, cards are added under the next free numbers. Raises Refused:
    `portgroup_needed` for a card to be added that names no network, `too_many_nics` when no number is
    free, `hardware_too_old` for a VM too old for vmxnet3.
    """
    present = [nic.index for nic in source.nics()]
    wanted = [portgroup, *(nic.portgroup for nic in further)]
    if not present and portgroup is None and not further and not first.addressed:
        return Cards((), {}, ())
    used = {nic.index for nic in source.all_nics()}
    highest = max(present, default=-1)
    free = sorted(set(range(NICS_MAX)) - used, key=lambda number: (number < highest, number))
    missing = wanted[len(present) :]
    if len(missing) > len(free):
        raise Refused(
            f"the VM would need {len(present) + len(missing)} network cards; "
            f"{len(present) + len(free)} are possible",
            code="too_many_nics",
        )
    if missing:
        _require_vmxnet3(source)
    for position, name in enumerate(missing, len(present)):
        if name is None:
            which = "portgroup" if position == 0 else f"portgroup of nics.{position - 1}"
            raise Refused(
                f"network card {position + 1} of the VM has to be added, but its network is not named",
                code="portgroup_needed",
                hint=f"give {which}; the VM that is copied has {len(present)} network cards",
            )
    numbers = (*present, *free[: len(missing)])
    named = {number: name for number, name in zip(numbers, wanted, strict=False) if name is not None}
    return Cards(numbers, named, numbers[len(present) :])


def portgroup_rows(source: Vmx, cards: Cards) -> list[tuple[str, str, str]]:
    """Cards whose network is another one than in the source, for a reader: what, before, after."""
    before = {nic.index: nic.network_name or "" for nic in source.nics()}
    return [
        (f"portgroup of network card {number}", before.get(number, "no such card"), name)
        for number, name in cards.portgroups.items()
        if before.get(number) != name
    ]


def vlan_warnings(
    source: Vmx, cards: Cards, vlans: Sequence[VlanFields], known: Sequence[Portgroup]
) -> list[str]:
    """VLANs of the guest whose tags its portgroup does not let through."""
    kept = {nic.index: nic.network_name or "" for nic in source.nics()}
    tags = {portgroup.name: portgroup.vlan_id for portgroup in known}
    warnings = []
    for vlan in vlans:
        if vlan.nic >= len(cards.numbers):
            continue
        number = cards.numbers[vlan.nic]
        name = cards.portgroups.get(number) or kept.get(number, "")
        if tags.get(name, TRUNK) != TRUNK:
            warnings.append(
                f"VLAN {vlan.id} in the guest needs a portgroup with VLAN ID {TRUNK} (all); "
                f"{name!r} has {tags[name]}."
            )
    return warnings


def _require_vmxnet3(source: Vmx) -> None:
    version = source.number("virtualHW.version")
    if version is not None and version < OLDEST_VMXNET3:
        raise Refused(
            f"a network card cannot be added: hardware version {version} has no vmxnet3",
            code="hardware_too_old",
            hint="raise the hardware version of the VM that is copied, or add the card there",
        )


def _is(text: str | None, *words: str) -> bool:
    return text is not None and text.strip().lower() in words


def _in_words(error: ValidationError) -> str:
    problems = []
    for item in error.errors(include_url=False, include_input=False, include_context=False):
        where = ".".join(map(str, item["loc"]))
        problems.append(f"{where}: {item['msg'].removeprefix('Value error, ')}".removeprefix(": "))
    return "; ".join(problems)
