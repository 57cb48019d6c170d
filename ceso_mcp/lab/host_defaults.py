"""The hardware, the networks and the firewall of the seeded host, as rows and tuples.

Rule sets and their ports: esxcli-firewall-*-2. The rest is made up in the form of the captures.
"""

from __future__ import annotations

from typing import Any

Labelled = dict[str, Any]


def _nic(name: str, place: str, mac: str, up: bool) -> Labelled:
    return {
        "Name": name,
        "PCI Device": place,
        "Driver": "ixgben",
        "Admin Status": "Up",
        "Link Status": "Up" if up else "Down",
        "Speed": 10000 if up else 0,
        "Duplex": "Full" if up else "Half",
        "MAC Address": mac,
        "MTU": 1500,
        "Description": "Intel(R) Ethernet Controller X550",
        "DPUId": "N/A",
        "Link": "Up" if up else "Down",
    }


NICS = [
    _nic("vmnic0", "0000:02:00.0", "3c:ec:ef:00:00:10", True),
    _nic("vmnic1", "0000:02:00.1", "3c:ec:ef:00:00:11", True),
]


def _pci(place: str, name: str, vendor: tuple[str, str], device: tuple[str, str]) -> Labelled:
    segment, bus, rest = place.split(":")
    slot, function = rest.split(".")
    return {
        "Address": place,
        "Segment": f"0x{segment}",
        "Bus": f"0x{bus}",
        "Slot": f"0x{slot}",
        "Function": f"0x{function}",
        "VMkernel Name": name,
        "Vendor Name": vendor[1],
        "Device Name": device[1],
        "Configured Owner": "VMkernel",
        "Current Owner": "VMkernel",
        "Vendor ID": vendor[0],
        "Device ID": device[0],
        "SubVendor ID": vendor[0],
        "SubDevice ID": "0x0001",
        "Passthru Capable": True,
        "Parent Device": "PCI 0:0:1:0",
        "Dependent Device": f"PCI 0:{int(bus, 16)}:{int(slot, 16)}:{function}",
        "Reset Method": "Function reset",
        "FPT Sharable": True,
    }


INTEL, NVIDIA = ("0x8086", "Intel Corporation"), ("0x10de", "NVIDIA Corporation")
X550 = ("0x1563", "Ethernet Controller X550")
PCI = [
    _pci("0000:02:00.0", "vmnic0", INTEL, X550),
    _pci("0000:02:00.1", "vmnic1", INTEL, X550),
    _pci("0000:0d:00.0", "", NVIDIA, ("0x1eb8", "TU104GL [Tesla T4]")),
]

# esxcli-ip-interface-list-1.
INTERFACES: list[Labelled] = [
    {
        "Name": "vmk0",
        "MAC Address": "3c:ec:ef:00:00:10",
        "Enabled": True,
        "Portset": "vSwitch0",
        "Portgroup": "Management Network",
        "Netstack Instance": "defaultTcpipStack",
        "VDS Name": "N/A",
        "VDS UUID": "N/A",
        "VDS Port": "N/A",
        "VDS Connection": -1,
        "Opaque Network ID": "N/A",
        "Opaque Network Type": "N/A",
        "External ID": "N/A",
        "MTU": 1500,
        "TSO MSS": 65535,
        "RXDispQueue Size": 1,
        "Port ID": 33554436,
    }
]
IPV4: list[Labelled] = [
    {
        "Name": "vmk0",
        "IPv4 Address": "192.0.2.10",
        "IPv4 Netmask": "255.255.255.0",
        "IPv4 Broadcast": "192.0.2.255",
        "Address Type": "STATIC",
        "Gateway": "192.0.2.1",
        "DHCP DNS": False,
    }
]


def _listens(proto: str, address: str, state: str, world: int, name: str) -> Labelled:
    return {
        "Proto": proto,
        "Recv Q": 0,
        "Send Q": 0,
        "Local Address": address,
        "Foreign Address": "0.0.0.0:0",
        "State": state,
        "World ID": world,
        "CC Algo": "newreno" if proto == "tcp" else "",
        "World Name": name,
    }


CONNECTIONS = [
    _listens("tcp", "0.0.0.0:22", "LISTEN", 2099012, "sshd"),
    _listens("tcp", "127.0.0.1:8307", "LISTEN", 2099401, "hostd-worker"),
    _listens("tcp", "0.0.0.0:443", "LISTEN", 2099236, "envoy"),
    _listens("udp", "127.0.0.1:123", "", 2098450, "ntpd"),
]

FIREWALL: Labelled = {"Default Action": "DROP", "Enabled": True, "Loaded": True}
# name, enabled, rules of (direction, protocol, port type, first port, last port)
RULESETS: list[tuple[str, bool, list[list[Any]]]] = [
    ("sshServer", True, [["Inbound", "TCP", "Dst", 22, 22]]),
    ("sshClient", False, [["Outbound", "TCP", "Dst", 22, 22]]),
    ("nfsClient", False, [["Outbound", "TCP", "Dst", 0, 65535]]),
    ("nfs41Client", False, [["Outbound", "TCP", "Dst", 2049, 2049]]),
    ("dhcp", True, [["Inbound", "UDP", "Dst", 68, 68], ["Outbound", "UDP", "Src", 68, 68]]),
    ("dns", True, [["Inbound", "UDP", "Src", 53, 53], ["Outbound", "UDP", "Dst", 53, 53]]),
    ("snmp", True, [["Inbound", "UDP", "Dst", 161, 161]]),
    ("ntpClient", True, [["Outbound", "UDP", "Dst", 123, 123]]),
    (
        "httpClient",
        False,
        [["Outbound", "TCP", "Dst", 80, 80], ["Outbound", "TCP", "Dst", 443, 443]],
    ),
    (
        "syslog",
        False,
        [
            ["Outbound", "UDP", "Dst", 514, 514],
            ["Outbound", "TCP", "Dst", 514, 514],
            ["Outbound", "TCP", "Dst", 1514, 1514],
        ],
    ),
    ("webAccess", True, [["Inbound", "TCP", "Dst", 80, 80]]),
    ("vSphereClient", True, [["Inbound", "TCP", "Dst", 902, 902], ["Inbound", "TCP", "Dst", 443, 443]]),
    ("remoteSerialPort", False, [["Outbound", "TCP", "Dst", 0, 65535], ["Inbound", "TCP", "Dst", 23, 23]]),
]
