"""A .vmx made from another one, for a VM that must not be mistaken for its source.

Hardware stays; everything that identifies is replaced or left for the host to make. A .vmx that
holds `uuid.bios` and no `uuid.location` is what a VM that never booted on this host looks like
(fact sheet vmkfstools §5.2), so the first power-on asks no moved-or-copied question.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from ceso_mcp.errors import Refused
from ceso_mcp.esxi.vmx import Vmx

_IDENTITY = re.compile(
    r"""uuid\.(location|action) | vc\.uuid | vmci0\.id | (scsi\d+\.)?saswwid | scsi\d+\.saswwid
    | viv\.moid | vm\.createdate | extendedconfigfile
    | ethernet\d+\.(generatedaddress(offset)?|checkmacaddress|address|addresstype)
    | guestinfo\..* | ceso\.(template|restored)\..* | answer\.msg\..* | remotedisplay\.vnc\..*
    | sched\.swap\.derivedname | migrate\.hostlog | vmxstats\.filename | checkpoint\.vmstate.*
    | .*\.redo | ctkenabled | .*\.ctkenabled | pcipassthru\d+\..* """,
    re.X,
)
"""Keys, in lower case, that are not carried over (fact sheet vmkfstools §5.3, and marks of ours)."""


@dataclass(frozen=True, slots=True)
class Rebirth:
    """What the new VM is to be. Maps are by NIC number and by disk node (`scsi0:0`).

    `added_nics` are numbers of network cards that the source does not have.
    """

    name: str
    uuid_bios: str
    macs: Mapping[int, str]
    portgroups: Mapping[int, str]
    disks: Mapping[str, str]
    guestinfo: Mapping[str, str]
    nvram: str | None
    cpus: int | None = None
    memory_mib: int | None = None
    annotation: str | None = None
    added_nics: Collection[int] = ()


def reborn(source: Vmx, birth: Rebirth) -> tuple[Vmx, list[str]]:
    """The new .vmx, and what a reader should know of what was left out.

    Raises Refused for a source that cannot be copied this way (encrypted, distributed switch).
    """
    refuse_uncopyable(source)
    warnings: list[str] = []
    dropped = [key for key in source.keys() if _IDENTITY.fullmatch(key.lower())]  # noqa: SIM118
    if any(key.lower().startswith("pcipassthru") for key in dropped):
        warnings.append("PCI passthrough devices of the source are left out: one device serves one VM.")
    vmx = source.without(dropped)
    changes: dict[str, str] = {"displayName": birth.name, "uuid.bios": birth.uuid_bios}
    for index in birth.added_nics:
        # Without a PCI slot the host gives one at the first power-on (fact sheet vmkfstools §5.2).
        changes[f"ethernet{index}.present"] = "TRUE"
        changes[f"ethernet{index}.virtualDev"] = "vmxnet3"
    for index, mac in birth.macs.items():
        changes[f"ethernet{index}.addressType"] = "static"
        changes[f"ethernet{index}.address"] = mac
    for index, portgroup in birth.portgroups.items():
        changes[f"ethernet{index}.networkName"] = portgroup
    for node, file_name in birth.disks.items():
        changes[f"{node}.fileName"] = file_name
    for cdrom in source.cdroms():
        if cdrom.device_type.lower() == "cdrom-image" and cdrom.file_name.lower().endswith(".iso"):
            changes[f"{cdrom.node}.startConnected"] = "FALSE"
            warnings.append(f"The CD {cdrom.file_name} stays disconnected in the new VM.")
    if birth.cpus is not None:
        changes |= _cpus(source, birth.cpus)
    if birth.memory_mib is not None:
        changes["memSize"] = str(birth.memory_mib)
        if source.get("sched.mem.pin"):
            changes |= {"sched.mem.min": str(birth.memory_mib), "sched.mem.minSize": str(birth.memory_mib)}
    if birth.annotation is not None:
        changes["annotation"] = birth.annotation
    if birth.nvram is not None:
        changes["nvram"] = birth.nvram
    return vmx.with_set({**changes, **birth.guestinfo}), warnings


def refuse_uncopyable(source: Vmx) -> None:
    """Raise Refused for what cannot be copied file by file."""
    if source.encrypted:
        raise Refused("the VM is encrypted; its keys are not ours to copy", code="vm_encrypted")
    for key, value in source.items():
        if re.fullmatch(r"ethernet\d+\.dvs\.switchid", key.lower()) and value:
            raise Refused(
                "a network card of the VM hangs on a distributed switch, which needs vCenter",
                code="distributed_switch",
            )


def _cpus(source: Vmx, cpus: int) -> dict[str, str]:
    """Cores per socket must divide the CPUs (fact sheet vmkfstools §5.2); one socket each otherwise."""
    per_socket = source.number("cpuid.coresPerSocket") or 1
    changes = {"numvcpus": str(cpus)}
    if cpus % per_socket:
        changes["cpuid.coresPerSocket"] = "1"
    return changes
