"""Taking back what carries the mark of a run that no journal knows."""

from __future__ import annotations

from ceso_mcp.errors import Refused
from ceso_mcp.esxi.paths import DatastorePath
from ceso_mcp.fact import Facts
from ceso_mcp.facts.inventory import Inventory, Vm
from ceso_mcp.facts.marks import Mark, OurSnapshot, SecondsSinceChange
from ceso_mcp.facts.storage import Exists
from ceso_mcp.plan import Step
from ceso_mcp.recipes.bring_up import unregistered
from ceso_mcp.recipes.place import removed
from ceso_mcp.recipes.snapshots import MERGE_TIMEOUT_S, none_is_left, remove_by_name, snapshot_name
from ceso_mcp.shell import Glob, sh

QUIET_S = 15 * 60
"""Another ceso may be working on it: what was written to more recently is left alone."""
READ_S = 12 * 3600
"""A temporary copy is read, and its snapshot kept, for hours without being written to."""


async def let_go(facts: Facts, snapshot: OurSnapshot) -> list[Step]:
    """The step that removes a snapshot which a run left on a VM; its changes are merged, nothing is lost.

    Raises Refused while a backup may still read what it froze, or if its VM is not registered.
    """
    await _require_quiet(facts, snapshot.vmsd, READ_S)
    stem = snapshot.vmsd.name.removesuffix(".vmsd")
    owners = [
        vm for vm in (await facts.read(Inventory())).vms if vm.path == snapshot.path.joined(f"{stem}.vmx")
    ]
    if not owners:
        raise Refused(
            f"the snapshot of run {snapshot.run} in {snapshot.vmsd} belongs to no registered VM",
            code="vm_not_found",
            hint="register the VM first",
        )
    name = snapshot_name(snapshot.run)
    return [
        Step(
            f"remove the snapshot {name} of VM {owners[0].name}",
            remove_by_name(owners[0].vmid, name),
            judge=none_is_left,
            destroys=True,
            timeout_s=MERGE_TIMEOUT_S,
        )
    ]


async def _require_quiet(facts: Facts, path: DatastorePath, wanted_s: int) -> None:
    quiet_s = await facts.read(SecondsSinceChange(path))
    if quiet_s < wanted_s:
        raise Refused(
            f"{path} was written to {quiet_s} s ago; a run may be working on it",
            code="still_written",
            hint=f"try again once nothing has been written to it for {wanted_s // 60} minutes",
        )


async def _refuse_in_use(facts: Facts, vm: Vm, mark: Mark, folder: DatastorePath) -> None:
    """Raise Refused if a VM that is not half made itself has a disk in `folder`."""
    if vm.vmx is None or all(path.parent != folder for path in vm.disk_paths()):
        return
    if await facts.read(Exists(vm.folder.joined(mark.path.name))):
        return
    raise Refused(
        f"{folder} carries the mark of run {mark.run}, but {vm.name!r} uses a disk in it",
        code="disk_shared",
        hint=f"if the VM is whole, remove {mark.path}",
    )


async def take_back(facts: Facts, mark: Mark) -> list[Step]:
    """Steps that remove a temporary folder, or a half-made VM with its folder.

    Raises Refused while it may still be worked on, or while the VM is on: then somebody uses it.
    """
    folder = mark.path if mark.temporary else mark.path.parent
    await _require_quiet(facts, folder, READ_S if mark.temporary else QUIET_S)
    if mark.temporary:
        return [
            Step(
                f"remove the temporary copy of run {mark.run}",
                sh("rm", "-f", Glob(folder, "/disk*.vmdk"), Glob(folder, f"/.ceso-{mark.run}*")),
                destroys=True,
                piecemeal=True,
            ),
            Step("remove its folder", sh("rmdir", folder), judge=removed),
        ]
    steps = []
    for vm in (await facts.read(Inventory())).vms:
        if vm.folder != folder:
            await _refuse_in_use(facts, vm, mark, folder)
            continue
        if vm.power != "off":
            raise Refused(
                f"{vm.name!r} carries the mark of run {mark.run}, but it is {vm.power}",
                code="vm_not_off",
                hint=f"if it is a VM you use, remove {mark.path}; else power it off first",
            )
        steps.append(
            Step(
                f"unregister the half-made VM {vm.name}",
                sh("vim-cmd", "vmsvc/unregister", vm.path),
                judge=unregistered,
            )
        )
    return [
        *steps,
        Step(
            f"remove the half-made VM of run {mark.run}",
            sh(
                "rm",
                "-f",
                Glob(folder.joined(folder.name), "*"),
                Glob(folder, "/vmware*.log"),
                Glob(folder, "/vmx-*.vswp"),
                Glob(folder, f"/.ceso-{mark.run}*"),
            ),
            destroys=True,
            piecemeal=True,
        ),
        Step("remove its folder", sh("rmdir", folder), judge=removed),
    ]
