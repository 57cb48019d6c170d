"""The blueprint of a new world, out of what `Lab.start` was asked for."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from ceso_mcp.lab import world
from ceso_mcp.lab.blueprint import Blueprint, crowd, with_image


def asked(release: str | None, vms: int, world_file: Path | None) -> Blueprint | None:
    """What `world_file` describes or the usual world, with `vms` small VMs more; None: nothing was asked.

    Raises `LabFault` when the file is wrong.
    """
    if world_file is not None:
        from ceso_mcp.lab import world_file as files

        plan = files.read(world_file, release)
    elif vms:
        plan = Blueprint(release or "8.0")
    else:
        return None
    return replace(plan, vms=(*plan.vms, *crowd(vms, plan)))


def with_real_guests(plan: Blueprint, cache: Path | None, kept: Path | None) -> Blueprint | None:
    """`plan` with the real golden template; None when the world at `kept` has it already.

    Raises `LabFault` when packages or the image are missing.
    """
    from ceso_mcp.lab import golden, qemu_command

    qemu_command.needed()
    if kept is not None and has_real_guests(kept):
        return None
    return with_image(plan, str(golden.find(cache or golden.default_cache())))


def has_real_guests(kept: Path) -> bool:
    """Whether there is a world at `kept` and it was made with a real guest."""
    return kept.exists() and any(item.get("image") for item in world.load(kept).blueprint.get("vms", ()))
