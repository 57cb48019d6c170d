"""Steps that put another folder in the place of a VM's, and keep the one that was there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from ceso_mcp.errors import StepFailed
from ceso_mcp.esxi.paths import DatastorePath
from ceso_mcp.esxi.power import PowerState, parse_power_state
from ceso_mcp.fact import Reply
from ceso_mcp.facts.inventory import Vm
from ceso_mcp.plan import Captures, Recheck, Step, Undo
from ceso_mcp.recipes.bring_up import register, registered
from ceso_mcp.recipes.judging import vim_cmd_worked
from ceso_mcp.recipes.place import is_there, while_there
from ceso_mcp.shell import Command, sh


def kept_aside(vm: Vm, run_id: str) -> DatastorePath:
    """The folder that keeps what was in the VM's place, beside it, until that is settled."""
    return vm.folder.sibling(f"{vm.folder.name}.before-{run_id}")


def swap(vm: Vm, incoming: DatastorePath, aside: DatastorePath) -> list[Step]:
    """Take the VM off the inventory, put its folder `aside` and `incoming` in its place.

    The VM has to be off. What comes is registered by `register_in_its_place`; everything is taken back.
    As long as `aside` is there, what lies in the VM's place is what came: once all was taken back the former
    VM lies and is registered there again, and must be neither moved nor taken off by whoever looks later.
    """
    return [
        *take_off(vm),
        _move(vm.folder, aside, "put its folder aside"),
        _move(incoming, vm.folder, "put the other folder in its place", only_if=aside),
    ]


def register_in_its_place(vmx: DatastorePath, aside: DatastorePath, *, completes: bool = False) -> Step:
    """Register what came; taken back, and taken for what came, only while `aside` is there."""
    step = register(vmx, completes=completes)
    assert step.undo is not None
    assert step.recheck is not None
    back = tuple(while_there(aside, line) for line in step.undo.commands)
    look = _seen(aside).then(step.recheck.command)
    return replace(step, undo=replace(step.undo, commands=back), recheck=Recheck(look, registered_there))


def registered_there(reply: Reply) -> Mapping[str, str] | None:
    """Reads `get.summary` after a look at what was put aside: the id of the VM, unless either is gone."""
    return None if "No such file or directory" in reply.stderr else registered(reply)


def _seen(folder: DatastorePath) -> Command:
    return sh("ls", "-d", folder).to("/dev/null")


def take_off(vm: Vm) -> list[Step]:
    """Take a VM that is off from the inventory; taken back by registering it again."""
    return [
        see_it_is_off(vm),
        Step(
            "take the VM off the inventory",
            sh("vim-cmd", "vmsvc/unregister", vm.vmid),
            judge=vim_cmd_worked,
            recheck=Recheck(sh("vim-cmd", "vmsvc/get.summary", vm.path), not_registered),
            undo=Undo((sh("vim-cmd", "solo/registervm", vm.path),), done=registered_again),
        ),
    ]


def _move(
    source: DatastorePath, target: DatastorePath, why: str, *, only_if: DatastorePath | None = None
) -> Step:
    """Rename a folder. An existing target would take it in as a subfolder, so that is looked for."""
    absent = sh("test", "!", "-e", target)
    look = sh("ls", "-d", target)
    back = sh("test", "-e", source).otherwise(sh("mv", target, source))
    if only_if is not None:
        look = _seen(only_if).then(look)
        back = while_there(only_if, back)
    return Step(
        why,
        absent.then(sh("mv", source, target)),
        recheck=Recheck(look, is_there),
        undo=Undo((back,), when="succeeded"),
    )


def see_it_is_off(vm: Vm) -> Step:
    """Ends the run if somebody has powered the VM on since the plan was made."""
    return Step(
        "see that the VM is off",
        sh("vim-cmd", "vmsvc/power.getstate", vm.vmid),
        judge=is_off_still,
        reads_only=True,
    )


def is_off_still(reply: Reply, captures: Captures) -> None:
    """Judge of `power.getstate`: nobody has powered the VM on since the plan was made."""
    vim_cmd_worked(reply, captures)
    if parse_power_state(reply.stdout) is not PowerState.OFF:
        raise StepFailed("the VM is not off any more", code="vm_not_off")


def not_registered(reply: Reply) -> Mapping[str, str] | None:
    """Reads `get.summary` of a .vmx path: it is not registered."""
    return {} if registered(reply) is None else None


def registered_again(reply: Reply, captures: Captures) -> None:
    """Judge of registering anew: it is, or was all the time."""
    if "vim.fault.AlreadyExists" in reply.output:
        return
    vim_cmd_worked(reply, captures)
