"""`esxcli network nic`, `ip`, `vm` and `sriovnic` (fact sheet esxcli-and-shell §2.4)."""

from __future__ import annotations

from ceso_mcp.lab.esxcli_forms import Answer, Nested, Row, Scalar
from ceso_mcp.lab.esxcli_ground import Ground, block, blocks, table
from ceso_mcp.lab.esxcli_options import Command, Given, Option, Refused
from ceso_mcp.lab.power import nic_mac, nic_numbers
from ceso_mcp.lab.world import Vm

LINK_MODES = [
    "Auto",
    "100BaseT/Full",
    "1000BaseT/Full",
    "2500BaseT/Full",
    "5000BaseT/Full",
    "10000BaseT/Full",
]
HEAD = "Heading"
STATS = (
    "Packets received",
    "Packets sent",
    "Bytes received",
    "Bytes sent",
    "Receive packets dropped",
    "Transmit packets dropped",
    "Multicast packets received",
    "Broadcast packets received",
    "Multicast packets sent",
    "Broadcast packets sent",
    "Total receive errors",
    "Receive length errors",
)
UPLINK_BIT = 1 << 31
FIRST_CLIENT = 6
NO_ADDRESS = "0.0.0.0"


class NetworkCommands:
    """Cards of the host, its own addresses, and the cards of running VMs."""

    def __init__(self, ground: Ground) -> None:
        self._ground = ground

    def commands(self) -> list[Command]:
        nic = Option("nic-name", "n", description="The name of the NIC.", required=True)
        interface = Option("interface-name", "i")
        netstack = Option("netstack", "N")
        world = Option("world-id", "w", "long", "World ID of the virtual machine.", required=True)
        host = self._ground.host
        return [
            Command(
                "network nic list",
                "This command will list the Physical NICs currently installed and loaded on the system.",
                self._nics,
            ),
            Command(
                "network nic get", "Get the generic configuration of a network device", self._nic, (nic,)
            ),
            Command(
                "network nic stats get", "Get NIC statistics for a given interface.", self._stats, (nic,)
            ),
            Command(
                "network nic tso get",
                "Get TCP segmentation offload (TSO) settings",
                self._tso,
                (Option("nic-name", "n"),),
            ),
            Command(
                "network nic up",
                "Bring up the specified network device.",
                lambda given: self._admin(given, "Up"),
                (nic,),
                changes=True,
            ),
            Command(
                "network nic down",
                "Bring down the specified network device.",
                lambda given: self._admin(given, "Down"),
                (nic,),
                changes=True,
            ),
            Command(
                "network ip interface list",
                "This command will list the VMkernel network interfaces currently known to the system.",
                lambda _: blocks("VMKernelNic", host.interfaces, header="Name"),
                (netstack,),
            ),
            *(
                Command(
                    f"network ip interface ipv4 {word}",
                    "List IPv4 addresses assigned to VMkernel network interfaces.",
                    self._ipv4,
                    (interface, netstack),
                )
                for word in ("get", "address list")
            ),
            Command(
                "network ip connection list",
                "List active tcpip connections",
                self._connections,
                (netstack, Option("type", "t", description="Connection type: ip, tcp, udp or all.")),
            ),
            Command(
                "network vm list",
                "List networking information for the VM's that have active ports.",
                self._vms,
            ),
            Command(
                "network vm port list",
                "List of active ports for a given VM.",
                self._vm_ports,
                (world,),
            ),
            Command("network sriovnic list", "List SRIOV enabled NICs.", lambda _: table("SriovNic", [])),
            Command(
                "network sriovnic vf list",
                "List the generic configuration of SRIOV VFs.",
                self._functions,
                (Option("nic-name", "n", required=True),),
            ),
        ]

    # --- the host's cards

    def _nics(self, _: Given) -> Answer:
        """Ordered by name as text (esxcli-nic-list-2)."""
        rows = sorted(self._ground.host.nics, key=lambda row: str(row["Name"]))
        more = tuple(label for label in ("DPUId", "Link") if rows and label in rows[0])
        return table("Nic", rows, more)

    def _find(self, given: Given) -> Row:
        for row in self._ground.host.nics:
            if row["Name"] == given["nic-name"]:
                return row
        raise Refused(f"Unable to find NIC with name {given['nic-name']}")

    def _nic(self, given: Given) -> Answer:
        """The fields of esxcli-nic-get-xml-1 (8.0); BackingDPUId has no place in the text form (assumed)."""
        nic = self._find(given)
        stated = self._ground.host.nic_details.get(given["nic-name"])
        place = str(nic["PCI Device"])
        driver: Row = {
            "Bus Info": place.replace(".", ":"),
            "Driver": nic["Driver"],
            "Firmware Version": "3.30 0x800014a5, 20.5.15",
            "Version": "1.15.1.0",
        }
        row: Row = {
            "Advertised Auto Negotiation": True,
            "Advertised Link Modes": LINK_MODES,
            "Auto Negotiation": True,
            "Backing DPUId": "N/A",
            "Cable Type": "Twisted Pair",
            "Current Message Level": 0,
            "Driver Info": Nested("NICDriverInfo", (driver,)),
            "Link Detected": nic["Link Status"] == "Up",
            "Link Status": f"{nic['Link Status']} ",
            "Name": nic["Name"],
            "PHYAddress": 0,
            "Pause Autonegotiate": False,
            "Pause RX": True,
            "Pause TX": True,
            "Supported Ports": ["TP"],
            "Supports Auto Negotiation": True,
            "Supports Pause": True,
            "Supports Wakeon": True,
            "Transceiver": "",
            "Virtual Address": "00:50:56:58:e5:65",
            "Wakeon": ["MagicPacket(tm)"],
        }
        if stated is not None:
            row = dict(stated)
            inner = stated["Driver Info"]
            row["Driver Info"] = Nested("NICDriverInfo", (inner,))
        elif self._ground.major < 8:
            del row["Backing DPUId"]
        answer = block("NICInfo", row)
        answer.more = tuple(name for name in ("Backing DPUId",) if name in row)
        answer.columns = tuple(name for name in row if name not in answer.more)
        return answer

    def _stats(self, given: Given) -> Answer:
        nic = self._find(given)
        counted = self._ground.host.nic_stats.get(str(nic["Name"]), {})
        row: Row = {label: counted.get(label, 0) for label in STATS}
        return block("NicStats", row, header=f"NIC statistics for {nic['Name']}")

    def _tso(self, given: Given) -> Answer:
        rows = [{"NIC": row["Name"], "Value": row.get("TSO", "on")} for row in self._ground.host.nics]
        name = given.get("nic-name")
        if name is not None:
            self._find(given)
        return table("TsoGet", [row for row in rows if name in (None, row["NIC"])])

    def _admin(self, given: Given, status: str) -> Scalar:
        nic = self._find(given)
        up = status == "Up"
        nic |= {"Admin Status": status, "Link Status": status, "Duplex": "Full" if up else "Half"}
        nic["Speed"] = 10000 if up else 0
        if "Link" in nic:
            nic["Link"] = status
        return self._ground.done()

    def _functions(self, given: Given) -> Answer:
        """Transcripts esxcli-error-fault-1, esxcli-vf-list-1, -2."""
        name = given["nic-name"]
        if name not in self._ground.host.vf:
            raise Refused(f"There is no SRIOV Nic with name {name}")
        return table("VF", self._ground.host.vf[name])

    # --- addresses

    def _ipv4(self, given: Given) -> Answer:
        name = given.get("interface-name")
        rows = [row for row in self._ground.host.ipv4 if name in (None, row["Name"])]
        if name is not None and not rows:
            raise Refused(f"Unable to find vmkernel interface with name {name}")
        return table("IPv4Interface", rows)

    def _connections(self, given: Given) -> Answer:
        kind = given.get("type", "all")
        if kind not in ("ip", "tcp", "udp", "all"):
            raise Refused(f"Invalid connection type {kind}")
        rows = self._ground.host.connections
        return table("IpConnection", [row for row in rows if kind in ("all", "ip", row["Proto"])])

    # --- virtual machines

    def _vms(self, _: Given) -> Answer:
        rows: list[Row] = []
        for vm in self._ground.running():
            networks = self._networks(vm)
            rows.append(
                {"World ID": vm.world_id, "Name": vm.name, "Num Ports": len(networks), "Networks": networks}
            )
        return table("VM", rows)

    @staticmethod
    def _networks(vm: Vm) -> list[str]:
        settings = vm.settings
        return [settings.get(f"ethernet{nic}.networkName") for nic in nic_numbers(settings)]

    def _vm_ports(self, given: Given) -> Answer:
        """The address is 0.0.0.0 unless /Net/GuestIPHack is 1 (fact sheet §2.4)."""
        for vm in self._ground.running():
            if vm.world_id == given["world-id"]:
                rows = [self._port(vm, nic) for nic in nic_numbers(vm.settings)]
                return blocks("Port", rows)
        raise Refused(f"Unable to find a virtual machine with world id {given['world-id']}")

    def _port(self, vm: Vm, nic: int) -> Row:
        world, host = self._ground.world, self._ground.host
        network = vm.settings.get(f"ethernet{nic}.networkName")
        name = next((group.vswitch for group in world.portgroups if group.name == network), "")
        number = world.vswitches.index(name) if name in world.vswitches else 0
        switch = host.vswitch(name, number)
        uplink = switch.uplinks[0] if switch.uplinks else "void"
        key = f"{name}/{vm.world_id}/{nic}"
        if key not in host.port_ids:
            taken = [port for kept, port in host.port_ids.items() if kept.startswith(f"{name}/")]
            host.port_ids[key] = max(taken, default=FIRST_CLIENT - 1) + 1
        hack = world.vim.advanced.get("Net.GuestIPHack") == 1
        return {
            "Port ID": switch.portset + host.port_ids[key],
            "vSwitch": name,
            "Portgroup": network,
            "DVPort ID": "",
            "MAC Address": nic_mac(vm.settings, nic),
            "IP Address": _address(vm, nic) if hack else NO_ADDRESS,
            "Team Uplink": uplink,
            "Uplink Port ID": (switch.portset | UPLINK_BIT) + switch.uplink_port if switch.uplinks else 0,
            "Active Filters": [],
        }


def _address(vm: Vm, nic: int) -> str:
    """The first IPv4 address that the guest reported for a card."""
    mac = nic_mac(vm.settings, nic)
    found = [ip for card in vm.guest.get("net", []) if card["mac"] == mac for ip in card["addresses"]]
    return next((str(ip).partition("/")[0] for ip in found if ":" not in ip), NO_ADDRESS)
