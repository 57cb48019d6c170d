"""hostd's view of one VM as the data objects that vim-cmd prints."""

from __future__ import annotations

import os
import time

from ceso_mcp.lab import identity
from ceso_mcp.lab.dump import UNSET, Arr, Null, Obj, Ref, Value, render
from ceso_mcp.lab.guests import addresses_of
from ceso_mcp.lab.power import nic_numbers
from ceso_mcp.lab.storage import Storage
from ceso_mcp.lab.world import NEVER_BOOTED, ON, Vm, World

SPECIAL_GUESTS = {
    "otherlinux-64": "otherLinux64Guest",
    "other3xlinux-64": "other3xLinux64Guest",
    "other5xlinux-64": "other5xLinux64Guest",
}
FULL_NAMES = {"ubuntu64Guest": "Ubuntu Linux (64-bit)", "debian12_64Guest": "Debian GNU/Linux 12 (64-bit)"}
HEADERS = ("Vmid", "Name", "File", "Guest OS", "Version", "Annotation")


def guest_id(guest_os: str) -> str:
    """`ubuntu-64` as `ubuntu64Guest`, `rhel9-64` as `rhel9_64Guest` (getallvms captures)."""
    name = guest_os.lower()
    if name in SPECIAL_GUESTS:
        return SPECIAL_GUESTS[name]
    base, dash, _ = name.partition("-64")
    if not dash:
        return f"{base or 'other'}Guest"
    return f"{base}_64Guest" if base[-1:].isdigit() else f"{base}64Guest"


