"""Change the power state of a VM."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from ceso_mcp.errors import Refused
from ceso_mcp.esxi.power import PowerState
from ceso_mcp.fact import Facts
from ceso_mcp.facts.guest import GuestOf
from ceso_mcp.facts.inventory import Inventory
from ceso_mcp.fields import ExistingVm
from ceso_mcp.operation import Change
from ceso_mcp.plan import Plan, Recheck, Step
from ceso_mcp.recipes.judging import is_off, is_on, is_suspended, until_power, vim_cmd_worked
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
    read back afterwards, because a power command's own success proves nothing. `on` and `reset` are
    refused for a VM that is marked as a template.
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
        verb = {"shutdown": "shutdown"}.get(self.action, self.action)
        return Plan(
            title=f"{_SAYS[self.action]}: {vm.name}",
            steps=(
                Step(
                    _SAYS[self.action],
                    sh("vim-cmd", f"vmsvc/power.{verb}", vm.vmid),
                    judge=vim_cmd_worked,
                    recheck=self._recheck(vm.vmid),
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
            ),
            touches=(f"power of VM {vm.name} ({vm.path})",),
            warnings=("Data that the guest has not written is lost.",)
            if self.action in ("off", "reset")
            else (),
            before_after=(("power", vm.power, state.value),),
            outcome={"vm": vm.name, "vmid": vm.vmid, "power": state.value},
        )

    def _recheck(self, vmid: int) -> Recheck | None:
        """The state tells whether it happened; for a reset nothing does."""
        if self.action == "reset":
            return None
        readers = {PowerState.ON: is_on, PowerState.OFF: is_off, PowerState.SUSPENDED: is_suspended}
        return Recheck(sh("vim-cmd", "vmsvc/power.getstate", vmid), readers[_ENDS[self.action]])

    def _refuse_if_there(self, power: str) -> None:
        if self.action == "on" and power == "on":
            raise Refused("the VM is on already", code="already_there")
        if self.action in ("shutdown", "reset", "suspend") and power != "on":
            raise Refused(f"the VM is {power}, not on", code="already_there")
        if self.action == "off" and power == "off":
            raise Refused("the VM is off already", code="already_there")
