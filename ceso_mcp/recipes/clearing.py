"""Steps that delete what a .vmx names, when some of its disks lie outside its folder.

`vmsvc/destroy` deletes whatever the .vmx names, and what it does about a disk that is gone already no
source tells. So each link elsewhere is deleted by itself, children first, after it is known that no other
.vmx needs it; then the files of the folder by their names, the .vmx last. Cut off in between, the same
request goes on with the rest: what is left is still named by the .vmx and the .vmsd.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ceso_mcp.errors import CesoError, Refused, StepFailed
from ceso_mcp.esxi.paths import DatastorePath
from ceso_mcp.fact import Facts, Reply
from ceso_mcp.facts.aside import FolderEntries
from ceso_mcp.facts.disk_users import DiskUsers, Usage
from ceso_mcp.facts.inventory import HostVms, Vm
from ceso_mcp.facts.storage import DiskAt, Exists
from ceso_mcp.plan import Captures, Recheck, Step
from ceso_mcp.recipes.judging import vmkfstools_worked
from ceso_mcp.recipes.place import is_gone, removed
from ceso_mcp.shell import sh

_OF_A_VM = re.compile(
    r".+\.(vmx|vmx~|vmx\.lck|vmxf|vmsd|vmsn|vmem|vmss|nvram|vmdk|vswp|log|scoreboard|hlog|vmtx)"
    r"|.+\.vmx\.(new|before)-[0-9a-f]{8}",
    re.I,
)
"""Files that the host, or ceso, makes for a VM (fact sheet vmkfstools §7)."""
_AGAIN = "ask for the same again: it goes on with what is left"


@dataclass(frozen=True, slots=True)
class Kept:
    """What goes: a folder, its .vmx, and its links of disks elsewhere, children first. `vm` is the VM that
    it is or was.

    `whole` says that it never named a disk elsewhere: not even one that is gone already.
    """

    vm: Vm
    folder: DatastorePath
    vmx: DatastorePath
    elsewhere: tuple[DatastorePath, ...]
    whole: bool


async def what_is_kept(facts: Facts, vm: Vm, vmx: DatastorePath, inventory: HostVms) -> tuple[Kept, Usage]:
    """What the .vmx kept aside needs, and who uses disks on the host.

    Raises Refused `aside_registered` if it is a VM of the inventory again, `disk_unreadable` if it is not
    known what it needs.
    """
    registered = tuple(one.path for one in inventory.vms)
    if vmx in registered:
        raise Refused(
            f"{vmx} is registered as a VM of its own",
            code="aside_registered",
            hint="unregister it first, or delete that VM (delete_vm)",
        )
    return await what_it_needs(facts, vm, vmx, registered)


async def what_it_needs(
    facts: Facts, vm: Vm, vmx: DatastorePath, registered: Sequence[DatastorePath]
) -> tuple[Kept, Usage]:
    """What `vmx` needs, and who uses disks on the host. Raises Refused `disk_unreadable`."""
    usage = await facts.read(DiskUsers(tuple(dict.fromkeys((*registered, vmx)))))
    mine = usage.of(vmx)
    if mine.problem:
        raise Refused(f"what {vmx} needs is not known: {mine.problem}", code="disk_unreadable")
    links = usage.children_first(mine.links)
    outside = tuple(link for link in links if link.parent != vmx.parent)
    whole = all(link.parent == vmx.parent for link in mine.links)
    return Kept(vm, vmx.parent, vmx, outside, whole), usage


def refuse_used(kept: Kept, usage: Usage, inventory: HostVms, *, elsewhere: bool) -> None:
    """Raise Refused unless nothing else needs what is deleted; with `elsewhere`, the disks elsewhere too."""
    goes = {link for link in usage.of(kept.vmx).links if elsewhere or link.parent == kept.folder}
    registered = {vm.path for vm in inventory.vms}
    for user in usage.users:
        if user.vmx == kept.vmx:
            continue
        if user.problem and (user.vmx in registered or (elsewhere and kept.elsewhere)):
            raise Refused(
                f"whether {user.vmx} uses a disk that would be deleted is not known: {user.problem}",
                code="vmx_unreadable",
                hint=f"repair or remove {user.vmx} first{_or_keep(kept, elsewhere)}",
            )
        if shared := sorted(user.links & goes):
            raise Refused(
                f"{user.vmx} uses the disk {shared[0]}, which would be deleted",
                code="disk_shared",
                hint=f"detach it there first{_or_keep(kept, elsewhere)}",
            )
    if elsewhere and kept.elsewhere:
        if inventory.invalid_ids:
            raise Refused(
                f"VM {inventory.invalid_ids[0]} is invalid, so it is not known which disks it uses",
                code="vmx_unreadable",
                hint=f"repair or unregister it first{_or_keep(kept, elsewhere)}",
            )
        _refuse_odd(kept, usage)


def _or_keep(kept: Kept, elsewhere: bool) -> str:
    return "; or set disks_elsewhere to keep" if elsewhere and kept.elsewhere else ""


def _refuse_odd(kept: Kept, usage: Usage) -> None:
    """Raise Refused for a disk elsewhere whose files are not all known to be its own."""
    for link in kept.elsewhere:
        found = usage.descriptors[link]
        if link.parent == kept.vm.folder:
            raise Refused(
                f"what is kept aside names the disk {link}, which lies in the restored VM's folder",
                code="disk_shared",
                hint="it may be the restored VM's; look at both .vmx files",
            )
        if found.is_rdm:
            raise Refused(
                f"the disk {link} is a raw device mapping",
                code="raw_device_mapping",
                hint="set disks_elsewhere to keep",
            )
        names = [extent.file_name for extent in found.extents] + [found.change_track_path or ""]
        if any("/" in name for name in names):
            raise Refused(
                f"the disk {link} has files in another folder",
                code="disk_unreadable",
                hint="set disks_elsewhere to keep",
            )


def files_of(links: Iterable[DatastorePath], usage: Usage) -> list[DatastorePath]:
    """Every file of these links: descriptors, extents, change tracking files."""
    found = []
    for link in links:
        descriptor = usage.descriptors[link]
        names = [link.name, *(extent.file_name for extent in descriptor.extents if extent.file_name)]
        names += [descriptor.change_track_path] if descriptor.change_track_path else []
        found += [link.sibling(name) for name in names]
    return found


async def delete_elsewhere(facts: Facts, kept: Kept, usage: Usage) -> list[Step]:
    """Delete the disks elsewhere, children first, and the folders that hold nothing else."""
    steps = []
    for link in kept.elsewhere:
        tracking = usage.descriptors[link].change_track_path
        if tracking:
            steps.append(
                Step(
                    f"delete the change tracking file of {link}",
                    sh("rm", "-f", link.sibling(tracking)),
                    destroys=True,
                    repeatable=True,
                )
            )
        steps.append(
            Step(
                f"delete the disk {link}",
                sh("vmkfstools", "-U", link).merged(),
                judge=disk_deleted,
                recheck=Recheck(sh("ls", "-d", link), is_gone),
                destroys=True,
                piecemeal=True,
                timeout_s=600,
            )
        )
    gone = {path.posix() for path in files_of(kept.elsewhere, usage)}
    named = sorted(link.parent for link in usage.of(kept.vmx).links)  # links too that are gone already
    for folder in dict.fromkeys(named):
        if folder in (kept.folder, kept.vm.folder) or not folder.path:
            continue
        there, names = await facts.read(Exists(folder), FolderEntries(folder))
        if there and all(folder.joined(name).posix() in gone for name in names):
            steps.append(
                Step(f"remove the empty folder {folder}", sh("rmdir", folder), judge=removed, repeatable=True)
            )
    return steps


async def delete_folder(facts: Facts, kept: Kept) -> tuple[list[Step], list[DatastorePath], list[str]]:
    """Delete the folder: the steps, the files that go, and the names that are no VM's and stay."""
    names = await facts.read(FolderEntries(kept.folder))
    strangers = [name for name in names if not _OF_A_VM.fullmatch(name)]
    files = [kept.folder.joined(name) for name in names if name not in strangers]
    files.sort(key=lambda path: path == kept.vmx)  # the .vmx, which names the rest, goes last
    remove = sh("rm", "-f", *files)
    steps = [
        Step(
            "delete the files of the folder" + ("" if strangers else ", and the folder"),
            remove if strangers else remove.then(sh("rmdir", kept.folder)),
            recheck=Recheck(sh("ls", "-d", kept.vmx), is_gone),
            destroys=True,
            piecemeal=True,
            completes=True,
            timeout_s=600,
        )
    ]
    if not strangers:
        steps.append(
            Step(
                "see that the folder is gone",
                sh("ls", "-d", kept.folder),
                judge=folder_gone,
                reads_only=True,
                keep_on_failure=True,
            )
        )
    return steps, files, strangers


