"""Where the disks of a VM that comes back go: into its folder, or to other datastores.

On another datastore they get a folder of their own, made and marked by the run like the VM's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import BaseModel, Field

from ceso_mcp.errors import Refused
from ceso_mcp.esxi.esxcli import Volume
from ceso_mcp.esxi.paths import DatastorePath
from ceso_mcp.fact import Facts
from ceso_mcp.facts.storage import Exists
from ceso_mcp.fields import DatastoreName
from ceso_mcp.plan import Estimate, Step
from ceso_mcp.recipes.place import Place, mounted_volume

DiskNode = Annotated[str, Field(min_length=1, max_length=20, pattern=r"^[A-Za-z]+[0-9]+:[0-9]+$")]


class SpreadFields(BaseModel):
    """The parameter that names other datastores for some disks."""

    disk_datastores: dict[DiskNode, DatastoreName] = Field(
        default_factory=dict,
        max_length=256,
        description="datastore of single disks, by their place in the VM: nvme0:2, scsi0:1",
    )


@dataclass(frozen=True, slots=True)
class Spread:
    """`main` is the VM's folder, `others` are those on other datastores, `where` has that of each disk.

    `disks` are the records of the backup's manifest, in order.
    """

    main: Place
    others: tuple[Place, ...]
    where: tuple[Place, ...]
    disks: tuple[Any, ...]

    def disk(self, position: int) -> DatastorePath:
        return self.where[position].disk(position)

    def file_name(self, position: int) -> str:
        """What the .vmx calls a disk."""
        path, place = self.disk(position), self.where[position]
        return path.name if place == self.main else absolute(path, place.volume)

    def claims(self) -> list[Step]:
        """Make the folders, the VM's last."""
        return [
            *(place.claim(f"make a folder for its disks on {place.volume.name}") for place in self.others),
            self.main.claim(),
        ]

    def hand_over(self, final: Place | None = None) -> Step:
        """Take the marks off all folders; the VM's is `final` if it has been moved."""
        return (final or self.main).hand_over(self.others)

    def require_room(self, what: str, more_bytes: int = 0) -> None:
        """Refuse, code `datastore_full`, unless each datastore has room for its disks, and the VM's for
        `more_bytes` besides."""
        self.main.require_room(self.bytes_on(self.main) + more_bytes, what)
        for place in self.others:
            place.require_room(self.bytes_on(place), f"what goes there of {what}")

    def bytes_on(self, place: Place) -> int:
        pairs = zip(self.disks, self.where, strict=True)
        return sum(disk.data_bytes for disk, where in pairs if where == place)

    def estimate(self) -> Estimate:
        """The bytes of all disks; the free space is that of the VM's datastore."""
        free = self.main.volume.free_bytes
        size = sum(disk.data_bytes for disk in self.disks)
        return Estimate(size, self.main.volume.name, free, free - self.bytes_on(self.main))

    def touches(self) -> tuple[str, ...]:
        return tuple(f"folder {place.folder} (new)" for place in self.others)

    def rows(self) -> tuple[tuple[str, str, str], ...]:
        """Where each disk goes, for a reader, if not all go into one folder."""
        if not self.others:
            return ()
        return tuple((disk.node, "", str(self.disk(i))) for i, disk in enumerate(self.disks))


def absolute(path: DatastorePath, volume: Volume) -> str:
    """What a .vmx in another folder calls `path`: by the volume's id, which no renaming changes (fact sheet
    vmkfstools §5.2)."""
    return DatastorePath(volume.uuid, path.path).posix()


async def spread(
    facts: Facts, main: Place, disks: Sequence[Any], wanted: Mapping[str, str], folder_name: str
) -> Spread:
    """The disks of a backup in `main`, but for those that are `wanted` (by node) on another datastore.

    There the folder is `folder_name`, which also begins the names of what lies in it. Raises Refused:
    `no_such_disk`, `no_such_datastore`, `datastore_unavailable`, `folder_exists`.
    """
    asked = {node.lower(): name for node, name in wanted.items()}
    nodes = [disk.node.lower() for disk in disks]
    unknown = [node for node in wanted if node.lower() not in nodes]
    if unknown:
        raise Refused(
            f"the backup has no disk {unknown[0]}",
            code="no_such_disk",
            hint=f"its disks: {', '.join(disk.node for disk in disks) or 'none'}",
        )
    places = {main.volume.name: main}
    for name in asked.values():
        if name in places:
            continue
        volume = await mounted_volume(facts, name)
        folder = DatastorePath(name, folder_name)
        if await facts.read(Exists(folder)):
            raise Refused(f"the folder {folder} exists already", code="folder_exists")
        places[name] = Place(main.name, folder_name, volume, folder, main.run_id)
    where = tuple(places[asked.get(node, main.volume.name)] for node in nodes)
    return Spread(main, tuple(p for p in places.values() if p != main), where, tuple(disks))