def table(rows: list[tuple[str, ...]]) -> str:
    """getallvms: widths of the longest value, headers centred with the odd blank on the right.

    Every cell is padded, the last one too; width counts characters (bytes are possible: not known).
    """
    widths = [
        max(len(header), *(len(row[at]) for row in rows)) if rows else len(header)
        for at, header in enumerate(HEADERS)
    ]
    heads = []
    for header, width in zip(HEADERS, widths, strict=True):
        left = (width - len(header)) // 2
        heads.append(" " * left + header + " " * (width - len(header) - left))
    lines = ["   ".join(heads)]
    lines += ["   ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows]
    return "\n".join(lines) + "\n"


def row(vm: Vm, storage: Storage) -> tuple[str, ...]:
    settings = vm.settings
    return (
        str(vm.vmid),
        vm.name,
        storage.bracketed(vm.path),
        guest_id(settings.get("guestOS", "other")),
        f"vmx-{int(settings.get('virtualHW.version', '8')):02d}",
        settings.get("annotation"),
    )


def zulu(at: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(at)) + f".{int(at % 1 * 1e6):06d}Z"


def question(vm: Vm, text: str) -> Value:
    if vm.question is None:
        return Null("vim.vm.QuestionInfo")
    return Obj("vim.vm.QuestionInfo", {"id": str(vm.question), "text": text})


def runtime(vm: Vm, world: World, question_text: str) -> Obj:
    settings = vm.settings
    cpus = int(settings.get("numvcpus", "1"))
    return Obj(
        "vim.vm.RuntimeInfo",
        {
            "host": Ref("vim.HostSystem:ha-host"),
            "connectionState": "connected",
            "powerState": vm.state,
            "vmFailoverInProgress": UNSET,
            "faultToleranceState": "notConfigured",
            "dasVmProtection": Null("vim.vm.RuntimeInfo.DasProtectionState"),
            "toolsInstallerMounted": False,
            "suspendTime": UNSET,
            "bootTime": zulu(vm.booted_at) if vm.state == ON else UNSET,
            "suspendInterval": 0,
            "question": question(vm, question_text),
            "memoryOverhead": UNSET,
            "maxCpuUsage": world.cpu_mhz * cpus,
            "maxMemoryUsage": int(settings.get("memSize", "32")),
            "numMksConnections": 0,
            "recordReplayState": "inactive",
            "cleanPowerOff": UNSET if vm.booted_at == NEVER_BOOTED else settings.flag("cleanShutdown"),
            "needSecondaryReason": UNSET,
            "onlineStandby": False,
            "minRequiredEVCModeKey": UNSET,
            "consolidationNeeded": False,
            "featureRequirement": UNSET,
            "vFlashCacheAllocation": 0,
        },
    )


def _tools(vm: Vm) -> dict[str, Value]:
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


def guest(vm: Vm) -> str:
    """`get.guest` in the 8.0 form (transcripts vimcmd-get.guest-1, -3)."""
    up = bool(vm.guest.get("tools"))
    addresses = addresses_of(vm)
    cards: list[Value] = [
        Obj(
            "vim.vm.GuestInfo.NicInfo",
            {
                "network": nic["network"],
                "ipAddress": Arr("string", list(nic["addresses"])),
                "macAddress": nic["mac"],
                "connected": True,
                "deviceConfigId": 4000 + number,
                "dnsConfig": Null("vim.net.DnsConfigInfo"),
                "ipConfig": Null("vim.net.IpConfigInfo"),
                "netBIOSConfig": Null("vim.net.NetBIOSConfigInfo"),
            },
        )
        for number, nic in enumerate(vm.guest.get("net", []))
    ]
    primary = addresses[0] if addresses and not addresses[0].startswith("fe80") else None
    fields: dict[str, Value] = {
        **_tools(vm),
        "toolsVersion": "12389" if up else "0",
        "toolsInstallType": "guestToolsTypeOpenVMTools" if up else "guestToolsTypeUnknown",
        "toolsUpdateStatus": Null("vim.vm.GuestInfo.ToolsUpdateStatus"),
        "guestId": guest_id(vm.settings.get("guestOS")) if up else UNSET,
        "guestFamily": "linuxGuest" if up else UNSET,
        "guestFullName": vm.guest.get("os", "") if up else UNSET,
        "guestDetailedData": UNSET,
        "hostName": vm.guest.get("hostname", "") if up else UNSET,
        "ipAddress": primary if primary is not None else UNSET,
        "net": Arr("vim.vm.GuestInfo.NicInfo", cards) if up else UNSET,
        "ipStack": UNSET,
        "disk": UNSET,
        "screen": Obj("vim.vm.GuestInfo.ScreenInfo", {"width": 1024, "height": 768}),
        "guestState": "running" if vm.state == ON else "notRunning",
        "hwVersion": f"vmx-{int(vm.settings.get('virtualHW.version', '8')):02d}",
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
    return "Guest information:\n\n" + render(Obj("vim.vm.GuestInfo", fields))


def summary(vm: Vm, world: World, storage: Storage, question_text: str) -> str:
    """`get.summary`: the properties of transcript vimcmd-get.summary-2 in the 6.5+ style."""
    settings = vm.settings
    addresses = [address for address in addresses_of(vm) if not address.startswith("fe80")]
    committed = 0
    folder = storage.here(os.path.dirname(vm.path))
    if os.path.isdir(folder):
        committed = sum(os.lstat(entry.path).st_blocks * 512 for entry in os.scandir(folder))
    identifier = guest_id(settings.get("guestOS"))
    up = bool(vm.guest.get("tools"))
    view = Obj(
        "vim.vm.Summary",
        {
            "vm": Ref(f"vim.VirtualMachine:{vm.vmid}"),
            "runtime": runtime(vm, world, question_text),
            "guest": Obj(
                "vim.vm.Summary.GuestSummary",
                {
                    "guestId": identifier if up else UNSET,
                    "guestFullName": vm.guest["os"] if up else UNSET,
                    **_tools(vm),
                    "hostName": vm.guest["hostname"] if up else UNSET,
                    "ipAddress": addresses[0] if up and addresses else UNSET,
                    "hwVersion": UNSET,
                },
            ),
            "config": Obj("vim.vm.Summary.ConfigSummary", _config_summary(vm, storage, identifier)),
            "storage": Obj(
                "vim.vm.Summary.StorageSummary",
                {
                    "committed": committed,
                    "uncommitted": 0,
                    "unshared": committed,
                    "timestamp": zulu(time.time()),
                },
            ),
            "quickStats": Obj(
                "vim.vm.Summary.QuickStats",
                {
                    "overallCpuUsage": 12 if vm.state == ON else UNSET,
                    "guestMemoryUsage": 40 if vm.state == ON else UNSET,
                    "hostMemoryUsage": 60 if vm.state == ON else UNSET,
                    "guestHeartbeatStatus": "green" if up else "gray",
                    "uptimeSeconds": int(time.time() - vm.booted_at) if vm.state == ON else UNSET,
                },
            ),
            "overallStatus": "green",
        },
    )
    return "Listsummary:\n \n" + render(view)


def _config_summary(vm: Vm, storage: Storage, identifier: str) -> dict[str, Value]:
    settings = vm.settings
    return {
        "name": vm.name,
        "template": False,
        "vmPathName": storage.bracketed(vm.path),
        "memorySizeMB": int(settings.get("memSize", "32")),
        "cpuReservation": UNSET,
        "memoryReservation": UNSET,
        "numCpu": int(settings.get("numvcpus", "1")),
        "numEthernetCards": len(nic_numbers(settings)),
        "numVirtualDisks": len(storage.disk_paths(vm)),
        "uuid": identity.dashed(settings.get("uuid.bios")),
        "instanceUuid": identity.dashed(settings.get("vc.uuid")),
        "guestId": identifier,
        "guestFullName": FULL_NAMES.get(identifier, identifier),
        "annotation": settings.get("annotation"),
        "product": Null("vim.vApp.ProductInfo"),
        "installBootRequired": UNSET,
        "ftInfo": Null("vim.vm.FaultToleranceConfigInfo"),
        "managedBy": Null("vim.ext.ManagedByInfo"),
    }
