"""Which VMs are registered: registration, look-up, removal, and the file that lists them."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from xml.sax.saxutils import escape

from ceso_mcp.lab import vmx
from ceso_mcp.lab.disks import operations
from ceso_mcp.lab.disks.chain import links
from ceso_mcp.lab.disks.fault import DiskFault
from ceso_mcp.lab.dump import UNSET, fault
from ceso_mcp.lab.result import Faulted
from ceso_mcp.lab.storage import Storage
from ceso_mcp.lab.world import OFF, ON, Vm, World

NO_SUCH_OBJECT = "The object or item referred to could not be found."


def not_found(text: str) -> Faulted:
    return Faulted(fault("vim.fault.NotFound", f'Unable to find a VM corresponding to "{text}"'))


def invalid_state(requested: str, existing: str) -> Faulted:
    words = {ON: "Powered on", OFF: "Powered off"}.get(existing, "Suspended")
    text = f"The attempted operation cannot be performed in the current state ({words})."
    trouble = fault("vim.fault.InvalidPowerState", text, requestedState=requested, existingState=existing)
    trouble.msg_5x = text.replace("Powered o", "Powered O")
    return Faulted(trouble)


class Inventory:
    """The registered VMs. `save` is called after every change."""

    def __init__(self, world: World, storage: Storage, listing: Path, save: Callable[[], None]) -> None:
        self.world = world
        self.storage = storage
        self._listing = listing
        self._save = save

    def save(self) -> None:
        """Keep the world, and `/etc/vmware/hostd/vmInventory.xml` true to it."""
        self._save()
        entries = "".join(
            f'  <ConfigEntry id="{number:04d}">\n'
            f"    <objID>{vm.vmid}</objID>\n"
            f"    <secDomain>{vm.vmid + 6}</secDomain>\n"
            f"    <vmxCfgPath>{escape(vm.path)}</vmxCfgPath>\n"
            "  </ConfigEntry>\n"
            for number, vm in enumerate(sorted(self.world.vms.values(), key=lambda vm: vm.vmid))
        )
        temporary = self._listing.with_suffix(".new")
        temporary.write_text(f"<ConfigRoot>\n{entries}</ConfigRoot>\n", "utf-8", "surrogateescape")
        os.replace(temporary, self._listing)

    def find(self, text: str) -> Vm:
        """By vmid, `.vmx` path or `[datastore] path`; raises vim.fault.NotFound (fact sheet §1.2)."""
        if text.isdigit() and int(text) in self.world.vms:
            return self.world.vms[int(text)]
        path = self.storage.canonical(text)
        for vm in self.world.vms.values():
            if path is not None and vm.path == path:
                return vm
        raise not_found(text)

    def invalid(self, vm: Vm) -> bool:
        """True when the VMX of a VM that is off cannot be read now."""
        if vm.state != OFF:
            return False
        try:
            vmx.load(Path(self.storage.here(vm.path)))
        except (OSError, ValueError):
            return True
        return False

    def register(self, text: str, name: str | None = None) -> Vm:
        """`solo/registervm`: NotFound for a path without a VMX, AlreadyExists for one that is registered."""
        path = self.storage.canonical(text)
        if path is None or not path.endswith(".vmx"):
            raise Faulted(fault("vim.fault.NotFound", NO_SUCH_OBJECT))
        for vm in self.world.vms.values():
            if vm.path == path:
                raise Faulted(
                    fault(
                        "vim.fault.AlreadyExists",
                        f"The specified key, name, or identifier '{vm.vmid}' already exists.",
                        name=str(vm.vmid),
                    )
                )
        try:
            settings = vmx.load(Path(self.storage.here(path)))
        except OSError:
            raise Faulted(fault("vim.fault.NotFound", NO_SUCH_OBJECT)) from None
        except ValueError:
            raise Faulted(
                fault("vim.fault.InvalidVmConfig", "Invalid virtual machine configuration.", property=UNSET)
            ) from None
        if name:
            settings["displayName"] = name
            vmx.store(Path(self.storage.here(path)), settings)
        if "displayName" not in settings:
            settings["displayName"] = Path(path).stem
        vm = Vm(self.world.next_vmid, path, settings.pairs())
        self.world.next_vmid += 1
        self.world.vms[vm.vmid] = vm
        self.save()
        return vm

    def unregister(self, vm: Vm) -> None:
        if vm.state == ON:
            raise invalid_state(OFF, vm.state)
        del self.world.vms[vm.vmid]
        self.save()

    def reload(self, vm: Vm) -> None:
        """Read the VMX again; a running VM owns its file and keeps what it has."""
        if vm.state == ON:
            return
        try:
            settings = vmx.load(Path(self.storage.here(vm.path)))
        except (OSError, ValueError):
            return
        if "displayName" not in settings:
            settings["displayName"] = Path(vm.path).stem
        vm.config = settings.pairs()
        self.save()

    def destroy(self, vm: Vm) -> None:
        """Delete the VMX, its disks with all their links, and its own files; the folder when empty then."""
        if vm.state == ON:
            raise invalid_state(OFF, vm.state)
        settings = vm.settings
        for path in self.storage.disk_paths(vm).values():
            try:
                chain = [link.path for link in links(self.storage.here(path), self.storage.here)]
            except DiskFault:
                chain = [self.storage.here(path)]
            for place in chain:
                try:
                    operations.delete(place)
                except DiskFault:
                    Path(place).unlink(missing_ok=True)
        folder = Path(self.storage.here(os.path.dirname(vm.path)))
        stem = Path(vm.path).stem
        own = {settings.get("nvram"), settings.get("extendedConfigFile"), f"{stem}.vmsd", f"{stem}.vmx"}
        if folder.is_dir():
            for file in folder.iterdir():
                log = file.name.startswith("vmware") and file.suffix == ".log"
                state = file.suffix in (".vswp", ".vmsn", ".vmss", ".vmem", ".hlog", ".scoreboard")
                lock = file.name in (f"{stem}.vmx.lck", f"{stem}.vmx~")
                mine = file.name.startswith((stem, f"vmx-{stem}"))
                if file.name in own or log or lock or (state and mine):
                    file.unlink()
            if not any(folder.iterdir()):
                folder.rmdir()
        del self.world.vms[vm.vmid]
        self.save()
