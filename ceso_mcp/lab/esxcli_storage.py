"""`esxcli storage filesystem`, `vmfs` and `core` (fact sheet esxcli-and-shell §2.3)."""

from __future__ import annotations

from ceso_mcp.lab.esxcli_forms import Answer, Quantity, Row, Scalar
from ceso_mcp.lab.esxcli_ground import Ground, blocks, table
from ceso_mcp.lab.esxcli_options import Command, Given, Option, Refused
from ceso_mcp.lab.world import Datastore

DEVICE = Option("device", "d")
SECTOR_BYTES = 512
# Transcript esxcli-smart-1, in the form with the raw column.
SMART = (
    ("Health Status", "OK", "N/A", "N/A", "N/A"),
    ("Media Wearout Indicator", "99", "0", "99", "24"),
    ("Power-on Hours", "93", "0", "93", "233"),
    ("Power Cycle Count", "99", "0", "99", "161"),
    ("Reallocated Sector Count", "100", "10", "100", "0"),
    ("Drive Temperature", "62", "0", "49", "38"),
)


class StorageCommands:
    """Volumes and the devices they lie on. NFS has its own module."""

    def __init__(self, ground: Ground) -> None:
        self._ground = ground

    def commands(self) -> list[Command]:
        return [
            Command(
                "storage filesystem list",
                "List the volumes available to the host.",
                self._filesystems,
            ),
            Command(
                "storage filesystem rescan",
                "Issue a rescan operation on all the adapters.",
                lambda _: self._ground.done(),
                (Option("filesystem", "f"),),
                changes=True,
            ),
            Command(
                "storage vmfs extent list", "List the VMFS extents available on the host.", self._extents
            ),
            Command(
                "storage vmfs unmap",
                "Reclaim the space by unmapping free blocks from VMFS Volume",
                self._unmap,
                (
                    Option("volume-label", "l"),
                    Option("volume-uuid", "u"),
                    Option("reclaim-unit", "n", "long"),
                ),
                changes=True,
            ),
            Command("storage core device list", "List the devices on the host.", self._devices, (DEVICE,)),
            Command(
                "storage core device capacity list",
                "List the capacity of the devices.",
                self._capacity,
                (DEVICE,),
            ),
            Command(
                "storage core device smart get",
                "List SMART parameters of a device.",
                self._smart,
                (Option("device-name", "d", required=True),),
            ),
            Command(
                "storage core device vaai status get",
                "List VAAI properties of devices.",
                self._vaai,
                (DEVICE,),
            ),
            Command(
                "storage core adapter rescan",
                "Rescan storage adapters.",
                lambda _: self._ground.done(),
                (Option("all", "a", "flag"), Option("adapter", "A")),
                changes=True,
            ),
        ]

    def _filesystems(self, _: Given) -> Answer:
        rows: list[Row] = [
            {
                "Mount Point": f"/vmfs/volumes/{item.uuid}",
                "Volume Name": item.name,
                "UUID": item.uuid,
                "Mounted": True,
                "Type": item.type,
                "Size": self._ground.storage.size_bytes(item),
                "Free": self._ground.storage.free_bytes(item),
            }
            for item in self._ground.world.datastores
        ]
        return table("Filesystem", rows + self._ground.host.boot_volumes)

    def _local(self) -> list[Datastore]:
        return [item for item in self._ground.world.datastores if not item.type.startswith("NFS")]

    def _extents(self, _: Given) -> Answer:
        rows: list[Row] = [
            {
                "Volume Name": item.name,
                "VMFS UUID": item.uuid,
                "Extent Number": 0,
                "Device Name": item.device,
                "Partition": 1,
            }
            for item in self._local()
        ]
        return table("VmfsExtent", self._ground.host.extents or rows)

    def _unmap(self, given: Given) -> Scalar:
        wanted = given.get("volume-label", given.get("volume-uuid"))
        if wanted is None or not any(wanted in (item.name, item.uuid) for item in self._local()):
            raise Refused(f"Volume '{wanted or ''}' cannot be found.")
        return Scalar(True)

    # --- devices

    def _chosen(self, rows: list[Row], given: Given, label: str) -> list[Row]:
        name = given.get("device", given.get("device-name"))
        found = [row for row in rows if name in (None, row[label])]
        if name is not None and not found:
            raise Refused(f"Unable to find device with name {name}")
        return found

    def _names(self) -> dict[str, int]:
        """Device to size in bytes: a volume and the GPT around it."""
        stated = {str(row["Heading"]): int(row["Size"]) << 20 for row in self._ground.host.devices}
        return stated or {item.device: item.size_bytes + (1 << 20) for item in self._local()}

    def _devices(self, given: Given) -> Answer:
        """The header is no field (esxcli-device-list-1); Size is in MiB."""
        stated: list[Row] = self._ground.host.devices
        rows = stated or [self._device(name, size) for name, size in self._names().items()]
        answer = blocks("ScsiDevice", self._chosen(rows, given, "Heading"), header="Heading")
        answer.columns = tuple(name for name in answer.columns if name != "Heading")
        return answer

    def _device(self, name: str, size_bytes: int) -> Row:
        head: Row = {
            "Heading": name,
            "Display Name": f"Local NVMe Disk ({name})",
            "Has Settable Display Name": True,
            "Size": size_bytes >> 20,
            "Device Type": "Direct-Access",
            "Multipath Plugin": "HPP",
            "Devfs Path": f"/vmfs/devices/disks/{name}",
            "Vendor": "NVMe",
            "Model": "LAB DISK        ",
            "Revision": "1.0 ",
            "SCSI Level": 0,
            "Is Pseudo": False,
            "Status": "on",
            "Is RDM Capable": False,
            "Is Local": True,
            "Is Removable": False,
            "Is SSD": True,
        }
        tail: Row = {
            "Is VVOL PE": False,
            "Is Offline": False,
            "Is Perennially Reserved": False,
            "Queue Full Sample Size": 0,
            "Queue Full Threshold": 0,
            "Thin Provisioning Status": "yes",
            "Attached Filters": [],
            "VAAI Status": "unsupported",
            "Other UIDs": [f"vml.05{name.encode().hex()[:64]}"],
            "Is Shared Clusterwide": False,
            "Is SAS": False,
            "Is USB": False,
            "Is Boot Device": name == next(iter(self._names())),
            "Device Max Queue Depth": 1023,
            "No of outstanding IOs with competing worlds": 32,
            "Drive Type": "physical",
            "RAID Level": "NA",
            "Number of Physical Drives": "1",
            "Protection Enabled": False,
            "PI Activated": False,
            "PI Type": 0,
            "PI Protection Mask": "NO PROTECTION",
            "Supported Guard Types": "NO GUARD SUPPORT",
            "DIX Enabled": False,
            "DIX Guard Type": "NO GUARD SUPPORT",
            "Emulated DIX/DIF Enabled": False,
        }
        return head | tail

    def _capacity(self, given: Given) -> Answer:
        rows: list[Row] = [
            {
                "Device": name,
                "Physical Blocksize": SECTOR_BYTES,
                "Logical Blocksize": SECTOR_BYTES,
                "Logical Block Count": size // SECTOR_BYTES,
                "Size": size >> 20,
                "Format Type": "512n",
            }
            for name, size in self._names().items()
        ]
        rows = self._chosen(self._ground.host.capacity or rows, given, "Device")
        shown: list[Row] = [{**row, "Size": Quantity(_count(row["Size"]), "MiB")} for row in rows]
        return table("DeviceCapacity", shown)

    def _smart(self, given: Given) -> Answer:
        name = given["device-name"]
        if name not in self._names() and name not in self._ground.host.smart:
            raise Refused(f"Unable to find device with name {name}")
        labels = ("Parameter", "Value", "Threshold", "Worst", "Raw")
        made = [dict(zip(labels, values, strict=True)) for values in SMART]
        return table("DeviceSmart", self._ground.host.smart.get(name, made))

    def _vaai(self, given: Given) -> Answer:
        none = {"VAAI Plugin Name": "", "ATS Status": "unsupported", "Clone Status": "unsupported"}
        none |= {"Zero Status": "unsupported", "Delete Status": "supported"}
        rows: list[Row] = [
            {"Heading": name, **self._ground.host.vaai.get(name, none)} for name in self._names()
        ]
        answer = blocks("VaaiStatus", self._chosen(rows, given, "Heading"), header="Heading")
        answer.columns = tuple(name for name in answer.columns if name != "Heading")
        return answer


def _count(cell: object) -> int:
    assert isinstance(cell, int)
    return cell
