"""What the captures of esxcli say, in all its forms."""

from __future__ import annotations

from dataclasses import astuple
from typing import Any

from captures import Case, Edited

from ceso_mcp.esxi import esxcli


def rows(*titles: str) -> Any:
    """A reader: number of rows, then the first row's values under `titles`."""

    def first_row(text: str) -> Any:
        found = esxcli.table(text)
        return len(found), tuple(found[0][title] for title in titles)

    return first_row


def items(*labels: str) -> Any:
    """A reader: header of each block, then the first block's values under `labels`."""

    def first_block(text: str) -> Any:
        found = esxcli.blocks(text)
        return [one.header for one in found], tuple(found[0].fields[label] for label in labels)

    return first_block


def error(text: str) -> Any:
    found = esxcli.esxcli_error(text, 1)
    assert found is not None
    assert esxcli.esxcli_error(text, 0) is None
    return found.kind, found.message


def volumes(text: str) -> Any:
    found = esxcli.filesystems(text)
    return len(found), [v.name for v in found[:3]], astuple(found[-1])


def mounts(text: str) -> Any:
    return [astuple(mount) for mount in esxcli.nfs_mounts(text)]


def portgroups(text: str) -> Any:
    return [astuple(p) for p in esxcli.portgroups(text)][:3]


def running(text: str) -> Any:
    return [(p.world_id, p.uuid[-11:], p.display_name, p.config_file) for p in esxcli.vm_processes(text)]


def nics(text: str) -> Any:
    found = esxcli.nics(text)
    return len(found), astuple(found[-1])


def versions(text: str) -> Any:
    return astuple(esxcli.version(text))


def pci(text: str) -> Any:
    return [(d.address, d.vmkernel_name, d.passthru_capable) for d in esxcli.pci_devices(text)]


def csv_first(text: str) -> Any:
    found = esxcli.csv_rows(text)
    return len(found), found[-1]


def keyvalue(text: str) -> Any:
    found = esxcli.keyvalue_rows(text)
    return [one["Name"] for one in found], found[2]["LinkStatus"], found[0]["Speed"]


def xml_names(text: str) -> Any:
    return [(one["WorldID"], one["DisplayName"]) for one in esxcli.xml_value(text)]


def xml_nics(text: str) -> Any:
    found = esxcli.xml_value(text)
    return len(found), found[0]["PCIDevice"], found[0]["Speed"]


def xml_nic(text: str) -> Any:
    found = esxcli.xml_value(text)
    return found["AutoNegotiation"], found["AdvertisedLinkModes"][:2], found["DriverInfo"]["Driver"]


def json_capacity(text: str) -> Any:
    found = esxcli.json_value(text)
    return len(found), found[0]["Size"], found[1]["FormatType"]


ROWS_ONLY = Edited("rows without the titles and the rule above them")
INDENT = Edited("the page lost the indentation")
DONE = (
    "The update completed successfully, but the system needs to be rebooted for the changes to be effective."
)
BCM = "Broadcom Corporation NetXtreme BCM5720 Gigabit Ethernet"
OS = "VMware ESXi"

