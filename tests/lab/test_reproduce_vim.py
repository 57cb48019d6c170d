"""Every capture of vim-cmd: from a stated world the lab prints it to the byte, or it is listed why not."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from ceso_mcp.lab import vim_snapshots, vmx
from ceso_mcp.lab.command_log import CommandLog
from ceso_mcp.lab.disks import operations
from ceso_mcp.lab.fault_rules import FaultRules
from ceso_mcp.lab.hostd import Hostd
from ceso_mcp.lab.layout import Layout
from ceso_mcp.lab.vim_state import Task
from ceso_mcp.lab.vmsd import Snapshot
from ceso_mcp.lab.vmx import Settings
from ceso_mcp.lab.world import ON, Datastore, Portgroup, Vm, World

HERE = Path(__file__).parent / "transcripts"
NAMES = sorted(path.stem for pattern in ("vimcmd-*.txt", "vimmsg-*.txt") for path in HERE.glob(pattern))


def captured(name: str) -> str:
    return (HERE / f"{name}.txt").read_text("utf-8")


@dataclass
class Stated:
    """A world as a test states it, and a way to run vim-cmd on it. Nothing of the seed is in it."""

    folder: Path
    world: World
    hostd: Hostd = field(init=False)

    def __post_init__(self) -> None:
        layout = Layout(self.folder)
        layout.make()
        (layout.host / "etc" / "vmware" / "hostd").mkdir(parents=True, exist_ok=True)
        self.world.store(layout.world)
        self.hostd = Hostd(layout, CommandLog(layout.command_log), FaultRules(layout.faults))
        self.world = self.hostd.world

    def vm(self, vmid: int, name: str, path: str, *, state: str = "", **settings: str) -> Vm:
        """A VM whose VMX exists; `path` is as getallvms shows it."""
        place = self.hostd.storage.canonical(path)
        assert place is not None
        pairs = [("displayName", name), *((key.replace("__", "."), item) for key, item in settings.items())]
        here = Path(self.hostd.storage.here(place))
        here.parent.mkdir(parents=True, exist_ok=True)
        vmx.store(here, Settings(pairs))
        made = Vm(vmid, place, pairs)
        if state:
            made.state = state
        self.world.vms[vmid] = made
        return made

    def run(self, *words: str) -> str:
        """Both streams, stderr after stdout, as a terminal merges them."""
        result = asyncio.run(self.hostd.vim.run(list(words)))
        return result.stdout + result.stderr


def state(folder: Path, *, era: str = "8.0", blanks: bool = True, release: str = "8.0") -> Stated:
    """A host without datastores, networks and VMs."""
    world = World(
        release=release,
        version=f"{release}.3",
        build="24022510",
        update="3",
        patch="35",
        hostname="esxi",
        uuid="66f0a1b0-1234-5678-9abc-3cecef000010",
        booted_at=1700000000.0,
        installed_on="2025-03-01",
    )
    world.vim.era, world.vim.line_end_blanks = era, blanks
    return Stated(folder, world)


Make = Callable[[Path], tuple[str, str]]
MADE: dict[str, Make] = {}


def reproduces(*names: str) -> Callable[[Callable[[Path, str], tuple[str, str]]], Any]:
    """The function returns what the lab prints and what is expected of it."""

    def keep(function: Callable[[Path, str], tuple[str, str]]) -> Any:
        for name in names:
            MADE[f"vimcmd-{name}"] = lambda folder, name=name: function(folder, f"vimcmd-{name}")
        return function

    return keep


def ends_stripped(text: str) -> str:
    return "".join(f"{line.rstrip()}\n" for line in text.splitlines())


ROW = re.compile(r"^(\d+)\s+(.+?)\s{3,}(\[.*?\.vmx)\s+(\S+)\s+(vmx-\d+)\s*(.*)$")
GUESTS = {
    "winLonghorn64Guest": "winlonghorn-64",
    "windows7Server64Guest": "windows7srv-64",
    "otherGuest": "other",
    "otherLinux64Guest": "otherlinux-64",
}


def guest_os(identifier: str) -> str:
    """The word of a VMX for a guest id of a table."""
    if identifier in GUESTS:
        return GUESTS[identifier]
    word = identifier.removesuffix("Guest")
    return re.sub(r"_?64$", "-64", word)


@reproduces(*(f"getallvms-{n}" for n in (1, 2, 3, 5, 6, 9, 11, 12, 14, 19, 21)))
def _table(folder: Path, name: str) -> tuple[str, str]:
    """The VMs are stated by the capture's rows; widths, order and padding are the lab's."""
    text = captured(name)
    stated = state(folder)
    skipped = re.findall(r"^Skipping invalid VM '(\d+)'$", text, re.M)
    body = re.sub(r"^Skipping.*\n", "", text)
    notes = {"3": "Rocky linux 8\nautostart"} if name.endswith("-9") else {}
    for line in body.splitlines()[1:]:
        row = ROW.match(line)
        if row is None:
            assert line.strip() == "autostart"
            continue
        store = row[3][1:].partition("] ")[0]
        if stated.world.datastore(store) is None:
            stated.world.datastores.append(Datastore(store, f"u{len(stated.world.datastores)}", 1 << 40))
        extra = {"annotation": notes.get(row[1], row[6].strip())}
        version = {"virtualHW__version": str(int(row[5][4:]))}
        stated.vm(int(row[1]), row[2], row[3], guestOS=guest_os(row[4]), **version, **extra)
    for vmid in skipped:
        stated.world.datastores.append(Datastore("lost", "lost", 1 << 40))
        stated.vm(int(vmid), "lost", f"[lost] {vmid}/{vmid}.vmx")
        (stated.folder / "volumes" / "lost" / vmid / f"{vmid}.vmx").unlink()
    result = asyncio.run(stated.hostd.vim.run(["vmsvc/getallvms"]))
    return ends_stripped(result.stderr + result.stdout), ends_stripped(text)


@reproduces("getallvms-22")
def _skipped(folder: Path, name: str) -> tuple[str, str]:
    stated = state(folder)
    stated.world.datastores.append(Datastore("lost", "lost", 1 << 40))
    for vmid in re.findall(r"\d+", captured(name)):
        stated.vm(int(vmid), "x", f"[lost] {vmid}/{vmid}.vmx")
        (folder / "volumes" / "lost" / vmid / f"{vmid}.vmx").unlink()
    return asyncio.run(stated.hostd.vim.run(["vmsvc/getallvms"])).stderr, captured(name)


def one_vm(folder: Path, vmid: int, **how: Any) -> Stated:
    power = how.pop("power", "")
    stated = state(folder, **how)
    stated.world.datastores.append(Datastore("datastore1", "u0", 1 << 40))
    stated.vm(vmid, "x", "[datastore1] x/x.vmx", state=power, memSize="32")
    return stated


POWER: dict[str, tuple[str, dict[str, Any]]] = {
    "power.getstate-1": ("power.getstate", {}),
    "power.getstate-2": ("power.getstate", {"power": ON}),
    "power.on-1": ("power.on", {}),
    "power.on-4": ("power.on", {"power": ON, "era": "6.0"}),
    "power.on-5": ("power.on", {"power": ON, "era": "5.x", "blanks": False}),
    "power.on-6": ("power.on", {"power": ON, "era": "6.5"}),
    "power.off-2": ("power.off", {"era": "5.x", "blanks": False}),
    "power.off-3": ("power.off", {"era": "6.5"}),
    "power.reset-1": ("power.reset", {}),
    "power.suspend-1": ("power.suspend", {"power": ON}),
    "power.suspend-2": ("power.suspend", {"era": "6.0"}),
    "message-3": ("message", {}),
    "reload-1": ("reload", {}),
}


@reproduces(*POWER)
def _power(folder: Path, name: str) -> tuple[str, str]:
    word, how = POWER[name.removeprefix("vimcmd-")]
    stated = one_vm(folder, 5, **how)
    stated.hostd.guests.boot = lambda vm: None  # type: ignore[union-attr, method-assign]
    return stated.run(f"vmsvc/{word}", "5"), captured(name)


ARK = "vm-ark-mcnc-9_234-v12"
NO_VM = {
    "unregister-1": ("16", "5.x", False),
    "unregister-2": (
        "/vmfs/volumes/nfs-datastore/vm-ark-mcnc-9_234-v12/vm-ark-mcnc-9_234-v12.vmx",
        "5.x",
        False,
    ),
    "registervm-5": ("(vim.fault.NotFound)", "6.5", False),
    "registervm-6": ("(vim.fault.AlreadyExists)", "5.x", True),
}


@reproduces(*NO_VM)
def _no_vm(folder: Path, name: str) -> tuple[str, str]:
    word, era, blanks = NO_VM[name.removeprefix("vimcmd-")]
    return state(folder, era=era, blanks=blanks).run("vmsvc/unregister", word), captured(name)


@reproduces("registervm-2")
def _pool(folder: Path, name: str) -> tuple[str, str]:
    stated = one_vm(folder, 5, era="6.0")
    return stated.run("solo/registervm", "[datastore1] y/y.vmx", "y", "none"), captured(name)


@reproduces("registervm-3")
def _no_vmx(folder: Path, name: str) -> tuple[str, str]:
    stated = one_vm(folder, 5, era="5.x", blanks=False)
    return stated.run("solo/registervm", "/vmfs/volumes/datastore1/no/no.vmx"), captured(name)


@reproduces("registervm-4")
def _again(folder: Path, name: str) -> tuple[str, str]:
    """The closing brace was not kept."""
    stated = one_vm(folder, 51, era="6.0", blanks=False)
    return stated.run("solo/registervm", "[datastore1] x/x.vmx").removesuffix("}\n"), captured(name)


@reproduces("createdummyvm-1")
def _dummy(folder: Path, name: str) -> tuple[str, str]:
    stated = state(folder, era="5.x", release="5.5")
    stated.world.datastores.append(Datastore("LocalDatastore_001", "u0", 1 << 40))
    words = ("testVM", "[LocalDatastore_001]/testVM/testVM.vmx")
    made = stated.run("vmsvc/createdummyvm", *words)
    assert ends_stripped(stated.run("vmsvc/getallvms")) == ends_stripped(captured("vimcmd-getallvms-19"))
    return made, captured(name)


def snapshots_of(text: str) -> list[Snapshot]:
    """The nodes of a linear tree."""
    import calendar
    import time

    found: list[Snapshot] = []
    pattern = r"Name +: (.*)\n.*Id +: (\d+)\n.*Desciption +: ?(.*)\n.*Created On +: (.*)\n.*State +: (.*)\n"
    for label, uid, note, when, power in re.findall(pattern, text):
        at = calendar.timegm(time.strptime(when, "%m/%d/%Y %H:%M:%S"))
        parent = found[-1].uid if found else 0
        found.append(Snapshot(int(uid), parent, "", label, note, at * 1_000_000, power == "powered on"))
    return found


@reproduces(*(f"snapshot.get-{n}" for n in (1, 2, 3, 5, 6, 7)), "snapshot.remove-1", "snapshot.revert-1")
def _tree(folder: Path, name: str) -> tuple[str, str]:
    """The author of snapshot.get-1 aligned the colon of the ids."""
    text = captured(name)
    made = text.splitlines(keepends=True)[0] + vim_snapshots.tree(snapshots_of(text))
    return ends_stripped(made), ends_stripped(text.replace("Snapshot Id          :", "Snapshot Id        :"))


@reproduces("snapshot.create-1", "snapshot.create-3", "snapshot.removeall-1", "snapshot.removeall-2")
def _banner(folder: Path, name: str) -> tuple[str, str]:
    stated = one_vm(folder, 6)
    word = name.split("-")[1]
    words = ("BeforeRHEL", "Snapshot before RHEL8 Migration", "0", "0") if word.endswith("create") else ()
    return stated.run(f"vmsvc/{word}", "6", *words), captured(name)


def with_tasks(folder: Path, *keys: str, **how: Any) -> Stated:
    stated = state(folder, era="5.x", blanks=False, **how)
    stated.world.datastores.append(Datastore("datastore1", "u0", 1 << 40))
    for key in keys:
        entity, method, number = re.match(r"haTask-(\d+)-vim.VirtualMachine.(\w+)-(\d+)", key).groups()  # type: ignore[union-attr]
        if int(entity) not in stated.world.vms:
            stated.vm(int(entity), "x", f"[datastore1] {entity}/{entity}.vmx")
        stated.world.vim.tasks.append(Task(int(number), entity, "x", method, 0.0))
    return stated


@reproduces("get.tasklist-1", "get.tasklist-3", "get.tasklist-4")
def _tasks(folder: Path, name: str) -> tuple[str, str]:
    """Indentation differs in -3 and is lost in -4."""
    text = captured(name)
    keys = re.findall(r"vim.Task:(.*)'", text)
    made = with_tasks(folder, *keys).run("vmsvc/get.tasklist", keys[0].split("-")[1])
    return made, re.sub(r"^ *'", "   '", text, flags=re.M)


@reproduces("task_info-1")
def _no_task(folder: Path, name: str) -> tuple[str, str]:
    """Indentation is lost."""
    made = state(folder, era="5.x", blanks=False).run("vimsvc/task_info", "3887")
    return re.sub(r"^ +", "", made, flags=re.M), captured(name)


@reproduces("task_info-2")
def _task(folder: Path, name: str) -> tuple[str, str]:
    key = "haTask-496-vim.VirtualMachine.powerOn-3072"
    stated = with_tasks(folder, key)
    task = stated.world.vim.tasks[0]
    task.entity_name = "vm-ark-mcnc-9 (nonpersistent: vmwarewinxp-base234-v12)"
    task.queued_at, task.completed_at, task.state = 1277887724.187347, 1277887766.381383, "error"
    task.error = ("vmodl.fault.RequestCanceled", "The task was canceled by a user.")
    return stated.run("vimsvc/task_info", key), captured(name)


@reproduces("maintenance_mode-2", "maintenance_mode-3")
def _maintenance(folder: Path, name: str) -> tuple[str, str]:
    stated = state(folder, era="5.x")
    stated.world.next_task = 19 if name.endswith("-2") else 17
    return stated.run("hostsvc/maintenance_mode_" + ("enter" if name.endswith("-2") else "exit")), captured(
        name
    )


@reproduces("maintenance_mode-4", "maintenance_mode-5")
def _maintenance_late(folder: Path, name: str) -> tuple[str, str]:
    stated = one_vm(folder, 5, era="6.5", power=ON if name.endswith("-4") else "")
    return stated.run("hostsvc/maintenance_mode_enter"), captured(name)


@reproduces("runtimeinfo-1")
def _runtime_info(folder: Path, name: str) -> tuple[str, str]:
    """Through grep, indentation lost."""
    stated = state(folder, era="5.x", blanks=False)
    stated.world.maintenance = True
    lines = [line for line in stated.run("hostsvc/runtimeinfo").splitlines() if "maint" in line.lower()]
    return "".join(f"{line.strip()}\n" for line in lines), captured(name)


@reproduces("get.guest-1")
def _guest(folder: Path, name: str) -> tuple[str, str]:
    stated = one_vm(folder, 1, power=ON, blanks=False)
    vm = stated.world.vms[1]
    vm.config = [*vm.config, ("virtualHW.version", "20")]
    return stated.run("vmsvc/get.guest", "1"), captured(name)


@reproduces("get.networks-1")
def _networks(folder: Path, name: str) -> tuple[str, str]:
    stated = one_vm(folder, 101, era="5.x")
    stated.world.portgroups.append(Portgroup("VM Network", "vSwitch0"))
    vm = stated.world.vms[101]
    vm.config = [*vm.config, ("ethernet0.networkName", "VM Network")]
    return stated.run("vmsvc/get.networks", "101"), captured(name)


@reproduces("get.runtime-1")
def _runtime(folder: Path, name: str) -> tuple[str, str]:
    stated = one_vm(folder, 1, era="5.x", blanks=False, power=ON)
    stated.world.cpu_mhz = 2496
    vm = stated.world.vms[1]
    vm.booted_at, vm.measured = 1423009735.507435, {"overhead_bytes": 36478976}
    return stated.run("vmsvc/get.runtime", "1"), captured(name)


LISTS: dict[str, tuple[str, bool, list[tuple[str, str, int, int, str]]]] = {
    "datastore.listsummary-2": (
        "6.5",
        True,
        [
            ("dataStorage", "5f3215f2-49c43e04-00b5-002481827d55", 239981297664, 214053158912, "VMFS-6"),
            ("vmStorage", "5fbccd01-70743049-2728-002481827d55", 499826819072, 440241487872, "VMFS-6"),
        ],
    ),
    "datastore.listsummary-3": (
        "5.x",
        False,
        [("datastore1", "539bdf84-f652f3f9-ee0a-080027796f03", 536870912, 520093696, "VMFS-5")],
    ),
}


@reproduces(*LISTS)
def _stores(folder: Path, name: str) -> tuple[str, str]:
    """The space that disks of VMs may still take is 0 in the lab; one capture has another number."""
    era, blanks, stores = LISTS[name.removeprefix("vimcmd-")]
    stated = state(folder, era=era, blanks=blanks)
    free = {}
    for label, uuid, size, left, kind in stores:
        stated.world.datastores.append(Datastore(label, uuid, size, kind))
        free[uuid] = left
    stated.hostd.storage.free_bytes = lambda item: free[item.uuid]  # type: ignore[method-assign]
    text = captured(name).replace("uncommitted = 1329283568", "uncommitted = 0")
    return stated.run("hostsvc/datastore/listsummary"), text


@reproduces("get.datastores-1")
def _datastores(folder: Path, name: str) -> tuple[str, str]:
    stated = state(folder, blanks=False)
    uuid = "54d15e2c-eeeeeeee-9cff-080027b1c126"
    stated.world.datastores.append(Datastore("LocalDatastore_001", uuid, 10468982784))
    stated.vm(1, "testVM", "[LocalDatastore_001] testVM/testVM.vmx")
    stated.hostd.storage.free_bytes = lambda item: 9544138752  # type: ignore[method-assign]
    return stated.run("vmsvc/get.datastores", "1"), captured(name)


HELP = {
    "help-root-1": ((), "8.0"),
    "help-vmsvc-2": (("vmsvc",), "5.x"),
    "help-hostsvc-1": (("hostsvc/",), "8.0"),
    "help-autostartmanager-1": (("hostsvc/autostartmanager/",), "8.0"),
    "usage-1": (("vmsvc/snapshot.create",), "5.x"),
    "usage-2": (("vmsvc/snapshot.remove",), "5.x"),
    "usage-3": (("vmsvc/snapshot.revert",), "5.x"),
    "usage-5": (("vmsvc/power.off",), "8.0"),
}


@reproduces(*HELP)
def _help(folder: Path, name: str) -> tuple[str, str]:
    words, era = HELP[name.removeprefix("vimcmd-")]
    return ends_stripped(state(folder, era=era).run(*words)), ends_stripped(captured(name))


@reproduces("message-1")
def _message(folder: Path, name: str) -> tuple[str, str]:
    """The indentation of the choices is lost."""
    stated = one_vm(folder, 222, era="5.x")
    stated.world.vms[222].question = 0
    return re.sub(r"^ +", "", stated.run("vmsvc/message", "222"), flags=re.M), captured(name)


# What a capture lost or its author changed is left out on both sides; the rest is held to the byte.
APART: dict[str, str] = {}


def reproduces_apart(name: str, why: str) -> Callable[[Callable[[Path, str], tuple[str, str]]], Any]:
    """As `reproduces`, for a capture that is made but for what `why` names."""
    APART[f"vimcmd-{name}"] = why
    return reproduces(name)


@reproduces_apart("license-2", "its first and last lines are missing, blanks of the first are not known")
def _licence(folder: Path, name: str) -> tuple[str, str]:
    stated = state(folder, release="7.0")
    stated.world.vim.licence.update(
        {"vmodl key": "esx.hypervisor.cpuPackageCoreLimited", "name": "vSphere 7 Hypervisor", "used": "1"}
    )
    lines = stated.run("vimsvc/license", "--set=XXXX-XXXX-XXXX-XXXX").splitlines(keepends=True)
    return "".join(lines[1:-1]), captured(name)


@reproduces_apart("firmware-1", "the folder of the bundle is random")
def _bundle(folder: Path, name: str) -> tuple[str, str]:
    stated = state(folder)
    stated.world.hostname = "esxi.local"
    random = re.compile(r"(?<=downloads/)[^/]+")
    made = random.sub("", stated.run("hostsvc/firmware/backup_config"))
    return made, random.sub("", captured(name))


@reproduces_apart("get.snapshotinfo-1", "one comma before a closing bracket is its author's")
def _snapshot_info(folder: Path, name: str) -> tuple[str, str]:
    stated = one_vm(folder, 3)
    at_us = 1780305262_123456
    item = Snapshot(1, 0, "", "pre-patch", "before kernel update", at_us, True)
    made = vim_snapshots.info(stated.world.vms[3], [item], 1, stated.world)
    return ends_stripped(made), captured(name).replace("[],\n      }", "[]\n      }")


@reproduces_apart("snapshot.revert-2", "cut off after the first node; the colon of the ids was aligned")
def _reverted(folder: Path, name: str) -> tuple[str, str]:
    text = captured(name).removesuffix("...\n").replace("Snapshot Id          :", "Snapshot Id        :")
    return ends_stripped("Revert Snapshot:\n" + vim_snapshots.tree(snapshots_of(text))), ends_stripped(text)


@reproduces_apart("power.off-4", "braces and the empty properties of the fault were removed")
def _no_vm_to_stop(folder: Path, name: str) -> tuple[str, str]:
    made = state(folder, era="6.5").run("vmsvc/power.off", "7")
    kind, text = re.match(r'(\S+) \{.*\n   msg = "(.*)"\n', made, re.S).groups()  # type: ignore[union-attr]
    return f"{kind} {text}\n", captured(name)


@reproduces_apart("solo.environment-1", "one property of the object, cut before its end")
def _environment(folder: Path, name: str) -> tuple[str, str]:
    stated = state(folder, era="5.x", blanks=False)
    stated.world.portgroups += [Portgroup("Private", "vSwitch0"), Portgroup("Public", "vSwitch1")]
    text = captured(name)
    lines = stated.run("solo/environment").splitlines()
    at = lines.index("   network = (vim.vm.NetworkInfo) [")
    return "".join(f"{line[3:]}\n" for line in lines[at : at + text.count("\n")]), text


@reproduces_apart(
    "datastore.listsummary-1", "a comma before the last bracket; NFS volumes were named by server"
)
def _stores_4x(folder: Path, name: str) -> tuple[str, str]:
    stated = state(folder, era="5.x", blanks=False)
    local, nfs = "4bcf0efe-c426acc4-c7e1-001a644d1cc0", "95e378c2-863dd2b4"
    stated.world.datastores += [
        Datastore("local-datastore", local, 31138512896, "VMFS-3"),
        Datastore("nfs-datastore", nfs, 975027175424, "NFS"),
    ]
    free = {local: 26277314560, nfs: 108854874112}
    stated.hostd.storage.free_bytes = lambda item: free[item.uuid]  # type: ignore[method-assign]
    text = captured(name).replace("   },\n]", "   }\n]")
    text = text.replace("10.25.0.245:/vmfs/volumes/nfs-datastore", "NFS")
    made = re.sub(r" +maintenanceMode = .*\n", "", stated.run("hostsvc/datastore/listsummary"))
    return re.sub(r"(?<='vim.Datastore:)[^']*(?=',\n      name = \"nfs)", "NFS", made), text


@reproduces_apart("get.datastores-2", "one line of a grep")
def _datastore_columns(folder: Path, name: str) -> tuple[str, str]:
    stated = state(folder)
    stated.world.datastores += [
        Datastore("192.168.2.203_nvme_nfs", "95e378c2-863dd2b4", 1 << 40, "NFS"),
        Datastore("local_datastore", "5f3215f2-49c43e04-00b5-002481827d55", 1 << 40),
    ]
    disk = {"scsi0__present": "TRUE", "scsi0:0__present": "TRUE", "scsi0:0__deviceType": "scsi-hardDisk"}
    disk["scsi0:0__fileName"] = "/vmfs/volumes/5f3215f2-49c43e04-00b5-002481827d55/x/x.vmdk"
    stated.vm(10, "x", "[192.168.2.203_nvme_nfs] x/x.vmx", **disk)
    lines = stated.run("vmsvc/get.datastores", "10").splitlines(keepends=True)
    return "".join(line for line in lines if line.startswith("name ")), captured(name)


@reproduces_apart("task_list-1", "its key was replaced and the closing quote went with it")
def _task_list(folder: Path, name: str) -> tuple[str, str]:
    stated = with_tasks(folder, "haTask-9-vim.VirtualMachine.removeAllSnapshots-77")
    return re.sub(r"haTask.*'", "TASKNAME", stated.run("vimsvc/task_list")), captured(name)


@reproduces_apart("get.filelayoutex-1", "sizes were edited; disk, snapshot and timestamp left out")
def _files(folder: Path, name: str) -> tuple[str, str]:
    stated = state(folder, blanks=False)
    stated.world.datastores.append(Datastore("datastore1", "u0", 1 << 40))
    stem = "IPv6 Ref DUT 20.04.2"
    disk = {"scsi0__present": "TRUE", "scsi0:0__present": "TRUE", "scsi0:0__fileName": f"{stem}.vmdk"}
    vm = stated.vm(36, stem, f"[datastore1] VAPT_REF_DUT/{stem}.vmx", **disk)
    here = Path(stated.hostd.storage.here(vm.path)).parent
    operations.create(str(here / f"{stem}.vmdk"), 1 << 20, "thin", lambda: 1 << 40)
    (here / "vmware.log").touch()
    size = re.compile(r"(?<=[sS]ize = )\d+")
    made = stated.run("vmsvc/get.filelayoutex", "36")
    made = made[: made.index("   ], \n" if "   ], \n" in made else "   ],\n")] + "   ],\n}\n"
    return size.sub("", made), size.sub("", captured(name))


DIFFERS = {
    "vimcmd-autostart-1": "reduced and anonymised by its author",
    "vimcmd-datastorebrowser.search-1": "an NFS datastore named by its server, closing lines cut",
    "vimcmd-device.getdevices-1": "has a USB stick of the host",
    "vimcmd-device.getdevices-2": "an excerpt, a USB disk of the host",
    "vimcmd-fault-1": "a race of two clients; the lab carries out one command at a time",
    "vimcmd-get.config-1": "letters lost, garbage in hardware, options of a 5.1 host's processor",
    "vimcmd-get.guest-2": "abridged; toolsInstallType is unset, 8.0 has guestToolsTypeUnknown",
    "vimcmd-get.guest-3": "abridged by its author",
    "vimcmd-get.guest-5": "three lines of a grep without their indentation",
    "vimcmd-get.summary-1": "4.x, fewer properties than any era of the lab",
    "vimcmd-get.summary-2": "letters lost; 5.1 lacks a property that 5.5 has",
    "vimcmd-getallvms-10": "the stored document lost letters, which moved the columns",
    "vimcmd-getallvms-15": "header and padding by its author",
    "vimcmd-getallvms-17": "padding by its author",
    "vimcmd-getallvms-18": "names replaced by its author, which left wider columns",
    "vimcmd-getallvms-7": "no header, margin by its author",
    "vimcmd-help-vmsvc-1": "lists no disconnect, help-vmsvc-2 of the same age does",
    "vimcmd-hosthardware-1": "indentation and values lost",
    "vimcmd-hostsummary-1": "abridged by its author",
    "vimcmd-hostsummary-2": "sensors of a server; cut",
    "vimcmd-license-3": "4.1, cut",
    "vimcmd-login-failed-1": "hostd that does not answer: given by a fault rule",
    "vimcmd-login-failed-2": "another product",
    "vimcmd-message-4": "an answer prints nothing; see test_vim_cmd",
    "vimcmd-device.diskaddexisting-1": "prints nothing; see test_vim_devices",
    "vimcmd-device.diskremove-1": "prints nothing; see test_vim_devices",
    "vimcmd-net.query_networkhint-1": "the lab has no such command",
    "vimcmd-power.all-1": "a table in a source comment",
    "vimcmd-power.on-2": "the second line is the shell's echo",
    "vimcmd-power.on-7": "abridged; the lab does not count PCI slots",
    "vimcmd-power.shutdown-1": "prints nothing; needs a running guest",
    "vimcmd-summary.scsilun-1": "the lab has no such command",
    "vimmsg-memory-size-invalid-1": "a line of a log; see test_vim_cmd",
    "vimmsg-passthru-invalid-config-1": "the lab has no pass-through",
    "vimmsg-poweron-disk-locked-1": "a line of a log; see test_vim_cmd",
    "vimmsg-static-mac-refused-1": "a line of a log; see test_vim_cmd",
}


@pytest.mark.parametrize("name", sorted(MADE))
def test_the_lab_prints_what_a_host_printed(tmp_path: Path, name: str) -> None:
    made, expected = MADE[name](tmp_path)
    assert made == expected


def test_every_capture_is_reproduced_or_listed() -> None:
    assert not set(MADE) & set(DIFFERS)
    assert set(APART) <= set(MADE)
    assert sorted({*MADE, *DIFFERS}) == NAMES
