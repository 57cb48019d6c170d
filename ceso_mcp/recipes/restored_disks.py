"""Where a disk came from that was restored beside the others: a key of the .vmx that ESXi does not look at.

It holds the name of the disk's descriptor too, so that it says nothing of another disk that later takes
the same place.
"""

from __future__ import annotations

from ceso_mcp.esxi.paths import DatastorePath
from ceso_mcp.esxi.vmx import Vmx

PREFIX = "ceso.restored."


def origin_keys(node: str, backup_id: str, disk: int, path: DatastorePath) -> dict[str, str]:
    """The key that says which disk of which backup the one at `path` was made of."""
    return {_key(node): f"{backup_id} {disk} {path.name}"}


def origin_of(vmx: Vmx, node: str, base: DatastorePath) -> str | None:
    """What the disk at `node`, whose lowest link is `base`, was restored from; None if nothing is known."""
    words = (vmx.get(_key(node)) or "").split(" ", 2)
    if len(words) != 3 or words[2] != base.name:
        return None
    return f"disk {words[1]} of backup {words[0]}"


def without_origins(vmx: Vmx) -> Vmx:
    """The .vmx without such keys: its disks will be others."""
    return vmx.without([key for key in vmx.keys() if key.lower().startswith(PREFIX)])  # noqa: SIM118


def _key(node: str) -> str:
    return PREFIX + node.replace(":", "_")
