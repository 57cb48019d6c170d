"""What the guest reports through its tools: `vim-cmd vmsvc/get.guest` (get.guest-1, -2, -3)."""

from __future__ import annotations

from dataclasses import dataclass

from ceso_mcp.errors import Unreadable
from ceso_mcp.esxi.dump import DumpObject, parse_object


@dataclass(frozen=True, slots=True)
class GuestNic:
    """A card as the guest sees it. `addresses` are as reported, without prefix length."""

    mac: str | None
    addresses: tuple[str, ...]
    network: str | None


@dataclass(frozen=True, slots=True)
class GuestInfo:
    """The report. Everything in it is the guest's word and None (or empty) while its tools do not run.

    `ip_address` is the one that the tools call primary. `guest_state` is the host's:
    `running`, `notRunning` and so on.
    """

    tools_running: bool
    tools_status: str | None
    host_name: str | None
    ip_address: str | None
    nics: tuple[GuestNic, ...]
    guest_state: str | None


def parse_guest(stdout: str) -> GuestInfo:
    """Read `vmsvc/get.guest`; raises Unreadable if it is not a whole vim.vm.GuestInfo."""
    info = parse_object(stdout, "vim.vm.GuestInfo")
    return GuestInfo(
        tools_running=info.text("toolsRunningStatus") == "guestToolsRunning",
        tools_status=info.text("toolsStatus"),
        host_name=info.text("hostName"),
        ip_address=info.text("ipAddress"),
        nics=tuple(_nic(nic) for nic in info.objects("net")),
        guest_state=info.text("guestState"),
    )


def _nic(nic: DumpObject) -> GuestNic:
    addresses = nic.get("ipAddress") or []
    if not isinstance(addresses, list):
        raise Unreadable("get.guest", "the addresses of a card are not a list", line=repr(addresses))
    texts = tuple(address for address in addresses if isinstance(address, str))
    if len(texts) != len(addresses):
        raise Unreadable("get.guest", "an address is not text", line=repr(addresses))
    return GuestNic(nic.text("macAddress"), texts, nic.text("network"))
