"""What the sample files say: .vmx, .vmdk and .vmsd of real hosts."""

from __future__ import annotations

from typing import Any

from captures import Case, Edited

from ceso_mcp.esxi.vmdk import Descriptor
from ceso_mcp.esxi.vmsd import parse_vmsd
from ceso_mcp.esxi.vmx import Vmx


def hardware(text: str) -> Any:
    """(disks, CD drives, (number, network, MAC) of the cards), and the text must come out unchanged."""
    vmx = Vmx.parse(text)
    assert vmx.render() == text
    assert Vmx.parse_bytes(text.encode()).render_bytes() == text.encode()
    return (
        [(d.node, d.file_name) for d in vmx.disks()],
        [(c.node, c.file_name.rpartition("/")[2]) for c in vmx.cdroms()],
        [(n.index, n.network_name, n.mac) for n in vmx.nics()],
    )


def disk(text: str) -> Any:
    """(create type, MiB, parent hint, thin, flat, RDM, encrypted, first extent)."""
    found = Descriptor.parse(text)
    assert found.render() == text
    assert found.has_parent == (found.parent_file_name_hint is not None) or found.encrypted
    return (
        found.create_type,
        found.capacity_bytes // 2**20,
        found.parent_file_name_hint,
        found.is_thin,
        found.is_flat,
        found.is_rdm,
        found.encrypted,
        found.extents[0].file_name,
    )


def snapshots(text: str) -> Any:
    """(current uid, [(uid, parent, name, first disk)])."""
    found = parse_vmsd(text)
    return found.current_uid, [(s.uid, s.parent_uid, s.name, s.disks[0].file_name) for s in found.snapshots]


def nothing(cards: Any = ()) -> Any:
    return ([], [], list(cards))


