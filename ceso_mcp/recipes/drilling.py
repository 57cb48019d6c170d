"""Steps of a restore drill once its VM is registered: see the guest, note it, remove everything."""

from __future__ import annotations

from collections.abc import Sequence

from ceso_mcp.backup.drills import NO_ANSWER
from ceso_mcp.errors import StepFailed
from ceso_mcp.esxi.guest import parse_guest
from ceso_mcp.esxi.power import PowerState, parse_power_state
from ceso_mcp.fact import Reply
from ceso_mcp.plan import Captures, NotYet, Recheck, Step, Until
from ceso_mcp.recipes.bring_up import VMID, powered_off, unregistered
from ceso_mcp.recipes.judging import HOSTD_DOWN, is_off, no_answer, until_power, vim_cmd_worked
from ceso_mcp.recipes.place import Place, is_gone, removed
from ceso_mcp.recipes.swapping import not_registered
from ceso_mcp.shell import Command, sh


def hear_guest(limit_s: float, hostname: str | None) -> Step:
    """Wait until the guest's tools run and tell a host name, captured as `guest`.

    A guest without tools can say nothing: once `limit_s` seconds are up, `NO_ANSWER` is captured. If
    `hostname` is given, silence and another name fail the drill.
    """

    def done(reply: Reply) -> str | NotYet:
        if no_answer(reply):
            return NotYet(HOSTD_DOWN)
        info = parse_guest(reply.require("asking for the guest"))
        if not info.tools_running or not info.host_name:
            return NotYet("no tools answer yet" if not info.tools_running else "it has told no name yet")
        if hostname is not None and info.host_name != hostname:
            return NotYet(f"it calls itself {info.host_name}")
        return info.host_name

    def at_limit(reply: Reply) -> str:
        if no_answer(reply):
            raise StepFailed(HOSTD_DOWN, code="hostd_down")
        found = done(reply)
        if isinstance(found, NotYet) and hostname is not None:
            raise StepFailed(
                f"the guest was to call itself {hostname}, but {found.reason}", code="drill_failed"
            )
        return found if isinstance(found, str) else NO_ANSWER

    wanted = (
        f"the guest's tools to answer as {hostname}" if hostname else "the guest's tools to answer, if any"
    )
    return Step(
        "hear what the guest says",
        sh("vim-cmd", "vmsvc/get.guest", VMID),
        until=Until("guest", done, wanted, limit_s, every_s=2.0, at_limit=at_limit),
        reads_only=True,
    )


def see_it_runs() -> Step:
    """The VM must not have powered itself off."""
    return Step(
        "see that it still runs",
        sh("vim-cmd", "vmsvc/power.getstate", VMID),
        judge=runs_still,
        reads_only=True,
    )


def runs_still(reply: Reply, captures: Captures) -> None:
    """Judge of `power.getstate`: the VM is on."""
    vim_cmd_worked(reply, captures)
    if parse_power_state(reply.stdout) is not PowerState.ON:
        raise StepFailed("the VM did not stay on", code="drill_failed")


def remove_scratch(place: Place, others: Sequence[Place] = ()) -> list[Step]:
    """Cut the VM's power, take it off the inventory, remove its files: only what this run has made.

    `others` are the folders of its disks on other datastores.
    """
    files, folder = _removal(place)
    return [
        Step(
            "cut the power of the drill's VM",
            sh("vim-cmd", "vmsvc/power.off", VMID),
            judge=powered_off,
            recheck=Recheck(sh("vim-cmd", "vmsvc/power.getstate", VMID), is_off),
            timeout_s=120,
        ),
        Step(
            "see that it is off",
            sh("vim-cmd", "vmsvc/power.getstate", VMID),
            until=until_power(PowerState.OFF, 60),
            reads_only=True,
        ),
        Step(
            "take it off the inventory",
            sh("vim-cmd", "vmsvc/unregister", VMID),
            judge=unregistered,
            recheck=Recheck(sh("vim-cmd", "vmsvc/get.summary", place.vmx), not_registered),
        ),
        *(step for other in others for step in _remove_disks(other)),
        Step("remove its files", files, judge=removed, repeatable=True, timeout_s=600),
        Step(
            "remove its folder",
            folder,
            judge=removed,
            recheck=Recheck(sh("ls", "-d", place.folder), is_gone),
            repeatable=True,
            completes=True,
        ),
    ]


def _remove_disks(place: Place) -> list[Step]:
    files, folder = _removal(place)
    return [
        Step(
            f"remove its disks on {place.volume.name}",
            files,
            judge=removed,
            repeatable=True,
            timeout_s=600,
        ),
        Step("remove their folder", folder, judge=removed, repeatable=True),
    ]


def _removal(place: Place) -> tuple[Command, ...]:
    """The commands that remove what was made in `place`, and its folder: those that undo its making."""
    undo = place.claim().undo
    assert undo is not None
    return undo.commands
