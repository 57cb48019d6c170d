"""From the settings of a run to a `Ceso`: the configuration file's host, or the lab's."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from ceso_mcp.surfaces.cli.settings import Settings

if TYPE_CHECKING:
    from ceso_mcp.app import Ceso
    from ceso_mcp.audit import Actor
    from ceso_mcp.config import Config
    from ceso_mcp.lab import Lab


def lab_directory() -> Path:
    """Where the lab keeps its world: `CESO_LAB_DIR`, else `lab` in the state directory."""
    from ceso_mcp.config import state_root

    named = os.environ.get("CESO_LAB_DIR")
    return Path(named).expanduser().absolute() if named else state_root() / "lab"


def open_lab() -> Lab:
    """A handle on the lab, running or not."""
    from ceso_mcp.lab import Lab

    return Lab(lab_directory())


def open_config(settings: Settings) -> Config:
    """The configuration; with `--lab`, the one of a lab that runs now. Raises ConfigFault, LabFault."""
    from ceso_mcp import config

    if settings.lab:
        return config.lab_config(open_lab().start(), lab_directory() / "ceso")
    return config.load_config()


def open_ceso(settings: Settings) -> Ceso:
    """The one door to everything, for this run."""
    from ceso_mcp.app import Ceso

    return Ceso(open_config(settings))


def actor() -> Actor:
    """Who acts, for the audit log: whoever sits at this command line."""
    from ceso_mcp.audit import Actor

    return Actor("cli")
