"""Which virtual hardware a release of ESXi can run."""

from __future__ import annotations

from ceso_mcp.esxi.host import Release

_NEWEST: dict[str, tuple[tuple[int, int], ...]] = {
    "5.0": ((0, 8),),
    "5.1": ((0, 9),),
    "5.5": ((0, 10),),
    "6.0": ((0, 11),),
    "6.5": ((0, 13),),
    "6.7": ((0, 14), (2, 15)),
    "7.0": ((0, 17), (1, 18), (2, 19)),
    "8.0": ((0, 20), (2, 21)),
    "9.0": ((0, 22),),
}
"""For each release line: from which update on which version is the newest (VMware KB 1003746)."""


def newest_hardware(release: Release) -> int | None:
    """The newest virtual hardware version that `release` runs; None for a line that is not known here.

    Without a known update, that of the line's first release: refusing is mended by naming a version.
    """
    steps = _NEWEST.get(release.major_minor)
    if steps is None:
        return None
    return max(version for update, version in steps if update <= (release.update or 0))
