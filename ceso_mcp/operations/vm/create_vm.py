"""Create a VM from a golden template."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field, field_validator

from ceso_mcp.fact import Facts
from ceso_mcp.fields import DatastoreName, ExistingVm, PortgroupName, VmName
from ceso_mcp.operation import Change
from ceso_mcp.plan import Plan
from ceso_mcp.recipes.copying import CopyWish, plan_copy
from ceso_mcp.recipes.guest_setup import GuestFields, SshKeys
from ceso_mcp.recipes.proving import ProofFields
from ceso_mcp.recipes.templates import require_template


class CreateVm(GuestFields, ProofFields, Change):
    """Create a VM from a golden Ubuntu template on the host, set up by cloud-init.

    The template (a VM that prepare_template has looked into and marked) is copied on the host
    itself; the copy gets its own name, BIOS UUID, MAC addresses, instance-id, host name, addresses,
    user and SSH keys, is powered on, and counts as done when its guest reports the host name and
    address that were asked for. `discover` shows templates, datastores and portgroups.
    """

    title: ClassVar[str] = "Create a VM"
    toolset: ClassVar[str] = "vm"

    name: VmName = Field(description="name of the new VM")
    template: ExistingVm = Field(description="exact name of the golden template")
    ssh_keys: SshKeys = Field(description="SSH public keys that may log in", min_length=1, max_length=32)
    cpus: int = Field(2, ge=1, le=128, description="virtual CPUs")
    memory_mib: int = Field(2048, ge=256, le=4_194_304, description="memory in MiB, a multiple of 4")
    disk_gib: int | None = Field(
        None, ge=1, le=61_440, description="size of the first disk in GiB, grown to it"
    )
    datastore: DatastoreName | None = Field(None, description="where it goes; the template's if left out")
    portgroup: PortgroupName | None = Field(
        None, description="network of its first card; the template's if left out"
    )
    annotation: str = Field("", max_length=2000, description="notes of the VM")
    power_on: bool = Field(True, description="power it on and wait for its address")
    unprepared: bool = Field(
        False, description="take a template that prepare_template has not marked, or that has changed since"
    )
    wait_s: int = Field(300, ge=10, le=3600, description="how long to wait for the guest, in seconds")

    @field_validator("memory_mib")
    @classmethod
    def _multiple_of_four(cls, value: int) -> int:
        if value % 4:
            raise ValueError("memory must be a multiple of 4 MiB")
        return value

    async def plan(self, facts: Facts) -> Plan:
        if not self.unprepared:
            await require_template(facts, self.template)
        wish = CopyWish(
            name=self.name,
            source=self.template,
            guest=self,
            proof=self,
            datastore=self.datastore,
            portgroup=self.portgroup,
            power_on=self.power_on,
            wait_s=self.wait_s,
            cpus=self.cpus,
            memory_mib=self.memory_mib,
            disk_gib=self.disk_gib,
            annotation=self.annotation,
        )
        return await plan_copy(facts, wish, f"create VM {self.name} from template {self.template}")
