"""Steps that bring a backed-up disk back to the host, each block read back and compared."""

from __future__ import annotations

from typing import Any

from ceso_mcp.backup.actions import ComparedHere, DigestsFrom, DiskFrom, FileFrom, Way
from ceso_mcp.esxi.paths import DatastorePath
from ceso_mcp.esxi.vmx import Vmx
from ceso_mcp.plan import Step
from ceso_mcp.recipes.disks import check_chain, create_disk
from ceso_mcp.recipes.spreading import Spread
from ceso_mcp.recipes.transfer import compare_disk, compare_disk_here, write_disk, write_file


def has_nvram(manifest: Any) -> bool:
    """Whether the backup holds the firmware's settings."""
    return any(file.name == "vm.nvram" for file in manifest.files)


def restore_files(manifest: Any, disks: Spread, way: Way) -> list[Step]:
    """Claim the folders of a VM and bring back into them its disks and the settings of its firmware."""
    made = []
    for position, disk in enumerate(manifest.disks):
        made += restore_disk(manifest.id, disk, disks.disk(position), way)
    if has_nvram(manifest):
        nvram = FileFrom(manifest.id, "vm.nvram")
        made.append(write_file(nvram, disks.main.nvram, "restore the firmware's settings"))
    return [*disks.claims(), *disks.main.owned(made)]


def restore_disk(backup_id: str, disk: Any, target: DatastorePath, way: Way) -> list[Step]:
    """Make a thin disk at `target` and fill it from `disk`, a record of the backup's manifest."""
    flat = target.sibling(target.name.removesuffix(".vmdk") + "-flat.vmdk")
    return [
        create_disk(disk.capacity_bytes, target, f"make an empty disk {disk.index}"),
        write_disk(flat, DiskFrom(backup_id, disk.index, disk.capacity_bytes, way), disk.data_bytes),
        compare_disk_here(flat, ComparedHere(backup_id, disk.index))
        if way == "dd"
        else compare_disk(flat, DigestsFrom(backup_id, disk.index), disk.capacity_bytes),
        check_chain(target),
    ]


def without_lost_disks(source: Vmx, manifest: Any) -> tuple[Vmx, list[str]]:
    """The backup's .vmx without the disks that the backup does not hold, and their nodes."""
    kept = {disk.node for disk in manifest.disks}
    lost = [disk.node for disk in source.disks() if disk.node not in kept]
    gone = [key for key in source.keys() if key.split(".")[0].lower() in lost]  # noqa: SIM118
    return source.without(gone), lost
