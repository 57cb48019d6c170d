"""The host itself: release, hardware, maintenance mode."""

from __future__ import annotations

from dataclasses import dataclass

from ceso_mcp.esxi import esxcli
from ceso_mcp.esxi.host import Release, parse_release
from ceso_mcp.fact import Fact, Reading
from ceso_mcp.shell import sh


@dataclass(frozen=True, slots=True)
class HostRelease(Fact[Release]):
    """Version and build, by `vmware -v`: it needs no hostd (fact sheet esxcli-and-shell §2.1)."""

    def reading(self) -> Reading[Release]:
        (reply,) = yield [sh("vmware", "-v")]
        return parse_release(reply.require("reading the ESXi version"))


@dataclass(frozen=True, slots=True)
class HostLevel(Fact[Release]):
    """Version, build and update, by `vmware -lv`: it needs no hostd (fact sheet esxcli-and-shell §2.1)."""

    def reading(self) -> Reading[Release]:
        (reply,) = yield [sh("vmware", "-lv")]
        return parse_release(reply.require("reading the ESXi version"))


@dataclass(frozen=True, slots=True)
class Hardware:
    """What the host is made of."""

    host_name: str
    vendor: str
    model: str
    cpu_packages: int
    cpu_cores: int
    cpu_threads: int
    memory_bytes: int
    maintenance_mode: bool


@dataclass(frozen=True, slots=True)
class HostHardware(Fact[Hardware]):
    """CPUs, memory and model, by esxcli's text forms (captures exist for 7.0 and 8.0)."""

    def reading(self) -> Reading[Hardware]:
        name, platform, cpu, memory, maintenance = yield [
            sh("esxcli", "system", "hostname", "get"),
            sh("esxcli", "hardware", "platform", "get"),
            sh("esxcli", "hardware", "cpu", "global", "get"),
            sh("esxcli", "hardware", "memory", "get"),
            sh("esxcli", "system", "maintenanceMode", "get"),
        ]
        names = esxcli.block(name.require("reading the host name"))
        board = esxcli.block(platform.require("reading the hardware"))
        cpus = esxcli.cpu_global(cpu.require("reading the CPUs"))
        return Hardware(
            host_name=names.get("Fully Qualified Domain Name") or names.get("Host Name", ""),
            vendor=board.get("Vendor Name", "").strip(),
            model=board.get("Product Name", "").strip(),
            cpu_packages=cpus.packages,
            cpu_cores=cpus.cores,
            cpu_threads=cpus.threads,
            memory_bytes=esxcli.hardware_memory(memory.require("reading the memory")),
            maintenance_mode=maintenance.require("reading the maintenance mode").strip() == "Enabled",
        )
