"""The esxcli commands of the lab (fact sheet esxcli-and-shell §2)."""

from __future__ import annotations

import time

from ceso_mcp.lab import identity
from ceso_mcp.lab.esxcli import Esxcli, Refused
from ceso_mcp.lab.esxcli_forms import Answer, Bytes, Cell, Scalar
from ceso_mcp.lab.power import nic_numbers
from ceso_mcp.lab.storage import Storage
from ceso_mcp.lab.world import ON, Vm, World

NICS = (
    ("vmnic0", "0000:02:00.0", "3c:ec:ef:00:00:10", "0x8086", "0x1563"),
    ("vmnic1", "0000:02:00.1", "3c:ec:ef:00:00:11", "0x8086", "0x1563"),
)
VIBS = (
    ("esx-base", "VMware", "VMwareCertified"),
    ("esx-ui", "VMware", "VMwareCertified"),
    ("ixgben", "VMW", "VMwareCertified"),
    ("nvme-pcie", "VMW", "VMwareCertified"),
    ("tools-light", "VMware", "VMwareCertified"),
)

Row = dict[str, "Cell | Bytes"]


class HostQueries:
    """Adds its commands to an `Esxcli`."""

    def __init__(self, world: World, storage: Storage) -> None:
        self._world = world
        self._storage = storage

    def add_to(self, cli: Esxcli) -> None:
        world = self._world
        cli.add("system version get", lambda _: self._version())
        cli.add("system hostname get", lambda _: self._hostname())
        cli.add("system uuid get", lambda _: Scalar(world.uuid))
        cli.add(
            "system maintenanceMode get", lambda _: Scalar("Enabled" if world.maintenance else "Disabled")
        )
        cli.add("system time get", lambda _: Scalar(time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())))
        cli.add("system stats uptime get", lambda _: Scalar(int((time.time() - world.booted_at) * 1e6)))
        cli.add("system stats installtime get", lambda _: Scalar(f"{world.installed_on}T09:00:00"))
        cli.add("hardware cpu global get", lambda _: self._cpu())
        cli.add("hardware memory get", lambda _: self._memory())
        cli.add("hardware platform get", lambda _: self._platform())
        cli.add("hardware pci list", lambda _: self._pci())
        cli.add("storage filesystem list", lambda _: self._filesystems())
        cli.add("storage vmfs extent list", lambda _: self._extents())
        vswitch = {"-v": "name", "--vswitch-name": "name"}
        cli.add("network vswitch standard list", self._vswitches, vswitch)
        cli.add("network vswitch standard portgroup list", lambda _: self._portgroups())
        cli.add("network nic list", lambda _: self._nics())
        cli.add("network vm list", lambda _: self._vm_networks())
        cli.add("vm process list", lambda _: self._processes())
        cli.add("software vib list", lambda _: self._vibs())
        cli.add("esxcli command list", lambda _: self._commands(cli))

    def _version(self) -> Answer:
        world = self._world
        row: Row = {
            "Product": "VMware ESXi",
            "Version": world.version,
            "Build": f"Releasebuild-{world.build}",
            "Update": world.update,
            "Patch": world.patch,
        }
        return Answer("VersionGet", tuple(row), [row], form="simple", one=True)

    def _hostname(self) -> Answer:
        name, _, domain = self._world.hostname.partition(".")
        row: Row = {
            "Domain Name": domain,
            "Fully Qualified Domain Name": self._world.hostname,
            "Host Name": name,
        }
        return Answer("FullyQualifiedHostName", tuple(row), [row], form="simple", one=True)

    def _cpu(self) -> Answer:
        world = self._world
        row: Row = {
            "CPU Packages": world.cpu_packages,
            "CPU Cores": world.cpu_cores,
            "CPU Threads": world.cpu_threads,
            "Hyperthreading Active": True,
            "Hyperthreading Supported": True,
            "Hyperthreading Enabled": True,
            "HV Support": 3,
        }
        return Answer("CpuGlobalGet", tuple(row), [row], form="simple", one=True)

    def _memory(self) -> Answer:
        row: Row = {
            "Physical Memory": Bytes(self._world.memory_bytes),
            "Reliable Memory": Bytes(0),
            "NUMA Node Count": self._world.cpu_packages,
        }
        return Answer("MemoryGet", tuple(row), [row], form="simple", one=True)

    def _platform(self) -> Answer:
        raw = " ".join(f"0x{byte:x}" for byte in identity.raw(self._world.uuid))
        row: Row = {
            "UUID": raw,
            "Product Name": "Make-Believe 1U",
            "Vendor Name": "Lab Systems",
            "Serial Number": "LAB0001",
            "Enclosure Serial Number": "LAB0001",
            "BIOS Asset Tag": "",
            "IPMI Supported": True,
        }
        return Answer(
            "PlatformGet", tuple(row), [row], form="simple", one=True, header="Platform Information"
        )

    def _pci(self) -> Answer:
        rows: list[Row] = []
        devices = [(name, place, vendor, device) for name, place, _, vendor, device in NICS]
        devices.append(("vmgfx0", "0000:0d:00.0", "0x10de", "0x1eb8"))
        for name, place, vendor, device in devices:
            segment, bus, slot = place.split(":")
            slot, function = slot.split(".")
            rows.append(
                {
                    "Address": place,
                    "Segment": f"0x{segment}",
                    "Bus": f"0x{bus}",
                    "Slot": f"0x{slot}",
                    "Function": f"0x{function}",
                    "VMkernel Name": name if name != "vmgfx0" else "",
                    "Vendor Name": "Intel Corporation" if vendor == "0x8086" else "NVIDIA Corporation",
                    "Device Name": "Ethernet Controller X550" if vendor == "0x8086" else "TU104GL [Tesla T4]",
                    "Configured Owner": "VMkernel",
                    "Current Owner": "VMkernel",
                    "Vendor ID": vendor,
                    "Device ID": device,
                    "SubVendor ID": vendor,
                    "SubDevice ID": "0x0001",
                    "Passthru Capable": True,
                    "Parent Device": "PCI 0:0:1:0",
                    "Dependent Device": f"PCI 0:{int(bus, 16)}:{int(slot, 16)}:{function}",
                    "Reset Method": "Function reset",
                    "FPT Sharable": True,
                }
            )
        return Answer("Pci", tuple(rows[0]), rows, form="simple", header="Address")

    def _filesystems(self) -> Answer:
        rows: list[Row] = []
        for item in self._world.datastores:
            rows.append(
                {
                    "Mount Point": f"/vmfs/volumes/{item.uuid}",
                    "Volume Name": item.name,
                    "UUID": item.uuid,
                    "Mounted": True,
                    "Type": item.type,
                    "Size": item.size_bytes,
                    "Free": self._storage.free_bytes(item),
                }
            )
        return Answer("Filesystem", tuple(rows[0]), rows)

    def _extents(self) -> Answer:
        rows: list[Row] = [
            {
                "Volume Name": item.name,
                "VMFS UUID": item.uuid,
                "Extent Number": 0,
                "Device Name": item.device,
                "Partition": 1,
            }
            for item in self._world.datastores
        ]
        return Answer("VmfsExtent", tuple(rows[0]), rows)

    def _clients(self, portgroup: str) -> int:
        if portgroup == "Management Network":
            return 1
        return sum(network == portgroup for vm in self._running() for network in self._networks(vm))

    def _running(self) -> list[Vm]:
        return [vm for vm in self._world.vms.values() if vm.state == ON]

    def _networks(self, vm: Vm) -> list[str]:
        settings = vm.settings
        return [settings.get(f"ethernet{nic}.networkName") for nic in nic_numbers(settings)]

    def _vswitches(self, options: dict[str, str]) -> Answer:
        rows: list[Row] = []
        wanted = options.get("name")
        if wanted is not None and wanted not in self._world.vswitches:
            raise Refused(f"Unable to find vSwitch with name {wanted}")
        for number, name in enumerate(self._world.vswitches):
            if wanted is not None and name != wanted:
                continue
            groups = [group.name for group in self._world.portgroups if group.vswitch == name]
            rows.append(
                {
                    "Name": name,
                    "Class": "cswitch",
                    "Num Ports": 2560,
                    "Used Ports": 4 + sum(map(self._clients, groups)),
                    "Configured Ports": 128,
                    "MTU": 1500,
                    "CDP Status": "listen",
                    "Beacon Enabled": False,
                    "Beacon Interval": 1,
                    "Beacon Threshold": 3,
                    "Beacon Required By": "",
                    "Uplinks": [f"vmnic{number}"],
                    "Portgroups": groups,
                }
            )
        return Answer("VirtualSwitch", tuple(rows[0]), rows, form="simple", header="Name")

    def _portgroups(self) -> Answer:
        rows: list[Row] = [
            {
                "Name": group.name,
                "Virtual Switch": group.vswitch,
                "Active Clients": self._clients(group.name),
                "VLAN ID": group.vlan,
            }
            for group in self._world.portgroups
        ]
        return Answer("PortGroup", tuple(rows[0]), rows)

    def _nics(self) -> Answer:
        rows: list[Row] = [
            {
                "Name": name,
                "PCI Device": place,
                "Driver": "ixgben",
                "Admin Status": "Up",
                "Link Status": "Up",
                "Speed": 10000,
                "Duplex": "Full",
                "MAC Address": mac,
                "MTU": 1500,
                "Description": "Intel(R) Ethernet Controller X550",
                "DPUId": "N/A",
                "Link": "Up",
            }
            for name, place, mac, _, _ in NICS
        ]
        columns = tuple(rows[0])
        return Answer("Nic", columns[:-2], rows, more=columns[-2:])

    def _vm_networks(self) -> Answer:
        rows: list[Row] = []
        for vm in self._running():
            networks = self._networks(vm)
            rows.append(
                {"World ID": vm.world_id, "Name": vm.name, "Num Ports": len(networks), "Networks": networks}
            )
        return Answer("VM", ("World ID", "Name", "Num Ports", "Networks"), rows)

    def _processes(self) -> Answer:
        rows: list[Row] = [
            {
                "World ID": vm.world_id,
                "Process ID": 0,
                "VMX Cartel ID": vm.world_id - 1,
                "UUID": vm.settings.get("uuid.bios"),
                "Display Name": vm.name,
                "Config File": vm.path,
            }
            for vm in self._running()
        ]
        columns = ("World ID", "Process ID", "VMX Cartel ID", "UUID", "Display Name", "Config File")
        return Answer("VirtualMachine", columns, rows, form="simple", header="Display Name")

    def _vibs(self) -> Answer:
        world = self._world
        rows: list[Row] = [
            {
                "Name": name,
                "Version": f"{world.version}-0.0.{world.build}",
                "Vendor": vendor,
                "Acceptance Level": level,
                "Install Date": world.installed_on,
                "Platforms": "host",
            }
            for name, vendor, level in VIBS
        ]
        columns = tuple(rows[0])
        return Answer("VIBSummaryExt", columns if world.release != "7.0" else columns[:-1], rows)

    @staticmethod
    def _commands(cli: Esxcli) -> Answer:
        rows: list[Row] = []
        for name in cli.names():
            space, _, command = name.rpartition(" ")
            rows.append({"Namespace": space.replace(" ", "."), "Command": command})
        return Answer("Command", ("Namespace", "Command"), rows)
