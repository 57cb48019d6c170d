"""The seeded world: one host, two datastores, three networks, a golden template and awkward names."""

from __future__ import annotations

import functools
import random
import shutil
import time
import uuid
from dataclasses import dataclass

from ceso_mcp.lab import guest_block, identity, vmx
from ceso_mcp.lab.disks import operations
from ceso_mcp.lab.disks.chain import Disk
from ceso_mcp.lab.disks.descriptor import load, store
from ceso_mcp.lab.layout import Layout
from ceso_mcp.lab.storage import VOLUMES
from ceso_mcp.lab.vmx import Settings
from ceso_mcp.lab.world import Datastore, Portgroup, World

HOSTNAME = "esxi01.lab.example"
GOLDEN = "ubuntu-24.04-golden"
GIB = 1 << 30
# version, build, update, patch: 8.0.3 as in esxcli-version-1's family, 7.0.3 as in shell-vmware-v-1.
RELEASES = {"7.0": ("7.0.3", "24784741", "3", "105"), "8.0": ("8.0.3", "24022510", "3", "35")}
DATASTORE1 = "66f0a1b2-3c4d5e6f-7a8b-3cecef000010"
BACKUP_SSD = "66f0a1b3-4d5e6f70-8b9c-3cecef000010"
BACKUP_NAME = "Backup SSD (nvme)"
NOTES = (
    "Owner: accounts\n"
    "99     not-a-vm      [datastore1] not-a-vm/not-a-vm.vmx   otherGuest    vmx-08    trap\n"
    "\n"
    "reboot on Sundays only"
)


@dataclass(frozen=True)
class Seed:
    """One VM of the seeded world; `data_mib` is how much its disk really holds."""

    name: str
    datastore: str
    disk_gib: int = 1
    data_mib: int = 2
    memory_mib: int = 512
    cpus: int = 1
    network: str = "VM Network"
    annotation: str = ""
    guest: bool = False
    firmware: str = "bios"
    on: bool = False
    snapshot: bool = False


SEEDS = (
    Seed(
        GOLDEN,
        DATASTORE1,
        disk_gib=2,
        data_mib=24,
        memory_mib=2048,
        cpus=2,
        guest=True,
        firmware="efi",
        annotation="golden template",
    ),
    Seed("it's a test [old]", DATASTORE1, annotation='It\'s "old"'),
    Seed('db "primary" (copy)', DATASTORE1, annotation=NOTES, network="DMZ (vlan 20)"),
    Seed("Büro-Server", DATASTORE1, guest=True, on=True, network="Lab, internal"),
    Seed("snapshotted", BACKUP_SSD, snapshot=True),
)


def new_world(release: str, latency_s: float = 0.0, boot_delay_s: float = 0.3) -> World:
    """The world without VMs."""
    version, build, update, patch = RELEASES[release]
    return World(
        release=release,
        version=version,
        build=build,
        update=update,
        patch=patch,
        hostname=HOSTNAME,
        uuid=str(uuid.UUID("66f0a1b0-1234-5678-9abc-3cecef000010")),
        booted_at=time.time() - 86400,
        installed_on="2025-03-01",
        latency_s=latency_s,
        boot_delay_s=boot_delay_s,
        datastores=[
            Datastore("datastore1", DATASTORE1, 120 * GIB),
            Datastore(
                BACKUP_NAME, BACKUP_SSD, 60 * GIB, device="t10.NVMe____LAB_DISK_____________________0002"
            ),
        ],
        vswitches=["vSwitch0", "vSwitch1"],
        portgroups=[
            Portgroup("Management Network", "vSwitch0"),
            Portgroup("VM Network", "vSwitch0"),
            Portgroup("DMZ (vlan 20)", "vSwitch1", 20),
            Portgroup("Lab, internal", "vSwitch1", 30),
        ],
    )


def clear_volumes(layout: Layout) -> None:
    """Remove every file of the make-believe datastores."""
    for place in layout.volumes.iterdir():
        if place.is_dir() and not place.is_symlink():
            for inner in place.iterdir():
                shutil.rmtree(inner) if inner.is_dir() and not inner.is_symlink() else inner.unlink()
        else:
            place.unlink()


