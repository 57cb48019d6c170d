"""The esxcli commands of the lab that change something (fact sheet esxcli-and-shell §2.1, §2.4, §2.5).

Their own failure sentences are not known from captures; these are assumed.
"""

from __future__ import annotations

from collections.abc import Callable

from ceso_mcp.lab.esxcli import Esxcli, Refused
from ceso_mcp.lab.esxcli_forms import Scalar
from ceso_mcp.lab.power import Power
from ceso_mcp.lab.world import ON, Portgroup, World

VLAN_LIMIT = 4095
TRUE_WORDS = ("1", "y", "yes", "t", "true", "on")
PORTGROUP = {"-p": "portgroup", "--portgroup-name": "portgroup"}
VSWITCH = {"-v": "vswitch", "--vswitch-name": "vswitch"}
VLAN = {"-v": "vlan", "--vlan-id": "vlan"}


class HostChanges:
    """Adds its commands to an `Esxcli`; `save` is called after every change."""

    def __init__(self, world: World, power: Power, save: Callable[[], None]) -> None:
        self._world = world
        self._power = power
        self._save = save

    def add_to(self, cli: Esxcli) -> None:
        space = "network vswitch standard portgroup"
        both, needed = {**PORTGROUP, **VSWITCH}, ("portgroup", "vswitch")
        cli.add(f"{space} add", self._add, both, changes=True, required=needed)
        cli.add(f"{space} remove", self._remove, both, changes=True, required=needed)
        cli.add(f"{space} set", self._set, {**PORTGROUP, **VLAN}, changes=True, required=("portgroup",))
        cli.add(
            "vm process kill",
            self._kill,
            {"-t": "type", "--type": "type", "-w": "world", "--world-id": "world"},
            changes=True,
            required=("type", "world"),
        )
        enable = {"-e": "enable", "--enable": "enable"}
        cli.add("system maintenanceMode set", self._maintain, enable, changes=True, required=("enable",))

    def _find(self, name: str) -> Portgroup:
        for group in self._world.portgroups:
            if group.name == name:
                return group
        raise Refused(f"Unable to find portgroup with name {name}")

    def _done(self) -> Scalar:
        self._save()
        return Scalar(True)

    def _add(self, options: dict[str, str]) -> Scalar:
        name, vswitch = options["portgroup"], options["vswitch"]
        if vswitch not in self._world.vswitches:
            raise Refused(f"Unable to find vSwitch with name {vswitch}")
        if any(group.name == name for group in self._world.portgroups):
            raise Refused(f"A portgroup with the name {name} already exists")
        self._world.portgroups.append(Portgroup(name, vswitch))
        return self._done()

    def _remove(self, options: dict[str, str]) -> Scalar:
        group = self._find(options["portgroup"])
        users = [
            vm
            for vm in self._world.vms.values()
            if vm.state == ON and group.name in (value for _, value in vm.config)
        ]
        if users or group.name == "Management Network":
            raise Refused(f"Portgroup {group.name} is in use")
        self._world.portgroups.remove(group)
        return self._done()

    def _set(self, options: dict[str, str]) -> Scalar:
        group = self._find(options["portgroup"])
        vlan = options.get("vlan", "0")
        if not vlan.isdigit() or int(vlan) > VLAN_LIMIT:
            raise Refused(f"Invalid VLAN id {vlan}")
        group.vlan = int(vlan)
        return self._done()

    def _kill(self, options: dict[str, str]) -> Scalar:
        for vm in self._world.vms.values():
            if vm.state == ON and str(vm.world_id) == options["world"]:
                self._power.switch_off(vm)
                return self._done()
        raise Refused(f"Unable to find a virtual machine with world id {options['world']}")

    def _maintain(self, options: dict[str, str]) -> Scalar:
        wanted = options["enable"].lower() in TRUE_WORDS
        if wanted == self._world.maintenance:
            raise Refused("Maintenance mode is already " + ("enabled." if wanted else "disabled."))
        self._world.maintenance = wanted
        return self._done()
