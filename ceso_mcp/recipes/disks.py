"""Steps that make, copy and grow disks on the host."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import PurePosixPath

from ceso_mcp.errors import StepFailed
from ceso_mcp.esxi import vmkfstools
from ceso_mcp.esxi.paths import DatastorePath
from ceso_mcp.fact import Reply
from ceso_mcp.plan import NotYet, Recheck, Step, Undo, Until
from ceso_mcp.recipes.judging import vmkfstools_worked
from ceso_mcp.shell import Command, Detached, sh

COPY_TIMEOUT_S = 12 * 3600.0
"""An 80 GB clone takes minutes on an SSD host and hours on a bad one; the limit only ends a hang."""


def copy_disk(source: DatastorePath, target: DatastorePath, why: str, run_id: str, index: int) -> list[Step]:
    """Copy a whole disk, its snapshot chain flattened, to a new thin one; stays on the host.

    It runs detached, with its notes beside the target: a dropped connection neither ends it nor
    starts a second one. The notes go with everything else that carries the run's id.
    """
    mark = f"{run_id}-{index}"
    work = Detached(
        sh("vmkfstools", "-i", source, target, "-d", "thin"),
        target.sibling(f".ceso-{mark}"),
        PurePosixPath(f"/tmp/ceso-{mark}.pid"),
    )
    return [
        Step(
            why,
            work.start(),
            undo=Undo((work.stop(), *remove_disk_files(target).commands)),
            repeatable=True,
        ),
        Step(
            f"wait for it: {why}",
            work.look(),
            until=Until(f"copied_{index}", _copied, "the copy to be complete", COPY_TIMEOUT_S, every_s=2.0),
            reads_only=True,
        ),
    ]


def _copied(reply: Reply) -> str | NotYet:
    """Reads `Detached.look`: waits while it runs, raises StepFailed if it failed or vanished."""
    first, _, said = reply.require("looking after the copy").partition("\n")
    if first.strip() == "lost":
        raise StepFailed(
            "the copy ended on the host before it was complete",
            code="process_lost",
            hint="somebody stopped it, the host was rebooted, or the datastore is full",
        )
    if not first.strip().isdigit():
        percent = vmkfstools.parse_progress(said)
        return NotYet("it runs" if percent is None else f"{percent:.0f} %", percent)
    vmkfstools_worked(Reply(int(first), said), {})
    return "yes"


def create_disk(capacity_bytes: int, target: DatastorePath, why: str) -> Step:
    """Make an empty thin disk of exactly `capacity_bytes`."""
    return Step(
        why,
        sh("vmkfstools", "-c", capacity_bytes, "-d", "thin", target).merged(),
        judge=vmkfstools_worked,
        recheck=_has_size(target, capacity_bytes),
        undo=remove_disk_files(target),
        timeout_s=600,
    )


def grow_disk(disk: DatastorePath, size_gib: int) -> Step:
    """Grow a disk to `size_gib` in all; only for a disk without snapshots (fact sheet vmkfstools §2)."""
    return Step(
        f"grow the disk to {size_gib} GiB",
        sh("vmkfstools", "-X", f"{size_gib}G", disk).merged(),
        judge=vmkfstools_worked,
        recheck=_has_size(disk, size_gib << 30),
        timeout_s=600,
    )


def _has_size(disk: DatastorePath, capacity_bytes: int) -> Recheck:
    """Whether the disk's descriptor tells this size, in the extent line that vmkfstools writes."""
    return Recheck(sh("grep", "-c", f"^RW {capacity_bytes // 512} ", disk).merged(), one_line_found)


def one_line_found(reply: Reply) -> Mapping[str, str] | None:
    """Reads `grep -c`: exactly one line fits; none does, or there is no such file."""
    return {} if reply.ok and reply.stdout.strip() == "1" else None


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
    return Step(why, _remove(disk), repeatable=True)


def remove_disk_files(disk: DatastorePath) -> Undo:
    """Remove both files of a disk that was made by this run, whole or half.

    `vmkfstools -U` cannot open half a disk, so the files are removed by name.
    """
    return Undo((_remove(disk),))


def _remove(disk: DatastorePath) -> Command:
    stem = disk.name.removesuffix(".vmdk")
    return sh("rm", "-f", disk, disk.sibling(f"{stem}-flat.vmdk"))
