"""The make-believe operating system on a disk: one JSON record at a fixed place in its first MiB."""

from __future__ import annotations

import json
from typing import Any

from ceso_mcp.lab.disks import operations
from ceso_mcp.lab.disks.chain import Disk, Place

OFFSET_BYTES = 512 << 10
LENGTH_BYTES = 16 << 10
MARK = b"LAB GUEST BLOCK\n"

FRESH: dict[str, Any] = {
    "os": "Ubuntu 24.04 LTS",
    "tools": True,
    "cloud_init": True,
    "hostname": "ubuntu",
    "instance_id": None,
    "machine_id": None,
    "ssh_host_key": None,
    "bootcmds_done": [],
    "network": None,
    "boots": 0,
}


def pack(block: dict[str, Any]) -> bytes:
    """The record as it lies on the disk."""
    return (MARK + json.dumps(block).encode()).ljust(LENGTH_BYTES, b"\0")


def read(path: str, place: Place) -> dict[str, Any] | None:
    """The operating system of the disk at `path`, or None when there is none that the lab knows."""
    with Disk(path, place) as disk:
        if disk.size_bytes < OFFSET_BYTES + LENGTH_BYTES:
            return None
        content = disk.read(OFFSET_BYTES, LENGTH_BYTES)
    if not content.startswith(MARK):
        return None
    found: dict[str, Any] = json.loads(content[len(MARK) :].rstrip(b"\0"))
    return found


def write(path: str, place: Place, block: dict[str, Any]) -> None:
    """The guest writes its record: the top link of the disk changes, and its content id with it."""
    with Disk(path, place, writable=True) as disk:
        disk.write(OFFSET_BYTES, pack(block))
    operations.touched(path)
