"""Drives with media, and network cards, in the device list (transcript vimcmd-device.getdevices-1)."""

from __future__ import annotations

from ceso_mcp.lab.dump import OMITTED, UNSET, Obj, Ref, Value
from ceso_mcp.lab.power import nic_mac
from ceso_mcp.lab.storage import Storage
from ceso_mcp.lab.view_disks import Part
from ceso_mcp.lab.view_names import reference
from ceso_mcp.lab.world import ON, Vm

CARDS = {
    "e1000": "VirtualE1000",
    "e1000e": "VirtualE1000e",
    "vmxnet": "VirtualVmxnet",
    "vmxnet2": "VirtualVmxnet2",
    "vmxnet3": "VirtualVmxnet3",
    "vlance": "VirtualPCNet32",
    "": "VirtualPCNet32",
}


def connected(vm: Vm, device: str) -> bool:
    """Whether a device is connected now: by `startConnected` while it is on, unless somebody switched it."""
    switched = vm.measured.get("connected", {}).get(device)
    if vm.state != ON:
        return False
    if switched is not None:
        return bool(switched)
    return vm.settings.get(f"{device}.startConnected", "TRUE").upper() == "TRUE"


def connectable(vm: Vm, device: str) -> Value:
    """`status` is `ok` while it runs and `untried` before (assumed for a VM that is off)."""
    return Obj(
        "vim.vm.device.VirtualDevice.ConnectInfo",
        {
            "startConnected": vm.settings.get(f"{device}.startConnected", "TRUE").upper() == "TRUE",
            "allowGuestControl": vm.settings.get(f"{device}.allowGuestConnectionControl", "TRUE").upper()
            == "TRUE",
            "connected": connected(vm, device),
            "status": "ok" if vm.state == ON else "untried",
        },
    )


def cdrom(vm: Vm, node: str, storage: Storage) -> Part:
    """An ISO, a drive of the host, or a drive of the client."""
    kind = vm.settings.get(f"{node}.deviceType").lower()
    name = vm.settings.get(f"{node}.fileName")
    if kind == "cdrom-image":
        path = storage.beside(vm, name)
        datastore = storage.of(path)
        shown = storage.bracketed(path)
        backing = Obj(
            "vim.vm.device.VirtualCdrom.IsoBackingInfo",
            {
                "fileName": shown,
                "datastore": Ref(reference(datastore)) if datastore else UNSET,
                "backingObjectId": UNSET,
            },
        )
        return Part(f"ISO {shown}", backing, connectable(vm, node))
    client = vm.settings.flag(f"{node}.clientDevice")
    word = "RemotePassthroughBackingInfo" if client else "AtapiBackingInfo"
    fields: dict[str, Value] = {"deviceName": "" if client else name, "useAutoDetect": False}
    if client:
        fields["exclusive"] = False
    backing = Obj(f"vim.vm.device.VirtualCdrom.{word}", fields)
    summary = "Remote ATAPI" if client else f"ATAPI {name}"
    return Part(summary, backing, connectable(vm, node))


def floppy(vm: Vm) -> Part:
    """A drive of the client."""
    backing = Obj(
        "vim.vm.device.VirtualFloppy.RemoteDeviceBackingInfo", {"deviceName": "", "useAutoDetect": False}
    )
    return Part("Remote", backing, connectable(vm, "floppy0"))


def network_card(vm: Vm, number: int) -> tuple[str, Part]:
    """The type of a card and its parts."""
    settings = vm.settings
    device = f"ethernet{number}"
    word = settings.get(f"{device}.virtualDev").lower()
    network = settings.get(f"{device}.networkName")
    backing = Obj(
        "vim.vm.device.VirtualEthernetCard.NetworkBackingInfo",
        {
            "deviceName": network,
            "useAutoDetect": False,
            "network": Ref(f"vim.Network:HaNetwork-{network}"),
            "inPassthroughMode": UNSET,
        },
    )
    shares = Obj("vim.SharesInfo", {"shares": 50, "level": "normal"})
    more: dict[str, Value] = {
        "addressType": settings.get(f"{device}.addressType", "generated"),
        "macAddress": nic_mac(settings, number) or UNSET,
        "wakeOnLanEnabled": True,
        "resourceAllocation": Obj(
            "vim.vm.device.VirtualEthernetCard.ResourceAllocation",
            {"reservation": 0, "share": shares, "limit": -1},
        ),
        "externalId": UNSET,
        "uptCompatibilityEnabled": word == "vmxnet3",
        "subnetId": OMITTED,
    }
    return CARDS.get(word, "VirtualE1000"), Part(network, backing, connectable(vm, device), more)
