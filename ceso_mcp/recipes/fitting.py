"""A backup's .vmx made to fit the host it comes back to: what is not there is disconnected or taken out.

A VM whose CD image, port or passed-through device is missing refuses to start or stops at a question.
Whatever is changed is told, in words for the preview and the result.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from pathlib import PurePosixPath

from ceso_mcp.errors import Refused
from ceso_mcp.esxi.hardware import newest_hardware
from ceso_mcp.esxi.paths import DatastorePath
from ceso_mcp.esxi.vmx import Vmx
from ceso_mcp.fact import Facts
from ceso_mcp.facts.host import HostLevel
from ceso_mcp.facts.network import PciDevices, Portgroups
from ceso_mcp.facts.storage import Exists

_PORT = re.compile(r"((serial|parallel|floppy)\d+)\.present", re.I)
_PASSED = re.compile(r"(pcipassthru\d+)\.present", re.I)
_PCI_ID = re.compile(r"(\d{1,5}):(\d{1,3}):(\d{1,2})\.(\d)")
_SCSI_RAW = re.compile(r"(scsi\d+:\d+)\.devicetype", re.I)
_USB = re.compile(r"usb(_xhci)?\.autoconnect\.device\d+", re.I)


async def fitted(
    facts: Facts, source: Vmx, *, hardware_version: int | None, folder: DatastorePath | None = None
) -> tuple[Vmx, list[str]]:
    """`source` as this host can start it, and what was changed for that; network cards are not looked at.

    `folder` is the VM's folder if it stays the VM it is: relative names are looked for there, and
    a PCI device that the host has stays. For a new VM (None) `reborn` takes care of CDs and of PCI
    devices. Raises Refused `hardware_too_new`.
    """
    vmx, notes = await _hardware(facts, source, hardware_version)
    changes: dict[str, str] = {}
    for device, why in [*await _media(facts, vmx, folder), *await _ports(facts, vmx, folder)]:
        changes[f"{device}.startConnected"] = "FALSE"
        notes.append(f"{device} stays disconnected: {why}.")
    gone: list[str] = []
    for prefix, why in [*_raw_devices(vmx), *(await _absent_pci(facts, vmx) if folder else [])]:
        gone += [key for key in vmx.keys() if key.lower().startswith(f"{prefix.lower()}.")]  # noqa: SIM118
        notes.append(f"{prefix} is left out: {why}.")
    usb = [key for key in vmx.keys() if _USB.fullmatch(key)]  # noqa: SIM118
    if usb:
        notes.append("USB devices of a host are left out.")
    return vmx.with_set(changes).without([*gone, *usb]), notes


async def without_lost_networks(
    facts: Facts, vmx: Vmx, chosen: Collection[int] = ()
) -> tuple[Vmx, list[str]]:
    """`vmx` with the cards disconnected whose portgroup the host does not have, and words about them.

    `chosen` are the numbers of cards that get another portgroup anyway.
    """
    names = {portgroup.name for portgroup in await facts.read(Portgroups())}
    changes, notes = {}, []
    for nic in vmx.nics():
        if nic.index in chosen or nic.network_name in names:
            continue
        changes[f"ethernet{nic.index}.startConnected"] = "FALSE"
        notes.append(
            f"Network card {nic.index} stays disconnected: there is no portgroup {nic.network_name!r} here."
        )
    return vmx.with_set(changes), notes


async def _hardware(facts: Facts, source: Vmx, wanted: int | None) -> tuple[Vmx, list[str]]:
    version = source.number("virtualHW.version")
    release = await facts.read(HostLevel())
    newest = newest_hardware(release)
    if wanted is not None and version is not None and wanted > version:
        raise Refused(
            f"the VM has hardware version {version}; it can be lowered here, not raised",
            code="hardware_raised",
            hint="leave hardware_version out",
        )
    asked = version if wanted is None else wanted
    if asked is None:
        return source, []
    if newest is not None and asked > newest:
        raise Refused(
            f"the VM has hardware version {asked}, but ESXi {release.version} runs at most {newest}",
            code="hardware_too_new",
            hint=f"set hardware_version to {newest} (or less), or restore it on a newer host",
        )
    notes = []
    if newest is None:
        notes.append(
            f"Whether ESXi {release.version} runs hardware version {asked} is not known to this version."
        )
    if asked == version:
        return source, notes
    notes.append(
        f"The hardware version is lowered from {version} to {asked}; a newer one's devices may fail."
    )
    return source.with_set({"virtualHW.version": str(asked)}), notes


async def _media(facts: Facts, vmx: Vmx, folder: DatastorePath | None) -> list[tuple[str, str]]:
    """CDs that cannot be connected; images of a new VM are disconnected by `reborn`."""
    found = []
    for cdrom in vmx.cdroms():
        if not cdrom.start_connected:
            continue
        if cdrom.device_type.lower() == "cdrom-image" or cdrom.file_name.lower().endswith(".iso"):
            if folder is not None and cdrom.file_name and not await _there(facts, cdrom.file_name, folder):
                found.append((cdrom.node, f"the host has no {cdrom.file_name}"))
        elif not vmx.flag(f"{cdrom.node}.clientDevice"):
            found.append((cdrom.node, "it is a drive of a host"))
    return found


async def _ports(facts: Facts, vmx: Vmx, folder: DatastorePath | None) -> list[tuple[str, str]]:
    """Serial and parallel ports and floppies that lead to a file or a device."""
    found = []
    for key in vmx.keys():  # noqa: SIM118
        match = _PORT.fullmatch(key)
        if match is None or not vmx.flag(key):
            continue
        device, start = match.group(1), vmx.get(f"{match.group(1)}.startConnected")
        kind = (vmx.get(f"{device}.fileType") or "device").lower()
        if (start and not vmx.flag(f"{device}.startConnected")) or vmx.flag(f"{device}.clientDevice"):
            continue
        name = vmx.get(f"{device}.fileName") or ""
        if kind == "file" and match.group(2).lower() == "floppy":
            if not name or not await _there(facts, name, folder):
                found.append((device, f"the host has no {name or 'image for it'}"))
        elif kind in ("file", "device"):
            found.append((device, f"it leads to a {kind} of a host"))
    return found


async def _there(facts: Facts, name: str, folder: DatastorePath | None) -> bool:
    if name.startswith("/"):
        return bool(await facts.read(Exists(PurePosixPath(name))))
    return folder is not None and bool(await facts.read(Exists(folder.resolve(name))))


def _raw_devices(vmx: Vmx) -> list[tuple[str, str]]:
    return [
        (match.group(1), "it is a SCSI device of a host")
        for key, value in vmx.items()
        if (match := _SCSI_RAW.fullmatch(key)) and value.lower() == "scsi-passthru"
    ]


async def _absent_pci(facts: Facts, vmx: Vmx) -> list[tuple[str, str]]:
    """Passed-through PCI devices that this host does not have (addresses: fact sheet vmkfstools §5.4)."""
    wanted = [
        match.group(1)
        for key in vmx.keys()  # noqa: SIM118
        if (match := _PASSED.fullmatch(key)) and vmx.flag(key)
    ]
    if not wanted:
        return []
    here = {
        device.address.lower(): (_number(device.vendor_id), _number(device.device_id))
        for device in await facts.read(PciDevices())
    }
    found = []
    for name in wanted:
        address = _PCI_ID.fullmatch(vmx.get(f"{name}.id") or "")
        device = None
        if address:
            domain, bus, slot, function = (int(part) for part in address.groups())
            device = here.get(f"{domain:04x}:{bus:02x}:{slot:02x}.{function:x}")
        ids = (_number(vmx.get(f"{name}.vendorId")), _number(vmx.get(f"{name}.deviceId")))
        if device is None or ids != device:
            found.append((name, "the host does not have that PCI device"))
    return found


def _number(text: str | None) -> int | None:
    try:
        return int(text or "", 16)
    except ValueError:
        return None
