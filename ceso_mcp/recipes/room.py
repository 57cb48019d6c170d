"""Free space while something grows: a running VM must not stop because its backup took its room."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from ceso_mcp.errors import StepFailed
from ceso_mcp.fact import Reply
from ceso_mcp.facts.storage import LIST_DATASTORES, datastores_of
from ceso_mcp.plan import Captures, Step, Watch

LEAST_FREE_BYTES = 512 << 20
"""The distance kept: a VM that can write no more waits with a question until somebody answers it."""
EVERY_S = 30.0


def watched(steps: Iterable[Step], names: Iterable[str]) -> list[Step]:
    """The same steps; those that take long end with `datastore_full` when one of these is nearly full."""
    watch = room_left(sorted(set(names)))
    return [replace(step, watch=watch) if step.until or step.into else step for step in steps]


def room_left(names: list[str]) -> Watch:
    """Sees that each of these datastores has `LEAST_FREE_BYTES` left."""

    def judge(reply: Reply, captures: Captures) -> None:
        for volume in datastores_of(reply):
            if volume.name in names and volume.free_bytes < LEAST_FREE_BYTES:
                raise StepFailed(
                    f"datastore {volume.name!r} has only {volume.free_bytes >> 20} MiB left, and VMs that run"
                    " on it need them",
                    code="datastore_full",
                    hint="free some space, let the copies go elsewhere with temporary_datastore, or back up"
                    " while less is written",
                )

    return Watch(
        LIST_DATASTORES,
        judge,
        f"at least {LEAST_FREE_BYTES >> 20} MiB free on {', '.join(names)}",
        every_s=EVERY_S,
    )
