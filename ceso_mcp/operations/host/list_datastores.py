"""List the datastores of the host."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from ceso_mcp.esxi.esxcli import NfsMount, Volume
from ceso_mcp.fact import Facts
from ceso_mcp.facts.nfs import NfsMounts
from ceso_mcp.facts.storage import Datastores
from ceso_mcp.operation import Answer, Query


class DatastoreRow(Answer):
    """One datastore."""

    name: str
    type: str
    capacity_bytes: int
    free_bytes: int
    mounted: bool
    accessible: bool | None = Field(
        description="whether the server of an NFS datastore answers; null for one that is not NFS"
    )
    read_only: bool | None = Field(description="null for one that is not NFS")
    servers: list[str] = Field(description="of an NFS datastore")
    share: str = Field(description="path of an NFS datastore on its server")


class DatastoreList(Answer):
    """Datastores, by name."""

    datastores: list[DatastoreRow]


class ListDatastores(Query):
    """List the datastores: type, size, free space, and for NFS ones server, share and whether it answers."""

    title: ClassVar[str] = "List datastores"
    toolset: ClassVar[str] = "host"
    result: ClassVar[type[Answer]] = DatastoreList

    async def answer(self, facts: Facts) -> DatastoreList:
        volumes, mounts = await facts.read(Datastores(), NfsMounts())
        by_name = {mount.name: mount for mount in mounts}
        rows = [_row(volume, by_name.pop(volume.name, None)) for volume in volumes]
        # A mount that the host does not show among its volumes, as its server does not answer.
        rows += [
            _row(Volume("", name, "", mount.mounted, _type(mount), 0, 0), mount)
            for name, mount in by_name.items()
        ]
        return DatastoreList(datastores=sorted(rows, key=lambda row: row.name))


def _type(mount: NfsMount) -> str:
    return "NFS" if mount.version == "3" else "NFS41"


def _row(volume: Volume, mount: NfsMount | None) -> DatastoreRow:
    return DatastoreRow(
        name=volume.name,
        type=volume.type,
        capacity_bytes=volume.size_bytes,
        free_bytes=volume.free_bytes,
        mounted=volume.mounted and (mount is None or mount.mounted),
        accessible=None if mount is None else mount.accessible,
        read_only=None if mount is None else mount.read_only,
        servers=[] if mount is None else list(mount.servers),
        share="" if mount is None else mount.share,
    )
