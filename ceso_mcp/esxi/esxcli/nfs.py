"""`esxcli storage nfs list` and `nfs41 list`: what is mounted from NFS servers."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from ceso_mcp.esxi.esxcli.readers import flag, number, text
from ceso_mcp.esxi.esxcli.text import table

NfsVersion = Literal["3", "4.1"]


@dataclass(frozen=True, slots=True)
class NfsMount:
    """One mount, as printed.

    A share whose server does not answer is not `accessible`; one of NFS 4.1 then counts as not `mounted`
    either. `cards` names the VMkernel cards that it is bound to, "" for none; `security` is "" for NFS 3.
    """

    name: str
    version: NfsVersion
    servers: tuple[str, ...]
    share: str
    accessible: bool
    mounted: bool
    read_only: bool
    security: str = ""
    cards: str = ""
    connections: int = 1
    endpoint: bool = False


def nfs_mounts(stdout: str) -> list[NfsMount]:
    """`esxcli storage nfs list` and `nfs41 list` (esxcli-nfs-list-2, -3, -4, esxcli-nfs41-list-1).

    The title `Host(s)` tells 4.1 from 3. `Vmknic` and `Connections` are columns of newer 8.0 only, for
    4.1 `Vmknics`. Servers of 4.1 are apart by commas or blanks; no capture shows more than one.
    """
    what = "storage nfs list"
    found = []
    for row in table(stdout):
        newer = "Host(s)" in row
        cards = row.get("Vmknics" if newer else "Vmknic", "")
        found.append(
            NfsMount(
                name=text(row, "Volume Name", what),
                version="4.1" if newer else "3",
                servers=tuple(re.split(r"[,\s]+", text(row, "Host(s)" if newer else "Host", what))),
                share=text(row, "Share", what),
                accessible=flag(row, "Accessible", what),
                mounted=flag(row, "Mounted", what),
                read_only=flag(row, "Read-Only", what),
                security=text(row, "Security", what) if newer else "",
                cards="" if cards.lower() in ("none", "n/a") else cards,
                connections=number(row, "Connections", what) if "Connections" in row else 1,
                endpoint=flag(row, "isPE", what),
            )
        )
    return found
