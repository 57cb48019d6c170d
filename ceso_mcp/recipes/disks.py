"""Steps that make, copy and grow disks on the host."""

from __future__ import annotations

from ceso_mcp.esxi import vmkfstools
from ceso_mcp.esxi.paths import DatastorePath
from ceso_mcp.plan import Step, Undo
from ceso_mcp.recipes.judging import vmkfstools_worked
from ceso_mcp.shell import sh

COPY_TIMEOUT_S = 12 * 3600.0
"""An 80 GB clone takes minutes on an SSD host and hours on a bad one; the limit only ends a hang."""


def copy_disk(source: DatastorePath, target: DatastorePath, why: str) -> Step:
    """Copy a whole disk, its snapshot chain flattened, to a new thin one; stays on the host."""
    return Step(
        why,
        sh("vmkfstools", "-i", source, target, "-d", "thin").merged(),
        judge=vmkfstools_worked,
        percent=vmkfstools.parse_progress,
        undo=remove_disk_files(target),
        timeout_s=COPY_TIMEOUT_S,
    )


def create_disk(capacity_bytes: int, target: DatastorePath, why: str) -> Step:
    """Make an empty thin disk of exactly `capacity_bytes`."""
    return Step(
        why,
        sh("vmkfstools", "-c", capacity_bytes, "-d", "thin", target).merged(),
        judge=vmkfstools_worked,
        undo=remove_disk_files(target),
        timeout_s=600,
    )


def grow_disk(disk: DatastorePath, size_gib: int) -> Step:
    """Grow a disk to `size_gib` in all; only for a disk without snapshots (fact sheet vmkfstools §2)."""
    return Step(
        f"grow the disk to {size_gib} GiB",
        sh("vmkfstools", "-X", f"{size_gib}G", disk).merged(),
        judge=vmkfstools_worked,
        timeout_s=600,
    )


def check_chain(disk: DatastorePath) -> Step:
    """Let the host check that the disk opens."""
    return Step(
        "check that the disk opens",
        sh("vmkfstools", "-e", disk).merged(),
        judge=vmkfstools_worked,
        reads_only=True,
    )


def delete_disk(disk: DatastorePath, why: str) -> Step:
    """Remove a temporary disk of ours."""
    return Step(why, sh("vmkfstools", "-U", disk).merged(), judge=vmkfstools_worked)


def remove_disk_files(disk: DatastorePath) -> Undo:
    """Remove both files of a disk that was made by this run, whole or half.

    `vmkfstools -U` cannot open half a disk, so the files are removed by name.
    """
    stem = disk.name.removesuffix(".vmdk")
    return Undo((sh("rm", "-f", disk, disk.sibling(f"{stem}-flat.vmdk")),))
