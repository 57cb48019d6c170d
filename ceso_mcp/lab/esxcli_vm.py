"""`esxcli vm` (fact sheet esxcli-and-shell §2.5)."""

from __future__ import annotations

from ceso_mcp.lab.esxcli_forms import Answer, Row, Scalar
from ceso_mcp.lab.esxcli_ground import Ground, blocks
from ceso_mcp.lab.esxcli_options import Command, Given, Option, Refused

KILLS = ("soft", "hard", "force")


class VmProcessCommands:
    """Running VMs by their worlds."""

    def __init__(self, ground: Ground) -> None:
        self._ground = ground

    def commands(self) -> list[Command]:
        return [
            Command(
                "vm process list",
                "List the virtual machines on this system. This command currently will only list running VMs"
                " on the system.",
                self._list,
            ),
            Command(
                "vm process kill",
                "Used to forcibly kill Virtual Machines that are stuck and not responding to normal stop"
                " operations.",
                self._kill,
                (
                    Option(
                        "type",
                        "t",
                        description="The type of kill operation to attempt: soft, hard, force.",
                        required=True,
                    ),
                    Option(
                        "world-id",
                        "w",
                        "long",
                        "The World ID of the Virtual Machine to kill.",
                        required=True,
                    ),
                ),
                changes=True,
            ),
        ]

    def _list(self, _: Given) -> Answer:
        """A block keeps the name its VM had when it started (esxcli-vm-process-4)."""
        rows: list[Row] = []
        for vm in self._ground.running():
            rows.append(
                {
                    "Heading": vm.measured.get("started_as") or vm.name,
                    "World ID": vm.world_id,
                    "Process ID": 0,
                    "VMX Cartel ID": vm.measured.get("cartel_id") or vm.world_id - 1,
                    "UUID": vm.settings.get("uuid.bios"),
                    "Display Name": vm.name,
                    "Config File": vm.path,
                }
            )
        answer = blocks("VirtualMachine", rows, header="Heading")
        answer.columns = tuple(name for name in answer.columns if name != "Heading")
        return answer

    def _kill(self, given: Given) -> Scalar:
        """The sentences are assumed; every type ends the VM at once."""
        if given["type"] not in KILLS:
            raise Refused(f"Invalid kill type {given['type']}")
        for vm in self._ground.running():
            if vm.world_id == given["world-id"]:
                self._ground.power.switch_off(vm)
                return self._ground.done()
        raise Refused(f"Unable to find a virtual machine with world id {given['world-id']}")