def file_stem(name: str) -> str:
    """The folder and file name of a VM: its display name without what VMFS tools stumble over."""
    return name.replace('"', "")


def make_files(layout: Layout, seed: Seed) -> str:
    """Write the VM's folder; returns the path of its VMX on the host. The content is always the same."""
    stem = file_stem(seed.name)
    folder = layout.volumes / seed.datastore / stem
    folder.mkdir(parents=True)
    disk = str(folder / f"{stem}.vmdk")
    operations.create(disk, seed.disk_gib * GIB, "thin")
    chance = random.Random(seed.name)
    described = load(disk)
    cid = f"{chance.getrandbits(32):08x}"
    tail = bytes(chance.getrandbits(8) for _ in range(13))
    described.cid = cid
    described.ddb["longContentID"] = f"{chance.getrandbits(96):024x}{cid}"
    described.ddb["uuid"] = "60 00 C2 9" + identity.spaced(b"\0\0\0" + tail)[10:]
    store(disk, described)
    _fill(disk, seed)
    settings = _settings(seed, stem, identity.location(seed.name, stem))
    vmx.store(folder / f"{stem}.vmx", settings)
    if seed.firmware == "efi":
        nvram = folder / f"{stem}.nvram"
        nvram.write_bytes(b"MRVN" + _noise(f"{seed.name} nvram", 270836))
        nvram.chmod(0o600)
    (folder / f"{stem}.vmsd").touch(0o644)
    return f"{VOLUMES}{seed.datastore}/{stem}/{stem}.vmx"


@functools.cache
def _noise(name: str, count: int) -> bytes:
    """Bytes that do not compress, the same ones for the same name."""
    return random.Random(f"noise of {name}").randbytes(count)


def _fill(disk: str, seed: Seed) -> None:
    """Half random, half text in every MiB, spread over the disk with holes between."""
    step = max(1, seed.disk_gib * 1024 // (seed.data_mib * 2))
    line = b"The quick brown fox jumps over the lazy dog. 0123456789 abcdefghijklmnop\n"
    with Disk(disk, writable=True) as opened:
        for number in range(seed.data_mib):
            half = _noise(seed.name, seed.data_mib << 19)[number << 19 : (number + 1) << 19]
            content = half + (line * 7300)[: 512 << 10]
            opened.write(number * step << 20, content)
    if seed.guest:
        with Disk(disk, writable=True) as opened:
            opened.write(guest_block.OFFSET_BYTES, guest_block.pack(guest_block.FRESH))


def _settings(seed: Seed, stem: str, bios: str) -> Settings:
    settings = Settings(
        [
            (".encoding", "UTF-8"),
            ("config.version", "8"),
            ("virtualHW.version", "19" if seed.firmware == "bios" else "20"),
            ("nvram", f"{stem}.nvram"),
            ("svga.present", "TRUE"),
            ("pciBridge0.present", "TRUE"),
        ]
    )
    for bridge in (4, 5, 6, 7):
        settings[f"pciBridge{bridge}.present"] = "TRUE"
        settings[f"pciBridge{bridge}.virtualDev"] = "pcieRootPort"
        settings[f"pciBridge{bridge}.functions"] = "8"
    more = {
        "vmci0.present": "TRUE",
        "hpet0.present": "TRUE",
        "floppy0.present": "FALSE",
        "memSize": str(seed.memory_mib),
        "numvcpus": str(seed.cpus),
        **({"firmware": "efi"} if seed.firmware == "efi" else {}),
        "displayName": seed.name,
        "guestOS": "ubuntu-64" if seed.guest else "otherlinux-64",
        "annotation": seed.annotation,
        "scsi0.virtualDev": "pvscsi",
        "scsi0.present": "TRUE",
        "scsi0:0.deviceType": "scsi-hardDisk",
        "scsi0:0.fileName": f"{stem}.vmdk",
        "scsi0:0.present": "TRUE",
        "ethernet0.virtualDev": "vmxnet3",
        "ethernet0.networkName": seed.network,
        "ethernet0.addressType": "generated",
        "ethernet0.present": "TRUE",
        "tools.syncTime": "FALSE",
        "uuid.bios": bios,
        "vc.uuid": "52" + bios[2:],
    }
    for key, value in more.items():
        settings[key] = value
    return settings
