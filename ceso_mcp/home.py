"""Paths that begin with the home directory, also where there is none."""

from __future__ import annotations

import os
from pathlib import Path

from ceso_mcp.errors import ConfigFault


def expanded(path: Path) -> Path:
    """`path` with a leading `~` replaced; raises ConfigFault `home_missing` if nobody knows by what."""
    try:
        return path.expanduser()
    except RuntimeError:
        raise _missing(path) from None


def under_home(path: Path) -> Path:
    """`path` as the platform gives it; raises ConfigFault `home_missing` if its home is not there.

    A home that is missing is not made: it may be one that is not mounted.
    """
    home = Path(os.path.expanduser("~"))
    if not path.is_absolute() or (path.is_relative_to(home) and not home.is_dir()):
        raise _missing(path)
    return path


def _missing(path: Path) -> ConfigFault:
    return ConfigFault(
        f"there is no home directory to keep {path} in",
        code="home_missing",
        hint="set HOME to a directory of yours, or CESO_CONFIG and CESO_STATE to other places",
    )
