"""A VMX as QEMU's command line: the same identity, slots, disks and cards (fact sheet boot-lab)."""

from __future__ import annotations

import os
import re
import shutil
import uuid
from dataclasses import dataclass
from pathlib import Path

from ceso_mcp.errors import LabFault
from ceso_mcp.lab import golden_guest, identity, qemu_firmware
from ceso_mcp.lab.power import nic_mac, nic_numbers
from ceso_mcp.lab.vmx import Settings

QEMU = "qemu-system-x86_64"
PACKAGES = {QEMU: "qemu-system-x86", "qemu-img": "qemu-utils", "ip": "iproute2", "setpriv": "util-linux"}
CONTROLLERS = {"pvscsi": "pvscsi", "lsisas1068": "mptsas1068"}
CARDS = {"vmxnet3": "vmxnet3", "e1000e": "e1000e", "e1000": "e1000"}
_NODE = re.compile(r"(scsi|nvme)(\d+):(\d+)$", re.IGNORECASE)


@dataclass(frozen=True)
class Channels:
    """Descriptors that QEMU inherits: QMP and the two ports of the guest."""

    qmp: int
    rpc: int
    report: int


def needed() -> None:
    """Raise `LabFault` naming the Debian packages that real guests need and that are missing."""
    missing = sorted({package for name, package in PACKAGES.items() if shutil.which(name) is None})
    if missing:
        raise LabFault(
            f"real guests need the Debian packages {' '.join(missing)}, which are not installed",
            hint=f"sudo apt-get install {' '.join(missing)}",
        )


def kvm() -> bool:
    """Hardware help: cpuinfo must have it, `/dev/kvm` alone may be a software imitation."""
    try:
        flags = re.search(r"^flags\s*:.*\b(vmx|svm)\b", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    except OSError:
        return False
    return flags is not None and os.access("/dev/kvm", os.R_OK | os.W_OK)


def tap(vmid: int, nic: int) -> str:
    """The tap device of a card: from the VM, not from the MAC, which a restored copy shares."""
    return f"t{vmid}n{nic}"


def command(
    settings: Settings,
    vmid: int,
    overlays: dict[str, Path],
    channels: Channels,
    console: Path,
    variables: Path | None = None,
) -> list[str]:
    """The whole command; `variables` are those of a UEFI guest.

    Raises `LabFault` for hardware that the lab cannot give to QEMU.
    """
    raw = identity.raw(settings.get("uuid.bios"))
    pairs = [f"{byte:02x}" for byte in raw]
    serial = "VMware-" + " ".join(pairs[:8]) + "-" + " ".join(pairs[8:])
    # DMI keeps the first three fields of a UUID little-endian; the host writes the bytes as they are.
    system = uuid.UUID(bytes_le=raw)
    argv = [QEMU, "-nodefaults", "-no-user-config", "-display", "none", "-machine", "q35"]
    if kvm():
        argv += ["-accel", "kvm", "-cpu", "host"]
    else:
        argv += ["-accel", "tcg,thread=multi,tb-size=128", "-cpu", "max,-cx16,tcg-cpuid=off"]
    argv += ["-smp", settings.get("numvcpus", "1"), "-m", settings.get("memSize", "32")]
    argv += ["-uuid", str(system), "-global", "ICH9-LPC.acpi-pci-hotplug-with-bridge-support=off"]
    argv += [
        "-smbios",
        "type=1,manufacturer=VMware,, Inc.,product=VMware Virtual Platform,version=None"
        f",serial={serial},uuid={system}",
    ]
    if variables is not None:
        argv += qemu_firmware.words(variables)
    argv += ["-serial", f"file:{_quoted(console)}"]
    for name, number in (("qmp", channels.qmp), ("rpc", channels.rpc), ("report", channels.report)):
        argv += ["-chardev", f"socket,id={name},fd={number}"]
    argv += ["-mon", "chardev=qmp,mode=control", "-device", "virtio-serial-pci"]
    argv += ["-device", f"virtserialport,chardev=rpc,name={golden_guest.RPC_PORT}"]
    argv += ["-device", f"virtserialport,chardev=report,name={golden_guest.REPORT_PORT}"]
    return [*argv, *_disks(settings, overlays), *_cards(settings, vmid)]


def _quoted(path: Path) -> str:
    return str(path).replace(",", ",,")


def _disks(settings: Settings, overlays: dict[str, Path]) -> list[str]:
    argv: list[str] = []
    made: set[str] = set()
    for order, (node, overlay) in enumerate(sorted(overlays.items())):
        found = _NODE.match(node)
        if not found:
            raise LabFault(f"a real guest takes SCSI and NVMe disks only, not {node}")
        bus, unit = found[1].lower(), int(found[3])
        controller = f"{bus}{found[2]}"
        if controller not in made:
            made.add(controller)
            argv += ["-device", _controller(settings, bus, controller)]
        name = node.replace(":", "_")
        argv += ["-drive", f"if=none,id={name},format=qcow2,file={_quoted(overlay)}"]
        if bus == "nvme":
            # VMware's unit 0 is the first namespace.
            device = f"nvme-ns,bus={controller},nsid={unit + 1}"
        else:
            device = f"scsi-hd,bus={controller}.0,scsi-id={unit}"
        argv += ["-device", f"{device},drive={name},bootindex={order}"]
    return argv


def _controller(settings: Settings, bus: str, name: str) -> str:
    if bus == "nvme":
        return f"nvme,id={name},serial=VMware-{name}"
    kind = CONTROLLERS.get(settings.get(f"{name}.virtualDev").lower())
    if kind is None:
        raise LabFault(f"QEMU has no controller like {name}'s")
    return f"{kind},id={name}"


def _cards(settings: Settings, vmid: int) -> list[str]:
    argv: list[str] = []
    for number in nic_numbers(settings):
        kind = CARDS.get(settings.get(f"ethernet{number}.virtualDev", "vmxnet3").lower())
        if kind is None:
            raise LabFault(f"QEMU has no card like ethernet{number}'s")
        slot = int(settings.get(f"ethernet{number}.pciSlotNumber", "192"))
        argv += ["-netdev", f"tap,id=net{number},ifname={tap(vmid, number)},script=no,downscript=no"]
        device = f"{kind},netdev=net{number},mac={nic_mac(settings, number)},romfile="
        if kind != "e1000":
            port = f"pcie-root-port,id=port{number},chassis={number + 1},slot={slot}"
            argv += ["-device", port]
            device += f",bus=port{number}"
        argv += ["-device", device]
    return argv
