"""`vim-cmd vmsvc/get.guest`: what the guest's tools report."""

from __future__ import annotations

from dataclasses import dataclass

from ceso_mcp.errors import Unreadable
from ceso_mcp.esxi.dump import DumpObject, parse_dump


@dataclass(frozen=True, slots=True)
class GuestNic:
    """One network card as the guest sees it."""

    mac: str | None
    addresses: tuple[str, ...]
    network: str | None


@dataclass(frozen=True, slots=True)
class GuestInfo:
    """The report. `ip_address` is the primary one; all is None or empty without tools."""

    tools_running: bool
    tools_status: str | None
    host_name: str | None
    ip_address: str | None
    nics: tuple[GuestNic, ...]
    guest_state: str | None


def parse_guest(stdout: str) -> GuestInfo:
    """Read the object; raises Unreadable."""
    found = parse_dump(stdout)
    guest = found[0]
    if len(found) != 1 or not isinstance(guest, DumpObject) or guest.type != "vim.vm.GuestInfo":
        raise Unreadable("the guest's report", "it is not one GuestInfo")
    nics = []
    for nic in guest.get("net") or []:
        if isinstance(nic, DumpObject):
            addresses = tuple(str(a) for a in nic.get("ipAddress") or [])
            nics.append(GuestNic(nic.get("macAddress"), addresses, nic.get("network")))
    return GuestInfo(
        tools_running=guest.get("toolsRunningStatus") == "guestToolsRunning",
        tools_status=guest.get("toolsStatus"),
        host_name=guest.get("hostName") or None,
        ip_address=guest.get("ipAddress") or None,
        nics=tuple(nics),
        guest_state=guest.get("guestState"),
    )
