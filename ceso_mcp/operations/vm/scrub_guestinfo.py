"""Take a guest's user data out of its VM's configuration."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from ceso_mcp.errors import Refused
from ceso_mcp.fact import Facts
from ceso_mcp.facts.inventory import Inventory, Vm
from ceso_mcp.fields import ExistingVm
from ceso_mcp.guest.guestinfo import secrets_pending, was_read
from ceso_mcp.operation import Change
from ceso_mcp.plan import Plan
from ceso_mcp.recipes.rewriting import Rewriting
from ceso_mcp.recipes.secret_keys import secret_keys_in


class ScrubGuestinfo(Change):
    """Remove user data and vendor data from a VM's .vmx, where whoever reads the datastore could read them.

    The metadata (name, addresses, instance-id) stays, so that the guest stays who it is. The VM must be
    off. `power_vm` does this by itself when it switches a VM off whose guest has overwritten them; what is
    left is either a guest's that does not overwrite them, or was not read yet: then the guest would never
    get it, and this is refused unless `even_unread` is set. Copies may be in the VM's snapshots and in
    vmware.log.
    """

    title: ClassVar[str] = "Scrub a VM's guestinfo"
    toolset: ClassVar[str] = "vm"

    vm: ExistingVm = Field(description="exact name of the VM; it must be off")
    even_unread: bool = Field(False, description="also what its guest does not seem to have read yet")

    async def plan(self, facts: Facts) -> Plan:
        vm = (await facts.read(Inventory())).named(self.vm)
        keys = secret_keys_in(vm.readable)
        pending = secrets_pending(vm.readable.get)
        self._refuse_unfit(vm, keys, pending)
        rewriting = Rewriting(vm, keys, None, facts.fixed.run_id)
        return Plan(
            title=f"take user data out of the configuration of VM {vm.name}",
            steps=(*rewriting.steps(), rewriting.finish()),
            touches=(f"VM {vm.name} ({vm.path})",),
            warnings=(
                (f"Its guest does not seem to have read its {' and '.join(pending)}, and never will.",)
                if pending and not was_read(vm.readable.get)
                else ()
            ),
            before_after=tuple((key, "in the .vmx", "gone") for key in keys),
            outcome={"vm": vm.name, "vmid": vm.vmid, "removed": keys},
        )

    def _refuse_unfit(self, vm: Vm, keys: tuple[str, ...], pending: tuple[str, ...]) -> None:
        if vm.power != "off":
            raise Refused(
                f"{vm.name!r} is {vm.power}; its .vmx can be changed only while it is off",
                code="vm_not_off",
                hint="power_vm with action shutdown takes out what the guest has overwritten",
            )
        if not keys:
            raise Refused(f"the .vmx of {vm.name!r} holds no user data", code="nothing_to_scrub")
        if pending and not was_read(vm.readable.get) and not self.even_unread:
            raise Refused(
                f"nothing shows that the guest of {vm.name!r} has read its {' and '.join(pending)}",
                code="userdata_unread",
                hint="power it on once, or set even_unread: then the guest never gets it",
            )
