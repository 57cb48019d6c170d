"""`vmsvc/get.config` (transcript vimcmd-get.config-1) and `vmsvc/get.filelayoutex` (get.filelayoutex-1)."""

from __future__ import annotations

import os
import time

from ceso_mcp.lab import identity
from ceso_mcp.lab.disks.chain import links
from ceso_mcp.lab.disks.fault import DiskFault
from ceso_mcp.lab.dump import OMITTED, UNSET, Arr, Null, Obj, Value
from ceso_mcp.lab.storage import Storage
from ceso_mcp.lab.view_devices import hardware
from ceso_mcp.lab.view_names import full_name, guest_id, hardware_version, zulu
from ceso_mcp.lab.vmx import Settings
from ceso_mcp.lab.world import Vm, World

# What has a property of its own is not in extraConfig.
_OWN = """
.encoding config.version virtualhw.version memsize numvcpus displayname guestos annotation firmware
uuid.bios uuid.location vc.uuid tools.synctime cleanshutdown floppy0.present
"""
OWN = frozenset(_OWN.split())
DEVICES = ("scsi", "sata", "nvme", "ide", "ethernet", "usb", "ehci", "svga", "vmci", "floppy")
EXTRA_ENDS = (".pcislotnumber", ".redo", ".generatedaddressoffset")


def _extra(settings: Settings) -> list[Value]:
    found: list[Value] = []
    for key, value in settings.pairs():
        low = key.lower()
        device = low.partition(".")[0].partition(":")[0].rstrip("0123456789")
        if low in OWN or (device in DEVICES and not low.endswith(EXTRA_ENDS)):
            continue
        shown = value.lower() if low.startswith(("pcibridge", "hpet")) and value == "TRUE" else value
        found.append(Obj("vim.option.OptionValue", {"key": key, "value": shown}))
    return found


def _tools(settings: Settings) -> Obj:
    last: dict[str, Value] = {"counter": 0, "fault": Null("vmodl.MethodFault")}
    return Obj(
        "vim.vm.ToolsConfigInfo",
        {
            "toolsVersion": 0,
            "afterPowerOn": True,
            "afterResume": True,
            "beforeGuestStandby": True,
            "beforeGuestShutdown": True,
            "beforeGuestReboot": UNSET,
            "toolsUpgradePolicy": settings.get("tools.upgrade.policy", "manual"),
            "pendingCustomization": UNSET,
            "syncTimeWithHost": settings.flag("tools.syncTime"),
            "lastInstallInfo": Obj("vim.vm.ToolsConfigInfo.ToolsLastInstallInfo", last),
        },
    )


def _flags(settings: Settings) -> Obj:
    return Obj(
        "vim.vm.FlagInfo",
        {
            "disableAcceleration": False,
            "enableLogging": True,
            "useToe": False,
            "runWithDebugInfo": False,
            "monitorType": "release",
            "htSharing": "any",
            "snapshotDisabled": UNSET,
            "snapshotLocked": UNSET,
            "diskUuidEnabled": settings.flag("disk.EnableUUID"),
            "virtualMmuUsage": "automatic",
            "virtualExecUsage": "hvAuto",
            "snapshotPowerOffBehavior": "powerOff",
            "recordReplayEnabled": False,
        },
    )


def _power_ops() -> Obj:
    return Obj(
        "vim.vm.DefaultPowerOpInfo",
        {
            "powerOffType": "soft",
            "suspendType": "hard",
            "resetType": "soft",
            "defaultPowerOffType": "soft",
            "defaultSuspendType": "hard",
            "defaultResetType": "soft",
            "standbyAction": "checkpoint",
        },
    )


def _allocation(shares: int) -> Obj:
    return Obj(
        "vim.ResourceAllocationInfo",
        {
            "reservation": 0,
            "expandableReservation": False,
            "limit": -1,
            "shares": Obj("vim.SharesInfo", {"shares": shares, "level": "normal"}),
            "overheadLimit": UNSET,
        },
    )


