"""hostd's view of a VM's configuration and hardware."""

from __future__ import annotations

import os
import re

from ceso_mcp.lab import identity
from ceso_mcp.lab.dump import UNSET, Arr, Obj, Value, render
from ceso_mcp.lab.power import nic_mac, nic_numbers
from ceso_mcp.lab.storage import Storage
from ceso_mcp.lab.views import FULL_NAMES, guest_id, zulu
from ceso_mcp.lab.world import Vm


def hardware(vm: Vm, storage: Storage) -> Obj:
    """The numbers, disks and cards of a VM; other devices are left out."""
    settings = vm.settings
    devices: list[Value] = []
    for node, path in storage.disk_paths(vm).items():
        found = re.match(r"^(scsi|sata|nvme|ide)(\d+):(\d+)$", node)
        bus, unit = (int(found[2]), int(found[3])) if found else (0, 0)
        devices.append(
            Obj(
                "vim.vm.device.VirtualDisk",
                {
                    "key": 2000 + 16 * bus + unit,
                    "backing": Obj(
                        "vim.vm.device.VirtualDisk.FlatVer2BackingInfo",
                        {"fileName": storage.bracketed(path), "diskMode": "persistent"},
                    ),
                    "controllerKey": 1000 + bus,
                    "unitNumber": unit,
                },
            )
        )
    for nic in nic_numbers(settings):
        network = settings.get(f"ethernet{nic}.networkName")
        devices.append(
            Obj(
                f"vim.vm.device.Virtual{settings.get(f'ethernet{nic}.virtualDev', 'e1000').capitalize()}",
                {
                    "key": 4000 + nic,
                    "backing": Obj(
                        "vim.vm.device.VirtualEthernetCard.NetworkBackingInfo", {"deviceName": network}
                    ),
                    "addressType": settings.get(f"ethernet{nic}.addressType", "generated"),
                    "macAddress": nic_mac(settings, nic) or UNSET,
                },
            )
        )
    return Obj(
        "vim.vm.VirtualHardware",
        {
            "numCPU": int(settings.get("numvcpus", "1")),
            "numCoresPerSocket": int(settings.get("cpuid.coresPerSocket", "1")),
            "memoryMB": int(settings.get("memSize", "32")),
            "device": Arr("vim.vm.device.VirtualDevice", devices),
        },
    )


def config(vm: Vm, storage: Storage) -> str:
    """A reasonable part of `get.config` (transcript vimcmd-get.config-1)."""
    settings = vm.settings
    folder = storage.bracketed(os.path.dirname(vm.path))
    identifier = guest_id(settings.get("guestOS"))
    extra: list[Value] = [
        Obj("vim.option.OptionValue", {"key": key, "value": value}) for key, value in settings.pairs()
    ]
    view = Obj(
        "vim.vm.ConfigInfo",
        {
            "changeVersion": zulu(vm.booted_at),
            "modified": "1970-01-01T00:00:00Z",
            "name": vm.name,
            "guestFullName": FULL_NAMES.get(identifier, identifier),
            "version": f"vmx-{int(settings.get('virtualHW.version', '8')):02d}",
            "uuid": identity.dashed(settings.get("uuid.bios")),
            "instanceUuid": identity.dashed(settings.get("vc.uuid")),
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
            "hardware": hardware(vm, storage),
            "extraConfig": Arr("vim.option.OptionValue", extra),
            "firmware": settings.get("firmware", "bios"),
        },
    )
    return "Configuration:\n \n" + render(view)
