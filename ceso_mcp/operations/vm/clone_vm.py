"""Clone a VM."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from ceso_mcp.fact import Facts
from ceso_mcp.fields import DatastoreName, ExistingVm, PortgroupName, VmName
from ceso_mcp.operation import Change
from ceso_mcp.plan import Plan
from ceso_mcp.recipes.copying import CopyWish, plan_copy
from ceso_mcp.recipes.guest_setup import GuestFields
from ceso_mcp.recipes.proving import ProofFields


class CloneVm(GuestFields, ProofFields, Change):
    """Make a full, independent copy of a VM that is off, with an identity of its own.

    Hardware and disk contents are kept; snapshots are flattened in the copy and stay in the source.
    The copy gets a new BIOS UUID, MAC addresses, instance-id, host name and addresses, so that both
    can run side by side. The bytes never leave the host. A VM that is on must be shut down first.
    """

    title: ClassVar[str] = "Clone a VM"
    toolset: ClassVar[str] = "vm"

    source: ExistingVm = Field(description="exact name of the VM to copy; it must be off")
    name: VmName = Field(description="name of the new VM")
    datastore: DatastoreName | None = Field(None, description="where it goes; the source's if left out")
    portgroup: PortgroupName | None = Field(
        None, description="network of its first card; the source's if left out"
    )
    new_machine_id: bool = Field(True, description="have the guest make a new machine-id at its first boot")
    power_on: bool = Field(False, description="power the copy on and wait for its address")
    wait_s: int = Field(300, ge=10, le=3600, description="how long to wait for the guest, in seconds")

    async def plan(self, facts: Facts) -> Plan:
        wish = CopyWish(
            name=self.name,
            source=self.source,
            guest=self,
            proof=self,
            datastore=self.datastore,
            portgroup=self.portgroup,
            power_on=self.power_on,
            wait_s=self.wait_s,
        )
        return await plan_copy(facts, wish, f"clone VM {self.source} to {self.name}")
