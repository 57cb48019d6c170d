"""Change the power state of a VM."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from ceso_mcp.errors import Refused
from ceso_mcp.esxi.power import PowerState
from ceso_mcp.fact import Facts
from ceso_mcp.facts.guest import GuestOf
from ceso_mcp.facts.inventory import Inventory, Vm
from ceso_mcp.fields import ExistingVm
from ceso_mcp.operation import Change
from ceso_mcp.plan import Plan, Recheck, Step, Undo
from ceso_mcp.recipes.bring_up import powered_off
from ceso_mcp.recipes.downtime import GOING_DOWN_S
from ceso_mcp.recipes.judging import is_off, is_on, is_suspended, until_power, vim_cmd_worked
from ceso_mcp.recipes.questions import cancel_question, watch_for_question
from ceso_mcp.recipes.secret_keys import scrub_after_power_off, secret_keys_in
from ceso_mcp.recipes.templates import refuse_running
from ceso_mcp.shell import sh

Action = Literal["on", "shutdown", "off", "reset", "suspend"]

_ENDS: dict[str, PowerState] = {
    "on": PowerState.ON,
    "shutdown": PowerState.OFF,
    "off": PowerState.OFF,
    "reset": PowerState.ON,
    "suspend": PowerState.SUSPENDED,
}
_SAYS = {
    "on": "power on",
    "shutdown": "ask the guest to shut down",
    "off": "cut the power (the guest is not asked)",
    "reset": "press the reset button (the guest is not asked)",
    "suspend": "suspend to disk",
}


class PowerVm(Change):
    """Power a VM on, shut its guest down, cut its power, reset or suspend it.

    `shutdown` asks the guest through its tools and waits; it is refused when the tools do not run.
    `off` and `reset` are what pulling the plug is: unsaved data of the guest is lost. The state is
    read back afterwards, because a power command's own success proves nothing. A VM that asks something
    before it starts stays off, and the question is told. When a VM goes off, user data that its guest has
    read and overwritten is taken out of its .vmx.
    """

    title: ClassVar[str] = "Power a VM"
    toolset: ClassVar[str] = "vm"
    may_destroy: ClassVar[bool] = True

    vm: ExistingVm = Field(description="exact name of the VM")
    action: Action = Field(description="what to do")
    timeout_s: int = Field(180, ge=5, le=3600, description="how long to wait for the state, in seconds")

    async def plan(self, facts: Facts) -> Plan:
        vm = (await facts.read(Inventory())).named(self.vm)
        self._refuse_if_there(vm.power)
        if self.action in ("on", "reset"):
            refuse_running(vm)
        if self.action == "shutdown" and not (await facts.read(GuestOf(vm.vmid))).tools_running:
            raise Refused(
                f"the tools of {vm.name!r} do not run, so its guest cannot be asked to shut down",
                code="tools_not_running",
                hint="shut it down from inside, or use action `off` and accept what that loses",
            )
        state = _ENDS[self.action]
        scrub = self._scrub(vm, facts.fixed.run_id)
        verb = {"shutdown": "shutdown"}.get(self.action, self.action)
        return Plan(
            title=f"{_SAYS[self.action]}: {vm.name}",
            steps=(
                Step(
                    _SAYS[self.action],
                    sh("vim-cmd", f"vmsvc/power.{verb}", vm.vmid),
                    judge=vim_cmd_worked,
                    recheck=self._recheck(vm.vmid),
                    undo=self._undo(vm),
                    watch=watch_for_question(vm.vmid) if self.action == "on" else None,
                    completes=True,
                    destroys=self.action in ("off", "reset"),
                    timeout_s=max(120.0, self.timeout_s),
                ),
                Step(
                    f"see that it is {state.value}",
                    sh("vim-cmd", "vmsvc/power.getstate", vm.vmid),
                    until=until_power(state, self.timeout_s),
                    reads_only=True,
                    keep_on_failure=True,
                ),
                *scrub,
            ),
            touches=(
                f"power of VM {vm.name} ({vm.path})",
                *((f"configuration of VM {vm.name}",) if scrub else ()),
            ),
            warnings=("Data that the guest has not written is lost.",)
            if self.action in ("off", "reset")
            else (),
            before_after=(
                ("power", vm.power, state.value),
                *((("user data in the .vmx", "there", "gone, if the guest has read it"),) if scrub else ()),
            ),
            outcome={"vm": vm.name, "vmid": vm.vmid, "power": state.value},
        )

    def _scrub(self, vm: Vm, run_id: str) -> list[Step]:
        """What goes off has written its .vmx: what the guest has overwritten in it can be taken out."""
        if self.action not in ("shutdown", "off") or vm.vmx is None or not secret_keys_in(vm.vmx):
            return []
        return scrub_after_power_off(vm, run_id)

    def _undo(self, vm: Vm) -> Undo | None:
        """A question is not left hanging. A suspended VM would lose its memory by being switched off."""
        if self.action != "on":
            return None
        off = sh("vim-cmd", "vmsvc/power.off", vm.vmid)
        return Undo((cancel_question(vm.vmid), *((off,) if vm.power == "off" else ())), done=powered_off)

    def _recheck(self, vmid: int) -> Recheck | None:
        """The state tells whether it happened, once a guest has had the time to go down; for a reset nothing
        does."""
        if self.action == "reset":
            return None
        readers = {PowerState.ON: is_on, PowerState.OFF: is_off, PowerState.SUSPENDED: is_suspended}
        late_s = max(GOING_DOWN_S, self.timeout_s) if self.action == "shutdown" else 0
        return Recheck(sh("vim-cmd", "vmsvc/power.getstate", vmid), readers[_ENDS[self.action]], late_s)

    def _refuse_if_there(self, power: str) -> None:
        if self.action == "on" and power == "on":
            raise Refused("the VM is on already", code="already_there")
        if self.action in ("shutdown", "reset", "suspend") and power != "on":
            raise Refused(f"the VM is {power}, not on", code="already_there")
        if self.action == "off" and power == "off":
            raise Refused("the VM is off already", code="already_there")
