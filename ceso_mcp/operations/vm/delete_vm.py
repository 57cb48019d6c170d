"""Delete a VM and its disks."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from ceso_mcp.errors import Refused, StepFailed
from ceso_mcp.esxi.paths import DatastorePath
from ceso_mcp.fact import Facts, Reply
from ceso_mcp.facts.disk_users import Usage
from ceso_mcp.facts.inventory import HostVms, Inventory, Vm
from ceso_mcp.facts.storage import DiskAt
from ceso_mcp.fields import ExistingVm
from ceso_mcp.operation import Change
from ceso_mcp.plan import Capture, Captures, Judge, Plan, Recheck, Step
from ceso_mcp.recipes.clearing import (
    Kept,
    delete_elsewhere,
    delete_folder,
    files_of,
    refuse_used,
    what_it_needs,
)
from ceso_mcp.recipes.judging import vim_cmd_worked
from ceso_mcp.recipes.letting_go import let_go
from ceso_mcp.recipes.place import is_gone
from ceso_mcp.recipes.swapping import take_off
from ceso_mcp.recipes.templates import is_marked
from ceso_mcp.shell import Captured, sh


class DeleteVm(Change):
    """Delete a VM: its registration, its disks, its folder. Cannot be undone; back it up first.

    Refused while the VM is on or suspended, when one of its disks lies outside its folder, or when
    another VM uses one of its disks: the host deletes whatever the VM names. `disks_elsewhere` says what
    becomes of disks outside; they are deleted file by file, and only if no .vmx on the host needs
    them. Addresses that it has from
    a pool are released, and the DNS records that ceso made for it are removed.
    """

    title: ClassVar[str] = "Delete a VM"
    toolset: ClassVar[str] = "vm"
    may_destroy: ClassVar[bool] = True

    vm: ExistingVm = Field(description="exact name of the VM")
    disks_elsewhere: Literal["refuse", "delete", "keep"] = Field(
        "refuse", description="what becomes of disks that lie outside its folder"
    )
    keep_addresses: bool = Field(
        False, description="leave its addresses of pools held and its DNS records in place"
    )

    async def plan(self, facts: Facts) -> Plan:
        inventory = await facts.read(Inventory())
        vm = inventory.named(self.vm)
        if vm.power != "off":
            raise Refused(
                f"{vm.name!r} is {vm.power}",
                code="vm_not_off",
                hint="shut it down first (power_vm with action shutdown)",
            )
        if self.disks_elsewhere != "refuse":
            kept, usage = await what_it_needs(facts, vm, vm.path, [one.path for one in inventory.vms])
            if not kept.whole:
                return await self._file_by_file(facts, kept, usage, inventory)
        links, allocated = await self._links(facts, vm)
        _refuse_foreign(vm, links, inventory)
        freed = [] if self.keep_addresses else await let_go(facts, vm, inventory)
        return Plan(
            title=f"delete VM {vm.name}",
            steps=(
                *freed,
                Step(
                    "delete the VM and its disks",
                    sh("vim-cmd", "vmsvc/destroy", vm.vmid),
                    judge=vim_cmd_worked,
                    recheck=Recheck(sh("ls", "-d", vm.path), is_gone),
                    completes=True,
                    destroys=True,
                    piecemeal=True,
                    timeout_s=600,
                ),
                Step(
                    "see what is left of its folder",
                    sh("ls", "-A", vm.folder),
                    judge=_gone(vm),
                    capture=Capture("left", lambda reply: ", ".join(reply.stdout.split("\n")).strip(", ")),
                    reads_only=True,
                    keep_on_failure=True,
                ),
            ),
            touches=(f"VM {vm.name} ({vm.path})", *(f"disk {path}" for path in links)),
            warnings=("This cannot be undone.", *_template_warning(vm)),
            before_after=((f"VM {vm.name}", "registered, off", "gone"),),
            outcome={
                "vm": vm.name,
                "deleted": True,
                "freed_bytes": allocated,
                "left_in_folder": Captured("left"),
            },
        )

    async def _file_by_file(self, facts: Facts, kept: Kept, usage: Usage, inventory: HostVms) -> Plan:
        """Without the host's own deleting, which deletes whatever the VM names."""
        vm, delete = kept.vm, self.disks_elsewhere == "delete"
        refuse_used(kept, usage, inventory, elsewhere=delete)
        for other in inventory.vms:
            if other.vmid != vm.vmid and other.folder == vm.folder:
                raise _shared_folder(other, vm)
        freed = [] if self.keep_addresses else await let_go(facts, vm, inventory)
        steps, files, strangers = await delete_folder(facts, kept)
        if delete:
            steps = [*await delete_elsewhere(facts, kept, usage), *steps]
            files = [*files_of(kept.elsewhere, usage), *files]
        stay = () if delete else kept.elsewhere
        return Plan(
            title=f"delete VM {vm.name}",
            steps=(*freed, *take_off(vm), *steps),
            touches=(f"VM {vm.name} ({vm.path})", *(f"file {path}" for path in files)),
            warnings=(
                "This cannot be undone.",
                *_template_warning(vm),
                *(f"The disk {path} stays; it is no VM's any more." for path in stay),
                *(f"{vm.folder.joined(name)} is no file of a VM and stays." for name in strangers),
            ),
            before_after=((f"VM {vm.name}", "registered, off", "gone"),),
            outcome={
                "vm": vm.name,
                "deleted": True,
                "left_in_folder": ", ".join(strangers),
                "deleted_elsewhere": tuple(str(link) for link in kept.elsewhere if delete),
                "disks_kept": tuple(str(link) for link in stay),
            },
        )

    async def _links(self, facts: Facts, vm: Vm) -> tuple[list[DatastorePath], int]:
        found: list[DatastorePath] = []
        allocated = 0
        for path in vm.disk_paths():
            disk = await facts.read(DiskAt(path))
            found += [link.path for link in disk.links]
            allocated += disk.allocated_bytes
        return found, allocated