def folder_gone(reply: Reply, captures: Captures) -> None:
    """Judge of `ls -d`: there is no such folder."""
    if is_gone(reply) is None:
        raise StepFailed("the folder is still there", code="not_deleted", hint="look at what is in it")


def remove_folder(folder: DatastorePath) -> Step:
    """Remove a folder that is empty."""
    return Step(
        "remove its folder",
        sh("rmdir", folder),
        judge=removed,
        recheck=Recheck(sh("ls", "-d", folder), is_gone),
        repeatable=True,
        completes=True,
    )


def disk_deleted(reply: Reply, captures: Captures) -> None:
    """Judge of `vmkfstools -U`: it is gone; what was not deleted can be asked for again."""
    try:
        vmkfstools_worked(reply, captures)
    except StepFailed as error:
        raise StepFailed(error.message, code=error.code, hint=_AGAIN) from None


async def missing_elsewhere(facts: Facts, vmx: DatastorePath, names: Sequence[str]) -> list[str]:
    """Words about disks of a .vmx kept aside that lie elsewhere and are not there any more."""
    found = []
    for name in names:
        path = vmx.parent.resolve(name)
        if path.parent == vmx.parent:
            continue
        try:
            await facts.read(DiskAt(path))
        except CesoError as error:
            found.append(f"It will not start as it is: {error.message}.")
    return found
