"""`esxcli network vswitch` (fact sheet esxcli-and-shell §2.4). The sentences of failures are assumed."""

from __future__ import annotations

from ceso_mcp.lab.esxcli_forms import Answer, Nested, Row, Scalar
from ceso_mcp.lab.esxcli_ground import Ground, block, blocks, table
from ceso_mcp.lab.esxcli_options import Command, Given, Option, Refused
from ceso_mcp.lab.host_config import Vswitch
from ceso_mcp.lab.power import nic_numbers
from ceso_mcp.lab.world import Portgroup

VLAN_LIMIT = 4095
MTU_LOW, MTU_HIGH = 1280, 9000
CDP = ("down", "listen", "advertise", "both")
# Ports that a switch has for itself: used ports less uplinks and clients in esxcli-vswitch-3 and -4.
OWN_PORTS = 3
STANDARD = "network vswitch standard"
SECURITY = {
    "allow-promiscuous": ("o", "Allow Promiscuous", False),
    "allow-mac-change": ("m", "Allow MAC Address Change", False),
    "allow-forged-transmits": ("f", "Allow Forged Transmits", False),
}


class VswitchCommands:
    """Standard switches and their portgroups."""

    def __init__(self, ground: Ground) -> None:
        self._ground = ground

    def commands(self) -> list[Command]:
        switch = Option("vswitch-name", "v", required=True)
        group = Option("portgroup-name", "p", required=True)
        uplink = Option("uplink-name", "u", required=True)
        policy = tuple(Option(name, letter, "bool") for name, (letter, _, _) in SECURITY.items())
        inherit = Option("use-vswitch", "u", "flag")
        return [
            Command(
                f"{STANDARD} list",
                "List the virtual switches current on the ESXi host.",
                self._list,
                (Option("vswitch-name", "v"),),
            ),
            Command(
                f"{STANDARD} add",
                "Add a new virtual switch to the ESXi networking system.",
                self._add,
                (switch, Option("ports", "P", "long")),
                changes=True,
            ),
            Command(
                f"{STANDARD} remove",
                "Remove a virtual switch from the ESXi networking system.",
                self._remove,
                (switch,),
                changes=True,
            ),
            Command(
                f"{STANDARD} set",
                "This command sets the MTU size and CDP status of a given virtual switch.",
                self._set,
                (switch, Option("mtu", "m", "long"), Option("cdp-status", "c")),
                changes=True,
            ),
            Command(f"{STANDARD} uplink add", "Add an uplink.", self._uplink, (switch, uplink), True),
            Command(f"{STANDARD} uplink remove", "Remove an uplink.", self._unlink, (switch, uplink), True),
            Command(
                f"{STANDARD} policy security get",
                "Get the Security Policy governing the given virtual switch.",
                lambda given: self._policy("VswitchSecurity", self._switch(given).security),
                (switch,),
            ),
            Command(
                f"{STANDARD} policy security set",
                "Set the security policy for a given virtual switch",
                lambda given: self._secure(self._switch(given).security, given),
                (switch, *policy),
                changes=True,
            ),
            Command(
                f"{STANDARD} portgroup list",
                "List all of the port groups currently on the system.",
                self._portgroups,
            ),
            Command(
                f"{STANDARD} portgroup add",
                "Allows the addition of a standard port group to a virtual switch.",
                self._add_portgroup,
                (group, switch),
                changes=True,
            ),
            Command(
                f"{STANDARD} portgroup remove",
                "Remove a port group from the given virtual switch",
                self._remove_portgroup,
                (group, switch),
                changes=True,
            ),
            Command(
                f"{STANDARD} portgroup set",
                "Set the vlan id for the given port group",
                self._set_portgroup,
                (group, Option("vlan-id", "v", "long")),
                changes=True,
            ),
            Command(
                f"{STANDARD} portgroup policy security get",
                "Get the Security Policy governing the given port group.",
                self._group_policy,
                (group,),
            ),
            Command(
                f"{STANDARD} portgroup policy security set",
                "Set the security policy for a given port group",
                self._secure_group,
                (group, inherit, *policy),
                changes=True,
            ),
            Command(
                "network vswitch dvs vmware list",
                "List the VMware vSphere Distributed Switch currently configured on the ESXi host.",
                self._distributed,
                (Option("vds-name", "v"),),
            ),
        ]

    # --- looking up

    def _switch(self, given: Given) -> Vswitch:
        names, name = self._ground.world.vswitches, given["vswitch-name"]
        if name not in names:
            raise Refused(f"Unable to find vSwitch with name {name}")
        return self._ground.host.vswitch(name, names.index(name))

    def _group(self, given: Given) -> Portgroup:
        for group in self._ground.world.portgroups:
            if group.name == given["portgroup-name"]:
                return group
        raise Refused(f"Unable to find portgroup with name {given['portgroup-name']}")

    def _clients(self, portgroup: str) -> int:
        """VMkernel interfaces and cards of running VMs on a portgroup."""
        vmk = [row for row in self._ground.host.interfaces if row["Portgroup"] == portgroup]
        cards = (
            vm.settings.get(f"ethernet{nic}.networkName") == portgroup
            for vm in self._ground.running()
            for nic in nic_numbers(vm.settings)
        )
        return len(vmk) + sum(cards)

    # --- switches

    def _list(self, given: Given) -> Answer:
        if "vswitch-name" in given:
            self._switch(given)
        rows: list[Row] = []
        for name in self._ground.world.vswitches:
            if given.get("vswitch-name", name) != name:
                continue
            switch = self._switch({"vswitch-name": name})
            groups = [group.name for group in self._ground.world.portgroups if group.vswitch == name]
            rows.append(
                {
                    "Name": name,
                    "Class": "cswitch",
                    "Num Ports": switch.num_ports,
                    "Used Ports": OWN_PORTS + len(switch.uplinks) + sum(map(self._clients, groups)),
                    "Configured Ports": switch.ports,
                    "MTU": switch.mtu,
                    "CDP Status": switch.cdp,
                    "Beacon Enabled": switch.beacon,
                    "Beacon Interval": switch.beacon_interval,
                    "Beacon Threshold": switch.beacon_threshold,
                    "Beacon Required By": [],
                    "Uplinks": list(switch.uplinks),
                    "Portgroups": groups,
                }
            )
        return blocks("VirtualSwitch", rows, header="Name")

    def _distributed(self, given: Given) -> Answer:
        """None unless stated; `DVPort` is a list of structures (esxcli-dvs-list-1)."""
        rows = [row for row in self._ground.host.dvs if given.get("vds-name") in (None, row["Name"])]
        shown = [{**row, "DVPort": Nested("DVPort", tuple(row["DVPort"]), one=False)} for row in rows]
        return blocks("VDSwitch", shown, header="Name")

    def _add(self, given: Given) -> Scalar:
        names, name = self._ground.world.vswitches, given["vswitch-name"]
        if name in names:
            raise Refused(f"A virtual switch with the name {name} already exists")
        base = 1 + max((switch.portset >> 25 for switch in self._ground.host.vswitches.values()), default=0)
        self._ground.host.vswitches[name] = Vswitch(ports=given.get("ports", 128), portset=base << 25)
        names.append(name)
        return self._ground.done()

    def _remove(self, given: Given) -> Scalar:
        world, name = self._ground.world, given["vswitch-name"]
        self._switch(given)
        groups = [group for group in world.portgroups if group.vswitch == name]
        if any(self._clients(group.name) for group in groups):
            raise Refused(f"Virtual switch {name} is in use")
        world.portgroups[:] = [group for group in world.portgroups if group.vswitch != name]
        world.vswitches.remove(name)
        self._ground.host.vswitches.pop(name, None)
        return self._ground.done()

    def _set(self, given: Given) -> Scalar:
        switch = self._switch(given)
        mtu, cdp = given.get("mtu", switch.mtu), given.get("cdp-status", switch.cdp)
        if not MTU_LOW <= mtu <= MTU_HIGH:
            raise Refused(f"Invalid MTU {mtu}")
        if cdp not in CDP:
            raise Refused(f"Invalid CDP status {cdp}")
        switch.mtu, switch.cdp = mtu, cdp
        return self._ground.done()

    def _uplink(self, given: Given) -> Scalar:
        switch, nic = self._switch(given), given["uplink-name"]
        if nic not in (row["Name"] for row in self._ground.host.nics):
            raise Refused(f"Unable to find uplink with name {nic}")
        if any(nic in one.uplinks for one in self._ground.host.vswitches.values()):
            raise Refused(f"Uplink {nic} is already in use")
        switch.uplinks.append(nic)
        return self._ground.done()

    def _unlink(self, given: Given) -> Scalar:
        switch = self._switch(given)
        if given["uplink-name"] not in switch.uplinks:
            raise Refused(f"Unable to find uplink with name {given['uplink-name']}")
        switch.uplinks.remove(given["uplink-name"])
        return self._ground.done()

    # --- portgroups

    def _portgroups(self, _: Given) -> Answer:
        """Ordered by name (esxcli-portgroup-1, -2)."""
        rows: list[Row] = [
            {
                "Name": group.name,
                "Virtual Switch": group.vswitch,
                "Active Clients": self._clients(group.name),
                "VLAN ID": group.vlan,
            }
            for group in sorted(self._ground.world.portgroups, key=lambda group: group.name)
        ]
        return table("PortGroup", rows)

    def _add_portgroup(self, given: Given) -> Scalar:
        self._switch(given)
        name, groups = given["portgroup-name"], self._ground.world.portgroups
        if any(group.name == name for group in groups):
            raise Refused(f"A portgroup with the name {name} already exists")
        groups.append(Portgroup(name, given["vswitch-name"]))
        return self._ground.done()

    def _remove_portgroup(self, given: Given) -> Scalar:
        self._switch(given)
        group = self._group(given)
        if group.vswitch != given["vswitch-name"]:
            raise Refused(f"Unable to find portgroup with name {group.name}")
        if self._clients(group.name):
            raise Refused(f"Portgroup {group.name} is in use")
        self._ground.world.portgroups.remove(group)
        self._ground.host.portgroup_security.pop(group.name, None)
        return self._ground.done()

    def _set_portgroup(self, given: Given) -> Scalar:
        group = self._group(given)
        vlan = given.get("vlan-id", 0)
        if not 0 <= vlan <= VLAN_LIMIT:
            raise Refused(f"Invalid VLAN id {vlan}")
        group.vlan = vlan
        return self._ground.done()

    # --- security policies

    def _policy(self, type_name: str, stated: dict[str, bool], more: Row | None = None) -> Answer:
        row: Row = {label: stated.get(name, usual) for name, (_, label, usual) in SECURITY.items()}
        return block(type_name, row | (more or {}))

    def _secure(self, stated: dict[str, bool], given: Given) -> Scalar:
        stated |= {name: given[name] for name in SECURITY if name in given}
        return self._ground.done()

    def _group_policy(self, given: Given) -> Answer:
        group = self._group(given)
        own = self._ground.host.portgroup_security.get(group.name, {})
        over: Row = {f"Override vSwitch {label}": name in own for name, (_, label, _) in SECURITY.items()}
        inherited = self._switch({"vswitch-name": group.vswitch}).security
        return self._policy("PortgroupSecurity", inherited | own, over)

    def _secure_group(self, given: Given) -> Scalar:
        group = self._group(given)
        if "use-vswitch" in given:
            self._ground.host.portgroup_security.pop(group.name, None)
        return self._secure(self._ground.host.portgroup_security.setdefault(group.name, {}), given)
