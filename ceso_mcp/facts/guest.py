"""What the guest of a VM reports through its tools."""

from __future__ import annotations

from dataclasses import dataclass

from ceso_mcp.esxi.guest import GuestInfo, parse_guest
from ceso_mcp.fact import Fact, Reading
from ceso_mcp.shell import sh


@dataclass(frozen=True, slots=True)
class GuestOf(Fact[GuestInfo]):
    """`vim-cmd vmsvc/get.guest` of one VM."""

    vmid: int

    def reading(self) -> Reading[GuestInfo]:
        (reply,) = yield [sh("vim-cmd", "vmsvc/get.guest", self.vmid)]
        return parse_guest(reply.require("asking for the guest"))


@dataclass(frozen=True, slots=True)
class SnapshotTree(Fact[tuple[str, ...]]):
    """Names of the snapshots of one VM, oldest first."""

    vmid: int

    def reading(self) -> Reading[tuple[str, ...]]:
        from ceso_mcp.esxi.snapshots import parse_snapshots

        (reply,) = yield [sh("vim-cmd", "vmsvc/snapshot.get", self.vmid)]
        return tuple(node.name for node in parse_snapshots(reply.require("asking for the snapshots")))
