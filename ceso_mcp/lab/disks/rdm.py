"""Raw device mappings: pointer files beside a descriptor, as `vmkfstools -q` tells of them (§4).

The pointer of a real host names a device inside the VMkernel. Here the pointer is a sparse file as
long as the device, and an attribute of the file names the device (assumed; it survives a rename).
"""

from __future__ import annotations

import os

from .fault import DiskFault

ATTRIBUTE = "user.device"
KINDS = {"vmfsRawDeviceMap": "Non-passthrough", "vmfsPassthroughRawDeviceMap": "Passthrough"}


def point(extent: str, device: str) -> None:
    """Let the pointer file `extent` name `device`, a vml name like `vml.0200090000…`."""
    try:
        os.setxattr(extent, ATTRIBUTE, device.encode())
    except OSError as error:
        raise DiskFault((error.errno or 5) << 16 | 9, os.strerror(error.errno or 5)) from None


def device(extent: str) -> str:
    """The vml name in the pointer file `extent`. Raises `DiskFault` 25 when it names none."""
    try:
        return os.getxattr(extent, ATTRIBUTE).decode()
    except OSError:
        raise DiskFault(25) from None


def told(shown: str, create_type: str, extent: str) -> str:
    """The answer of `-q` for a chain that ends in a mapping (vmkfstools-q-rdm-chain-1, -q-rdmp-1)."""
    return f"Disk {shown} is a {KINDS[create_type]} Raw Device Mapping\nMaps to: {device(extent)}\n"
