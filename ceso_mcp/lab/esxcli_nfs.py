"""`esxcli storage nfs` and `nfs41`: mounts are datastores (fact sheet esxcli-and-shell §2.3).

What an NFS server holds lies beside the volumes, so a share that is mounted again shows its files again.
Except for nfs-add-error-1 the sentences of commands that fail are assumed. The firewall follows VMware's
"NFS Client Firewall Behavior" (vSphere Storage).
"""

from __future__ import annotations

import shutil
from pathlib import Path

from ceso_mcp.errors import LabFault
from ceso_mcp.lab.blueprint import NFS_SERVER, nfs_identity
from ceso_mcp.lab.esxcli_forms import Answer, Row, Scalar
from ceso_mcp.lab.esxcli_ground import Ground, table
from ceso_mcp.lab.esxcli_options import Command, Given, Option, Refused
from ceso_mcp.lab.host_config import Ruleset
from ceso_mcp.lab.storage import VOLUMES
from ceso_mcp.lab.world import Datastore

SHARE_BYTES = 1 << 40


class NfsCommands:
    """Mounting and unmounting; a share of any host answers, and is empty at first."""

    def __init__(self, ground: Ground) -> None:
        self._ground = ground

    def commands(self) -> list[Command]:
        name = Option("volume-name", "v", required=True)
        share, read_only = Option("share", "s", required=True), Option("readonly", "r", "flag")
        return [
            Command("storage nfs list", "List the NAS volumes currently known to the ESX host.", self._list),
            Command(
                "storage nfs add",
                "Add a new NAS volume to the ESX Host.",
                lambda given: self._add(given, "NFS", [given["host"]]),
                (Option("host", "H", required=True), share, name, read_only, Option("is-pe", "p", "flag")),
                changes=True,
            ),
            Command(
                "storage nfs remove",
                "Remove an existing NAS volume.",
                lambda given: self._remove(given, "NFS"),
                (name,),
                changes=True,
            ),
            Command(
                "storage nfs41 list",
                "List the NFS v4.1 volumes currently known to the ESX host.",
                self._list_41,
            ),
            Command(
                "storage nfs41 add",
                "Add a new NFS v4.1 volume to the ESX Host.",
                lambda given: self._add(given, "NFS41", _hosts(given["hosts"])),
                (Option("hosts", "H", required=True, many=True), share, name, read_only),
                changes=True,
            ),
            Command(
                "storage nfs41 remove",
                "Remove an existing NFS v4.1 volume.",
                lambda given: self._remove(given, "NFS41"),
                (name,),
                changes=True,
            ),
        ]

    def _mounts(self, kind: str) -> list[Datastore]:
        return [item for item in self._ground.world.datastores if item.type == kind]

    def _list(self, _: Given) -> Answer:
        """Eight columns (esxcli-nfs-list-4), on 8.0 ten (-3, which is not proven to be a capture)."""
        modern = self._ground.major >= 8
        rows: list[Row] = []
        for item in self._mounts("NFS"):
            rows.append(
                {
                    "Volume Name": item.name,
                    "Host": item.remote_host or NFS_SERVER,
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
                "Host(s)": item.remote_host or NFS_SERVER,
                "Share": item.share or f"/{item.name}",
                "Accessible": item.accessible,
                "Mounted": item.accessible,
                "Read-Only": item.read_only,
                "Security": "AUTH_SYS",
                "isPE": False,
                "Hardware Acceleration": "Not Supported" if item.accessible else "Unknown",
            }
            for item in self._mounts("NFS41")
        ]
        return table("NfsVolume41", rows + self._ground.host.nfs41)

    def _add(self, given: Given, kind: str, servers: list[str]) -> Scalar:
        """The id is made of server and share, so that a share has the same one whenever it is mounted."""
        ground, name, host = self._ground, given["volume-name"], ",".join(servers)
        where = f"{host}:{given['share']}"
        start = "Unable to create new NAS volume."
        for item in self._mounts(kind):
            if (item.remote_host, item.share) == (host, given["share"]):
                raise Refused(f"{start}  {where} is already exported by a volume with the name {item.name}")
        if ground.world.datastore(name) is not None or "/" in name or name.startswith("."):
            raise Refused(f"{start}  The volume name {name} is already in use or not allowed")
        uuid = nfs_identity(host, given["share"])
        kept = ground.exports / uuid
        if kept.is_dir():
            kept.rename(ground.storage.volumes / uuid)
        mount = Datastore(name, uuid, SHARE_BYTES, type=kind, device="")
        mount.remote_host, mount.share = host, given["share"]
        mount.read_only = given.get("readonly", False)
        ground.world.datastores.append(mount)
        ground.storage.make_links()
        self._open_firewall(kind, servers)
        return ground.done()

    def _remove(self, given: Given, kind: str) -> Scalar:
        """A share that has vanished can be removed; its files are with its server."""
        ground, name = self._ground, given["volume-name"]
        for item in self._mounts(kind):
            if item.name == name:
                break
        else:
            raise Refused(f"Unable to find a NAS volume with the name {name}")
        if any(vm.path.startswith(f"{VOLUMES}{item.uuid}/") for vm in ground.running()):
            raise Refused(f"Unable to remove NAS volume {name}: the volume is in use")
        link, place = ground.storage.volumes / name, ground.storage.volumes / item.uuid
        if link.is_symlink():
            link.unlink()
        if place.is_symlink():
            place.unlink()
        else:
            _move(place, ground.exports / item.uuid)
        ground.world.datastores.remove(item)
        self._close_firewall(item)
        return ground.done()

    def vanish(self, name: str) -> None:
        """The server answers no more. Raises `LabFault` if no such share is mounted.

        Every path below it then fails with an error other than "not there": the folder is a link to itself.
        """
        item, place = self._mounted(name)
        if item.accessible:
            _move(place, self._ground.exports / item.uuid)
            place.symlink_to(item.uuid)
            item.accessible = False
            self._ground.save()

    def come_back(self, name: str) -> None:
        """The server answers again. Raises `LabFault` if no such share is mounted."""
        item, place = self._mounted(name)
        if not item.accessible:
            place.unlink()
            (self._ground.exports / item.uuid).rename(place)
            item.accessible = True
            self._ground.save()

    def _mounted(self, name: str) -> tuple[Datastore, Path]:
        for item in self._ground.world.datastores:
            if item.name == name and item.type in ("NFS", "NFS41"):
                return item, self._ground.storage.volumes / item.uuid
        raise LabFault(f"the lab has no NFS datastore {name!r}")

    # --- the firewall

    def _ruleset(self, kind: str) -> Ruleset | None:
        name = {"NFS": "nfsClient", "NFS41": "nfs41Client"}[kind]
        return next((one for one in self._ground.host.rulesets if one.name == name), None)

    def _open_firewall(self, kind: str, servers: list[str]) -> None:
        ruleset = self._ruleset(kind)
        if ruleset is None:
            return
        if kind == "NFS41":
            ruleset.allowed = []
        elif not ruleset.enabled:
            ruleset.allowed = list(servers)
        elif ruleset.allowed:
            ruleset.allowed += [server for server in servers if server not in ruleset.allowed]
        ruleset.enabled = True

    def _close_firewall(self, gone: Datastore) -> None:
        """For NFS 3 only: a removed 4.1 mount leaves its port open."""
        ruleset, left = self._ruleset("NFS"), self._mounts("NFS")
        if gone.type != "NFS" or ruleset is None:
            return
        if gone.remote_host in ruleset.allowed and all(x.remote_host != gone.remote_host for x in left):
            ruleset.allowed.remove(gone.remote_host)
        if not left:
            ruleset.enabled = False


def _hosts(given: list[str]) -> list[str]:
    """One word with commas, or several words."""
    return [host for word in given for host in word.split(",") if host]


def _move(place: Path, kept: Path) -> None:
    kept.parent.mkdir(parents=True, exist_ok=True)
    if kept.exists():
        shutil.rmtree(kept)
    if place.exists():
        place.rename(kept)