VMX = {
    "cbt-template-hw19-ctk-1": ([("scsi0:0", "{name}.vmdk")], [], [(0, "{portgroup}", None)]),
    "encoding-escapes-1": nothing(),
    "esx7-hw17-bios-sata-disk-cdrom-raw-6": (
        [("sata0:0", "windows2019biosvmware.vmdk")],
        [("sata0:1", "")],
        [(0, "VM Network", "00:50:56:9a:9c:7a")],
    ),
    "esx7-hw19-efi-secureboot-hostclient-off-7": (
        [("scsi0:0", "Window 10.vmdk")],
        [("sata0:0", "mpx.vmhba1:C0:T1:L0")],
        [(0, "VM Network", "00:0c:29:53:43:27")],
    ),
    "esx7-hw19-pvscsi-2disk-running-hardening-4": (
        [("scsi0:0", "wild1.vmdk"), ("scsi0:1", "wild2.vmdk")],
        [("ide0:0", "")],
        [(0, None, "00:00:00:00:00:00")],
    ),
    "esx8-hw20-efi-secureboot-pvscsi-running-emptycdrom-3": (
        [("scsi0:0", "Auto-esx8.0-rhell9.3-efi-with-empty-cdrom.vmdk")],
        [("sata0:0", "")],
        [(0, "VM Network", "00:50:56:a0:cf:2f")],
    ),
    "esx8-hw20-i440bx-disk-in-subfolder-2": (
        [
            ("scsi0:0", "esx8.0-win11-with-second-disk-in-subfolder.vmdk"),
            ("scsi0:1", "subfolder/esx8.0-win11-with-second-disk-in-subfolder_1.vmdk"),
        ],
        [("sata0:0", "windows_11_x64_official_dvd.iso")],
        [(0, "Mgmt Network", "00:50:56:a5:b8:68")],
    ),
    # The excerpt lacks the disk's `present` and the static address: a disk must not go unseen for that,
    # and the generated address that stays in the file is not the one in use.
    "esx8-hw20-sata-disk-static-mac-4": (
        [("sata0:1", "VPSNAME.vmdk")],
        [],
        [(0, "vSwitchY-VLAN-1001", None)],
    ),
    "ethernet-dvs-1": nothing([(0, None, "00:50:56:87:65:43")]),
    "mac-generated-offsets-3nic-1": nothing(),
    "minimal-created-by-provider-lsilogic-iso-3": ([("scsi0:0", "%s.vmdk")], [("ide1:0", "")], []),
    "minimal-created-by-shell-hw8-2": ([("scsi0:0", "NAME.vmdk")], [("ide1:0", "")], [(0, "NET", None)]),
    "minimal-handwritten-hw21-esxi8-1": (
        [("sata0:1", "${vm_name}.vmdk")],
        [("sata0:0", "$iso")],
        [(0, "VM Network", None)],
    ),
    "multiwriter-rac-2nic-2scsi-1": (
        [
            ("scsi0:0", "rhel8_template_rootdg.vdmk"),
            ("scsi0:1", "rhel8_template_appdg.vdmk"),
            ("scsi1:12", "eager_data_1_12.vmdk"),
            ("scsi1:13", "eager_data_1_13.vmdk"),
        ],
        [],
        [(0, "Public Network", "00:50:56:97:fb:aa"), (1, "Barn Network", "00:50:56:97:9b:8f")],
    ),
    "nvme-efi-hw21-esxi8-static-mac-1": Edited("a line is half of another one, left by the author's edit"),
    "passthru-gpu-2fn-host-client-written-2": nothing(),
    "passthru-gpu-hw21-esxi802-1": nothing(),
    "passthru-legacy-esxi55-5": nothing(),
    "passthru-sriov-dvs-4": nothing(),
    "snap-on-hw13-efi-mempin-2": ([("scsi0:0", "Base_R91-000001.vmdk")], [], [(0, "ATmng", None)]),
    "snap-on-hw19-efi-secureboot-2nic-1": (
        [("scsi0:0", "alma9-clone_17-000001.vmdk"), ("scsi0:1", "alma9-clone-000001.vmdk")],
        [],
        [(0, "PG-206", "00:50:56:9a:2d:f1"), (1, "PG-206", "00:50:56:9a:10:89")],
    ),
    "ubuntu-cloudinit-guestinfo-1": nothing(),
    "ubuntu-hw11-esxi-e1-vmxnet3-sata-iso-1": (
        [("scsi0:0", "test flo_0-000004.vmdk")],
        [("sata0:0", "ubuntu-22.04.1-live-server-amd64.iso")],
        [(0, "VM Network", "00:0c:29:27:c4:8b")],
    ),
    "ubuntu1404-ide-e1000-cloudinit-hw8-1": (
        [("ide0:0", "trusty-server-nocloud-amd64-disk1.vmdk")],
        [("ide1:0", "seed.iso")],
        [(0, "VM Network", "00:50:56:98:1e:83")],
    ),
    "v2v-guest-hw10-2": (
        [("scsi0:0", "Fedora-20.vmdk")],
        [("sata0:0", "Fedora-20-x86_64-netinst.iso")],
        [(0, "VM Network", "00:50:56:9b:5f:0d")],
    ),
    "v2v-guest-hw11-5": ([("scsi0:0", "MSEdge-Win10_preview.vmdk")], [], [(0, None, "00:0c:29:bf:e4:5d")]),
    "v2v-guest-hw14-6": (
        [("nvme0:0", "nvme-disk.vmdk")],
        [("sata0:0", "")],
        [(0, "VM Network", "00:50:56:ac:cf:51")],
    ),
    "v2v-guest-hw17-7": (
        [("scsi0:0", "win2019.vmdk"), ("sata0:3", "win2019_1.vmdk")],
        [("sata0:0", "en-us_windows_server_2019_updated_aug_2021_x64_dvd_a6431a28.iso")],
        [(0, "VM Network", "00:0c:29:46:9b:0b")],
    ),
    "v2v-guest-hw8-3": (
        [("scsi0:0", "RHEL-7.1-UEFI.vmdk")],
        [("ide1:0", "RHEL-7.1-20150219.1-Server-x86_64-boot.iso")],
        [(0, "VM Network", "00:0c:29:4b:2b:8c")],
    ),
    "v2v-guest-hw8-4": (
        [("scsi0:0", "Windows-7-x64.vmdk")],
        [("ide1:0", "en_windows_7_ultimate_with_sp1_x64_dvd_u_677332.iso")],
        [(0, "VM Network", "00:0c:29:94:89:23")],
    ),
}

