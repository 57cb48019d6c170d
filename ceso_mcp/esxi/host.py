"""The host's release and load: `vmware -v`, `vmware -lv`, `vim-cmd hostsvc/hostsummary`."""

from __future__ import annotations

import re
from dataclasses import dataclass

from ceso_mcp.errors import Unreadable
from ceso_mcp.esxi.dump import parse_object

_RELEASE = re.compile(r"VMware ESXi ([0-9]+\.[0-9]+\.[0-9]+) build-([0-9]+)")
_LEVEL = re.compile(r"VMware ESXi ([0-9]+\.[0-9]+)(?:\.[0-9]+)? (?:Update ([0-9]+)|GA)")


@dataclass(frozen=True, slots=True)
class Release:
    """An ESXi release. `update` is None where only `vmware -v` was asked."""

    version: str
    build: int
    update: int | None = None

    @property
    def major_minor(self) -> str:
        """The line it belongs to, `8.0`."""
        return ".".join(self.version.split(".")[:2])


@dataclass(frozen=True, slots=True)
class HostSummary:
    """Size and load of the host; None where its answer leaves a value out."""

    vendor: str | None
    model: str | None
    memory_bytes: int | None
    cpu_mhz: int | None
    cpu_packages: int | None
    cpu_cores: int | None
    cpu_threads: int | None
    maintenance_mode: bool | None
    cpu_usage_mhz: int | None
    memory_usage_mib: int | None
    uptime_s: int | None


def parse_release(stdout: str) -> Release:
    """Read `vmware -v` or `vmware -lv`; raises Unreadable for anything else.

    Sources: shell-vmware-v-1, shell-vmware-lv-1. A GA release has update 0.
    """
    lines = [line.strip() for line in stdout.splitlines() if line.strip()]
    found = _RELEASE.fullmatch(lines[0]) if lines else None
    if found is None or len(lines) > 2:
        raise Unreadable("vmware -v", "it is not one ESXi release", line=stdout.strip())
    version, build = found.groups()
    if len(lines) == 1:
        return Release(version, int(build))
    level = _LEVEL.fullmatch(lines[1])
    if level is None or not version.startswith(level.group(1) + "."):
        raise Unreadable("vmware -lv", "its second line is not the update level", line=lines[1])
    return Release(version, int(build), int(level.group(2) or 0))


def parse_host_summary(stdout: str) -> HostSummary:
    """Read `vim-cmd hostsvc/hostsummary` (hostsummary-1); raises Unreadable if it is not one."""
    summary = parse_object(stdout, "vim.host.Summary")
    return HostSummary(
        vendor=summary.text("hardware.vendor"),
        model=summary.text("hardware.model"),
        memory_bytes=summary.number("hardware.memorySize"),
        cpu_mhz=summary.number("hardware.cpuMhz"),
        cpu_packages=summary.number("hardware.numCpuPkgs"),
        cpu_cores=summary.number("hardware.numCpuCores"),
        cpu_threads=summary.number("hardware.numCpuThreads"),
        maintenance_mode=summary.flag("runtime.inMaintenanceMode"),
        cpu_usage_mhz=summary.number("quickStats.overallCpuUsage"),
        memory_usage_mib=summary.number("quickStats.overallMemoryUsage"),
        uptime_s=summary.number("quickStats.uptime"),
    )