NETAPP = ("netapp_nfs_ds01", "3", ("192.168.1.230",), "/esxi_datastore_01")
CASES = [
    Case("esxcli-account-list-1.txt", rows("User ID", "Description"), (3, ("root", "Administrator"))),
    Case("esxcli-component-apply-1.txt", items("Message"), (["Installation Result"], (DONE,))),
    Case(
        "esxcli-component-remove-1.txt",
        items("Components Installed", "Components Removed"),
        (["Installation Result"], ("", "dummy-esxi-reboot")),
    ),
    Case("esxcli-cpu-global-2.txt", esxcli.cpu_global, INDENT),
    Case("esxcli-cpu-global-3.txt", esxcli.xml_value, Edited("the head of the document is missing")),
    Case("esxcli-cpu-list-1.txt", items("Model", "L3 Cache CPU Count"), (["CPU:0"], ("158", "4"))),
    Case("esxcli-cpu-list-2.txt", items("APIC ID"), (["CPU:7"], ("0x7",))),
    Case(
        "esxcli-device-capacity-1.txt",
        rows("Logical Block Count", "Size", "Format Type"),
        (8, ("39063650304", "19074048 MiB", "512e")),
    ),
    Case("esxcli-device-capacity-2.txt", json_capacity, (8, 19074048, "512n")),
    Case(
        "esxcli-device-list-1.txt",
        items("Size", "Attached Filters", "Emulated DIX/DIF Enabled"),
        (
            [
                "t10.ATA_____ST20000NM007D2D3DJ103________________________________ZVTBXN1D",
                "mpx.vmhba32:C0:T0:L0",
            ],
            ("19074048", "", "false"),
        ),
    ),
    Case(
        "esxcli-device-list-3.txt",
        csv_first,
        (
            6,
            {
                "DevfsPath": "/vmfs/devices/disks/"
                "t10.ATA_____WDC_WD180EMFZ2D11AFXA0___________________3WHDKL1J____________",
                "Vendor": "ATA     ",
                "Model": "WDC WD180EMFZ-11",
            },
        ),
    ),
    Case("esxcli-device-list-4.txt", items("Model"), (["t10.ATA_APPLE_SSD_SM256E"], ("APPLE SSD SM256E",))),
    Case("esxcli-dvs-list-1.txt", esxcli.blocks, INDENT),
    Case("esxcli-error-fault-1.txt", error, ("fault", "There is no SRIOV Nic with name vmnic6")),
    Case(
        "esxcli-error-fault-3.txt",
        error,
        ("fault", "ERROR: Vmnic specified doesn't exist or is unsupported"),
    ),
    Case("esxcli-error-formatter-1.txt", error, ("formatter", "Unable to find requested formatter: json")),
    Case(
        "esxcli-error-hostd-down-1.txt",
        error,
        ("hostd_down", "Connect to localhost failed: Connection failure"),
    ),
    Case(
        "esxcli-error-hostd-down-2.txt",
        error,
        ("hostd_down", "Connect to localhost failed: Connection failure"),
    ),
    Case("esxcli-error-invalid-option-1.txt", error, ("usage", "Invalid option --device")),
    Case("esxcli-error-invalid-option-2.txt", error, ("usage", "Invalid option --test")),
    Case(
        "esxcli-error-missing-param-1.txt",
        error,
        (
            "usage",
            "Missing required parameter -t|--trusted; Missing required parameter -v|--vfid; "
            "Missing required parameter -n|--vmnic",
        ),
    ),
    Case(
        "esxcli-error-type-mismatch-1.txt",
        error,
        (
            "usage",
            "While processing '-l'. Argument type mismatch. Expecting one of {0, 1, n[o], y[es], f[alse], "
            "t[rue], off, on}. Got 'Falsefff'",
        ),
    ),
    Case(
        "esxcli-error-unknown-1.txt", error, ("usage", "Unknown command or namespace graphics host refresh")
    ),
    Case(
        "esxcli-filesystem-1.txt",
        volumes,
        (
            6,
            ["datastore2", "datastore3", "datastore1"],
            (
                "/vmfs/volumes/f904d0cb-b0472b50-b19e-0f73a37f49da",
                "BOOTBANK2",
                "f904d0cb-b0472b50-b19e-0f73a37f49da",
                True,
                "vfat",
                4293591040,
                4021878784,
            ),
        ),
    ),
    Case(
        "esxcli-filesystem-2.txt",
        volumes,
        (
            10,
            ["DS132_DS01_SATA_1TB", "DS132_DS02_SATA_1TB", "DS132_DS03_SATA_1TB"],
            (
                "/vmfs/volumes/5996ff6e-3045ec7e-7497-c870866b06ae",
                "BOOTBANK2",
                "5996ff6e-3045ec7e-7497-c870866b06ae",
                True,
                "vfat",
                4293591040,
                4293525504,
            ),
        ),
    ),
    Case(
        "esxcli-filesystem-3.txt",
        volumes,
        (
            6,
            ["datastore1", "suse-ssd", ""],
            (
                "/vmfs/volumes/67d90978-7172b177-19e6-fd87141790fe",
                "",
                "67d90978-7172b177-19e6-fd87141790fe",
                True,
                "vfat",
                261853184,
                261849088,
            ),
        ),
    ),
    Case(
        "esxcli-firewall-allowedip-1.txt",
        csv_first,
        (2, {"AllowedIPAddresses": "All,", "Ruleset": "sshClient"}),
    ),
    Case("esxcli-firewall-get-1.txt", items("Default Action", "Loaded"), ([None], ("DROP", "true"))),
    Case(
        "esxcli-firewall-rule-list-1.txt",
        rows("Direction", "Port Begin", "Port End"),
        (3, ("Outbound", "0", "65535")),
    ),
    Case(
        "esxcli-firewall-rule-list-2.txt",
        csv_first,
        (
            4,
            {
                "Direction": "Outbound",
                "PortBegin": "2049",
                "PortEnd": "2049",
                "PortType": "Dst",
                "Protocol": "TCP",
                "Ruleset": "nfs41Client",
            },
        ),
    ),
    Case("esxcli-firewall-ruleset-grep-1.txt", esxcli.table, ROWS_ONLY),
    Case("esxcli-firewall-ruleset-list-1.txt", rows("Name", "Enabled"), (1, ("remoteSerialPort", "false"))),
    Case("esxcli-firewall-ruleset-list-2.txt", csv_first, (4, {"Enabled": "false", "Name": "nfs41Client"})),
    Case("esxcli-firewall-set-already-1.txt", error, ("fault", "Already allowed all ip")),
    Case(
        "esxcli-hostname-1.txt",
        items("Domain Name", "Fully Qualified Domain Name", "Host Name"),
        ([None], ("", "localhost", "localhost")),
    ),
    Case("esxcli-ip-connection-1.txt", esxcli.table, ROWS_ONLY),
    Case(
        "esxcli-ip-interface-list-1.txt",
        items("Portgroup", "VDS Connection"),
        (["vmk0", "vmk1"], ("v4084unt-k", "-1")),
    ),
    Case(
        "esxcli-ip-ipv4-get-1.txt",
        rows("Name", "IPv4 Address", "Gateway", "DHCP DNS"),
        (2, ("vmk0", "192.168.10.67", "192.168.10.62", "false")),
    ),
    Case("esxcli-ip-ipv4-get-2.txt", rows("IPv4 Address"), (2, ("192.168.1.109",))),
    Case("esxcli-localcli-usb-1.txt", rows("VendorId", "Can Connect to VM"), (1, ("152d", "yes"))),
    Case("esxcli-maintenance-1.txt", esxcli.table, Edited("a bare word is no table")),
    Case("esxcli-memory-2.txt", esxcli.hardware_memory, INDENT),
    Case("esxcli-memory-3.txt", esxcli.hardware_memory, 34133794816),
    Case(
        "esxcli-nfs-add-error-1.txt",
        error,
        (
            "fault",
            "Unable to create new NAS volume.  192.168.1.22:/volume1/vmnfsbackup is already exported by a "
            "volume with the name nfsbackup",
        ),
    ),
    Case("esxcli-nfs-list-2.txt", rows("Accessible", "Mounted"), (1, ("false", "true"))),
    Case(
        "esxcli-nfs-list-2.txt",
        mounts,
        [("ISOs", "3", ("192.168.0.100",), "/srv/nfs/ISOs", False, True, False, "", "", 1, False)],
    ),
    Case(
        "esxcli-nfs-list-3.txt",
        mounts,
        [
            (*NETAPP, True, True, False, "", "vmk0", 1, False),
        ],
    ),
    Case(
        "esxcli-nfs-list-4.txt",
        mounts,
        [
            ("ssd", "3", ("192.168.10.5",), "/data/ssd", True, True, False, "", "", 1, False),
            ("hdd", "3", ("192.168.10.5",), "/data/hdd", True, True, False, "", "", 1, False),
        ],
    ),
    Case(
        "esxcli-nfs41-list-1.txt",
        mounts,
        [("isos", "4.1", ("10.1.0.7",), "/backups/isos", False, False, False, "AUTH_SYS", "", 1, False)],
    ),
    Case("esxcli-nfs-list-3.txt", rows("Vmknic", "Connections"), (1, ("vmk0", "1"))),
    Case(
        "esxcli-nfs-list-4.txt", rows("Host", "Hardware Acceleration"), (2, ("192.168.10.5", "Not Supported"))
    ),
    Case(
        "esxcli-nfs41-list-1.txt", rows("Host(s)", "Security", "isPE"), (1, ("10.1.0.7", "AUTH_SYS", "false"))
    ),
    Case(
        "esxcli-nic-get-1.txt",
        items("Driver Info", "Driver Info / Bus Info", "Link Detected", "Transceiver"),
        ([None], ("", "0000:00:1f:6", "true", "")),
    ),
    Case("esxcli-nic-get-2.txt", esxcli.blocks, INDENT),
    Case("esxcli-nic-get-xml-1.txt", xml_nic, (True, ["Auto", "100BaseT/Full"], "ixgben")),
    Case(
        "esxcli-nic-list-1.txt",
        nics,
        (
            2,
            (
                "vmnic1",
                "0000:01:00.0",
                "igc-community",
                True,
                2500,
                "XX:XX:XX:XX:XX:XX",
                1500,
                "Intel Corporation Ethernet Controller I226-V",
            ),
        ),
    ),
    Case(
        "esxcli-nic-list-2.txt",
        nics,
        (5, ("vmnic2", "0000:02:00.0", "ntg3", True, 1000, "2c:ea:7f:64:8d:3e", 1500, BCM)),
    ),
    Case(
        "esxcli-nic-list-3.txt",
        nics,
        (2, ("vmnic32", "Pseudo", "r8152", True, 1000, "3c:18:a0:XX:XX:XX", 9000, "Unknown Unknown")),
    ),
    Case(
        "esxcli-nic-list-4.txt",
        nics,
        (4, ("vmnic3", "0000:02:00.1", "ntg3", False, 0, "90:b1:1c:3c:c5:64", 1500, BCM)),
    ),
    Case("esxcli-nic-list-5.txt", keyvalue, ([f"vmnic{n}" for n in range(8)], "Down", "10000")),
    Case("esxcli-nic-list-6.txt", xml_nics, (8, "0000:18:00.0", 10000)),
    Case("esxcli-nic-stats-1.txt", items("Packets sent"), (["NIC statistics for vmnic0"], ("96968",))),
    Case("esxcli-nic-tso-1.txt", rows("NIC", "Value"), (2, ("vmnic0", "off"))),
    Case("esxcli-pci-list-1.txt", pci, [("0000:af:00.0", "vmnic4", True), ("0000:af:00.3", "", True)]),
    Case("esxcli-pcipassthru-list-1.txt", rows("Device ID", "Enabled"), (2, ("0000:02:00.0", "true"))),
    Case(
        "esxcli-pcipassthru-set-error-1.txt",
        error,
        ("fault", "Unable to configure the PCI device: Device owner is already configured to passthru."),
    ),
    Case("esxcli-permission-list-1.txt", rows("Principal", "Is Group"), (3, ("dcui", "false"))),
    Case(
        "esxcli-platform-1.txt",
        items("Product Name", "Vendor Name", "BIOS Asset Tag"),
        (["Platform Information"], ("PowerEdge R620", "Dell Inc.", "")),
    ),
    Case("esxcli-platform-2.txt", items("Vendor Name"), (["Platform Information"], ("LENOVO",))),
    Case(
        "esxcli-portgroup-1.txt",
        portgroups,
        [
            ("Management Network", "vSwitch0", 1, 0),
            ("VM Network", "vSwitch0", 0, 0),
            ("v0002-m", "mgmt-sw", 0, 2),
        ],
    ),
    Case(
        "esxcli-portgroup-2.txt",
        portgroups,
        [
            ("Management Network", "vSwitch0", 1, 0),
            ("VM Network", "vSwitch0", 0, 0),
            ("VM_VLAN1", "vSwitch0", 0, 0),
        ],
    ),
    Case(
        "esxcli-profile-sources-1.txt",
        rows("Name", "Vendor", "Modification Time"),
        (2, ("ESXi-8.0.0-20513097-standard", "VMware, Inc.", "2022-09-23T18:59:28")),
    ),
    Case("esxcli-settings-advanced-1.txt", items("Type", "Default Int Value"), ([None], ("integer", "1"))),
    Case("esxcli-settings-advanced-2.txt", items("String Value"), ([None], ("",))),
    Case(
        "esxcli-settings-encryption-error-1.txt",
        error,
        (
            "fault",
            "Unable to change the encryption mode and policy. Verify that the current host configuration can "
            "satisfy the new requirement.",
        ),
    ),
    Case("esxcli-settings-kernel-1.txt", rows("Runtime", "Default"), (1, ("TRUE", "FALSE"))),
    Case(
        "esxcli-settings-kernel-2.txt",
        rows("Default", "Description"),
        (1, ("TRUE", "Enable/Disable VGA support.")),
    ),
    Case("esxcli-smart-1.txt", rows("Parameter", "Raw"), (12, ("Health Status", "N/A"))),
    Case("esxcli-smart-3.txt", rows("Value", "Worst"), (13, ("OK", "N/A"))),
    Case("esxcli-syslog-config-1.txt", esxcli.blocks, INDENT),
    Case("esxcli-syslog-config-2.txt", esxcli.blocks, INDENT),
    Case(
        "esxcli-table-empty-cells-1.txt",
        rows("Name", "Description", "Default_datastore", "VM_list"),
        (2, ("_DEFAULT", "This is a default vmgroup", "_VM_DS", "")),
    ),
    Case(
        "esxcli-vaai-1.txt",
        items("VAAI Plugin Name", "Clone Status"),
        (["t10.ATA_APPLE_SSD_SM256E"], ("", "unsupported")),
    ),
    Case(
        "esxcli-version-1.txt",
        lambda text: sorted(esxcli.json_value(text).items()),
        [
            ("Build", "Releasebuild-25205845"),
            ("Patch", "95"),
            ("Product", OS),
            ("Update", "3"),
            ("Version", "8.0.3"),
        ],
    ),
    Case("esxcli-version-2.txt", versions, (OS, "8.0.1", "21495797", "1", "0")),
    Case("esxcli-version-4.txt", versions, (OS, "6.7.0", "14320388", "3", "73")),
    Case("esxcli-version-5.txt", versions, (OS, "6.5.0", "8294253", "2", "50")),
    Case("esxcli-vf-list-1.txt", esxcli.table, ROWS_ONLY),
    Case("esxcli-vf-list-2.txt", esxcli.table, ROWS_ONLY),
    Case("esxcli-vib-install-1.txt", items("Reboot Required"), (["Installation Result"], ("false",))),
    Case("esxcli-vib-install-2.txt", items("Message"), (["Installation Result"], (DONE,))),
    Case(
        "esxcli-vib-install-error-1.txt",
        lambda text: error(text)[0],
        "software",
    ),
    Case(
        "esxcli-vib-install-error-2.txt",
        error,
        (
            "software",
            "[Errno 28] No space left on device vibs = VMware_locker_tools-light_11.3.5.18557794-18812553 "
            "Please refer to the log file for more details.",
        ),
    ),
    Case("esxcli-vib-list-1.txt", rows("Name", "Install Date"), (6, ("bnxtnet", "2021-06-15"))),
    Case("esxcli-vib-list-2.txt", rows("Vendor"), (3, ("INT",))),
    Case("esxcli-vib-list-grep-1.txt", esxcli.table, ROWS_ONLY),
    Case(
        "esxcli-vm-list-1.txt",
        rows("World ID", "Name", "Networks"),
        (13, ("2270220", "fnOS_2", "VM Network, VM Network1")),
    ),
    Case(
        "esxcli-vm-port-list-1.txt",
        items("DVPort ID", "MAC Address", "Active Filters"),
        ([None, None], ("", "00:0c:29:72:3f:e3", "")),
    ),
    Case(
        "esxcli-vm-process-1.txt",
        running,
        [(3199732, "af f8 d2 5c", "DumpTest", "/vmfs/volumes/643475f9-d1354340/DumpTest/DumpTest.vmx")],
    ),
    Case(
        "esxcli-vm-process-3.txt",
        running,
        [
            (
                2557323,
                "4e c2 97 56",
                "uranium-esx36 [knagaraju] FGT_VM64_ESXI",
                "/vmfs/volumes/58f72d53-3d2f86ee-e2b8-d4ae52e8199a/machines/"
                "uranium-esx36 [knagaraju] FGT_VM64_ESXI/uranium-esx36 [knagaraju] FGT_VM64_ESXI.vmx",
            )
        ],
    ),
    Case(
        "esxcli-vm-process-4.txt",
        running,
        [
            (
                35264,
                "88 ba 84 59",
                "Camp-DC",
                "/vmfs/volumes/4faac78b-87d2b646-3436-001018da65d2/DC/DC.vmx",
            ),
            (
                35508,
                "ac 7f ae c4",
                "Unifi-Controller",
                "/vmfs/volumes/4faac78b-87d2b646-3436-001018da65d2/Unifi-Controller/Unifi-Controller.vmx",
            ),
        ],
    ),
    Case("esxcli-vm-process-5.txt", running, Edited("the blank lines between the blocks were lost")),
    Case(
        "esxcli-vm-process-xml-1.txt",
        xml_names,
        [
            (22541454, "vCLS-b4a3a15f-b274-44f1-8b47-b5de5d4093e1"),
            (2103350, "vSAN File Service Node (2)"),
            (2105117, "vf-test-hcpdj-9x89b"),
            (2105156, "vf-test-np1-h5mtj-9cf8fdcf6xcfln5-k9jcm"),
            (2292961, "TCA-M3.0"),
        ],
    ),
    Case(
        "esxcli-vmfs-extent-1.txt",
        rows("Volume Name", "Partition"),
        (5, ("wdc_6t", "1")),
    ),
    Case(
        "esxcli-vswitch-1.txt",
        items("Num Ports", "Portgroups"),
        (["vSwitch0"], ("2560", "VM Network, Management Network")),
    ),
    Case("esxcli-vswitch-3.txt", items("Beacon Required By"), (["vSwitch0", "switch01"], ("",))),
    Case("esxcli-vswitch-4.txt", items("Class"), (["defvSwitch", "vSwitch0"], ("cswitch",))),
]
