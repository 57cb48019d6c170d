"""Mount a share of an NFS server as a datastore."""

from __future__ import annotations

import ipaddress
import re
from typing import Annotated, ClassVar, Literal

from pydantic import AfterValidator, Field

from ceso_mcp.errors import Refused
from ceso_mcp.esxi.esxcli import NfsMount, Volume
from ceso_mcp.esxi.paths import DatastorePath
from ceso_mcp.fact import Facts
from ceso_mcp.facts.nfs import NfsMounts
from ceso_mcp.facts.storage import Exists, Volumes
from ceso_mcp.fields import existing_name
from ceso_mcp.operation import Change
from ceso_mcp.plan import Plan
from ceso_mcp.recipes.mounting import CAPACITY, FREE, Share

_LABEL = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?")
_VOLUME_ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{8}(-.*)?")
_RULE_SETS = {"3": "nfsClient", "4.1": "nfs41Client"}
LONGEST_NAME = 42
"""VMware's limit for names of datastores."""


def _name(text: str) -> str:
    existing_name(text)
    if text != text.strip() or text[0] in "-.":
        raise ValueError(
            "a datastore's name must not begin with a dash or a dot, nor begin or end with a space"
        )
    if any(char in "/\\%[]" for char in text):
        raise ValueError("a datastore's name must not hold a slash, a backslash, a percent sign or brackets")
    if _VOLUME_ID.fullmatch(text.lower()):
        raise ValueError("a datastore's name must not look like the id of a volume")
    return text


def _server(text: str) -> str:
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        pass
    labels = text.removesuffix(".").split(".")
    if not all(_LABEL.fullmatch(label) for label in labels) or labels[-1].isdigit():
        raise ValueError("a server is a host name or an IP address, without a share or a port")
    return text


def _share(text: str) -> str:
    existing_name(text)
    if not text.startswith("/"):
        raise ValueError("a share is an absolute path on its server, such as /srv/vms")
    path = text.rstrip("/") or "/"
    if path != "/" and any(part in ("", ".", "..") for part in path[1:].split("/")):
        raise ValueError("a share's path has no empty, . or .. part")
    return path


class MountDatastore(Change):
    """Mount a share of an NFS server as a datastore, by NFS 3 or NFS 4.1 (AUTH_SYS).

    Refused when the name is taken, or the share is mounted already: two mounts of one share, or one by each
    version, would not see each other's locks. It counts as done when the host says that the server answers;
    otherwise the mount is removed again. ESXi opens its own firewall for NFS when it mounts. To make VMs on
    the datastore the server must let the host in as root (no_root_squash).
    """

    title: ClassVar[str] = "Mount an NFS datastore"
    toolset: ClassVar[str] = "host"

    name: Annotated[str, AfterValidator(_name)] = Field(
        min_length=1, max_length=LONGEST_NAME, description="name of the new datastore"
    )
    servers: tuple[Annotated[str, AfterValidator(_server)], ...] = Field(
        min_length=1,
        max_length=8,
        description="name or address of the NFS server; for 4.1 also several, which are ways to one server",
    )
    share: Annotated[str, AfterValidator(_share)] = Field(
        min_length=1, max_length=1024, description="path of the share on its server"
    )
    version: Literal["3", "4.1"] = Field("3", description="the protocol that the server offers it by")
    read_only: bool = Field(False, description="mount it read-only: for CD images and templates")
    wait_s: int = Field(60, ge=1, le=600, description="how long to wait until the server answers, in seconds")

    async def plan(self, facts: Facts) -> Plan:
        wanted = Share(self.name, self.version, self.servers, self.share, self.read_only)
        if self.version == "3" and len(self.servers) > 1:
            raise Refused(
                "NFS 3 knows one server only", code="one_server", hint="give one server, or use version 4.1"
            )
        if len({server.lower() for server in self.servers}) < len(self.servers):
            raise Refused("a server is named twice", code="server_twice")
        volumes, mounts = await facts.read(Volumes(), NfsMounts())
        _refuse_same_share(wanted, mounts)
        _refuse_taken(wanted.name, volumes, mounts)
        if await facts.read(Exists(DatastorePath(wanted.name))):
            raise _taken(wanted.name, "something of that name is among the host's volumes")
        return Plan(
            title=f"mount {wanted} as datastore {wanted.name}",
            steps=tuple(wanted.mount_steps(self.wait_s)),
            touches=(
                f"datastore {wanted.name}",
                f"firewall rule set {_RULE_SETS[self.version]}, which ESXi opens by itself",
            ),
            warnings=_other_servers(wanted, mounts),
            before_after=((f"datastore {wanted.name}", "not there", str(wanted)),),
            outcome={
                "datastore": wanted.name,
                "version": wanted.version,
                "servers": wanted.servers,
                "share": wanted.path,
                "read_only": wanted.read_only,
                "capacity_bytes": CAPACITY,
                "free_bytes": FREE,
            },
        )


def _refuse_same_share(wanted: Share, mounts: tuple[NfsMount, ...]) -> None:
    for mount in mounts:
        if not wanted.same_files(mount):
            continue
        there = Share.of(mount)
        if mount.name != wanted.name:
            raise Refused(
                f"the share is mounted already, as datastore {mount.name!r} ({there})",
                code="share_mounted",
                hint=f"use {mount.name!r}, or unmount it first",
            )
        if there != wanted:
            raise Refused(
                f"datastore {mount.name!r} is this share, but mounted as {there}, not as {wanted}",
                code="mounted_otherwise",
                hint="unmount it first",
            )
        raise Refused(
            f"datastore {mount.name!r} is mounted just so already"
            + ("" if mount.accessible else ", but its server does not answer"),
            code="already_mounted",
            hint="there is nothing to do" if mount.accessible else "see to its server, or unmount it",
        )


def _refuse_taken(name: str, volumes: tuple[Volume, ...], mounts: tuple[NfsMount, ...]) -> None:
    names = {mount.name: f"NFS {mount.version}" for mount in mounts}
    names |= {volume.name: volume.type for volume in volumes}
    for other, kind in names.items():
        if other.casefold() == name.casefold():
            raise _taken(name, f"there is a datastore {other!r} ({kind})")


def _taken(name: str, why: str) -> Refused:
    return Refused(f"the name {name!r} is taken: {why}", code="name_taken", hint="choose another name")


def _other_servers(wanted: Share, mounts: tuple[NfsMount, ...]) -> tuple[str, ...]:
    return tuple(
        f"Datastore {mount.name} is {mount.share} too, of {', '.join(mount.servers)}. If that is the same"
        " server by another name, VMs must not use both."
        for mount in mounts
        if mount.share.rstrip("/") == wanted.path.rstrip("/") and not wanted.same_files(mount)
    )
