"""`esxcli storage nfs` and `nfs41`: mounts are datastores (fact sheet esxcli-and-shell §2.3).

What an NFS server holds lies beside the volumes, so a share that is mounted again shows its files again.
Except for nfs-add-error-1 the sentences of commands that fail are assumed.
"""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

from ceso_mcp.lab.esxcli_forms import Answer, Row, Scalar
from ceso_mcp.lab.esxcli_ground import Ground, table
from ceso_mcp.lab.esxcli_options import Command, Given, Option, Refused
from ceso_mcp.lab.storage import VOLUMES
from ceso_mcp.lab.world import Datastore

SHARE_BYTES = 1 << 40
# Of mounts that a blueprint describes.
SERVER = "nas.lab.example"


class NfsCommands:
    """Mounting and unmounting; a share of any host answers, and is empty at first."""

    def __init__(self, ground: Ground) -> None:
        self._ground = ground

    def commands(self) -> list[Command]:
        name = Option("volume-name", "v", required=True)
        return [
            Command("storage nfs list", "List the NAS volumes currently known to the ESX host.", self._list),
            Command(
                "storage nfs add",
                "Add a new NAS volume to the ESX Host.",
                self._add,
                (
                    Option("host", "H", required=True),
                    Option("share", "s", required=True),
                    name,
                    Option("readonly", "r", "bool"),
                    Option("is-pe", "p", "bool"),
                ),
                changes=True,
            ),
            Command("storage nfs remove", "Remove an existing NAS volume.", self._remove, (name,), True),
            Command(
                "storage nfs41 list",
                "List the NFS v4.1 volumes currently known to the ESX host.",
                self._list_41,
            ),
        ]

    def _mounts(self) -> list[Datastore]:
        return [item for item in self._ground.world.datastores if item.type == "NFS"]

    def _list(self, _: Given) -> Answer:
        """Eight columns (esxcli-nfs-list-4), on 8.0 ten (-3, which is not proven to be a capture)."""
        modern = self._ground.major >= 8
        rows: list[Row] = []
        for item in self._mounts():
            rows.append(
                {
                    "Volume Name": item.name,
                    "Host": item.remote_host or SERVER,
                    "Share": item.share or f"/{item.name}",
                    **({"Vmknic": "None"} if modern else {}),
                    "Accessible": item.accessible,
                    "Mounted": True,
                    **({"Connections": 1} if modern else {}),
                    "Read-Only": item.read_only,
                    "isPE": False,
                    "Hardware Acceleration": "Not Supported" if item.accessible else "Unknown",
                }
            )
        return table("NfsVolume", rows)

    def _list_41(self, _: Given) -> Answer:
        """Transcript esxcli-nfs41-list-1: mounts that are no datastores are stated."""
        rows: list[Row] = [
            {
                "Volume Name": item.name,
                "Host(s)": item.remote_host or SERVER,
                "Share": item.share or f"/{item.name}",
                "Accessible": item.accessible,
                "Mounted": True,
                "Read-Only": item.read_only,
                "Security": "AUTH_SYS",
                "isPE": False,
                "Hardware Acceleration": "Not Supported" if item.accessible else "Unknown",
            }
            for item in self._ground.world.datastores
            if item.type == "NFS41"
        ]
        return table("NfsVolume41", rows + self._ground.host.nfs41)

    def _add(self, given: Given) -> Scalar:
        ground, name, where = self._ground, given["volume-name"], f"{given['host']}:{given['share']}"
        start = "Unable to create new NAS volume."
        for item in self._mounts():
            if (item.remote_host, item.share) == (given["host"], given["share"]):
                raise Refused(f"{start}  {where} is already exported by a volume with the name {item.name}")
        if ground.world.datastore(name) is not None or "/" in name or name.startswith("."):
            raise Refused(f"{start}  The volume name {name} is already in use or not allowed")
        digest = hashlib.sha256(where.encode("utf-8", "surrogateescape")).hexdigest()
        uuid = f"{digest[:8]}-{digest[8:16]}"
        kept = ground.exports / uuid
        if kept.is_dir():
            kept.rename(ground.storage.volumes / uuid)
        mount = Datastore(name, uuid, SHARE_BYTES, type="NFS", device="")
        mount.remote_host, mount.share = given["host"], given["share"]
        mount.read_only = given.get("readonly", False)
        ground.world.datastores.append(mount)
        ground.storage.make_links()
        for ruleset in ground.host.rulesets:
            if ruleset.name == "nfsClient":
                ruleset.enabled = True
        return ground.done()

    def _remove(self, given: Given) -> Scalar:
        ground, name = self._ground, given["volume-name"]
        for item in self._mounts():
            if item.name == name:
                break
        else:
            raise Refused(f"Unable to find a NAS volume with the name {name}")
        if any(vm.path.startswith(f"{VOLUMES}{item.uuid}/") for vm in ground.running()):
            raise Refused(f"Unable to remove NAS volume {name}: the volume is in use")
        link = ground.storage.volumes / name
        if link.is_symlink():
            link.unlink()
        _move(ground.storage.volumes / item.uuid, ground.exports / item.uuid)
        ground.world.datastores.remove(item)
        return ground.done()


def _move(place: Path, kept: Path) -> None:
    kept.parent.mkdir(parents=True, exist_ok=True)
    if kept.exists():
        shutil.rmtree(kept)
    if place.exists():
        place.rename(kept)
