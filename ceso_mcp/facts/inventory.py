"""Every VM of the host, in two rounds whatever their number.

Round one asks hostd once for the table of VMs, the running ones and the volumes; round two reads
all .vmx files. Properties come from the .vmx, never from the table's columns, which annotations can
imitate (fact sheet vim-cmd §2).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from ceso_mcp.errors import HostFault, Refused, Unreadable
from ceso_mcp.esxi import esxcli
from ceso_mcp.esxi.faults import hostd_unavailable
from ceso_mcp.esxi.getallvms import parse_getallvms
from ceso_mcp.esxi.paths import DatastorePath
from ceso_mcp.esxi.vmx import Vmx
from ceso_mcp.fact import Fact, Reading, Reply
from ceso_mcp.shell import sh

Power = Literal["on", "off", "suspended"]


@dataclass(frozen=True, slots=True)
class Vm:
    """One registered VM. `vmx` is None, and `problem` says why, if its .vmx cannot be read."""

    vmid: int
    name: str
    path: DatastorePath
    power: Power
    vmx: Vmx | None
    problem: str = ""
    volume_names: Mapping[str, str] = field(default_factory=dict, hash=False, compare=False)

    @property
    def folder(self) -> DatastorePath:
        return self.path.parent

    @property
    def readable(self) -> Vmx:
        """The .vmx, for an operation that needs it; raises Refused if it could not be read."""
        if self.vmx is None:
            raise Refused(f"the .vmx of {self.name!r} cannot be read: {self.problem}", code="vmx_unreadable")
        return self.vmx

    @property
    def uuid_bios(self) -> str:
        return (self.vmx.get("uuid.bios") if self.vmx else None) or ""

    def macs(self) -> set[str]:
        """MAC addresses the VM has or, once powered on, will have again."""
        if self.vmx is None:
            return set()
        return {nic.mac.lower() for nic in self.vmx.all_nics() if nic.mac}

    def disk_paths(self) -> tuple[DatastorePath, ...]:
        """Descriptors that the .vmx names, in order, each with its datastore's name."""
        return tuple(self.located(disk.file_name) for disk in self.readable.disks())

    def located(self, file_name: str) -> DatastorePath:
        """What a file name in the .vmx means; a volume's UUID in it is replaced by its name."""
        path = self.folder.resolve(file_name)
        name = self.volume_names.get(path.datastore)
        return DatastorePath(name, path.path) if name else path


@dataclass(frozen=True, slots=True)
class HostVms:
    """The inventory."""

    vms: tuple[Vm, ...]
    invalid_ids: tuple[int, ...]

    def named(self, name: str) -> Vm:
        """The one VM called `name`; raises Refused `vm_not_found` or `vm_ambiguous`."""
        found = [vm for vm in self.vms if vm.name == name]
        if not found:
            near = [vm.name for vm in self.vms if vm.name.casefold() == name.casefold().strip()]
            hint = f"did you mean {near[0]!r}?" if near else "`list_vms` shows the names"
            raise Refused(f"there is no VM called {name!r}", code="vm_not_found", hint=hint)
        if len(found) > 1:
            where = ", ".join(str(vm.path) for vm in found)
            raise Refused(
                f"{len(found)} VMs are called {name!r}: {where}",
                code="vm_ambiguous",
                hint="rename one of them first",
            )
        return found[0]


@dataclass(frozen=True, slots=True)
class Inventory(Fact[HostVms]):
    """All registered VMs with their .vmx and power state."""

    def reading(self) -> Reading[HostVms]:
        table, running, volumes = yield [
            sh("vim-cmd", "vmsvc/getallvms"),
            sh("esxcli", "vm", "process", "list"),
            sh("esxcli", "storage", "filesystem", "list"),
        ]
        if not table.ok and hostd_unavailable(table.output):
            raise HostFault(
                "the host's management agent (hostd) does not answer",
                code="hostd_down",
                hint="wait a minute and try again; /etc/init.d/hostd status on the host tells more",
            )
        rows, invalid = parse_getallvms(table.require("listing the VMs"), table.stderr)
        names = {
            v.uuid: v.name for v in esxcli.filesystems(volumes.require("listing the datastores")) if v.name
        }
        on = {
            _named(process.config_file, names)
            for process in esxcli.vm_processes(running.require("listing the running VMs"))
        }
        invalid += [row.vmid for row in rows if row.file is None]
        listed = [(row, row.file) for row in rows if row.file is not None]
        replies = yield [sh("cat", path) for _, path in listed]
        vms = [
            _vm(row.vmid, row.name, path, reply, path.posix() in on, names)
            for (row, path), reply in zip(listed, replies, strict=True)
        ]
        vms.sort(key=lambda vm: vm.vmid)
        return HostVms(tuple(vms), tuple(invalid))


def _vm(
    vmid: int, row_name: str, path: DatastorePath, reply: Reply, on: bool, names: Mapping[str, str]
) -> Vm:
    if not reply.ok:
        return Vm(
            vmid, row_name, path, "on" if on else "off", None, reply.output.strip()[-200:] or "unreadable"
        )
    try:
        vmx = Vmx.parse(reply.stdout)
        name = vmx.get("displayName") or row_name
    except Unreadable as error:
        return Vm(vmid, row_name, path, "on" if on else "off", None, error.message)
    suspended = not on and bool(vmx.get("checkpoint.vmState"))
    return Vm(vmid, name, path, "on" if on else "suspended" if suspended else "off", vmx, "", names)


def _named(config_file: str, names: dict[str, str]) -> str:
    """A running VM's real path with the volume's UUID replaced by its name."""
    head = "/vmfs/volumes/"
    if not config_file.startswith(head):
        return config_file
    volume, _, rest = config_file[len(head) :].partition("/")
    return f"{head}{names.get(volume, volume)}/{rest}"
