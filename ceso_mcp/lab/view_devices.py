"""The devices of a VM as `device.getdevices` prints them (transcript vimcmd-device.getdevices-1)."""

from __future__ import annotations

from ceso_mcp.lab.dump import OMITTED, UNSET, Arr, Null, Obj, Value
from ceso_mcp.lab.power import nic_numbers
from ceso_mcp.lab.storage import Storage
from ceso_mcp.lab.view_disks import disk
from ceso_mcp.lab.view_nodes import CONTROLLERS, NO_SLOT, SCSI_KINDS, VMCI_SUMMARY, placed, slot
from ceso_mcp.lab.view_peripherals import cdrom, floppy, network_card
from ceso_mcp.lab.world import Vm, World

PCI, SIO = 100, 400
NO_BACKING = Null("vim.vm.device.VirtualDevice.BackingInfo")
NO_CONNECT = Null("vim.vm.device.VirtualDevice.ConnectInfo")


class Devices:
    """Builds the list for one VM; hosts from 8.0 on print `numaNode` too (device.getdevices-2)."""

    def __init__(self, vm: Vm, world: World, storage: Storage) -> None:
        self._vm, self._world, self._storage = vm, world, storage
        self._settings = vm.settings
        self._numa = int(world.release.partition(".")[0]) >= 8
        self._below: dict[int, list[Value]] = {}

    def _device(
        self,
        kind: str,
        key: int,
        label: str,
        summary: str,
        *,
        place: tuple[int, int] | None = None,
        backing: Value = NO_BACKING,
        connect: Value = NO_CONNECT,
        slot_info: Value = NO_SLOT,
        more: dict[str, Value] | None = None,
    ) -> Obj:
        """One device. `place` is its controller's key and its unit."""
        if place is not None and key:
            self._below.setdefault(place[0], []).append(key)
        return Obj(
            f"vim.vm.device.{kind}",
            {
                "key": key,
                "deviceInfo": Obj("vim.Description", {"label": label, "summary": summary}),
                "backing": backing,
                "connectable": connect,
                "slotInfo": slot_info,
                "controllerKey": place[0] if place else UNSET,
                "unitNumber": place[1] if place else UNSET,
                **({"numaNode": UNSET} if self._numa else {}),
                **(more or {}),
            },
        )

    def _bus(self, kind: str, key: int, label: str, number: int) -> Obj:
        return self._device(kind, key, label, label, more={"busNumber": number, "device": OMITTED})

    def all(self) -> list[Value]:
        """Every device, in the order of the transcript."""
        heads = [
            self._bus("VirtualIDEController", 200, "IDE 0", 0),
            self._bus("VirtualIDEController", 201, "IDE 1", 1),
            self._bus("VirtualPS2Controller", 300, "PS2 controller 0", 0),
            self._bus("VirtualPCIController", PCI, "PCI controller 0", 0),
            self._bus("VirtualSIOController", SIO, "SIO controller 0", 0),
        ]
        fixed = [self._keyboard(), self._pointer(), self._video(), self._vmci()]
        controllers = [*self._usb(), *self._scsi(), *self._other_controllers()]
        drives = [*self._cdroms(), *self._disks(), *self._floppies()]
        devices = [*heads, *fixed, *controllers, *drives, *self._cards()]
        for device in devices:
            key = device.fields["key"]
            if "device" in device.fields and isinstance(key, int) and key in self._below:
                device.fields["device"] = Arr("int", self._below[key])
        return [*devices]

    def _keyboard(self) -> Obj:
        return self._device("VirtualKeyboard", 600, "Keyboard ", "Keyboard", place=(300, 0))

    def _pointer(self) -> Obj:
        backing = Obj(
            "vim.vm.device.VirtualPointingDevice.DeviceBackingInfo",
            {"deviceName": "", "useAutoDetect": False, "hostPointingDevice": "autodetect"},
        )
        name, summary = "Pointing device", "Pointing device; Device"
        return self._device("VirtualPointingDevice", 700, name, summary, place=(300, 1), backing=backing)

    def _video(self) -> Obj:
        ram = self._settings.get("svga.vramSize", "8388608")
        more: dict[str, Value] = {
            "videoRamSizeInKB": int(ram) >> 10,
            "numDisplays": 1,
            "useAutoDetect": False,
            "enable3DSupport": False,
            "enableMPTSupport": UNSET,
            "use3dRenderer": "automatic",
            "graphicsMemorySizeInKB": 262144,
        }
        return self._device("VirtualVideoCard", 500, "Video card ", "Video card", place=(PCI, 0), more=more)

    def _vmci(self) -> Obj:
        identifier = self._settings.get("vmci0.id")
        more: dict[str, Value] = {
            "id": int(identifier) if identifier.lstrip("-").isdigit() else UNSET,
            "allowUnrestrictedCommunication": False,
            "filterEnable": True,
            "filterInfo": Null("vim.vm.device.VirtualVMCIDevice.FilterInfo"),
        }
        return self._device(
            "VirtualVMCIDevice",
            12000,
            "VMCI device",
            VMCI_SUMMARY,
            place=(PCI, 17),
            slot_info=slot(self._settings, "vmci0"),
            more=more,
        )

    def _usb(self) -> list[Obj]:
        found = []
        if self._settings.flag("usb.present"):
            numbers: dict[str, Value] = {}
            for name, device in (("pciSlotNumber", "usb"), ("ehciPciSlotNumber", "ehci")):
                number = self._settings.get(f"{device}.pciSlotNumber")
                numbers[name] = int(number) if number.isdigit() else UNSET
            place: Value = Obj("vim.vm.device.VirtualUSBController.PciBusSlotInfo", numbers)
            more: dict[str, Value] = {
                "busNumber": 0,
                "device": OMITTED,
                "autoConnectDevices": False,
                "ehciEnabled": self._settings.flag("ehci.present"),
            }
            found.append(
                self._device(
                    "VirtualUSBController",
                    7000,
                    "USB controller ",
                    "Auto connect Disabled",
                    place=(PCI, 22),
                    slot_info=place,
                    more=more,
                )
            )
        if self._settings.flag("usb_xhci.present"):
            found.append(
                self._device(
                    "VirtualUSBXHCIController",
                    14000,
                    "USB xHCI controller ",
                    "USB xHCI controller",
                    place=(PCI, 23),
                    slot_info=slot(self._settings, "usb_xhci"),
                    more={"busNumber": 0, "device": OMITTED, "autoConnectDevices": False},
                )
            )
        return found

    def _scsi(self) -> list[Obj]:
        found = []
        for number in range(4):
            if not self._settings.flag(f"scsi{number}.present"):
                continue
            word = self._settings.get(f"scsi{number}.virtualDev", "lsilogic").lower()
            kind, summary = SCSI_KINDS.get(word, SCSI_KINDS["lsilogic"])
            more: dict[str, Value] = {
                "busNumber": number,
                "device": OMITTED,
                "hotAddRemove": True,
                "sharedBus": "noSharing",
                "scsiCtlrUnitNumber": 7,
            }
            found.append(
                self._device(
                    kind,
                    1000 + number,
                    f"SCSI controller {number}",
                    summary,
                    place=(PCI, 3 + number),
                    slot_info=slot(self._settings, f"scsi{number}"),
                    more=more,
                )
            )
        return found

    def _other_controllers(self) -> list[Obj]:
        """AHCI and NVMe; their labels and units are assumed."""
        found: list[Obj] = []
        for word, kind, name, unit in (
            ("sata", "VirtualAHCIController", "SATA", 24),
            ("nvme", "VirtualNVMEController", "NVME", 30),
        ):
            for number in range(4):
                if self._settings.flag(f"{word}{number}.present"):
                    found.append(
                        self._device(
                            kind,
                            CONTROLLERS[word] + number,
                            f"{name} controller {number}",
                            "AHCI" if word == "sata" else f"{name} controller {number}",
                            place=(PCI, unit + number),
                            slot_info=slot(self._settings, f"{word}{number}"),
                            more={"busNumber": number, "device": OMITTED},
                        )
                    )
        return found

    def _cdroms(self) -> list[Obj]:
        nodes = [key.partition(".")[0] for key, value in self._settings.pairs() if "cdrom" in value.lower()]
        found: list[Obj] = []
        for node in nodes:
            if not self._settings.flag(f"{node}.present"):
                continue
            key, controller, unit = placed(node)
            made = cdrom(self._vm, node, self._storage)
            label = f"CD/DVD drive {len(found) + 1}"
            found.append(
                self._device(
                    "VirtualCdrom",
                    key,
                    label,
                    made.summary,
                    place=(controller, unit),
                    backing=made.backing,
                    connect=made.connect,
                )
            )
        return found

    def _disks(self) -> list[Obj]:
        found: list[Obj] = []
        for node, path in self._storage.disk_paths(self._vm).items():
            key, controller, unit = placed(node)
            made = disk(self._vm, node, path, key, self._storage)
            found.append(
                self._device(
                    "VirtualDisk",
                    key,
                    f"Hard disk {len(found) + 1}",
                    made.summary,
                    place=(controller, unit),
                    backing=made.backing,
                    more=made.more,
                )
            )
        return found

    def _floppies(self) -> list[Obj]:
        if not self._settings.flag("floppy0.present"):
            return []
        made = floppy(self._vm)
        return [
            self._device(
                "VirtualFloppy",
                8000,
                "Floppy drive 1",
                made.summary,
                place=(SIO, 0),
                backing=made.backing,
                connect=made.connect,
            )
        ]

    def _cards(self) -> list[Obj]:
        found = []
        for number in nic_numbers(self._settings):
            kind, made = network_card(self._vm, number)
            found.append(
                self._device(
                    kind,
                    4000 + number,
                    f"Network adapter {number + 1}",
                    made.summary,
                    place=(PCI, 7 + number),
                    backing=made.backing,
                    connect=made.connect,
                    slot_info=slot(self._settings, f"ethernet{number}"),
                    more=made.more,
                )
            )
        return found


def hardware(vm: Vm, world: World, storage: Storage) -> Obj:
    """`vim.vm.VirtualHardware` with every device."""
    settings = vm.settings
    return Obj(
        "vim.vm.VirtualHardware",
        {
            "numCPU": int(settings.get("numvcpus", "1")),
            "numCoresPerSocket": int(settings.get("cpuid.coresPerSocket", "1")),
            "memoryMB": int(settings.get("memSize", "32")),
            "virtualICH7MPresent": settings.flag("ich7m.present"),
            "virtualSMCPresent": settings.flag("smc.present"),
            "device": Arr("vim.vm.device.VirtualDevice", Devices(vm, world, storage).all()),
        },
    )
