"""Create a VM from a golden template."""

from __future__ import annotations

from typing import ClassVar, Self

from pydantic import Field, ValidationError, field_validator, model_validator

from ceso_mcp.fact import Facts
from ceso_mcp.fields import DatastoreName, ExistingVm, PortgroupName, VmName
from ceso_mcp.guest.names import default_hostname
from ceso_mcp.operation import Change
from ceso_mcp.plan import Plan
from ceso_mcp.recipes.copying import CopyWish, plan_copy
from ceso_mcp.recipes.guest_setup import GuestFields, SshKeys
from ceso_mcp.recipes.proving import ProofFields
from ceso_mcp.recipes.several import MOST, moved_on, names_from, plan_several


class CreateVm(GuestFields, ProofFields, Change):
    """Create a VM from a golden Ubuntu template on the host, set up by cloud-init.

    The template (a VM that prepare_template has looked into and marked) is copied on the host
    itself; the copy gets its own name, BIOS UUID, MAC addresses, instance-id, host name, addresses,
    user and SSH keys, is powered on, and counts as done when its guest reports the host name and
    address that were asked for. `discover` shows templates, datastores and portgroups.

    With `count` or `more_names` one plan makes several, one after the other, and waits for all of them
    at the end. If one cannot be made, it is taken back and those before it are kept.
    """

    title: ClassVar[str] = "Create a VM"
    toolset: ClassVar[str] = "vm"

    name: VmName = Field(description="name of the new VM")
    count: int = Field(
        1,
        ge=1,
        le=MOST,
        description="how many: names count on from the number at the end of name (web01, web02…), static"
        " addresses from those given",
    )
    more_names: tuple[VmName, ...] = Field(
        (), max_length=MOST - 1, description="names of further VMs, in place of count"
    )
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

    @model_validator(mode="after")
    def _several(self) -> Self:
        if self.count > 1 and self.more_names:
            raise ValueError("count and more_names exclude each other")
        each = self.each()
        if len(each) == 1:
            return self
        folded = [one.name.casefold() for one in each]
        if len(set(folded)) != len(folded):
            raise ValueError("two of the VMs would have the same name")
        if self.hostname is not None:
            raise ValueError("hostname is for one VM; of several, each gets one made from its name")
        hosts = [default_hostname(one.name) for one in each]
        if len(set(hosts)) != len(hosts):
            raise ValueError("two of the VMs would get the same host name")
        static = [a.ip for one in each for card in one.cards() for a in card.addressing().addresses]
        if len(set(static)) != len(static):
            raise ValueError("two of the VMs would get the same address")
        if any(card.mac is not None for card in self.cards()):
            raise ValueError("mac is for one VM; of several, each gets addresses of its own")
        return self

    def each(self) -> list[Self]:
        """The parameters of each VM; raises ValueError for one that cannot be as it would have to."""
        names = (self.name, *self.more_names) if self.more_names else names_from(self.name, self.count)
        if len(names) == 1:
            return [self]
        document = self.model_dump(exclude={"name", "count", "more_names"})
        found = []
        for number, name in enumerate(names):
            try:
                found.append(type(self).model_validate({**moved_on(document, number), "name": name}))
            except ValidationError as error:
                said = error.errors(include_url=False, include_input=False, include_context=False)[0]["msg"]
                raise ValueError(f"VM {name}: {said.removeprefix('Value error, ')}") from None
        return found

    async def plan(self, facts: Facts) -> Plan:
        wishes = [one._wish() for one in self.each()]
        if len(wishes) == 1:
            return await plan_copy(facts, wishes[0], f"create VM {self.name} from template {self.template}")
        names = (
            f"{wishes[0].name} to {wishes[-1].name}" if self.count > 1 else ", ".join(w.name for w in wishes)
        )
        return await plan_several(
            facts, wishes, f"create {len(wishes)} VMs ({names}) from template {self.template}"
        )

    def _wish(self) -> CopyWish:
        return CopyWish(
            name=self.name,
            source=self.template,
            guest=self,
            proof=self,
            golden=not self.unprepared,
            datastore=self.datastore,
            portgroup=self.portgroup,
            power_on=self.power_on,
            wait_s=self.wait_s,
            cpus=self.cpus,
            memory_mib=self.memory_mib,
            disk_gib=self.disk_gib,
            annotation=self.annotation,
        )
