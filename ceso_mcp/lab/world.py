"""The world of a lab: the host, its datastores, networks and VMs, kept in one JSON file."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ceso_mcp.errors import LabFault
from ceso_mcp.lab.host_config import HostConfig
from ceso_mcp.lab.vim_state import VimState
from ceso_mcp.lab.vmx import Settings

ON, OFF, SUSPENDED = "poweredOn", "poweredOff", "suspended"
NEVER_BOOTED = 0.0


@dataclass
class Datastore:
    """A VMFS volume: `size_bytes` is enforced by accounting, `reserve_bytes` is what a test took away."""

    name: str
    uuid: str
    size_bytes: int
    type: str = "VMFS-6"
    reserve_bytes: int = 0
    # 0: what the type usually has. `counters` are further lines of `vmkfstools -P -v 1`, as stated.
    block_bytes: int = 0
    counters: list[str] = field(default_factory=list)
    device: str = "t10.NVMe____LAB_DISK_________________________0001"
    # Of an NFS mount.
    remote_host: str = ""
    share: str = ""
    read_only: bool = False
    accessible: bool = True


@dataclass
class Portgroup:
    name: str
    vswitch: str
    vlan: int = 0


@dataclass
class Vm:
    """A registered VM. `path` is `/vmfs/volumes/<uuid>/…/x.vmx`; `config` is hostd's copy of the file."""

    vmid: int
    path: str
    config: list[tuple[str, str]]
    state: str = OFF
    world_id: int = 0
    booted_at: float = NEVER_BOOTED
    guest: dict[str, Any] = field(default_factory=dict)
    question: int | None = None
    # What a host measures and a test may state: `overhead_bytes`, `committed_bytes`, `guest_mib` and so on.
    measured: dict[str, Any] = field(default_factory=dict)

    @property
    def settings(self) -> Settings:
        return Settings(self.config)

    @property
    def name(self) -> str:
        return self.settings.get("displayName")


@dataclass
class World:
    """Everything that outlives the server process."""

    release: str
    version: str
    build: str
    update: str
    patch: str
    hostname: str
    uuid: str
    booted_at: float
    installed_on: str
    latency_s: float = 0.0
    boot_delay_s: float = 0.3
    # From asking the guest to the VM being off.
    shutdown_s: float = 0.2
    # None: a log-in takes `latency_s` like every other command.
    login_s: float | None = None
    throughput_bytes_s: int = 0
    lock_failures: int = 5
    unlock_s: float = 900.0
    max_startups: str = "10:30:100"
    keep_alive_s: float = 200.0
    # 7.0 U1c: the links below a running VM's top one stay exclusively locked, so no hot clone works.
    base_exclusive: bool = False
    # How many clones run side by side before memory is short; 0: any number.
    clone_limit: int = 0
    # `vmkfstools -t 0` is known.
    mapping: bool = False
    # Raw opens of an extent that a VM or vmkfstools holds: "refused" as on a host, or "allowed".
    raw_opens: str = "refused"
    # Programs that no VIB brought do not run by path; None: as the release has it.
    exec_installed_only: bool | None = None
    # Whether its shell finds `python3`; the lab's own programs run either way.
    python3: bool = True
    # What a reset brings back; see `blueprint`.
    blueprint: dict[str, Any] = field(default_factory=dict)
    memory_bytes: int = 68632666112
    cpu_packages: int = 1
    cpu_cores: int = 8
    cpu_threads: int = 16
    cpu_mhz: int = 2900
    next_vmid: int = 1
    next_task: int = 100
    next_world: int = 2100100
    next_lease: int = 100
    next_message: int = 0
    maintenance: bool = False
    vim: VimState = field(default_factory=VimState)
    host: HostConfig = field(default_factory=HostConfig)
    datastores: list[Datastore] = field(default_factory=list)
    vswitches: list[str] = field(default_factory=list)
    portgroups: list[Portgroup] = field(default_factory=list)
    vms: dict[int, Vm] = field(default_factory=dict)

    @property
    def installed_only(self) -> bool:
        """Whether execInstalledOnly is on (fact sheet esxcli-and-shell §3.3: by default from 8.0)."""
        if self.exec_installed_only is not None:
            return self.exec_installed_only
        return int(self.release.partition(".")[0]) >= 8

    def to_json(self) -> str:
        return json.dumps({**vars(self), "vms": list(self.vms.values())}, default=vars)

    @classmethod
    def from_json(cls, text: str) -> World:
        value = json.loads(text)
        value["datastores"] = [Datastore(**item) for item in value["datastores"]]
        value["portgroups"] = [Portgroup(**item) for item in value["portgroups"]]
        vms = [Vm(**{**item, "config": [tuple(p) for p in item["config"]]}) for item in value["vms"]]
        value["vms"] = {vm.vmid: vm for vm in vms}
        value["host"] = HostConfig.from_json(value.get("host", {}))
        value["vim"] = VimState.from_json(value.get("vim", {}))
        return cls(**value)

    def store(self, path: Path) -> None:
        """Write it in one rename: whoever dies, one whole state is left."""
        temporary = path.with_suffix(".new")
        temporary.write_text(self.to_json())
        os.replace(temporary, path)

    def datastore(self, word: str) -> Datastore | None:
        """The datastore of that name or UUID."""
        for item in self.datastores:
            if word in (item.name, item.uuid):
                return item
        return None


def load(path: Path) -> World:
    """The world kept at `path`. Raises `LabFault` when it is not one that this version writes."""
    try:
        return World.from_json(path.read_text())
    except (TypeError, KeyError, ValueError) as error:
        raise LabFault(
            f"the lab's world {path} cannot be read ({error})",
            hint="make the lab anew with: ceso lab start --fresh",
        ) from None
