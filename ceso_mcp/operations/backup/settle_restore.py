"""Settle what a restore in place has kept aside."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from ceso_mcp.errors import Refused
from ceso_mcp.esxi.paths import DatastorePath
from ceso_mcp.esxi.vmx import Vmx
from ceso_mcp.fact import Facts
from ceso_mcp.facts.aside import FolderEntries, KeptAside, VmxAt
from ceso_mcp.facts.inventory import HostVms, Inventory, Vm
from ceso_mcp.fields import ExistingVm
from ceso_mcp.operation import Change
from ceso_mcp.plan import Plan, Recheck, Step
from ceso_mcp.recipes.bring_up import VMID, register
from ceso_mcp.recipes.clearing import (
    delete_elsewhere,
    delete_folder,
    files_of,
    missing_elsewhere,
    refuse_used,
    remove_folder,
    what_is_kept,
)
from ceso_mcp.recipes.judging import vim_cmd_worked
from ceso_mcp.recipes.place import is_gone
from ceso_mcp.recipes.swapping import kept_aside, register_in_its_place, swap
from ceso_mcp.shell import Captured, sh

KEPT = Captured("kept")


class SettleRestore(Change):
    """Keep a VM that was restored in place, or go back to what it was before.

    `restored` deletes what the restore kept aside, with its disks and snapshots: from then on there is
    no way back. Disks that lie outside its folder go too, file by file, once it is known that no .vmx on
    the host needs them; `disks_elsewhere` can keep those. `before` swaps the two, the VM must be off: it is
    again what it was, and what had been restored is kept aside in its turn.
    """

    title: ClassVar[str] = "Settle a restore in place"
    toolset: ClassVar[str] = "backup"
    may_destroy: ClassVar[bool] = True

    vm: ExistingVm = Field(description="exact name of the VM that was restored in place")
    keep: Literal["restored", "before"] = Field(description="which of the two states stays")
    disks_elsewhere: Literal["delete", "keep"] = Field(
        "delete", description="with `restored`: what becomes of former disks outside the VM's folder"
    )

    async def plan(self, facts: Facts) -> Plan:
        inventory = await facts.read(Inventory())
        vm = inventory.named(self.vm)
        found = await facts.read(KeptAside(vm.folder))
        if len(found) != 1:
            raise Refused(
                f"{len(found)} folders of {vm.name!r} are kept aside" if found else "nothing is kept aside",
                code="nothing_aside",
                hint="settle them by hand: " + ", ".join(str(path) for path in found) if found else "",
            )
        (aside,) = found
        other = aside.joined(vm.path.name)
        vmx = await facts.read(VmxAt(other))
        if vmx is None and self.keep == "restored" and not await facts.read(FolderEntries(aside)):
            return _only_the_folder(vm, aside)
        if vmx is None:
            raise Refused(f"{aside} holds no {vm.path.name}", code="vmx_unreadable")
        if self.keep == "restored":
            return await self._removed(facts, vm, other, inventory)
        return await self._back(facts, vm, other, vmx)

    async def _removed(self, facts: Facts, vm: Vm, other: DatastorePath, inventory: HostVms) -> Plan:
        kept, usage = await what_is_kept(facts, vm, other, inventory)
        delete = self.disks_elsewhere == "delete"
        refuse_used(kept, usage, inventory, elsewhere=delete)
        stay: tuple[DatastorePath, ...] = ()
        strangers: list[str] = []
        files: list[DatastorePath] = []
        if kept.whole:
            steps = _destroy(other)
        else:
            steps, files, strangers = await delete_folder(facts, kept)
            if delete:
                steps = [*await delete_elsewhere(facts, kept, usage), *steps]
                files = [*files_of(kept.elsewhere, usage), *files]
            else:
                stay = kept.elsewhere
        return Plan(
            title=f"delete what VM {vm.name} was before its restore",
            steps=tuple(steps),
            touches=(f"folder {kept.folder}", *(f"file {path}" for path in files)),
            warnings=(
                "This cannot be undone.",
                *(f"The disk {path} stays; nothing uses it any more." for path in stay),
                *(f"{kept.folder.joined(name)} is no file of a VM and stays." for name in strangers),
            ),
            before_after=((str(kept.folder), f"what {vm.name} was before", "gone"),),
            outcome={
                "vm": vm.name,
                "kept": "restored",
                "deleted": str(kept.folder),
                "deleted_elsewhere": tuple(str(link) for link in kept.elsewhere if delete),
                "disks_kept": tuple(str(link) for link in stay),
            },
        )

    async def _back(self, facts: Facts, vm: Vm, other: DatastorePath, vmx: Vmx) -> Plan:
        if vm.power != "off":
            raise Refused(
                f"{vm.name!r} is {vm.power}",
                code="vm_not_off",
                hint="shut it down first (power_vm with action shutdown)",
            )
        aside, kept = other.parent, kept_aside(vm, facts.fixed.run_id)
        return Plan(
            title=f"put VM {vm.name} back to what it was before its restore",
            steps=(
                *swap(vm, aside, kept),
                register_in_its_place(vm.path, kept, completes=True),
            ),
            touches=(f"VM {vm.name}", f"folder {vm.folder}", f"folder {aside}", f"folder {kept} (new)"),
            warnings=(
                f"What had been restored is kept in {kept}.",
                *await missing_elsewhere(facts, other, [disk.file_name for disk in vmx.disks()]),
            ),
            before_after=((f"VM {vm.name}", "as restored", "as before"),),
            outcome={"vm": vm.name, "vmid": VMID, "kept": "before", "kept_aside": str(kept)},
        )


def _only_the_folder(vm: Vm, aside: DatastorePath) -> Plan:
    """What a settling left that was cut off before its last step."""
    return Plan(
        title=f"remove the empty folder of what VM {vm.name} was before its restore",
        steps=(remove_folder(aside),),
        touches=(f"folder {aside}",),
        before_after=((str(aside), "empty", "gone"),),
        outcome={
            "vm": vm.name,
            "kept": "restored",
            "deleted": str(aside),
            "deleted_elsewhere": (),
            "disks_kept": (),
        },
    )


def _destroy(vmx: DatastorePath) -> list[Step]:
    """Let the host delete a VM that lies in one folder wholly."""
    return [
        register(vmx, "register what is kept aside, so that the host can delete it", into=KEPT),
        Step(
            "delete it and its disks",
            sh("vim-cmd", "vmsvc/destroy", KEPT),
            judge=vim_cmd_worked,
            recheck=Recheck(sh("ls", "-d", vmx), is_gone),
            completes=True,
            destroys=True,
            piecemeal=True,
            timeout_s=600,
        ),
    ]
