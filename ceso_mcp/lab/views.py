"""hostd's view of one VM: the table of getallvms, get.runtime and get.summary."""

from __future__ import annotations

import os
import time

from ceso_mcp.lab import identity
from ceso_mcp.lab.dump import OMITTED, UNSET, Arr, Null, Obj, Ref, Value
from ceso_mcp.lab.power import nic_numbers
from ceso_mcp.lab.questions import question
from ceso_mcp.lab.storage import Storage
from ceso_mcp.lab.view_guest import primary_address, tools
from ceso_mcp.lab.view_names import full_name, guest_id, hardware_version, zulu
from ceso_mcp.lab.world import NEVER_BOOTED, ON, Vm, World

HEADERS = ("Vmid", "Name", "File", "Guest OS", "Version", "Annotation")
# A guest's processor features that a running VM asks for (vimcmd-get.runtime-1).
FEATURES = ("cpuid.SSE3", "cpuid.SSSE3", "cpuid.NX", "cpuid.RDTSCP", "cpuid.Intel")


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
        hardware_version(settings),
        settings.get("annotation"),
    )


def _features(vm: Vm) -> Value:
    if vm.state != ON:
        return OMITTED
    items: list[Value] = [
        Obj("vim.vm.FeatureRequirement", {"key": name, "featureName": name, "value": "Bool:Min:1"})
        for name in FEATURES
    ]
    return Arr("vim.vm.FeatureRequirement", items)


def _cards(vm: Vm) -> Value:
    """What keeps each card from DirectPath (vimcmd-get.summary-2); left out where there is no card."""
    settings = vm.settings
    items: list[Value] = []
    for number in nic_numbers(settings):
        fast = settings.get(f"ethernet{number}.virtualDev").lower() == "vmxnet3"
        reasons: list[Value] = [] if fast else ["vmNptIncompatibleAdapterType"]
        reasons += [] if vm.state == ON else ["vmNptDisabledOrDisconnectedAdapter"]
        state = Obj(
            "vim.vm.DeviceRuntimeInfo.VirtualEthernetCardRuntimeState",
            {
                "vmDirectPathGen2Active": False,
                "vmDirectPathGen2InactiveReasonVm": Arr("string", reasons) if reasons else OMITTED,
                "vmDirectPathGen2InactiveReasonOther": Arr("string", ["vmNptIncompatibleNetwork"]),
                "vmDirectPathGen2InactiveReasonExtended": UNSET,
            },
        )
        items.append(Obj("vim.vm.DeviceRuntimeInfo", {"runtimeState": state, "key": 4000 + number}))
    return Arr("vim.vm.DeviceRuntimeInfo", items) if items else OMITTED


def runtime(vm: Vm, world: World) -> Obj:
    """`vim.vm.RuntimeInfo` (transcripts vimcmd-get.runtime-1, get.summary-2)."""
    settings = vm.settings
    cpus = int(settings.get("numvcpus", "1"))
    overhead = vm.measured.get("overhead_bytes")
    new = world.vim.at_least("6.5")
    clean = UNSET if vm.state == ON or vm.booted_at == NEVER_BOOTED else settings.flag("cleanShutdown")
    return Obj(
        "vim.vm.RuntimeInfo",
        {
            "device": _cards(vm),
            "host": Ref("vim.HostSystem:ha-host"),
            "connectionState": "connected",
            "powerState": vm.state,
            **({"vmFailoverInProgress": UNSET} if new else {}),
            "faultToleranceState": "notConfigured",
            "dasVmProtection": Null("vim.vm.RuntimeInfo.DasProtectionState"),
            "toolsInstallerMounted": False,
            "suspendTime": UNSET,
            "bootTime": zulu(vm.booted_at) if vm.state == ON else UNSET,
            "suspendInterval": 0,
            "question": question(vm, world.vim.era),
            "memoryOverhead": overhead if overhead is not None else UNSET,
            "maxCpuUsage": world.cpu_mhz * cpus,
            "maxMemoryUsage": int(settings.get("memSize", "32")),
            "numMksConnections": 0,
            "recordReplayState": "inactive",
            "cleanPowerOff": clean,
            "needSecondaryReason": UNSET,
            "onlineStandby": False,
            "minRequiredEVCModeKey": UNSET,
            "consolidationNeeded": bool(vm.measured.get("consolidation_needed", False)),
            **({"offlineFeatureRequirement": OMITTED} if new else {}),
            "featureRequirement": _features(vm),
            **({"featureMask": OMITTED} if new else {}),
            "vFlashCacheAllocation": 0,
            **({"paused": False, "snapshotInBackground": False, "quiescedForkParent": UNSET} if new else {}),
        },
    )


