"""Taking back what carries the mark of a run that no journal knows."""

from __future__ import annotations

from ceso_mcp.errors import Refused
from ceso_mcp.fact import Facts
from ceso_mcp.facts.inventory import Inventory
from ceso_mcp.facts.marks import Mark, SecondsSinceChange
from ceso_mcp.plan import Step
from ceso_mcp.recipes.bring_up import unregistered
from ceso_mcp.recipes.place import removed
from ceso_mcp.shell import Glob, sh

QUIET_S = 15 * 60
"""Another ceso may be working on it: what was written to more recently is left alone."""


async def take_back(facts: Facts, mark: Mark) -> list[Step]:
    """Steps that remove a temporary folder, or a half-made VM with its folder.

    Raises Refused while it may still be worked on, or while the VM is on: then somebody uses it.
    """
    folder = mark.path if mark.temporary else mark.path.parent
    quiet_s = await facts.read(SecondsSinceChange(folder))
    if quiet_s < QUIET_S:
        raise Refused(
            f"{folder} was written to {quiet_s} s ago; a run may be working on it",
            code="still_written",
            hint=f"try again once nothing has been written to it for {QUIET_S // 60} minutes",
        )
    if mark.temporary:
        return [
            Step(
                f"remove the temporary copy of run {mark.run}",
                sh("rm", "-f", Glob(folder, "/disk*.vmdk"), Glob(folder, f"/.ceso-{mark.run}*")),
                destroys=True,
            ),
            Step("remove its folder", sh("rmdir", folder), judge=removed),
        ]
    steps = []
    for vm in (await facts.read(Inventory())).vms:
        if vm.folder != folder:
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
        ),
        Step("remove its folder", sh("rmdir", folder), judge=removed),
    ]
