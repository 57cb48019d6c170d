"""The programs of ESXi's shell that only show something: what they take and where they get it from."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

from ceso_mcp.lab import shell_network, shell_ping, shell_worlds
from ceso_mcp.lab.esxcli import Esxcli
from ceso_mcp.lab.result import Result
from ceso_mcp.lab.world import ON, World

NAMES = (
    "esxcfg-nics",
    "esxcfg-vmknic",
    "esxcfg-vswitch",
    "lspci",
    "net-stats",
    "ps",
    "uptime",
    "vmdumper",
    "vmkping",
    "vsish",
)
MAC = "3c:ec:ef:00:00:10"
ADDRESS = "192.0.2.10"


class ShellQueries:
    """Answers out of the world and, for cards and switches, out of what esxcli answers."""

    def __init__(self, world: World, cli: Esxcli, root: Path | None) -> None:
        self._world = world
        self._cli = cli
        self._root = root

    def run(self, argv: list[str]) -> Result:
        """`argv` with one of `NAMES` first. A form that no capture shows is refused (assumed: exit 1)."""
        name, words = argv[0], argv[1:]
        text: str | None = None
        if name == "vmkping":
            return shell_ping.vmkping(words, shell_ping.present(self._world, ADDRESS))
        if name == "ps":
            text = self._ps(words)
        elif name == "uptime" and not words:
            text = shell_worlds.uptime(time.time(), self._world.booted_at, shell_worlds.load())
        elif name == "vmdumper" and len(words) == 2 and words[1] == "nmi":
            if any(vm.state == ON and str(vm.world_id) == words[0] for vm in self._world.vms.values()):
                text = "Sending NMI to guest...\n"
        elif name == "vsish" and len(words) == 3 and words[0] == "-e" and words[1] in ("cat", "get"):
            text = self._vsish(words[2])
        elif name == "lspci":
            text = self._lspci(words)
        elif words == ["-l"] or (name, words) == ("esxcfg-nics", ["-e"]):
            text = self._network(name, words[0])
        if text is None:
            return Result(stderr=f"{name}: not supported: {' '.join(words)}\n", exit=1)
        return Result(text)

    def _asked(self, *words: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = json.loads(
            self._cli.run(["--debug", "--formatter=json", *words]).stdout or "[]"
        )
        return found

    def _network(self, name: str, option: str) -> str | None:
        if name == "esxcfg-nics":
            rows = self._asked("network", "nic", "list")
            cards = [
                shell_network.Card(
                    row["Name"],
                    row["PCIDevice"],
                    row["Driver"],
                    row["LinkStatus"],
                    row["Speed"],
                    row["Duplex"],
                    row["MACAddress"],
                    row["MTU"],
                    row["Description"],
                )
                for row in rows
            ]
            return shell_network.nics(cards) if option == "-l" else shell_network.ens(cards)
        if name == "esxcfg-vswitch":
            return shell_network.switches(self._switches())
        if name == "esxcfg-vmknic":
            return shell_network.interfaces(
                [
                    shell_network.Interface(
                        "vmk0", "Management Network", "IPv4", ADDRESS, "255.255.255.0", "192.0.2.255", MAC
                    )
                ]
            )
        return shell_network.ports(self._ports())

    def _switches(self) -> list[shell_network.Switch]:
        groups = self._asked("network", "vswitch", "standard", "portgroup", "list")
        return [
            shell_network.Switch(
                row["Name"],
                row["NumPorts"],
                row["UsedPorts"],
                row["ConfiguredPorts"],
                row["MTU"],
                tuple(row["Uplinks"]),
                tuple(
                    (group["Name"], group["VLANID"], group["ActiveClients"])
                    for group in groups
                    if group["VirtualSwitch"] == row["Name"]
                ),
            )
            for row in self._asked("network", "vswitch", "standard", "list")
        ]

    def _ports(self) -> list[shell_network.Port]:
        """Numbers and types as the capture has them for the like; those of VMs' ports are assumed."""
        switches = {group.name: group.vswitch for group in self._world.portgroups}
        macs = {row["Name"]: row["MACAddress"] for row in self._asked("network", "nic", "list")}
        found = []
        for number, switch in enumerate(self._switches()):
            found += [
                shell_network.Port(2214592518 + number, 4, 0, switch.name, macs.get(card, ""), card)
                for card in switch.uplinks
            ]
        if "Management Network" in switches:
            found.append(shell_network.Port(67108874, 3, 0, switches["Management Network"], MAC, "vmk0"))
        for row in self._asked("network", "vm", "list"):
            vm = next(item for item in self._world.vms.values() if item.world_id == row["WorldID"])
            for nic, network in enumerate(row["Networks"]):
                mac = vm.settings.get(f"ethernet{nic}.address") or vm.settings.get(
                    f"ethernet{nic}.generatedAddress"
                )
                port = 67108881 + len(found)
                found.append(
                    shell_network.Port(port, 5, 9, switches.get(network, ""), mac, f"{vm.name}.eth{nic}")
                )
        return found

    def _lspci(self, words: list[str]) -> str | None:
        devices = [
            shell_network.Device(
                row["Address"],
                row["VendorID"].removeprefix("0x"),
                row["DeviceID"].removeprefix("0x"),
                row["VMkernelName"],
                # The class is the lab's: a card is a network card, what has no name a graphics one.
                "0200" if row["VMkernelName"].startswith("vmnic") else "0300",
            )
            for row in self._asked("hardware", "pci", "list")
        ]
        return shell_network.lspci_n(devices) if words == ["-n"] else None

    def _ps(self, words: list[str]) -> str | None:
        if any(set(word) - set("-cgijstuvZPJ") for word in words):
            return None
        found = [
            shell_worlds.Running(number, vm.world_id - 1, name, f"/bin/vmx {vm.path}")
            for vm in self._world.vms.values()
            if vm.state == ON
            for number, name in ((vm.world_id - 1, "vmx"), (vm.world_id, f"vmm0:{vm.name}"))
        ]
        if self._root is not None:
            found += shell_worlds.processes(self._root / "proc")
        letters = "".join(words)
        return shell_worlds.ps(found, whole="c" in letters)

    def _vsish(self, node: str) -> str | None:
        if node == "/hardware/health/mce":
            return shell_worlds.MCE
        if node == "/memory/comprehensive":
            taken = [
                int(vm.settings.get("memSize") or 0) for vm in self._world.vms.values() if vm.state == ON
            ]
            return shell_worlds.memory(self._world.memory_bytes >> 10, sum(taken) << 10)
        return None
