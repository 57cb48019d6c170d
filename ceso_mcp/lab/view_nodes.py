"""Where a device sits: keys of devices and controllers, units and PCI slots (fact sheet vim-cmd §2)."""

from __future__ import annotations

import re

from ceso_mcp.lab.dump import Null, Obj, Value
from ceso_mcp.lab.vmx import Settings

NO_SLOT = Null("vim.vm.device.VirtualDevice.BusSlotInfo")
SCSI_KINDS = {
    "pvscsi": ("ParaVirtualSCSIController", "VMware paravirtual SCSI"),
    "lsisas1068": ("VirtualLsiLogicSASController", "LSI Logic SAS"),
    "lsilogic": ("VirtualLsiLogicController", "LSI Logic"),
    "buslogic": ("VirtualBusLogicController", "BusLogic"),
}
VMCI_SUMMARY = (
    "Device on the virtual machine PCI bus that provides support for the virtual machine "
    "communication interface"
)
# The key of a controller's first device, and how many keys each of its buses has.
UNITS = {"scsi": (2000, 16), "ide": (3000, 2), "sata": (16000, 30), "nvme": (32000, 15)}
CONTROLLERS = {"scsi": 1000, "ide": 200, "sata": 15000, "nvme": 31000}
NODE = re.compile(r"^(scsi|sata|nvme|ide)(\d+):(\d+)$")


def placed(node: str) -> tuple[int, int, int]:
    """The key, the controller's key and the unit of a node such as `scsi0:0` (2000 + 16·bus + unit)."""
    found = NODE.match(node)
    if found is None:
        return 0, 0, 0
    bus, unit = int(found[2]), int(found[3])
    first, step = UNITS[found[1]]
    return first + step * bus + unit, CONTROLLERS[found[1]] + bus, unit


def slot(settings: Settings, device: str) -> Value:
    """The PCI slot that the VMX records for a device."""
    number = settings.get(f"{device}.pciSlotNumber")
    if not number.lstrip("-").isdigit() or int(number) < 0:
        return NO_SLOT
    return Obj("vim.vm.device.VirtualDevice.PciBusSlotInfo", {"pciSlotNumber": int(number)})
