"""`vim-cmd hostsvc/*` and `vimsvc/*`: the commands on the host itself."""

from __future__ import annotations

import time

from ceso_mcp.lab.dump import UNSET, Arr, Null, Obj, Ref, Value
from ceso_mcp.lab.result import Result
from ceso_mcp.lab.storage import Storage
from ceso_mcp.lab.vim_cmd import VimCmd
from ceso_mcp.lab.vim_datastores import DatastoreCommands
from ceso_mcp.lab.vim_settings import SettingCommands
from ceso_mcp.lab.vim_tasks import Tasks
from ceso_mcp.lab.world import ON, World


class HostCommands:
    """Adds its commands to a `VimCmd`."""

    def __init__(self, world: World, storage: Storage) -> None:
        self._world = world
        self._storage = storage

    def add_to(self, vim: VimCmd) -> None:
        vim.add("hostsvc/hostsummary", self.summary)
        vim.add("hostsvc/hosthardware", self.hardware)
        vim.add("hostsvc/runtimeinfo", self.runtime_info)
        vim.add("hostsvc/maintenance_mode_enter", self.maintenance_enter)
        vim.add("hostsvc/maintenance_mode_exit", self.maintenance_exit)
        DatastoreCommands(self._world, self._storage).add_to(vim)
        SettingCommands(self._world).add_to(vim)

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
                "runtime": self._runtime(),
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
        return Result(self._world.vim.render(view))

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
        return Result(self._world.vim.render(view))

    def _runtime(self) -> Obj:
        """`vim.host.RuntimeInfo` (transcripts vimcmd-hostsummary-1, -2)."""
        vim = self._world.vim
        fields: dict[str, Value] = {
            "connectionState": "connected",
            "powerState": "poweredOn",
            "standbyMode": UNSET,
            "inMaintenanceMode": self._world.maintenance,
        }
        if vim.at_least("6.5"):
            fields["inQuarantineMode"] = UNSET
        fields["bootTime"] = time.strftime("%Y-%m-%dT%H:%M:%S.000000Z", time.gmtime(self._world.booted_at))
        if vim.at_least("6.5"):
            fields["cpuCapacityForVm"] = UNSET
            fields["memoryCapacityForVm"] = UNSET
            fields["hostMaxVirtualDiskCapacity"] = 68169720922112
        return Obj("vim.host.RuntimeInfo", fields)

    async def runtime_info(self, _: list[str]) -> Result:
        return Result(self._world.vim.render(self._runtime()))

    def _maintain(self, on: bool, method: str) -> Result:
        """Prints its task up to 5.x and nothing later (transcripts vimcmd-maintenance_mode-2, -3, -5)."""
        tasks = Tasks(self._world)
        task = tasks.begin(None, method)
        tasks.end(task)
        self._world.maintenance = on
        text = f"'vim.Task:{task.key}'\n" if not self._world.vim.at_least("6.0") else ""
        return Result(text, changed=True)

    async def maintenance_enter(self, _: list[str]) -> Result:
        """Does not wait while VMs run but fails at once; stdout and 1 are assumed (maintenance_mode-4)."""
        if any(vm.state == ON for vm in self._world.vms.values()):
            return Result("Operation timed out.\n", exit=1)
        return self._maintain(True, "enterMaintenanceMode")

    async def maintenance_exit(self, _: list[str]) -> Result:
        return self._maintain(False, "exitMaintenanceMode")