def committed_bytes(vm: Vm, storage: Storage) -> int:
    """What the files of the VM's folder occupy."""
    if "committed_bytes" in vm.measured:
        return int(vm.measured["committed_bytes"])
    folder = storage.here(os.path.dirname(vm.path))
    if not os.path.isdir(folder):
        return 0
    return sum(os.lstat(entry.path).st_blocks * 512 for entry in os.scandir(folder))


def summary(vm: Vm, world: World, storage: Storage) -> str:
    """`get.summary`: the properties of transcript vimcmd-get.summary-2 in the world's style."""
    committed = committed_bytes(vm, storage)
    identifier = guest_id(vm.settings.get("guestOS"))
    up = bool(vm.guest.get("tools"))
    address = primary_address(vm)
    guest: dict[str, Value] = {
        "guestId": identifier if up else UNSET,
        "guestFullName": vm.guest.get("os") or full_name(identifier) if up else UNSET,
        **tools(vm),
        "hostName": vm.guest.get("hostname", "") if up else UNSET,
        "ipAddress": address if up and address else UNSET,
    }
    if world.vim.at_least("6.5"):
        guest["hwVersion"] = UNSET
    view = Obj(
        "vim.vm.Summary",
        {
            "vm": Ref(f"vim.VirtualMachine:{vm.vmid}"),
            "runtime": runtime(vm, world),
            "guest": Obj("vim.vm.Summary.GuestSummary", guest),
            "config": Obj("vim.vm.Summary.ConfigSummary", _config_summary(vm, storage, identifier)),
            "storage": Obj(
                "vim.vm.Summary.StorageSummary",
                {
                    "committed": committed,
                    "uncommitted": int(vm.measured.get("uncommitted_bytes", 0)),
                    "unshared": committed,
                    "timestamp": zulu(float(vm.measured.get("measured_at", time.time()))),
                },
            ),
            "quickStats": Obj("vim.vm.Summary.QuickStats", _quick_stats(vm, up)),
            "overallStatus": "green",
        },
    )
    return "Listsummary:\n \n" + world.vim.render(view)


def _quick_stats(vm: Vm, up: bool) -> dict[str, Value]:
    on = vm.state == ON
    stats: dict[str, Value] = {
        "overallCpuUsage": 12 if on else UNSET,
        "overallCpuDemand": UNSET,
        "guestMemoryUsage": 40 if on else UNSET,
        "hostMemoryUsage": 60 if on else UNSET,
        "guestHeartbeatStatus": "green" if up else "gray",
    }
    for name in (
        "distributedCpuEntitlement",
        "distributedMemoryEntitlement",
        "staticCpuEntitlement",
        "staticMemoryEntitlement",
        "privateMemory",
        "sharedMemory",
        "swappedMemory",
        "balloonedMemory",
        "consumedOverheadMemory",
        "ftLogBandwidth",
        "ftSecondaryLatency",
        "ftLatencyStatus",
        "compressedMemory",
    ):
        stats[name] = UNSET
    stats["uptimeSeconds"] = int(time.time() - vm.booted_at) if on else UNSET
    stats["ssdSwappedMemory"] = UNSET
    return stats


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
        "guestFullName": full_name(identifier),
        "annotation": settings.get("annotation"),
        "product": Null("vim.vApp.ProductInfo"),
        "installBootRequired": UNSET,
        "ftInfo": Null("vim.vm.FaultToleranceConfigInfo"),
        "managedBy": Null("vim.ext.ManagedByInfo"),
    }
