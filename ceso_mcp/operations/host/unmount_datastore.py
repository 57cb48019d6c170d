"""Unmount an NFS datastore."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from ceso_mcp.errors import Refused
from ceso_mcp.esxi.esxcli import NfsMount
from ceso_mcp.fact import Facts
from ceso_mcp.facts.backups import DatastoresOfBackups
from ceso_mcp.facts.inventory import Inventory
from ceso_mcp.facts.nfs import NfsMounts
from ceso_mcp.facts.storage import Volumes
from ceso_mcp.fields import DatastoreName
from ceso_mcp.operation import Change
from ceso_mcp.plan import Plan
from ceso_mcp.recipes.in_use import refuse_used
from ceso_mcp.recipes.mounting import Share


class UnmountDatastore(Change):
    """Unmount an NFS datastore. No data is destroyed: its files stay on the server.

    Refused while a registered VM, on or off, has its .vmx, a disk, a link of a snapshot chain, a CD image or
    a swap file there, while the host's scratch or log folder lies there, and while the configured repository
    or a copy of it is there. Works for a server that does not answer any more, too. Datastores that are no
    NFS mounts are never touched.
    """

    title: ClassVar[str] = "Unmount an NFS datastore"
    toolset: ClassVar[str] = "host"

    name: DatastoreName = Field(description="exact name of the datastore")
    even_backups: bool = Field(
        False, description="also when the configured repository or a copy is on it: no backup can run then"
    )

    async def plan(self, facts: Facts) -> Plan:
        volumes, mounts, places = await facts.read(Volumes(), NfsMounts(), DatastoresOfBackups())
        mount = next((one for one in mounts if one.name == self.name), None)
        volume = next((one for one in volumes if one.name == self.name), None)
        if mount is None:
            if volume is not None:
                raise Refused(
                    f"datastore {self.name!r} is {volume.type}, no NFS mount; ceso unmounts NFS only",
                    code="not_nfs",
                )
            known = ", ".join(repr(one.name) for one in mounts) or "none"
            raise Refused(
                f"there is no NFS datastore {self.name!r}",
                code="no_such_datastore",
                hint=f"NFS datastores here: {known}",
            )
        if mount.endpoint:
            raise Refused(
                f"{self.name!r} is a protocol endpoint of virtual volumes, no plain mount",
                code="protocol_endpoint",
            )
        ids = {mount.name, volume.uuid if volume is not None else mount.name}
        backups = [what for datastore, what in places if datastore in ids]
        if backups and not self.even_backups:
            raise Refused(
                f"{' and '.join(backups)} would be out of reach",
                code="backups_on_datastore",
                hint="set even_backups to unmount it all the same; the backups stay on the server",
            )
        unknown = await refuse_used(facts, self.name, volume, await facts.read(Inventory()))
        share, special = Share.of(mount), _special(mount)
        return Plan(
            title=f"unmount datastore {share.name} ({share}); its files stay on the server",
            steps=tuple(share.unmount_steps(can_be_added_again=not special)),
            touches=(f"datastore {share.name}", *backups),
            warnings=(
                *unknown,
                *(f"Out of reach until it is mounted again: {what}." for what in backups),
                *(
                    f"It is mounted with {what}, and ceso does not know how to mount it so again."
                    for what in special
                ),
            ),
            before_after=((f"datastore {share.name}", str(share), "not mounted"),),
            outcome={
                "datastore": share.name,
                "unmounted": True,
                "version": share.version,
                "servers": share.servers,
                "share": share.path,
                "read_only": share.read_only,
            },
        )


def _special(mount: NfsMount) -> list[str]:
    """What of a mount cannot be told to `add` by what is known of it."""
    found = []
    if mount.cards:
        found.append(f"VMkernel card {mount.cards}")
    if mount.connections > 1:
        found.append(f"{mount.connections} connections")
    return found
