"""What the captures of vim-cmd data objects say, from 4.x to 8.x."""

from __future__ import annotations

from typing import Any

from captures import Case, Edited

from ceso_mcp.esxi.dump import DumpObject, Ref, parse_dump, parse_dumps
from ceso_mcp.esxi.guest import parse_guest
from ceso_mcp.esxi.host import parse_host_summary


def at(*paths: str) -> Any:
    """A reader: the type of the one object and its values at `paths`."""

    def values(text: str) -> Any:
        found = parse_dump(text)
        assert isinstance(found, DumpObject)
        return found.type, [found.get(path) for path in paths]

    return values


def column(*names: str) -> Any:
    """A reader: the values called `names` of each object of the one list."""

    def listed(text: str) -> Any:
        found = parse_dump(text)
        assert isinstance(found, list)
        return [tuple(item.get(name) for name in names) for item in found if isinstance(item, DumpObject)]

    return listed


def references(text: str) -> Any:
    found = parse_dump(text)
    assert isinstance(found, list)
    return [item.key for item in found if isinstance(item, Ref)]


def one_reference(text: str) -> Any:
    found = parse_dump(text)
    assert isinstance(found, Ref)
    return found.type, found.key


def networks(text: str) -> Any:
    return [item.get("name") for item in parse_dumps(text) if isinstance(item, DumpObject)]


def device_keys(text: str) -> Any:
    found = parse_dump(text)
    assert isinstance(found, DumpObject)
    devices = found.objects("device")
    nic = devices[-1]
    return (
        found.get("memoryMB"),
        [(d.number("key"), d.type.rpartition(".")[2]) for d in devices],
        nic.get("macAddress"),
        nic.get("backing.network"),
    )


def option_values(text: str) -> Any:
    found = parse_dump(text)
    assert isinstance(found, DumpObject)
    options = {o.text("key"): o.text("value") for o in found.objects("extraConfig")}
    return (
        found.get("name"),
        len(options),
        options["nvram"],
        options["checkpoint.vmState"],
        found.get("datastoreUrl"),
    )


def guest(text: str) -> Any:
    info = parse_guest(text)
    return (
        info.tools_running,
        info.tools_status,
        info.host_name,
        info.ip_address,
        [(n.mac, n.addresses, n.network) for n in info.nics],
        info.guest_state,
    )


def host(text: str) -> Any:
    found = parse_host_summary(text)
    return (
        found.vendor,
        found.memory_bytes,
        found.cpu_packages,
        found.cpu_cores,
        found.cpu_threads,
        found.maintenance_mode,
        found.cpu_usage_mhz,
        found.memory_usage_mib,
        found.uptime_s,
    )


CUT = Edited("cut off by the author")
TASK = "vim.VirtualMachine.powerOn"

