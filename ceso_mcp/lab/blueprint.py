"""The plan of a world: what a lab begins with, and what a reset brings back."""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass, field, replace
from typing import Any

HOSTNAME = "esxi01.lab.example"
GOLDEN = "ubuntu-24.04-golden"
GIB = 1 << 30
# version, build, update, patch: 8.0.3 as in esxcli-version-1's family, 7.0.3 as in shell-vmware-v-1;
# the build of 9.0 is assumed.
RELEASES = {
    "7.0": ("7.0.3", "24784741", "3", "105"),
    "8.0": ("8.0.3", "24022510", "3", "35"),
    "9.0": ("9.0.0", "24755229", "0", "0"),
}
DATASTORE1 = "66f0a1b2-3c4d5e6f-7a8b-3cecef000010"
BACKUP_SSD = "66f0a1b3-4d5e6f70-8b9c-3cecef000010"
BACKUP_NAME = "Backup SSD (nvme)"
NOTES = (
    "Owner: accounts\n"
    "99     not-a-vm      [datastore1] not-a-vm/not-a-vm.vmx   otherGuest    vmx-08    trap\n"
    "\n"
    "reboot on Sundays only"
)


# Where shares are that a world has from its beginning.
NFS_SERVER = "nas.lab.example"


@dataclass(frozen=True)
class DiskPlan:
    """One disk; `data_mib` is how much it really holds, `kind` thin, zeroedthick or eagerzeroedthick."""

    size_mib: int = 1024
    data_mib: int = 2
    kind: str = "thin"

    @property
    def step_mib(self) -> int:
        """How far apart the pieces of data lie, each of them 1 MiB long."""
        return max(1, self.size_mib // (self.data_mib * 2)) if self.data_mib else self.size_mib

    @property
    def free_mib(self) -> int:
        """How much is free after the first MiB."""
        return min(self.step_mib, self.size_mib) - 1


@dataclass(frozen=True)
class VmPlan:
    """One VM; `guest` gives its first disk a make-believe operating system.

    `image` is the path on this machine of a disk's descriptor: its content becomes the first disk's.
    `more` are further keys of its .vmx, which the host keeps and does not look at.
    """

    name: str
    datastore: str = "datastore1"
    folder: str = ""
    disks: tuple[DiskPlan, ...] = (DiskPlan(),)
    networks: tuple[str, ...] = ("VM Network",)
    memory_mib: int = 512
    cpus: int = 1
    annotation: str = ""
    guest: bool = False
    guest_os: str = ""
    firmware: str = "bios"
    hardware_version: int = 0
    on: bool = False
    snapshots: tuple[str, ...] = ()
    image: str = ""
    more: tuple[tuple[str, str], ...] = ()

    @property
    def stem(self) -> str:
        """Folder and file name: the display name without what VMFS tools stumble over."""
        return self.folder or self.name.replace('"', "").replace("/", "%2f")


def nfs_identity(server: str, share: str) -> str:
    """The id of a mount: the same one whenever the share is mounted from that server."""
    digits = hashlib.sha256(f"{server}:{share}".encode("utf-8", "surrogateescape")).hexdigest()
    return f"{digits[:8]}-{digits[8:16]}"


@dataclass(frozen=True)
class DatastorePlan:
    """One volume; an empty `uuid` is drawn from its name."""

    name: str
    size_bytes: int
    type: str = "VMFS-6"
    uuid: str = ""
    device: str = ""

    @property
    def identity(self) -> str:
        """`uuid`, or one in the form of its type: 35 characters, 17 for NFS (fact sheet §3.7)."""
        if self.uuid:
            return self.uuid
        if self.type.startswith("NFS"):
            return nfs_identity(NFS_SERVER, f"/{self.name}")
        digits = hashlib.sha256(f"datastore {self.name}".encode()).hexdigest()
        return f"{digits[:8]}-{digits[8:16]}-{digits[16:20]}-3cecef{digits[20:26]}"


@dataclass(frozen=True)
class PortgroupPlan:
    name: str
    vswitch: str = "vSwitch0"
    vlan: int = 0


USUAL_DATASTORES = (
    DatastorePlan(
        "datastore1", 120 * GIB, uuid=DATASTORE1, device="t10.NVMe____LAB_DISK_________________________0001"
    ),
    DatastorePlan(
        BACKUP_NAME, 60 * GIB, uuid=BACKUP_SSD, device="t10.NVMe____LAB_DISK_____________________0002"
    ),
)
USUAL_PORTGROUPS = (
    PortgroupPlan("Management Network"),
    PortgroupPlan("VM Network"),
    PortgroupPlan("DMZ (vlan 20)", "vSwitch1", 20),
    PortgroupPlan("Lab, internal", "vSwitch1", 30),
)
# What its owner's tool wrote there when the template was ready.
PREPARED = (
    ("ceso.template.prepared", "2026-08-01T09:00:00+00:00"),
    ("ceso.template.os", "Ubuntu 24.04.1 LTS"),
    ("ceso.template.findings", "17 ok"),
    ("ceso.template.state", "5b0c86efaac78ad8"),
)
USUAL_VMS = (
    VmPlan(
        GOLDEN,
        disks=(DiskPlan(2048, 24),),
        memory_mib=2048,
        cpus=2,
        guest=True,
        firmware="efi",
        annotation="golden template",
        more=PREPARED,
    ),
    VmPlan("it's a test [old]", annotation='It\'s "old"'),
    VmPlan('db "primary" (copy)', annotation=NOTES, networks=("DMZ (vlan 20)",)),
    VmPlan("Büro-Server", guest=True, on=True, networks=("Lab, internal",)),
    VmPlan("snapshotted", BACKUP_NAME, snapshots=("before upgrade",)),
)


@dataclass(frozen=True)
class Blueprint:
    """A whole host. `memory_bytes` and the processors are the host's, not its VMs'."""

    release: str = "8.0"
    hostname: str = HOSTNAME
    memory_bytes: int = 68632666112
    cpu_packages: int = 1
    cpu_cores: int = 8
    cpu_threads: int = 16
    cpu_mhz: int = 2900
    datastores: tuple[DatastorePlan, ...] = USUAL_DATASTORES
    portgroups: tuple[PortgroupPlan, ...] = USUAL_PORTGROUPS
    vms: tuple[VmPlan, ...] = field(default=USUAL_VMS)

    @property
    def vswitches(self) -> list[str]:
        return sorted({group.vswitch for group in self.portgroups} | {"vSwitch0"})

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> Blueprint:
        vms = []
        for item in value["vms"]:
            lists = {"networks": tuple(item["networks"]), "snapshots": tuple(item["snapshots"])}
            lists["more"] = tuple((key, value) for key, value in item.get("more", ()))
            vms.append(VmPlan(**{**item, **lists, "disks": tuple(DiskPlan(**d) for d in item["disks"])}))
        return cls(
            **{
                **value,
                "datastores": tuple(DatastorePlan(**item) for item in value["datastores"]),
                "portgroups": tuple(PortgroupPlan(**item) for item in value["portgroups"]),
                "vms": tuple(vms),
            }
        )


def with_image(plan: Blueprint, image: str) -> Blueprint:
    """`plan` with a golden template (the plan's own, or one more) that carries a real Linux."""
    golden = VmPlan(
        GOLDEN,
        plan.datastores[0].name,
        disks=(DiskPlan(0, 0),),
        networks=("VM Network",),
        memory_mib=512,
        guest_os="debian12-64",
        annotation="golden template",
        image=image,
    )
    others = tuple(item for item in plan.vms if item.name != GOLDEN)
    return replace(plan, vms=(golden, *others))


def crowd(count: int, plan: Blueprint) -> tuple[VmPlan, ...]:
    """`count` small VMs for `plan`: every tenth is on, every seventh has a snapshot."""
    networks = [item.name for item in plan.portgroups if item.name != "Management Network"]
    stores = [item.name for item in plan.datastores]
    return tuple(
        VmPlan(
            f"vm-{number:04d}",
            stores[number % len(stores)],
            disks=(DiskPlan(1024, 0),),
            networks=(networks[number % len(networks)],) if networks else (),
            memory_mib=256 * (1 + number % 4),
            cpus=1 + number % 2,
            annotation=f"number {number} of {count}" if number % 2 else "",
            on=number % 10 == 0,
            snapshots=("weekly",) if number % 7 == 0 else (),
        )
        for number in range(1, count + 1)
    )
