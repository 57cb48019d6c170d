"""`vim-cmd hostsvc/*` and `vimsvc/*`: the commands on the host itself."""

from __future__ import annotations

import time

from ceso_mcp.lab.dump import UNSET, Arr, Null, Obj, Ref, Value, render
from ceso_mcp.lab.result import Result
from ceso_mcp.lab.storage import Storage
from ceso_mcp.lab.vim_cmd import VimCmd
from ceso_mcp.lab.world import World

LICENSE = """
   serial: 00000-00000-00000-00000-00000
   vmodl key: esx.eval.cpuPackageCoreLimited
   name: Evaluation Mode
   total: 0
   used: 0
   unit: cpuPackage:32core
   Properties:
     [ProductName] = VMware ESX Server
     [ProductVersion] = {major}
     [count_disabled] = This license is unlimited
     [feature] = vsmp:8 ("Up to 8-way virtual SMP")
     [FileVersion] = {version}.1
"""


class HostCommands:
    """Adds its commands to a `VimCmd`."""

    def __init__(self, world: World, storage: Storage) -> None:
        self._world = world
        self._storage = storage

    def add_to(self, vim: VimCmd) -> None:
        vim.add("hostsvc/hostsummary", self.summary)
        vim.add("hostsvc/hosthardware", self.hardware)
        vim.add("hostsvc/datastore/listsummary", self.datastores)
        vim.add("vimsvc/license", self.license, 1, "--show")
        vim.add("vimsvc/task_list", self.task_list)

    async def summary(self, _: list[str]) -> Result:
        """Transcript vimcmd-hostsummary-1, with config.product as the SDK names its properties."""
        world = self._world
        version = world.version
        view = Obj(
            "vim.host.Summary",
            {
                "host": Ref("vim.HostSystem:ha-host"),
                "hardware": Obj(
                    "vim.host.Summary.HardwareSummary",
                    {
                        "vendor": "Lab Systems",
                        "model": "Make-Believe 1U",
                        "uuid": world.uuid,
                        "otherIdentifyingInfo": Arr("vim.host.SystemIdentificationInfo"),
                        "memorySize": world.memory_bytes,
                        "cpuModel": "Lab CPU @ 2.90GHz",
                        "cpuMhz": world.cpu_mhz,
                        "numCpuPkgs": world.cpu_packages,
                        "numCpuCores": world.cpu_cores,
                        "numCpuThreads": world.cpu_threads,
                        "numNics": 2,
                        "numHBAs": 2,
                    },
                ),
                "runtime": Obj(
                    "vim.host.RuntimeInfo",
                    {
                        "connectionState": "connected",
                        "powerState": "poweredOn",
                        "standbyMode": UNSET,
                        "inMaintenanceMode": world.maintenance,
                        "inQuarantineMode": UNSET,
                        "bootTime": time.strftime("%Y-%m-%dT%H:%M:%S.000000Z", time.gmtime(world.booted_at)),
                    },
                ),
                "config": Obj(
                    "vim.host.Summary.ConfigSummary",
                    {
                        "name": world.hostname,
                        "port": 443,
                        "product": Obj(
                            "vim.AboutInfo",
                            {
                                "name": "VMware ESXi",
                                "fullName": f"VMware ESXi {version} build-{world.build}",
                                "vendor": "VMware, Inc.",
                                "version": version,
                                "build": world.build,
                                "localeVersion": "INTL",
                                "localeBuild": "000",
                                "osType": "vmnix-x86",
                                "productLineId": "embeddedEsx",
                                "apiType": "HostAgent",
                                "apiVersion": f"{world.release}.{world.update}.0",
                            },
                        ),
                        "vmotionEnabled": False,
                        "faultToleranceEnabled": UNSET,
                    },
                ),
                "quickStats": Obj(
                    "vim.host.Summary.QuickStats",
                    {
                        "overallCpuUsage": 60,
                        "overallMemoryUsage": 1850,
                        "distributedCpuFairness": UNSET,
                        "distributedMemoryFairness": UNSET,
                        "uptime": int(time.time() - world.booted_at),
                    },
                ),
                "overallStatus": "green",
                "rebootRequired": False,
                "customValue": UNSET,
                "managementServerIp": UNSET,
            },
        )
        return Result(render(view))

    async def hardware(self, _: list[str]) -> Result:
        world = self._world
        view = Obj(
            "vim.host.HardwareInfo",
            {
                "systemInfo": Obj(
                    "vim.host.SystemInfo",
                    {"vendor": "Lab Systems", "model": "Make-Believe 1U", "uuid": world.uuid},
                ),
                "cpuInfo": Obj(
                    "vim.host.CpuInfo",
                    {
                        "numCpuPackages": world.cpu_packages,
                        "numCpuCores": world.cpu_cores,
                        "numCpuThreads": world.cpu_threads,
                        "hz": world.cpu_mhz * 1_000_000,
                    },
                ),
                "memorySize": world.memory_bytes,
                "numaInfo": Null("vim.host.NumaInfo"),
            },
        )
        return Result(render(view))

    async def datastores(self, _: list[str]) -> Result:
        """Transcript vimcmd-datastore.listsummary-2."""
        items: list[Value] = [
            Obj(
                "vim.Datastore.Summary",
                {
                    "datastore": Ref(f"vim.Datastore:{item.uuid}"),
                    "name": item.name,
                    "url": f"/vmfs/volumes/{item.uuid}",
                    "capacity": item.size_bytes,
                    "freeSpace": self._storage.free_bytes(item),
                    "uncommitted": 0,
                    "accessible": True,
                    "multipleHostAccess": UNSET,
                    "type": "VMFS",
                    "maintenanceMode": UNSET,
                },
            )
            for item in self._world.datastores
        ]
        return Result(render(Arr("vim.Datastore.Summary", items)))

    async def license(self, arguments: list[str]) -> Result:
        if arguments[0] != "--show":
            return Result("Insufficient arguments.\nUsage: license --show\n\n", exit=1)
        major = self._world.release
        return Result(LICENSE.format(major=major, version=self._world.version))

    async def task_list(self, _: list[str]) -> Result:
        keys = [key for vm in self._world.vms.values() for key in vm.tasks]
        return Result(render(Arr("ManagedObjectReference", [Ref(f"vim.Task:{key}") for key in keys])))
