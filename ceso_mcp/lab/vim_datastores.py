"""`vim-cmd hostsvc/datastore/*`, `hostsvc/datastorebrowser/*` and `solo/environment`."""

from __future__ import annotations

import os
import time

from ceso_mcp.lab.disks.chain import links
from ceso_mcp.lab.disks.fault import DiskFault
from ceso_mcp.lab.dump import OMITTED, UNSET, Arr, Obj, Ref, Value, fault
from ceso_mcp.lab.result import Faulted, Result
from ceso_mcp.lab.storage import VOLUMES, Storage
from ceso_mcp.lab.view_names import kind, reference
from ceso_mcp.lab.vim_cmd import VimCmd
from ceso_mcp.lab.vim_vm import environment
from ceso_mcp.lab.world import Datastore, World

FILE_KINDS = {
    ".vmx": "VmConfigInfo",
    ".log": "VmLogFileInfo",
    ".nvram": "VmNvramFileInfo",
    ".vmsn": "VmSnapshotFileInfo",
    ".iso": "IsoImageFileInfo",
}


class DatastoreCommands:
    """Adds its commands to a `VimCmd`."""

    def __init__(self, world: World, storage: Storage) -> None:
        self._world, self._storage = world, storage

    def add_to(self, vim: VimCmd) -> None:
        vim.add("hostsvc/datastore/listsummary", self.list_summary)
        vim.add("hostsvc/datastore/summary", self.summary, 1, "datastore_name")
        vim.add("hostsvc/datastore/info", self.info, 1, "datastore_name")
        vim.add("hostsvc/datastore/listvm", self.list_vm, 1, "datastore_name")
        vim.add("hostsvc/datastore/refresh", self.refresh, 1, "datastore_name")
        vim.add("hostsvc/datastorebrowser/search", self.search, 2, "datastore_browser datastore_path")
        vim.add("solo/environment", self.environment)

    def _find(self, name: str) -> Datastore:
        found = self._world.datastore(name)
        if found is None:
            raise Faulted(fault("vim.fault.NotFound", "The object or item referred to could not be found."))
        return found

    def _summary(self, item: Datastore) -> Obj:
        return Obj(
            "vim.Datastore.Summary",
            {
                "datastore": Ref(reference(item)),
                "name": item.name,
                "url": f"{VOLUMES}{item.uuid}",
                "capacity": self._storage.size_bytes(item),
                "freeSpace": self._storage.free_bytes(item),
                "uncommitted": 0,
                "accessible": item.accessible,
                "multipleHostAccess": UNSET,
                "type": kind(item),
                "maintenanceMode": UNSET,
            },
        )

    async def list_summary(self, _: list[str]) -> Result:
        """Transcript vimcmd-datastore.listsummary-2."""
        items: list[Value] = [self._summary(item) for item in self._world.datastores]
        return Result(self._world.vim.render(Arr("vim.Datastore.Summary", items)))

    async def summary(self, arguments: list[str]) -> Result:
        return Result(self._world.vim.render(self._summary(self._find(arguments[0]))))

    async def info(self, arguments: list[str]) -> Result:
        """The summary and the volume; the names are those that scripts grep for (fact sheet §7).

        The words for NFS are the SDK's (assumed).
        """
        item = self._find(arguments[0])
        summary = self._summary(item)
        volume = Obj(
            "vim.host.VmfsVolume",
            {
                "type": kind(item),
                "name": item.name,
                "capacity": item.size_bytes,
                "blockSizeMb": 1,
                "uuid": item.uuid,
            },
        )
        nas = kind(item).startswith("NFS")
        if nas:
            volume = Obj(
                "vim.host.NasVolume",
                {
                    "type": kind(item),
                    "name": item.name,
                    "capacity": item.size_bytes,
                    "remoteHost": item.remote_host,
                    "remotePath": item.share,
                    "userName": UNSET,
                },
            )
        info = Obj(
            "vim.host.NasDatastoreInfo" if nas else "vim.host.VmfsDatastoreInfo",
            {
                "name": item.name,
                "url": f"{VOLUMES}{item.uuid}",
                "freeSpace": self._storage.free_bytes(item),
                "maxFileSize": 70368744177664,
                "nas" if nas else "vmfs": volume,
            },
        )
        return Result(self._world.vim.render(summary) + self._world.vim.render(info))

    async def list_vm(self, arguments: list[str]) -> Result:
        item = self._find(arguments[0])
        keys: list[Value] = [
            Ref(f"vim.VirtualMachine:{vm.vmid}")
            for vm in self._world.vms.values()
            if self._storage.of(vm.path) is item
        ]
        return Result(self._world.vim.render(Arr("ManagedObjectReference", keys)))

    async def refresh(self, arguments: list[str]) -> Result:
        self._find(arguments[0])
        return Result()

    async def environment(self, _: list[str]) -> Result:
        """The datastores and networks of the host's `ConfigTarget` (transcript vimcmd-solo.environment-1)."""
        stores: list[Value] = [
            Obj("vim.vm.DatastoreInfo", {"name": item.name, "datastore": self._summary(item)})
            for item in self._world.datastores
        ]
        target = Obj(
            "vim.vm.ConfigTarget",
            {
                "numCpus": self._world.cpu_threads,
                "numCpuCores": self._world.cpu_cores,
                "numNumaNodes": 1,
                "datastore": Arr("vim.vm.DatastoreInfo", stores),
                "network": environment(self._world),
                "distributedVirtualPortgroup": OMITTED,
            },
        )
        return Result(self._world.vim.render(target))

    async def search(self, arguments: list[str]) -> Result:
        """What lies in a folder, without its extents (transcript vimcmd-datastorebrowser.search-1)."""
        return self._search(arguments[1])

    def _search(self, place: str) -> Result:
        path = self._storage.canonical(place if "] " in place else place.replace("]", "] ", 1))
        here = self._storage.here(path) if path is not None else ""
        datastore = self._storage.of(path) if path is not None else None
        if path is None or datastore is None or not os.path.isdir(here):
            text = f"File {place} was not found"
            raise Faulted(fault("vim.fault.FileNotFound", text, file=place))
        names = sorted(os.listdir(here))
        extents = ("-flat.vmdk", "-sesparse.vmdk", "-delta.vmdk", "-ctk.vmdk")
        items = [self._file(f"{path}/{name}") for name in names if not name.endswith(extents)]
        found = Obj(
            "vim.host.DatastoreBrowser.SearchResults",
            {
                "datastore": Ref(reference(datastore)),
                "folderPath": place,
                "file": Arr("vim.host.DatastoreBrowser.FileInfo", items) if items else OMITTED,
            },
        )
        return Result(self._world.vim.render(found))

    def _file(self, path: str) -> Value:
        here = self._storage.here(path)
        facts = os.stat(here)
        name = os.path.basename(path)
        word = FILE_KINDS.get(os.path.splitext(name)[1], "FileInfo")
        word = "FolderFileInfo" if os.path.isdir(here) else word
        fields: dict[str, Value] = {
            "path": name,
            "fileSize": facts.st_size,
            "modification": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(facts.st_mtime)),
            "owner": UNSET,
        }
        if name.endswith(".vmdk"):
            try:
                link = links(here, self._storage.here)[0]
            except (DiskFault, OSError):
                return Obj(f"vim.host.DatastoreBrowser.{word}", fields)
            word = "VmDiskInfo"
            extent = f"{VOLUMES}{os.path.relpath(link.extent, self._storage.volumes)}"
            size = os.stat(link.extent)
            version = link.descriptor.ddb.get("virtualHWVersion", "4")
            adapter = link.descriptor.ddb.get("adapterType", "lsilogic")
            fields |= {
                "fileSize": size.st_blocks * 512 if link.descriptor.thin else size.st_size,
                "diskType": "vim.vm.device.VirtualDisk.FlatVer2BackingInfo",
                "capacityKb": link.descriptor.size_bytes >> 10,
                "hardwareVersion": int(version) if version.isdigit() else 4,
                "controllerType": "vim.vm.device.VirtualIDEController"
                if adapter == "ide"
                else "vim.vm.device.VirtualLsiLogicController",
                "diskExtents": Arr("string", [self._storage.bracketed(extent)]),
                "thin": link.descriptor.thin,
            }
        return Obj(f"vim.host.DatastoreBrowser.{word}", fields)
