"""Making a world out of its blueprint: the host without VMs, and the files of each VM."""

from __future__ import annotations

import functools
import random
import shutil
import time
import uuid

from ceso_mcp.lab import guest_block, guest_system, identity, vmx
from ceso_mcp.lab.blueprint import GOLDEN, HOSTNAME, NFS_SERVER, RELEASES, Blueprint, DiskPlan, VmPlan
from ceso_mcp.lab.disks import operations
from ceso_mcp.lab.disks.chain import Disk
from ceso_mcp.lab.disks.descriptor import load, store
from ceso_mcp.lab.layout import Layout
from ceso_mcp.lab.storage import VOLUMES
from ceso_mcp.lab.vmx import Settings
from ceso_mcp.lab.world import Datastore, Portgroup, World

__all__ = ["GOLDEN", "HOSTNAME", "RELEASES", "clear_volumes", "make_files", "new_world"]
MIB = 1 << 20


def new_world(plan: Blueprint | str) -> World:
    """The world without VMs; a release's name stands for the usual blueprint of that release."""
    blueprint = Blueprint(plan) if isinstance(plan, str) else plan
    version, build, update, patch = RELEASES[blueprint.release]
    return World(
        release=blueprint.release,
        version=version,
        build=build,
        update=update,
        patch=patch,
        hostname=blueprint.hostname,
        uuid=str(uuid.UUID("66f0a1b0-1234-5678-9abc-3cecef000010")),
        booted_at=time.time() - 86400,
        installed_on="2025-03-01",
        memory_bytes=blueprint.memory_bytes,
        cpu_packages=blueprint.cpu_packages,
        cpu_cores=blueprint.cpu_cores,
        cpu_threads=blueprint.cpu_threads,
        cpu_mhz=blueprint.cpu_mhz,
        datastores=[
            Datastore(
                item.name,
                item.identity,
                item.size_bytes,
                item.type,
                device=item.device or f"t10.NVMe____LAB_DISK_____________________{number:04d}",
                remote_host=NFS_SERVER if item.type.startswith("NFS") else "",
                share=f"/{item.name}" if item.type.startswith("NFS") else "",
            )
            for number, item in enumerate(blueprint.datastores, 1)
        ],
        vswitches=blueprint.vswitches,
        portgroups=[Portgroup(item.name, item.vswitch, item.vlan) for item in blueprint.portgroups],
        blueprint=blueprint.to_json(),
    )


def clear_volumes(layout: Layout) -> None:
    """Remove every file of the make-believe datastores and of NFS servers."""
    shutil.rmtree(layout.exports, ignore_errors=True)
    for place in layout.volumes.iterdir():
        shutil.rmtree(place) if place.is_dir() and not place.is_symlink() else place.unlink()


def make_files(layout: Layout, plan: VmPlan, datastore: str) -> str:
    """Write the VM's folder on the datastore of that UUID; returns the path of its VMX on the host.

    The content is the same each time.
    """
    stem = plan.stem
    folder = layout.volumes / datastore / stem
    folder.mkdir(parents=True)
    for number, disk in enumerate(plan.disks):
        name = f"{stem}_{number}" if number else stem
        _make_disk(str(folder / f"{name}.vmdk"), plan, disk, f"{plan.name} {number}" if number else plan.name)
    settings = _settings(plan, stem, identity.location(plan.name, stem))
    vmx.store(folder / f"{stem}.vmx", settings)
    if plan.firmware == "efi":
        nvram = folder / f"{stem}.nvram"
        nvram.write_bytes(b"MRVN" + _noise(f"{plan.name} nvram", 270836))
        nvram.chmod(0o600)
    (folder / f"{stem}.vmsd").touch(0o644)
    return f"{VOLUMES}{datastore}/{stem}/{stem}.vmx"


def _make_disk(place: str, plan: VmPlan, disk: DiskPlan, chance_of: str) -> None:
    image = plan.image if chance_of == plan.name else ""
    if image:
        operations.clone(image, place, disk.kind)
    else:
        operations.create(place, disk.size_mib * MIB, disk.kind)
    chance = random.Random(chance_of)
    described = load(place)
    cid = f"{chance.getrandbits(32):08x}"
    tail = bytes(chance.getrandbits(8) for _ in range(13))
    described.cid = cid
    described.ddb["longContentID"] = f"{chance.getrandbits(96):024x}{cid}"
    described.ddb["uuid"] = "60 00 C2 9" + identity.spaced(b"\0\0\0" + tail)[10:]
    store(place, described)
    if image:
        return
    _fill(place, disk, chance_of)
    if plan.guest and chance_of == plan.name:
        with Disk(place, writable=True) as opened:
            opened.write(guest_block.OFFSET_BYTES, guest_block.pack(guest_block.FRESH))
            for at, content in guest_system.pieces(opened.read(0, 512), disk.free_mib):
                opened.write(at, content)


@functools.cache
def _noise(name: str, count: int) -> bytes:
    """Bytes that do not compress, the same ones for the same name."""
    return random.Random(f"noise of {name}").randbytes(count)


def _fill(place: str, disk: DiskPlan, name: str) -> None:
    """Half random, half text in every MiB, spread over the disk with holes between."""
    if not disk.data_mib:
        return
    step = disk.step_mib
    line = b"The quick brown fox jumps over the lazy dog. 0123456789 abcdefghijklmnop\n"
    with Disk(place, writable=True) as opened:
        for number in range(disk.data_mib):
            half = _noise(name, disk.data_mib << 19)[number << 19 : (number + 1) << 19]
            content = half + (line * 7300)[: 512 << 10]
            opened.write(number * step << 20, content)


def _settings(plan: VmPlan, stem: str, bios: str) -> Settings:
    settings = Settings(
        [
            (".encoding", "UTF-8"),
            ("config.version", "8"),
            ("virtualHW.version", str(plan.hardware_version or (19 if plan.firmware == "bios" else 20))),
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
        "memSize": str(plan.memory_mib),
        "numvcpus": str(plan.cpus),
        **({"firmware": "efi"} if plan.firmware == "efi" else {}),
        "displayName": plan.name,
        "guestOS": plan.guest_os or ("ubuntu-64" if plan.guest else "otherlinux-64"),
        "annotation": plan.annotation,
        "scsi0.virtualDev": "pvscsi",
        "scsi0.present": "TRUE",
        **_disk_settings(plan, stem),
        **_card_settings(plan),
        "tools.syncTime": "FALSE",
        "uuid.bios": bios,
        "vc.uuid": "52" + bios[2:],
        **dict(plan.more),
    }
    for key, value in more.items():
        settings[key] = value
    return settings


def _disk_settings(plan: VmPlan, stem: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for number in range(len(plan.disks)):
        # Unit 7 is the controller's own.
        node = f"scsi0:{number + (number > 6)}"
        found[f"{node}.deviceType"] = "scsi-hardDisk"
        found[f"{node}.fileName"] = f"{stem}_{number}.vmdk" if number else f"{stem}.vmdk"
        found[f"{node}.present"] = "TRUE"
    return found


def _card_settings(plan: VmPlan) -> dict[str, str]:
    found: dict[str, str] = {}
    for number, network in enumerate(plan.networks):
        found[f"ethernet{number}.virtualDev"] = "vmxnet3"
        found[f"ethernet{number}.networkName"] = network
        found[f"ethernet{number}.addressType"] = "generated"
        found[f"ethernet{number}.present"] = "TRUE"
    return found