# create type, MiB, parent, thin, flat, RDM, encrypted, first extent
VMDK = {
    "ctk-flat-version3-1": Edited("a template: sectors and names are placeholders"),
    "ctk-flat-version3-2": Edited("the author replaced the content id, and the end is missing"),
    "encrypted-vmfs-1": ("vmfs", 0, None, False, False, False, True, "test-flat.vmdk"),
    "flat-thin-cns-hw13-2": (
        "vmfs",
        30720,
        None,
        True,
        True,
        False,
        False,
        "c8336ec2-3885-4205-a2f1-095e48228a56-flat.vmdk",
    ),
    "flat-thin-esxi80u1-4": ("vmfs", 81920, None, True, True, False, False, "vm1-flat.vmdk"),
    "flat-thin-gerrit-ide-3": ("vmfs", 36864, None, True, True, False, False, "gerrit-flat.vmdk"),
    "flat-zeroedthick-hw7-5": ("vmfs", 131072, None, False, True, False, False, "sql-flat.vmdk"),
    "rdm-physical-hw11-3": (
        "vmfsPassthroughRawDeviceMap",
        512000,
        None,
        False,
        False,
        True,
        False,
        "5-rdmp.vmdk",
    ),
    "rdm-virtual-ctk-hw9-2": (
        "vmfsRawDeviceMap",
        512000,
        None,
        False,
        False,
        True,
        False,
        "RDM-rdm.vmdk",
    ),
    "rdm-virtual-hw14-1": (
        "vmfsRawDeviceMap",
        40960,
        None,
        False,
        False,
        True,
        False,
        "rdmdisktest-rdm.vmdk",
    ),
    "real-monolithicflat-1": (
        "monolithicFlat",
        10,
        None,
        False,
        True,
        False,
        False,
        "monolithicFlat-flat.vmdk",
    ),
    "real-vmfs_thick-000001": (
        "vmfsSparse",
        2,
        "vmfs_thick.vmdk",
        False,
        False,
        False,
        False,
        "vmfs_thick-000001-delta.vmdk",
    ),
    "sesparse-delta-1": (
        "seSparse",
        20480,
        "Base_R91.vmdk",
        False,
        False,
        False,
        False,
        "Base_R91-000001-sesparse.vmdk",
    ),
    "sesparse-parent-flat-1": ("vmfs", 20480, None, True, True, False, False, "Base_R91-flat.vmdk"),
    "twogbmaxextentsparse-exported-1": (
        "twoGbMaxExtentSparse",
        61440,
        None,
        False,
        False,
        False,
        False,
        "disk-s001.vmdk",
    ),
    "vmfssparse-chain-link5-4": (
        "vmfsSparse",
        8192,
        "sql-000004.vmdk",
        False,
        False,
        False,
        False,
        "sql-000005-delta.vmdk",
    ),
    "vmfssparse-delta-esxi5-1": (
        "vmfsSparse",
        10240,
        "vps.vmdk",
        False,
        False,
        False,
        False,
        "vps-000001-delta.vmdk",
    ),
    "vmfssparse-recreated-minimal-2": (
        "vmfsSparse",
        8192,
        "sql.vmdk",
        False,
        False,
        False,
        False,
        "sql-000001-delta.vmdk",
    ),
}

VMSD = {
    "snap-chain4-1": (
        4,
        [
            (1, None, "SNAPSHOT POST INSTALL", "test flo_0.vmdk"),
            (2, 1, "SECOND", "test flo_0-000001.vmdk"),
            (3, 2, "third", "test flo_0-000002.vmdk"),
            (4, 3, "from cli", "test flo_0-000003.vmdk"),
        ],
    ),
    "snap-chain4-nonlinear-2": (
        18,
        [
            (15, None, "sad", "sql.vmdk"),
            (16, 15, "aksdn", "sql-000002.vmdk"),
            (17, 16, "alkBS", "sql-000001.vmdk"),
            (18, 17, "ASKDB", "sql-000003.vmdk"),
        ],
    ),
    "snap-none-5": (None, []),
    "snap-single-esxi5-1": (2, [(2, None, "test1", "vps.vmdk")]),
    "snap-single-mru-nvme-3": (1, [(1, None, "GATE5-Baseline", "FaithRO-GATE5-LAB.vmdk")]),
}

CASES = [
    *(Case(f"samples/{name}.vmx", hardware, expected) for name, expected in VMX.items()),
    *(Case(f"samples/{name}.vmdk", disk, expected) for name, expected in VMDK.items()),
    *(Case(f"samples/{name}.vmsd", snapshots, expected) for name, expected in VMSD.items()),
]