def config(vm: Vm, world: World, storage: Storage) -> str:
    """`get.config`; the capture has garbage in `hardware`, the lab the true numbers and devices."""
    settings = vm.settings
    folder = storage.bracketed(os.path.dirname(vm.path))
    identifier = guest_id(settings.get("guestOS"))
    datastore = storage.of(vm.path)
    places: list[Value] = []
    if datastore is not None:
        pair: dict[str, Value] = {"name": datastore.name, "url": f"/vmfs/volumes/{datastore.uuid}/"}
        places.append(Obj("vim.vm.ConfigInfo.DatastoreUrlPair", pair))
    overhead = int(vm.measured.get("overhead_bytes", 0))
    swap = int(vm.measured.get("swap_reservation_bytes", 0))
    initial: dict[str, Value] = {"initialMemoryReservation": overhead, "initialSwapReservation": swap}
    cpus = int(settings.get("numvcpus", "1"))
    view = Obj(
        "vim.vm.ConfigInfo",
        {
            "changeVersion": zulu(float(vm.measured.get("changed_at", vm.booted_at))),
            "modified": "1970-01-01T00:00:00Z",
            "name": vm.name,
            "guestFullName": full_name(identifier),
            "version": hardware_version(settings),
            "uuid": identity.dashed(settings.get("uuid.bios")),
            "instanceUuid": identity.dashed(settings.get("vc.uuid")),
            "npivWorldWideNameType": "",
            "npivDesiredNodeWwns": UNSET,
            "npivDesiredPortWwns": UNSET,
            "npivTemporaryDisabled": True,
            "npivOnNonRdmDisks": UNSET,
            "locationId": identity.dashed(settings.get("uuid.location")),
            "template": False,
            "guestId": identifier,
            "alternateGuestName": "",
            "annotation": settings.get("annotation"),
            "files": Obj(
                "vim.vm.FileInfo",
                {
                    "vmPathName": storage.bracketed(vm.path),
                    "snapshotDirectory": folder,
                    "suspendDirectory": folder,
                    "logDirectory": folder,
                },
            ),
            "tools": _tools(settings),
            "flags": _flags(settings),
            "consolePreferences": Null("vim.vm.ConsolePreferences"),
            "defaultPowerOps": _power_ops(),
            "hardware": hardware(vm, world, storage),
            "cpuAllocation": _allocation(1000 * cpus),
            "memoryAllocation": _allocation(10 * int(settings.get("memSize", "32"))),
            "memoryHotAddEnabled": settings.flag("mem.hotadd"),
            "cpuHotAddEnabled": settings.flag("vcpu.hotadd"),
            "cpuHotRemoveEnabled": False,
            "hotPlugMemoryLimit": UNSET,
            "hotPlugMemoryIncrementSize": UNSET,
            "cpuAffinity": Null("vim.vm.AffinityInfo"),
            "memoryAffinity": Null("vim.vm.AffinityInfo"),
            "networkShaper": Null("vim.vm.NetworkShaperInfo"),
            "extraConfig": Arr("vim.option.OptionValue", _extra(settings)),
            "datastoreUrl": Arr("vim.vm.ConfigInfo.DatastoreUrlPair", places),
            "swapPlacement": "inherit",
            "swapDirectory": UNSET,
            "preserveSwapOnPowerOff": UNSET,
            "bootOptions": Obj(
                "vim.vm.BootOptions",
                {
                    "bootDelay": 0,
                    "enterBIOSSetup": False,
                    "bootRetryEnabled": False,
                    "bootRetryDelay": 10000,
                },
            ),
            "ftInfo": Null("vim.vm.FaultToleranceConfigInfo"),
            "vAppConfig": Null("vim.vApp.VmConfigInfo"),
            "vAssertsEnabled": False,
            "changeTrackingEnabled": settings.flag("ctkEnabled"),
            "firmware": settings.get("firmware", "bios"),
            "maxMksConnections": 40,
            "guestAutoLockEnabled": False,
            "managedBy": Null("vim.ext.ManagedByInfo"),
            "memoryReservationLockedToMax": False,
            "initialOverhead": Obj("vim.vm.ConfigInfo.OverheadInfo", initial),
        },
    )
    return "Configuration:\n \n" + world.vim.render(view)


def file_layout(vm: Vm, world: World, storage: Storage) -> str:
    """`get.filelayoutex`: VMX, descriptors and extents, log; then the chains by file key."""
    folder = os.path.dirname(vm.path)
    files: list[Value] = []
    keys: dict[str, int] = {}

    def add(path: str, kind: str) -> None:
        here = storage.here(path)
        if not os.path.exists(here) or path in keys:
            return
        keys[path] = len(keys)
        size = os.stat(here).st_size
        fields: dict[str, Value] = {
            "key": keys[path],
            "name": storage.bracketed(path),
            "type": kind,
            "size": size,
            "uniqueSize": size,
            "accessible": True,
        }
        files.append(Obj("vim.vm.FileLayoutEx.FileInfo", fields))

    add(vm.path, "config")
    for path in storage.disk_paths(vm).values():
        try:
            chain = links(storage.here(path), storage.here)
        except (DiskFault, OSError):
            chain = []
        for link in chain:
            for name, kind in ((link.path, "diskDescriptor"), (link.extent, "diskExtent")):
                add("/vmfs/volumes/" + os.path.relpath(name, storage.volumes), kind)
    stem = os.path.basename(vm.path).removesuffix(".vmx")
    add(f"{folder}/{stem}.vmsd", "snapshotList")
    add(f"{folder}/{vm.settings.get('nvram') or stem + '.nvram'}", "nvram")
    here = storage.here(folder)
    for name in sorted(os.listdir(here)) if os.path.isdir(here) else []:
        if name.endswith(".vmsn"):
            add(f"{folder}/{name}", "snapshotData")
        elif name.endswith(".vswp"):
            add(f"{folder}/{name}", "swap")
        elif name.startswith("vmware") and name.endswith(".log"):
            add(f"{folder}/{name}", "log")
    at = zulu(float(vm.measured.get("measured_at", time.time())))
    view: dict[str, Value] = {
        "file": Arr("vim.vm.FileLayoutEx.FileInfo", files),
        "disk": OMITTED,
        "snapshot": OMITTED,
        "timestamp": at,
    }
    return world.vim.render(Obj("vim.vm.FileLayoutEx", view))