def _refuse_foreign(vm: Vm, links: list[DatastorePath], inventory: HostVms) -> None:
    outside = [path for path in links if path.parent != vm.folder]
    if outside:
        raise Refused(
            f"the disk {outside[0]} of {vm.name!r} lies outside the VM's folder, and deleting the VM would "
            "delete it too",
            code="disk_outside_folder",
            hint="say with disks_elsewhere what becomes of it",
        )
    for other in inventory.vms:
        if other.vmid == vm.vmid:
            continue
        if other.folder == vm.folder:
            raise _shared_folder(other, vm)
        if other.vmx is None:
            raise Refused(
                f"the .vmx of {other.name!r} cannot be read, so it is not known whether it uses a disk of "
                f"{vm.name!r}",
                code="vmx_unreadable",
                hint=f"repair or unregister {other.name!r} first",
            )
        shared = set(other.disk_paths()) & set(links)
        if shared:
            raise Refused(
                f"{other.name!r} uses the disk {next(iter(shared))} of {vm.name!r}",
                code="disk_shared",
                hint="detach it there first",
            )


def _shared_folder(other: Vm, vm: Vm) -> Refused:
    return Refused(
        f"{other.name!r} lies in the same folder as {vm.name!r}", code="folder_shared", hint="move one"
    )


def _template_warning(vm: Vm) -> tuple[str, ...]:
    if not is_marked(vm):
        return ()
    return ("It is a template: no VM can be made from it any more. Those made from it are their own.",)


def _gone(vm: Vm) -> Judge:
    def judge(reply: Reply, captures: Captures) -> None:
        if "No such file or directory" in reply.output:
            return
        names = reply.require("looking at the folder").split("\n")
        if any(name == vm.path.name or name.endswith(".vmdk") for name in names):
            raise StepFailed(f"files of the VM are still in {vm.folder}", code="not_deleted")

    return judge
