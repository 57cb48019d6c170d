"""What the captures of getallvms, power, registration, snapshots and releases say."""

from __future__ import annotations

from typing import Any

from captures import Case, Edited

from ceso_mcp.esxi.faults import find_fault, hostd_unavailable
from ceso_mcp.esxi.getallvms import parse_getallvms
from ceso_mcp.esxi.host import parse_release
from ceso_mcp.esxi.power import parse_power_state, power_failure
from ceso_mcp.esxi.snapshots import parse_snapshots
from ceso_mcp.esxi.vm_inventory import parse_vm_inventory

HEADER = "Vmid   Name   File   Guest OS   Version   Annotation\n"


def rows(text: str) -> Any:
    """(vmid, name, file, guest, version, annotation) of each row, then the invalid ids."""
    found, invalid = parse_getallvms(text)
    return [
        (r.vmid, r.name, str(r.file), r.guest_os, int(r.version[4:]), r.annotation[:40]) for r in found
    ], invalid


def invalid_ids(stderr: str) -> list[int]:
    return parse_getallvms(HEADER, stderr)[1]


def ids_and_names(text: str) -> Any:
    found, _ = parse_getallvms(text)
    return [(r.vmid, r.name) for r in found][:6], len(found), found[-1].annotation[-30:]


def state(text: str) -> str:
    return parse_power_state(text).value


def power_fault(text: str) -> tuple[str, str] | None:
    fault = power_failure("", text)
    return (fault.type, fault.message) if fault else None


def fault(text: str) -> tuple[str, str] | None:
    found = find_fault(text)
    return (found.type, found.message) if found else None


def tree(text: str) -> Any:
    return [
        (n.id, n.parent_id, n.name, n.description, n.created.strftime("%F %T"), n.state)
        for n in parse_snapshots(text)
    ]


def release(text: str) -> Any:
    found = parse_release(text)
    return found.version, found.build, found.update, found.major_minor


NOT_IN_STATE = "The attempted operation cannot be performed in the current state "
GONE = "The object has already been deleted or has not been completely created"
REWRITTEN = Edited("columns or letters were changed by the author, so header and rows no longer fit")
OLD = "vm-ark-mcnc-9_234-v12/vm-ark-mcnc-9_234-v12.vmx"

