"""Power operations: what is checked, what the host adds to the VMX, what runs afterwards."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

from ceso_mcp.lab import identity, run_files, vmx
from ceso_mcp.lab.disks.chain import links
from ceso_mcp.lab.disks.fault import DiskFault
from ceso_mcp.lab.dump import Arr, Obj, fault
from ceso_mcp.lab.inventory import Inventory, invalid_state
from ceso_mcp.lab.locks import Locks
from ceso_mcp.lab.result import Faulted
from ceso_mcp.lab.storage import Storage
from ceso_mcp.lab.vmx import Settings
from ceso_mcp.lab.world import OFF, ON, SUSPENDED, Vm, World

# Fact sheet §5.2: pvscsi 160, vmxnet3 192, 224, 256, then 1184 and on.
NIC_SLOTS = (192, 224, 256, 1184, 1216, 1248, 1280, 2208, 2240)
SCSI_SLOTS = (160, 256, 1184, 1216)
BRIDGE_SLOTS = {0: 17, 4: 21, 5: 22, 6: 23, 7: 24}
NVRAM_BYTES = {"efi": 270840, "bios": 8684}
QUESTION_KEY = "msg.uuid.altered"
CANCEL, MOVED, COPIED = 0, 1, 2


def config_fault(key: str, message: str) -> Faulted:
    """GenericVmConfigFault with one message (transcripts power.on-7, vimmsg-*)."""
    entry = Obj("vmodl.LocalizableMessage", {"key": key, "arg": Arr("vmodl.KeyAnyValue"), "message": message})
    raised = fault("vim.fault.GenericVmConfigFault", message, reason=message)
    raised.fields["faultMessage"] = Arr("vmodl.LocalizableMessage", [entry])
    return Faulted(raised)


class Power:
    """The power switch of every VM of one world."""

    def __init__(self, world: World, storage: Storage, inventory: Inventory, locks: Locks) -> None:
        self.world = world
        self.storage = storage
        self.inventory = inventory
        self.locks = locks
        # A real guest's writes reach its disks before the VM is off, and before a snapshot freezes a link.
        self.before_off: Callable[[Vm], None] = lambda vm: None
        self.before_freeze: Callable[[Vm], None] = lambda vm: None
        for vm in world.vms.values():
            if vm.state == ON:
                self._lock_disks(vm)

    # --- checks

    def check_on(self, vm: Vm) -> None:
        """Raise the fault that keeps `vm` from starting; reads the VMX as it is on the disk now."""
        if vm.state == ON:
            raise invalid_state(ON, vm.state)
        try:
            settings = vmx.load(Path(self.storage.here(vm.path)))
        except (OSError, ValueError):
            raise config_fault("msg.vmx.unreadable", "Cannot open the configuration file.") from None
        if "displayName" not in settings:
            settings["displayName"] = vm.name
        vm.config = settings.pairs()
        memory = settings.get("memSize", "32")
        if not memory.isdigit() or int(memory) % 4 or int(memory) == 0:
            raise config_fault("msg.memory.invalidSize", f"Memory (RAM) size ({memory}) is invalid.")
        for nic in nic_numbers(settings):
            mac = settings.get(f"ethernet{nic}.address")
            checked = settings.get(f"ethernet{nic}.checkMACAddress", "TRUE").upper() != "FALSE"
            static = settings.get(f"ethernet{nic}.addressType").lower() == "static"
            if static and checked and not identity.static_allowed(mac):
                raise config_fault(
                    "msg.ethernet.badStaticMAC",
                    f"{mac} is not an allowed static Ethernet address."
                    " It conflicts with VMware reserved MACs",
                )

    def needs_answer(self, vm: Vm) -> bool:
        """True when the VMX was moved or copied and does not say what to do about it."""
        settings = vm.settings
        recorded = settings.get("uuid.location")
        if not recorded or settings.get("uuid.action").lower() in ("keep", "create", "change"):
            return False
        return identity.raw(recorded) != identity.raw(self._location(vm))

    def _location(self, vm: Vm) -> str:
        return identity.location(self.world.uuid, vm.path)

    def _lock_disks(self, vm: Vm) -> None:
        owner = f"vm:{vm.vmid}"
        for path in self.storage.disk_paths(vm).values():
            try:
                chain = links(self.storage.here(path), self.storage.here)
                for index, link in enumerate(chain):
                    mode = "shared" if index and not self.world.base_exclusive else "exclusive"
                    place = "/vmfs/volumes/" + os.path.relpath(link.extent, self.storage.volumes)
                    if not self.locks.take(os.path.normpath(place), owner, mode):
                        raise DiskFault(16392)
            except DiskFault as trouble:
                self.locks.release(owner)
                text = (
                    "Module DiskEarly power on failed. \n"
                    f"Cannot open the disk '{path}' or one of the snapshot disks it depends on. \n"
                    f"{trouble.text}"
                )
                raise config_fault("msg.disk.noBackEnd", text) from None

    # --- switching

    def switch_on(self, vm: Vm, answer: int | None = None) -> None:
        """Start `vm` after `check_on`; `answer` is the reply to the question, if it was asked."""
        self._lock_disks(vm)
        settings = vm.settings
        self._identify(vm, settings, answer)
        self._devices(settings)
        stem = Path(vm.path).stem
        folder = Path(self.storage.here(os.path.dirname(vm.path)))
        firmware = "efi" if settings.get("firmware").lower() == "efi" else "bios"
        if "nvram" not in settings:
            settings["nvram"] = f"{stem}.nvram"
        nvram = folder / settings.get("nvram")
        if not nvram.exists():
            nvram.write_bytes(b"MRVN" + bytes(NVRAM_BYTES[firmware] - 4))
            nvram.chmod(0o600)
        swap = f"{stem}-{identity.raw(self._location(vm))[-4:].hex()}.vswp"
        settings["sched.swap.derivedName"] = f"{os.path.dirname(vm.path)}/{swap}"
        settings["vmxstats.filename"] = f"{stem}.scoreboard"
        settings["cleanShutdown"] = "FALSE"
        with open(folder / swap, "wb") as file:
            os.chmod(folder / swap, 0o600)
            file.truncate(run_files.swap_bytes(settings))
        (folder / f"{stem}.vmx.lck").touch(0o600)
        (folder / f"{stem}.vmsd").touch(0o644)
        datastore = self.storage.of(vm.path)
        run_files.appear(
            folder,
            stem,
            [self.storage.here(path) for path in self.locks.held(f"vm:{vm.vmid}")],
            nfs=datastore is not None and datastore.type.startswith("NFS"),
            modern=int(self.world.release.partition(".")[0]) >= 8,
        )
        run_files.turn_over(folder, "vmware", "log")
        self._log(folder, f"Powering on {vm.path}")
        vm.config = settings.pairs()
        vm.state, vm.booted_at, vm.question = ON, time.time(), None
        vm.world_id = self.world.next_world
        self.world.next_world += 17
        vm.guest = {}
        vm.measured["started_as"] = vm.name
        self.write_config(vm)
        self.inventory.save()

    def switch_off(self, vm: Vm, state: str = OFF) -> None:
        """Stop `vm` at once; its VMX is written from memory, so edits made meanwhile are lost."""
        self.before_off(vm)
        settings = vm.settings
        settings["cleanShutdown"] = "TRUE"
        swap = settings.get("sched.swap.derivedName")
        if swap:
            Path(self.storage.here(swap)).unlink(missing_ok=True)
        folder = Path(self.storage.here(os.path.dirname(vm.path)))
        stem = Path(vm.path).stem
        (folder / f"{stem}.vmx.lck").unlink(missing_ok=True)
        run_files.vanish(folder, stem)
        if state == SUSPENDED:
            name = f"{stem}-{identity.raw(self._location(vm))[-4:].hex()}.vmss"
            (folder / name).write_bytes(b"\xd2\xbe\xd2\xbe" + bytes(4092))
            settings["checkpoint.vmState"] = name
        vm.config = settings.pairs()
        vm.state, vm.world_id, vm.guest = state, 0, {}
        self.write_config(vm)
        self._log(folder, f"Powered off {vm.path}")
        self.locks.release(f"vm:{vm.vmid}")
        self.inventory.save()

    def relock(self, vm: Vm) -> None:
        """Take the locks anew after the chain of a running VM changed."""
        self.locks.release(f"vm:{vm.vmid}")
        if vm.state == ON:
            self._lock_disks(vm)

    def write_config(self, vm: Vm) -> None:
        vmx.store(Path(self.storage.here(vm.path)), vm.settings)

    def log_line(self, vm: Vm, text: str) -> None:
        """One line in the VM's `vmware.log`."""
        self._log(Path(self.storage.here(os.path.dirname(vm.path))), text)

    @staticmethod
    def _log(folder: Path, text: str) -> None:
        stamp = time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime())
        with open(folder / "vmware.log", "a", encoding="utf-8", errors="surrogateescape") as file:
            file.write(f"{stamp} In(05) vmx - {text}\n")

    # --- what the host fills in

    def _identify(self, vm: Vm, settings: Settings, answer: int | None) -> None:
        place = self._location(vm)
        action = settings.get("uuid.action").lower()
        moved = identity.raw(settings.get("uuid.location", place)) != identity.raw(place)
        if answer == COPIED or (moved and action in ("create", "change")):
            for key in [key for key, _ in settings.pairs() if ".generatedaddress" in key.lower()]:
                settings.drop(key)
            settings["uuid.bios"] = place
            settings["vc.uuid"] = identity.fresh_instance()
        settings["uuid.location"] = place
        if "uuid.bios" not in settings:
            settings["uuid.bios"] = place
        if "vc.uuid" not in settings:
            settings["vc.uuid"] = identity.fresh_instance()
        bios = settings.get("uuid.bios")
        for key, _ in settings.pairs():
            controller, _, rest = key.lower().partition(".")
            if controller.startswith("scsi") and controller[4:].isdigit() and rest == "present":
                settings[f"{controller}.sasWWID"] = identity.sas_wwid(bios, int(controller[4:]))
        settings["vmci0.id"] = identity.vmci_id(bios)
        for nic in nic_numbers(settings):
            kind = settings.get(f"ethernet{nic}.addressType", "generated").lower()
            if kind == "generated" and f"ethernet{nic}.generatedAddress" not in settings:
                settings[f"ethernet{nic}.addressType"] = "generated"
                settings[f"ethernet{nic}.generatedAddress"] = identity.generated_mac(place, nic)
                settings[f"ethernet{nic}.generatedAddressOffset"] = str(10 * nic)

    @staticmethod
    def _devices(settings: Settings) -> None:
        """PCI slots of devices that have none; a slot that is there stays (§5.2)."""
        taken = {value for key, value in settings.pairs() if key.lower().endswith(".pcislotnumber")}

        def give(device: str, slots: tuple[int, ...]) -> None:
            if f"{device}.pciSlotNumber" in settings:
                return
            slot = next(str(slot) for slot in slots if str(slot) not in taken)
            taken.add(slot)
            settings[f"{device}.pciSlotNumber"] = slot

        for bridge, slot in BRIDGE_SLOTS.items():
            if settings.flag(f"pciBridge{bridge}.present"):
                give(f"pciBridge{bridge}", (slot, *range(25, 31)))
        for number in range(4):
            if settings.flag(f"scsi{number}.present"):
                give(f"scsi{number}", SCSI_SLOTS)
        for nic in nic_numbers(settings):
            e1000 = settings.get(f"ethernet{nic}.virtualDev").lower() in ("e1000", "vlance", "")
            give(f"ethernet{nic}", tuple(range(33, 45)) if e1000 else NIC_SLOTS)


def nic_numbers(settings: Settings) -> list[int]:
    """The numbers of the network cards that are present."""
    numbers = []
    for key, value in settings.pairs():
        device, _, rest = key.lower().partition(".")
        if device.startswith("ethernet") and rest == "present" and value.upper() == "TRUE":
            numbers.append(int(device.removeprefix("ethernet")))
    return sorted(numbers)


def nic_mac(settings: Settings, nic: int) -> str:
    """The MAC that a card uses."""
    if settings.get(f"ethernet{nic}.addressType").lower() == "static":
        return settings.get(f"ethernet{nic}.address").lower()
    return settings.get(f"ethernet{nic}.generatedAddress").lower()
