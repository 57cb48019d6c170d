"""`vmsvc/get.guest`: what the guest reports (transcripts vimcmd-get.guest-1, -2, -3)."""

from __future__ import annotations

from ceso_mcp.lab.dump import OMITTED, UNSET, Arr, Null, Obj, Value
from ceso_mcp.lab.guests import addresses_of
from ceso_mcp.lab.view_names import full_name, guest_id, hardware_version
from ceso_mcp.lab.world import ON, Vm, World

PREFIX_V4, PREFIX_V6 = 24, 64


def tools(vm: Vm) -> dict[str, Value]:
    """The four properties on VMware Tools that get.summary and get.guest share."""
    if not vm.guest.get("tools"):
        return {
            "toolsStatus": "toolsNotInstalled",
            "toolsVersionStatus": "guestToolsNotInstalled",
            "toolsVersionStatus2": "guestToolsNotInstalled",
            "toolsRunningStatus": "guestToolsNotRunning",
        }
    return {
        "toolsStatus": "toolsOk",
        "toolsVersionStatus": "guestToolsUnmanaged",
        "toolsVersionStatus2": "guestToolsUnmanaged",
        "toolsRunningStatus": "guestToolsRunning",
    }


def primary_address(vm: Vm) -> str | None:
    """The address at the object's first level; link-local ones are never it."""
    return next((address for address in addresses_of(vm) if not address.startswith("fe80")), None)


def _address(address: str) -> Value:
    return Obj(
        "vim.net.IpConfigInfo.IpAddress",
        {
            "ipAddress": address,
            "prefixLength": PREFIX_V6 if ":" in address else PREFIX_V4,
            "origin": UNSET,
            "state": "preferred",
            "lifetime": UNSET,
        },
    )


def _card(number: int, nic: dict[str, list[str] | str]) -> Value:
    addresses = list(nic["addresses"])
    configured: list[Value] = [_address(item) for item in addresses]
    return Obj(
        "vim.vm.GuestInfo.NicInfo",
        {
            "network": str(nic["network"]),
            "ipAddress": Arr("string", [str(address) for address in addresses]),
            "macAddress": str(nic["mac"]),
            "connected": True,
            "deviceConfigId": 4000 + number,
            "dnsConfig": Null("vim.net.DnsConfigInfo"),
            "ipConfig": Obj(
                "vim.net.IpConfigInfo",
                {
                    "dhcp": Null("vim.net.DhcpConfigInfo"),
                    "ipAddress": Arr("vim.net.IpConfigInfo.IpAddress", configured),
                    "autoConfigurationEnabled": UNSET,
                },
            ),
            "netBIOSConfig": Null("vim.net.NetBIOSConfigInfo"),
        },
    )


def _stack(vm: Vm, primary: str) -> Value:
    """Routes and name servers: further lines that read `ipAddress = ` deeper down."""
    gateway = primary.rpartition(".")[0] + ".1" if "." in primary else primary.rpartition(":")[0] + ":1"
    route = Obj(
        "vim.net.IpRouteConfigInfo.IpRoute",
        {
            "network": "0.0.0.0" if "." in primary else "::",
            "prefixLength": 0,
            "gateway": Obj("vim.net.IpRouteConfigInfo.Gateway", {"ipAddress": gateway, "device": "0"}),
        },
    )
    return Obj(
        "vim.vm.GuestInfo.StackInfo",
        {
            "dnsConfig": Obj(
                "vim.net.DnsConfigInfo",
                {
                    "dhcp": False,
                    "hostName": str(vm.guest.get("hostname", "")),
                    "domainName": "",
                    "ipAddress": Arr("string", [gateway]),
                    "searchDomain": OMITTED,
                },
            ),
            "ipRouteConfig": Obj(
                "vim.net.IpRouteConfigInfo", {"ipRoute": Arr("vim.net.IpRouteConfigInfo.IpRoute", [route])}
            ),
            "ipStackConfig": OMITTED,
            "dhcpConfig": Null("vim.net.DhcpConfigInfo"),
        },
    )


def guest(vm: Vm, world: World) -> str:
    """The whole output; 8.0 has `guestDetailedData`, 7.0 leaves `toolsInstallType` unset without Tools."""
    up = bool(vm.guest.get("tools"))
    eight = int(world.release.partition(".")[0]) >= 8
    cards = [_card(number, nic) for number, nic in enumerate(vm.guest.get("net", []))]
    primary = primary_address(vm)
    width, height = vm.measured.get("screen", (1024, 768))
    identifier = guest_id(vm.settings.get("guestOS"))
    fields: dict[str, Value] = {
        **tools(vm),
        "toolsVersion": str(vm.measured.get("tools_version", "12389")) if up else "0",
        "toolsInstallType": "guestToolsTypeOpenVMTools"
        if up
        else ("guestToolsTypeUnknown" if eight else UNSET),
        "toolsUpdateStatus": Null("vim.vm.GuestInfo.ToolsUpdateStatus"),
        "guestId": identifier if up else UNSET,
        "guestFamily": "linuxGuest" if up else UNSET,
        "guestFullName": vm.guest.get("os") or full_name(identifier) if up else UNSET,
    }
    if eight:
        fields["guestDetailedData"] = UNSET
    fields |= {
        "hostName": vm.guest.get("hostname", "") if up else UNSET,
        "ipAddress": primary if up and primary is not None else UNSET,
        "net": Arr("vim.vm.GuestInfo.NicInfo", cards) if up else UNSET,
        "ipStack": Arr("vim.vm.GuestInfo.StackInfo", [_stack(vm, primary)]) if up and primary else UNSET,
        "disk": UNSET,
        "screen": Obj("vim.vm.GuestInfo.ScreenInfo", {"width": width, "height": height}),
        "guestState": "running" if vm.state == ON else "notRunning",
        "hwVersion": hardware_version(vm.settings),
        "customizationInfo": Obj(
            "vim.vm.GuestInfo.CustomizationInfo",
            {
                "customizationStatus": "TOOLSDEPLOYPKG_IDLE",
                "startTime": UNSET,
                "endTime": UNSET,
                "errorMsg": UNSET,
            },
        ),
    }
    return "Guest information:\n\n" + world.vim.render(Obj("vim.vm.GuestInfo", fields))