CASES = [
    Case(
        "vimcmd-autostart-1.txt",
        column("key", "startAction", "startOrder", "stopAction"),
        [
            (Ref("vim.VirtualMachine:3"), "powerOn", 1, "systemDefault"),
            (Ref("vim.VirtualMachine:7"), "none", -1, None),
        ],
    ),
    Case(
        "vimcmd-datastore.listsummary-1.txt",
        column("name", "capacity", "freeSpace", "type", "accessible"),
        [
            ("local-datastore", 31138512896, 26277314560, "VMFS", True),
            ("nfs-datastore", 975027175424, 108854874112, "NFS", True),
        ],
    ),
    Case(
        "vimcmd-datastore.listsummary-2.txt",
        column("name", "uncommitted", "maintenanceMode"),
        [("dataStorage", 0, None), ("vmStorage", 1329283568, None)],
    ),
    Case(
        "vimcmd-datastore.listsummary-3.txt",
        column("datastore", "freeSpace"),
        [(Ref("vim.Datastore:539bdf84-f652f3f9-ee0a-080027796f03"), 520093696)],
    ),
    Case("vimcmd-datastorebrowser.search-1.txt", parse_dump, CUT),
    Case(
        "vimcmd-device.getdevices-1.txt",
        device_keys,
        (
            3072,
            [
                (200, "VirtualIDEController"),
                (201, "VirtualIDEController"),
                (300, "VirtualPS2Controller"),
                (100, "VirtualPCIController"),
                (400, "VirtualSIOController"),
                (600, "VirtualKeyboard"),
                (700, "VirtualPointingDevice"),
                (500, "VirtualVideoCard"),
                (12000, "VirtualVMCIDevice"),
                (7000, "VirtualUSBController"),
                (0, "VirtualUSB"),
                (1000, "VirtualLsiLogicSASController"),
                (3002, "VirtualCdrom"),
                (2000, "VirtualDisk"),
                (8000, "VirtualFloppy"),
                (4000, "VirtualE1000"),
            ],
            "00:0c:29:31:8b:16",
            Ref("vim.Network:HaNetwork-VM Network"),
        ),
    ),
    Case("vimcmd-device.getdevices-2.txt", parse_dump, Edited("an excerpt with ... in it")),
    Case(
        "vimcmd-get.config-1.txt",
        option_values,
        (
            "test_192.168.0.70",
            49,
            "test_192.168.0.70.nvram",
            "",
            [
                DumpObject(
                    "vim.vm.ConfigInfo.atastoreUrlPair",
                    {
                        "dynamicType": None,
                        "name": "datastore1",
                        "url": "/vmfs/volumes/4ee1d386-5b79612c-d9b1-1cc1de17e90e/",
                    },
                )
            ],
        ),
    ),
    Case(
        "vimcmd-get.filelayoutex-1.txt",
        lambda text: [f.text("type") for f in parse_dump(text).objects("file")],  # type: ignore[union-attr]
        ["config", "diskDescriptor", "diskExtent", "log"],
    ),
    Case(
        "vimcmd-get.guest-1.txt",
        guest,
        (False, "toolsNotInstalled", None, None, [], "running"),
    ),
    Case("vimcmd-get.guest-2.txt", guest, (False, "toolsNotInstalled", None, None, [], "notRunning")),
    Case(
        "vimcmd-get.guest-3.txt",
        guest,
        (
            True,
            "toolsOk",
            "debian",
            "192.168.200.9",
            [
                (
                    "00:0c:29:62:e8:6d",
                    ("192.168.200.9", "fe80::20c:29ff:fe62:e86d"),
                    "Kubernetes Network",
                )
            ],
            "running",
        ),
    ),
    Case("vimcmd-get.guest-5.txt", guest, Edited("three lines picked by grep")),
    Case("vimcmd-get.networks-1.txt", networks, ["VM Network"]),
    Case(
        "vimcmd-get.runtime-1.txt",
        at("powerState", "bootTime", "question", "maxMemoryUsage", "consolidationNeeded"),
        ("vim.vm.RuntimeInfo", ["poweredOn", "2015-02-04T00:28:55.507435Z", None, 32, False]),
    ),
    Case(
        "vimcmd-get.snapshotinfo-1.txt",
        at("currentSnapshot"),
        ("vim.vm.SnapshotInfo", [Ref("vim.vm.Snapshot:3-1")]),
    ),
    Case(
        "vimcmd-get.summary-1.txt",
        at("config.name", "config.vmPathName", "config.memorySizeMB", "storage.committed", "overallStatus"),
        (
            "vim.vm.Summary",
            [
                "vm-ark-mcnc-9 (nonpersistent: vmwarewinxp-base234-v12)",
                "[nfs-datastore] vm-ark-mcnc-9_234-v12/vm-ark-mcnc-9_234-v12.vmx",
                1024,
                4408509391,
                "green",
            ],
        ),
    ),
    Case(
        "vimcmd-get.summary-2.txt",
        at("runtime.powerState", "config.uuid", "guest.hostName", "config.template"),
        ("vim.vm.Summary", ["poweredOff", "564d379a-5654-a8b9-daab-2ed352d83be0", None, False]),
    ),
    Case(
        "vimcmd-get.tasklist-1.txt",
        references,
        [f"haTask-512-{TASK}-2826", f"haTask-512-{TASK}-2843", f"haTask-512-{TASK}-2856"],
    ),
    Case(
        "vimcmd-get.tasklist-3.txt",
        references,
        [
            "haTask-2-vim.VirtualMachine.createSnapshot-182550283",
            "haTask-2-vim.VirtualMachine.consolidateDisks-182550274",
        ],
    ),
    Case(
        "vimcmd-get.tasklist-4.txt",
        references,
        ["haTask-112-vim.VirtualMachine.createSnapshot-3887"],
    ),
    Case("vimcmd-task_list-1.txt", references, Edited("the author replaced the task and its quote")),
    Case(
        "vimcmd-task_info-2.txt",
        at("key", "state", "error.msg", "reason.userName", "progress"),
        (
            "vim.TaskInfo",
            [f"haTask-496-{TASK}-3072", "error", "The task was canceled by a user.", "root", 100],
        ),
    ),
    Case(
        "vimcmd-maintenance_mode-2.txt",
        one_reference,
        ("vim.Task", "haTask-ha-host-vim.HostSystem.enterMaintenanceMode-20"),
    ),
    Case(
        "vimcmd-maintenance_mode-3.txt",
        one_reference,
        ("vim.Task", "haTask-ha-host-vim.HostSystem.exitMaintenanceMode-18"),
    ),
    Case(
        "vimcmd-hostsummary-1.txt",
        host,
        ("QEMU", 8589328384, 1, 8, 8, False, 60, 1850, 72306),
    ),
    Case("vimcmd-hostsummary-2.txt", host, CUT),
    Case("vimcmd-hosthardware-1.txt", parse_dump, Edited("the page lost <unset>, and the end was cut")),
    Case("vimcmd-net.query_networkhint-1.txt", parse_dump, Edited("an excerpt with ... in it")),
    Case("vimcmd-solo.environment-1.txt", parse_dump, Edited("one section, without its object")),
]
