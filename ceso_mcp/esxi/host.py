"""`vmware -v`, and what a release means."""

from __future__ import annotations

import re
from dataclasses import dataclass

from ceso_mcp.errors import Unreadable

_LINE = re.compile(r"^VMware ESXi? (\d+\.\d+\.\d+) build-(\d+)\s*$", re.M)


@dataclass(frozen=True, slots=True)
class Release:
    """A release of ESXi."""

    version: str
    build: int

    @property
    def major_minor(self) -> str:
        return ".".join(self.version.split(".")[:2])


def parse_release(stdout: str) -> Release:
    """From `VMware ESXi 8.0.2 build-22380479` (transcripts shell-vmware-v-1, -2). Raises Unreadable."""
    match = _LINE.search(stdout)
    if match is None:
        raise Unreadable("the ESXi version", "the line is of another form", line=stdout.strip())
    return Release(match[1], int(match[2]))