CASES = [
    Case("vimcmd-getallvms-1.txt", rows, ([], [])),
    Case("vimcmd-getallvms-2.txt", rows, ([], [])),
    Case("vimcmd-getallvms-3.txt", rows, ([(1, "x8", "[pve-esx] x8/x8.vmx", "centos9_64Guest", 20, "")], [])),
    Case(
        "vimcmd-getallvms-5.txt",
        rows,
        (
            [
                (1, "ubuntu-desktop", "[HDD] ubuntu-desktop/ubuntu-desktop.vmx", "ubuntu64Guest", 13, ""),
                (
                    11,
                    "ubuntu-server-1710",
                    "[HDD] ubuntu-server-1710/ubuntu-server-1710.vmx",
                    "ubuntu64Guest",
                    13,
                    "",
                ),
                (2, "ubuntu-server", "[HDD] ubuntu-server/ubuntu-server.vmx", "ubuntu64Guest", 13, ""),
                (3, "windows-7", "[HDD] windows-7/windows-7.vmx", "windows7_64Guest", 13, ""),
            ],
            [6],
        ),
    ),
    Case(
        "vimcmd-getallvms-6.txt",
        ids_and_names,
        (
            [
                (1, "opn-vsa-01.vtr"),
                (10, "OneSwap-OVA"),
                (12, "vm-w2022srvstrd"),
                (15, "vm-alma9"),
                (16, "New Virtual Machine 2"),
                (2, "OneSwapper"),
            ],
            21,
            "cease operation for the cluster."[-30:],
        ),
    ),
    Case("vimcmd-getallvms-7.txt", rows, Edited("the author left out the header")),
    Case(
        "vimcmd-getallvms-9.txt",
        rows,
        (
            [
                (2, "xx", "[datastore1] xx/xx.vmx", "rhel8_64Guest", 14, ""),
                (
                    3,
                    "makemake",
                    "[datastore1] makemake/makemake.vmx",
                    "centos8_64Guest",
                    14,
                    "Rocky linux 8\nautostart",
                ),
            ],
            [],
        ),
    ),
    Case("vimcmd-getallvms-10.txt", rows, REWRITTEN),
    Case(
        "vimcmd-getallvms-11.txt",
        rows,
        (
            [
                (
                    40,
                    "packer-vmware-iso",
                    "[wtgc-vmbd-01:datastore1] packer-vmware-iso/packer-vmware-iso.vmx",
                    "ubuntu64Guest",
                    8,
                    "",
                )
            ],
            [],
        ),
    ),
    Case(
        "vimcmd-getallvms-12.txt",
        rows,
        (
            [
                (
                    1424,
                    "sap-router",
                    "[datastore1 (4)] sap-router/win2k8x64.vmx",
                    "winLonghorn64Guest",
                    7,
                    "",
                ),
                (1440, "RAS-3.250", "[datastore1 (4)] RAS/win2k8x64.vmx", "winLonghorn64Guest", 7, ""),
            ],
            [],
        ),
    ),
    Case(
        "vimcmd-getallvms-14.txt",
        ids_and_names,
        (
            [
                (1, "reverse.xs4n1.nl"),
                (10, "app.xs4n1.nl"),
                (17, "puppet.xs4n1.nl"),
                (2, "radius.xs4n1.nl"),
                (3, "vpn.xs4n1.nl"),
                (4, "dns.xs4n1.nl"),
            ],
            7,
            "",
        ),
    ),
    Case("vimcmd-getallvms-15.txt", rows, REWRITTEN),
    Case("vimcmd-getallvms-17.txt", rows, Edited("4.x has other columns, and its padding was reflowed")),
    Case("vimcmd-getallvms-18.txt", rows, REWRITTEN),
    Case(
        "vimcmd-getallvms-19.txt",
        rows,
        ([(1, "testVM", "[LocalDatastore_001] testVM/testVM.vmx", "otherGuest", 10, "")], []),
    ),
    Case(
        "vimcmd-getallvms-21.txt",
        rows,
        ([(1, "ate-tester1", "[datastore1] ate-tester1/ate-tester1.vmx", "windows7Guest", 11, "")], []),
    ),
    Case("vimcmd-getallvms-22.txt", invalid_ids, [16, 32, 48, 64]),
    Case("vimcmd-power.getstate-1.txt", state, "off"),
    Case("vimcmd-power.getstate-2.txt", state, "on"),
    Case("vimcmd-power.on-1.txt", state, Edited("a banner is no state")),
    Case("vimcmd-power.on-1.txt", power_fault, None),
    Case("vimcmd-power.on-2.txt", power_fault, None),
    Case("vimcmd-power.on-4.txt", power_fault, ("", "Power on failed")),
    Case(
        "vimcmd-power.on-5.txt", power_fault, ("vim.fault.InvalidPowerState", NOT_IN_STATE + "(Powered On).")
    ),
    Case("vimcmd-power.on-6.txt", power_fault, ("", "Power on failed")),
    Case("vimcmd-power.on-7.txt", power_fault, ("vim.fault.GenericVmConfigFault", "")),
    Case(
        "vimcmd-power.off-2.txt",
        power_fault,
        ("vim.fault.InvalidPowerState", NOT_IN_STATE + "(Powered Off)."),
    ),
    Case("vimcmd-power.off-3.txt", power_fault, ("", "Power off failed")),
    Case(
        "vimcmd-power.off-4.txt",
        power_fault,
        ("vim.fault.NotFound", 'Unable to find a VM corresponding to "7"'),
    ),
    Case(
        "vimcmd-power.reset-1.txt",
        power_fault,
        ("vim.fault.InvalidPowerState", NOT_IN_STATE + "(Powered off)."),
    ),
    Case("vimcmd-power.suspend-1.txt", power_fault, None),
    Case("vimcmd-power.suspend-2.txt", power_fault, ("", "Suspend failed")),
    Case("vimcmd-power.shutdown-1.txt", power_fault, None),
    Case(
        "vimcmd-registervm-2.txt",
        fault,
        ("vmodl.fault.InvalidArgument", "A specified parameter was not correct: pool"),
    ),
    Case(
        "vimcmd-registervm-3.txt",
        fault,
        ("vim.fault.NotFound", "The object or item referred to could not be found."),
    ),
    Case(
        "vimcmd-registervm-4.txt",
        fault,
        ("vim.fault.AlreadyExists", "The specified key, name, or identifier '51' already exists."),
    ),
    Case(
        "vimcmd-registervm-5.txt",
        fault,
        ("vim.fault.NotFound", 'Unable to find a VM corresponding to "(vim.fault.NotFound)"'),
    ),
    Case(
        "vimcmd-registervm-6.txt",
        fault,
        ("vim.fault.NotFound", 'Unable to find a VM corresponding to "(vim.fault.AlreadyExists)"'),
    ),
    Case(
        "vimcmd-unregister-1.txt",
        fault,
        ("vim.fault.NotFound", 'Unable to find a VM corresponding to "16"'),
    ),
    Case(
        "vimcmd-unregister-2.txt",
        fault,
        (
            "vim.fault.NotFound",
            f'Unable to find a VM corresponding to "/vmfs/volumes/nfs-datastore/{OLD}"',
        ),
    ),
    Case("vimcmd-fault-1.txt", fault, ("vmodl.fault.ManagedObjectNotFound", GONE)),
    Case("vimcmd-task_info-1.txt", fault, ("vmodl.fault.ManagedObjectNotFound", GONE)),
    Case("vimcmd-task_info-2.txt", fault, None),
    Case("vimcmd-login-failed-1.txt", hostd_unavailable, True),
    Case("vimcmd-login-failed-2.txt", hostd_unavailable, True),
    Case("shell-vimcmd-hostd-error-1.txt", hostd_unavailable, True),
    Case("esxcli-error-hostd-down-1.txt", hostd_unavailable, True),
    Case("esxcli-error-hostd-down-2.txt", hostd_unavailable, True),
    Case("vimcmd-power.on-5.txt", hostd_unavailable, False),
    Case(
        "vimcmd-snapshot.get-1.txt",
        tree,
        [
            (1, None, "snap01", "snap01 description", "2015-02-23 18:12:50", "powered on"),
            (2, 1, "snap02", "snap02 description", "2015-02-23 18:13:15", "powered off"),
            (3, 2, "snap03", "snap03 description", "2015-02-23 18:13:32", "powered off"),
            (4, 3, "snap04", "snap04 description", "2015-02-23 18:13:59", "powered off"),
        ],
    ),
    Case(
        "vimcmd-snapshot.get-2.txt",
        tree,
        [
            (1, None, "snap1", "Shapshot #1", "2026-10-04 19:00:52", "powered off"),
            (2, 1, "Corelinux running", "", "2026-10-04 19:22:55", "powered on"),
        ],
    ),
    Case(
        "vimcmd-snapshot.get-3.txt",
        tree,
        [(1, None, "snap1", "Shapshot #1", "2026-10-04 18:59:44", "powered off")],
    ),
    Case(
        "vimcmd-snapshot.get-5.txt",
        tree,
        [
            (
                23,
                None,
                "BeforeRHEL",
                "Snapshot before RHEL 8 Migration",
                "2021-02-26 17:41:07",
                "powered off",
            )
        ],
    ),
    Case(
        "vimcmd-snapshot.get-6.txt",
        tree,
        [(3, None, "before-packstack-with-mariadb", "", "2017-06-22 16:18:14", "powered off")],
    ),
    Case(
        "vimcmd-snapshot.get-7.txt",
        tree,
        [(8, None, "P1_4_golden", "", "2016-02-10 11:10:47", "powered off")],
    ),
    Case(
        "vimcmd-snapshot.remove-1.txt",
        tree,
        [
            (1, None, "snap01", "snap01 description", "2015-02-23 18:12:50", "powered off"),
            (2, 1, "snap02", "snap02 description", "2015-02-23 18:13:15", "powered off"),
            (3, 2, "snap03", "snap03 description", "2015-02-23 18:13:32", "powered off"),
        ],
    ),
    Case("vimcmd-snapshot.removeall-1.txt", tree, []),
    Case("vimcmd-snapshot.removeall-2.txt", tree, []),
    Case(
        "vimcmd-snapshot.revert-1.txt",
        tree,
        [(3, None, "before-packstack-with-mariadb", "", "2017-06-22 16:18:14", "powered off")],
    ),
    Case("vimcmd-snapshot.revert-2.txt", tree, Edited("cut off by the author with ...")),
    Case("vimcmd-snapshot.create-1.txt", tree, Edited("creating prints no tree")),
    Case("shell-vmware-v-1.txt", release, ("7.0.3", 24784741, None, "7.0")),
    Case("shell-vmware-lv-1.txt", release, ("7.0.2", 17867351, 2, "7.0")),
    Case("shell-vmware-v-2.txt", release, Edited("two commands in one capture, uname first")),
    Case("shell-vmInventory-1.txt", parse_vm_inventory, Edited("only the head of the file was kept")),
]
