"""`esxcli hardware` (fact sheet esxcli-and-shell §2.2)."""

from __future__ import annotations

from ceso_mcp.lab import identity
from ceso_mcp.lab.esxcli_forms import Answer, Quantity, Row, Scalar
from ceso_mcp.lab.esxcli_ground import Ground, block, blocks, table
from ceso_mcp.lab.esxcli_options import Command, Given, Option, Refused

# Transcript esxcli-pcipassthru-set-error-1; the sentence for the other direction is assumed to be like it.
ALREADY = "Unable to configure the PCI device: Device owner is already configured to {owner}."


class HardwareCommands:
    """What the machine is made of, and which PCI devices are given to VMs."""

    def __init__(self, ground: Ground) -> None:
        self._ground = ground

    def commands(self) -> list[Command]:
        made = [
            Command("hardware cpu global get", "Get CPU information for the whole system.", self._cpu),
            Command("hardware cpu list", "List all of the CPUs on this host.", self._cpus),
            Command("hardware memory get", "Get information about memory.", self._memory),
            Command("hardware platform get", "Get information about the platform.", self._platform),
            Command(
                "hardware pci list",
                "List all of the PCI devices on the system.",
                self._pci,
                (Option("class", "c"), Option("mask", "m")),
            ),
            Command(
                "hardware usb passthrough device list",
                "List the USB devices and whether they can be connected to a VM.",
                lambda _: table("UsbDevice", self._ground.host.usb),
            ),
        ]
        if self._ground.major >= 7:
            made.append(
                Command(
                    "hardware pci pcipassthru list",
                    "Display PCI device passthru configuration.",
                    self._passthru,
                    (Option("device-id", "d"),),
                )
            )
            made.append(
                Command(
                    "hardware pci pcipassthru set",
                    "Configure PCI device for passthru.",
                    self._set_passthru,
                    (
                        Option("device-id", "d", required=True),
                        Option("enable", "e", "bool", required=True),
                        Option("apply-now", "a", "flag"),
                    ),
                    changes=True,
                )
            )
        return made

    def _cpu(self, _: Given) -> Answer:
        world, host = self._ground.world, self._ground.host
        row: Row = {
            "CPU Packages": world.cpu_packages,
            "CPU Cores": world.cpu_cores,
            "CPU Threads": world.cpu_threads,
            "Hyperthreading Active": host.hyperthreading,
            "Hyperthreading Supported": host.hyperthreading,
            "Hyperthreading Enabled": host.hyperthreading,
            "HV Support": 3,
        }
        return block("CpuGlobalGet", row)

    def _cpus(self, _: Given) -> Answer:
        """The fields of 7.0 U3 (esxcli-cpu-list-1); the header is no field."""
        world = self._ground.world
        stated = self._ground.host.cpus
        made = [
            {
                "Id": number,
                "Package Id": number * world.cpu_packages // world.cpu_threads,
                "Family": 6,
                "Model": 106,
                "Type": 0,
                "Stepping": 6,
                "Brand": "GenuineIntel",
                "Core Speed": world.cpu_mhz * 1_000_000,
                "Bus Speed": 100_000_000,
                "L2 Cache Size": 1310720,
                "L2 Cache Associativity": 20,
                "L2 Cache Line Size": 64,
                "L2 Cache CPU Count": 2,
                "L3 Cache Size": 18874368,
                "L3 Cache Associativity": 12,
                "L3 Cache Line Size": 64,
                "L3 Cache CPU Count": world.cpu_threads // world.cpu_packages,
            }
            for number in range(world.cpu_threads)
        ]
        rows = [{**row, "Heading": f"CPU:{row['Id']}"} for row in stated or made]
        answer = blocks("CpuList", rows, header="Heading")
        answer.columns = tuple(name for name in answer.columns if name != "Heading")
        return answer

    def _memory(self, _: Given) -> Answer:
        row: Row = {
            "Physical Memory": Quantity(self._ground.world.memory_bytes),
            "Reliable Memory": Quantity(0),
            "NUMA Node Count": self._ground.host.numa_nodes or self._ground.world.cpu_packages,
        }
        return block("MemoryGet", row)

    def _platform(self, _: Given) -> Answer:
        host = self._ground.host
        raw = identity.raw(host.hardware_uuid or self._ground.world.uuid)
        row: Row = {
            "UUID": " ".join(f"0x{byte:x}" for byte in raw),
            "Product Name": host.model,
            "Vendor Name": host.vendor,
            "Serial Number": host.serial,
            "Enclosure Serial Number": host.serial,
            "BIOS Asset Tag": host.asset_tag,
            "IPMI Supported": host.ipmi,
        }
        return block("PlatformGet", row, header="Platform Information")

    def _pci(self, given: Given) -> Answer:
        if given:
            raise Refused("Filtering by class is not possible here.")
        return blocks("Pci", self._ground.host.pci, header="Address")

    def _passthru(self, given: Given) -> Answer:
        rows = [
            {"Device ID": place, "Enabled": on}
            for place, on in sorted(self._ground.host.passthru.items())
            if given.get("device-id", place) == place
        ]
        return table("PciPassthru", rows)

    def _set_passthru(self, given: Given) -> Scalar:
        """Without `--apply-now` the current owner stays as it is until a boot."""
        place, wanted = given["device-id"], given["enable"]
        known = self._ground.host.passthru
        if place not in known:
            raise Refused(f"Unable to configure the PCI device: Device {place} is not found.")
        owner = "passthru" if wanted else "vmkernel"
        if known[place] == wanted:
            raise Refused(ALREADY.format(owner=owner))
        known[place] = wanted
        for row in self._ground.host.pci:
            if row["Address"] == place:
                shown = "VM Passthru" if wanted else "VMkernel"
                row["Configured Owner"] = shown
                if "apply-now" in given:
                    row["Current Owner"] = shown
        return self._ground.done()
