"""Everything observable about a lab as one comparable value."""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path
from typing import Any

from ceso_mcp.lab.world import World

# Files that a running or stopping VM rewrites without anybody having changed anything.
VOLATILE = re.compile(r"(^vmware(-\d+)?\.log|^\.lck-[0-9a-f]+|\.vswp|\.vmx\.lck|\.vmx~|\.scoreboard|\.hlog)$")


def file_digest(path: str) -> str:
    """SHA-256 of the content and of where its holes are; those are not read."""
    digest = hashlib.sha256()
    zeros = bytes(1 << 20)
    with open(path, "rb") as file:
        size = os.fstat(file.fileno()).st_size
        at = 0
        while at < size:
            try:
                start = os.lseek(file.fileno(), at, os.SEEK_DATA)
            except OSError:
                start = size
            digest.update(f"hole {at} {start}\n".encode() if start > at else b"")
            if start >= size:
                break
            end = os.lseek(file.fileno(), start, os.SEEK_HOLE)
            file.seek(start)
            at = start
            while at < end:
                chunk = file.read(min(len(zeros), end - at))
                digest.update(chunk)
                at += len(chunk)
    return digest.hexdigest()


def files(volumes: Path, *, volatile: bool) -> dict[str, Any]:
    """Path below the volumes to (size, digest), folders to "folder", links to their target."""
    found: dict[str, Any] = {}
    for folder, folders, names in os.walk(volumes):
        for name in [*folders, *names]:
            path = os.path.join(folder, name)
            short = os.path.relpath(path, volumes)
            if os.path.islink(path):
                found[short] = f"-> {os.readlink(path)}"
            elif name in folders:
                found[short] = "folder"
            elif volatile or not VOLATILE.search(name):
                found[short] = (os.path.getsize(path), file_digest(path))
    return dict(sorted(found.items()))


def world_part(world: World, *, volatile: bool) -> dict[str, Any]:
    """Inventory, power, networks, NFS mounts and the firewall."""
    inventory = {
        vm.vmid: {"path": vm.path, "name": vm.name, "state": vm.state, "question": vm.question is not None}
        for vm in sorted(world.vms.values(), key=lambda vm: vm.vmid)
    }
    return {
        "inventory": inventory,
        "networks": [(group.name, group.vswitch, group.vlan) for group in world.portgroups],
        "vswitches": list(world.vswitches),
        "maintenance": world.maintenance,
        "mounts": [
            (item.name, item.type, item.remote_host, item.share, item.read_only)
            for item in world.datastores
            if item.type.startswith("NFS")
        ],
        "firewall": {one.name: (one.enabled, one.allowed) for one in world.host.rulesets},
        **({"next_vmid": world.next_vmid} if volatile else {}),
    }
