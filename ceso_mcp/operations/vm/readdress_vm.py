"""Give a VM another host name, other addresses, other networks."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from ceso_mcp.captures import Outcome
from ceso_mcp.errors import Refused
from ceso_mcp.fact import Facts
from ceso_mcp.facts.inventory import Inventory, Vm
from ceso_mcp.facts.network import Portgroups
from ceso_mcp.fields import ExistingVm, PortgroupName
from ceso_mcp.operation import Change
from ceso_mcp.plan import Plan
from ceso_mcp.recipes.bring_up import power_on
from ceso_mcp.recipes.downtime import shut_down
from ceso_mcp.recipes.guest_setup import GuestFields
from ceso_mcp.recipes.letting_go import moved
from ceso_mcp.recipes.nics import cards_for, portgroup_rows, vlan_warnings
from ceso_mcp.recipes.place import portgroup_problem
from ceso_mcp.recipes.proving import ADDRESS, REACHED, ProofFields, prove, refuse_taken
from ceso_mcp.recipes.readdressing import (
    Readdressed,
    hostname_after,
    lines,
    readdressed,
    says_of_the_network,
)
from ceso_mcp.recipes.reborn import refuse_uncopyable
from ceso_mcp.recipes.rewriting import Rewriting
from ceso_mcp.recipes.user_data import read_own_data


class ReaddressVm(GuestFields, ProofFields, Change):
    """Give a VM another host name, addresses or networks, through cloud-init.

    The VM gets new metadata with a new instance-id, without which its guest would keep its addresses;
    so cloud-init sets the guest up anew: host keys, network, name, the users and keys given here. Disks,
    BIOS UUID and (unless `new_macs`) MAC addresses stay. What is left out stays: host name, and, if
    nothing of the network is given, all of that; otherwise the network is what is given. The VM must be
    off, or `restart` shuts its guest down and powers it on again. Done when the guest reports what was
    asked for and no longer its former addresses.
    """

    title: ClassVar[str] = "Readdress a VM"
    toolset: ClassVar[str] = "vm"

    vm: ExistingVm = Field(description="exact name of the VM")
    portgroup: PortgroupName | None = Field(
        None, description="network of its first card; the one it has if left out"
    )
    new_macs: bool = Field(False, description="also give its network cards new MAC addresses")
    restart: bool = Field(False, description="if it is on: shut its guest down and power it on again")
    power_on: bool = Field(True, description="power it on and wait for its address")
    wait_s: int = Field(300, ge=10, le=3600, description="how long to wait for the guest, in seconds")

    async def plan(self, facts: Facts) -> Plan:
        own, notes = await read_own_data(facts, self)
        inventory = await facts.read(Inventory())
        vm = inventory.named(self.vm)
        self._refuse_unfit(vm)
        given = await moved(
            facts,
            self,
            self.portgroup,
            vm,
            inventory,
            hostname_after(self, vm),
            network_stays=not says_of_the_network(self),
        )
        cards = cards_for(vm.readable, given.guest, given.portgroup, given.guest.nics)
        known = await facts.read(Portgroups())
        notes += vlan_warnings(vm.readable, cards, self.vlans, known)
        for name in cards.portgroups.values():
            if name not in {portgroup.name for portgroup in known}:
                raise portgroup_problem(name, known)
        taken = {mac for other in inventory.vms if other.vmid != vm.vmid for mac in other.macs()}
        change = readdressed(given.guest, vm, cards, facts.fixed.seed, taken, own, new_macs=self.new_macs)
        notes += await refuse_taken(facts, self, change.expectation, inventory, besides=vm.vmid)
        rewriting = Rewriting(vm, change.gone, lines(vm.readable, change), facts.fixed.run_id)
        on = self.power_on or vm.power == "on"
        steps = [*given.steps, *(await shut_down(facts, vm) if vm.power == "on" else [])]
        steps += rewriting.steps()
        steps += power_on(vm.vmid, only_if=rewriting.kept if vm.power == "on" else None) if on else []
        steps.append(rewriting.finish())
        proves = on and bool(change.macs)
        steps += prove(change.expectation, self.wait_s, self, vm.vmid) if proves else []
        return Plan(
            title=f"readdress VM {vm.name}",
            steps=tuple(steps),
            touches=(
                f"configuration of VM {vm.name} ({vm.path})",
                *((f"power of VM {vm.name}: off for a moment",) if vm.power == "on" else ()),
            ),
            warnings=(*change.warnings, *given.warnings, *notes),
            before_after=(*change.rows, *portgroup_rows(vm.readable, cards)),
            outcome={**self._outcome(vm, change, on=on, proves=proves), **given.outcome},
        )

    def _outcome(self, vm: Vm, change: Readdressed, *, on: bool, proves: bool) -> Outcome:
        return {
            "vm": vm.name,
            "vmid": vm.vmid,
            "instance_id": change.instance_id,
            "hostname": change.hostname,
            "macs": tuple(change.macs.values()),
            "power": "on" if on else "off",
            "address": ADDRESS if proves else None,
            **({"reached": REACHED} if proves and self.reach else {}),
        }

    def _refuse_unfit(self, vm: Vm) -> None:
        refuse_uncopyable(vm.readable)
        if vm.power == "on" and self.restart:
            return
        if vm.power != "off":
            raise Refused(
                f"{vm.name!r} is {vm.power}; its guest is told its addresses only when it starts",
                code="vm_not_off",
                hint="set restart, or shut it down first (power_vm with action shutdown)",
            )
