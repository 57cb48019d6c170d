"""Snapshots: the `.vmsd` file, the `.vmsn` files and the deltas (fact sheet vmkfstools-and-files §6)."""

from __future__ import annotations

import os
import time
from pathlib import Path

from ceso_mcp.lab import vmsd
from ceso_mcp.lab.disks import operations
from ceso_mcp.lab.disks.chain import links
from ceso_mcp.lab.disks.descriptor import load, store
from ceso_mcp.lab.disks.fault import DiskFault
from ceso_mcp.lab.dump import fault
from ceso_mcp.lab.inventory import Inventory
from ceso_mcp.lab.power import Power
from ceso_mcp.lab.result import Faulted
from ceso_mcp.lab.storage import VOLUMES, Storage
from ceso_mcp.lab.vmsd import Snapshot as Snapshot
from ceso_mcp.lab.world import OFF, ON, Vm

VMSN_BYTES = 18529


def gone(text: str) -> Faulted:
    return Faulted(fault("vim.fault.NotFound", "Unable to find a snapshot corresponding to " + text))


def failed(text: str) -> Faulted:
    return Faulted(fault("vim.fault.FileFault", text, file=""))


class Snapshots:
    """Snapshot operations on the VMs of one world."""

    def __init__(self, storage: Storage, inventory: Inventory, power: Power) -> None:
        self._storage = storage
        self._inventory = inventory
        self._power = power

    def _vmsd(self, vm: Vm) -> Path:
        return Path(self._storage.here(vm.path)).with_suffix(".vmsd")

    def read(self, vm: Vm) -> tuple[list[Snapshot], int, int]:
        """The snapshots in file order, the current uid (0: none) and the last uid given."""
        return vmsd.read(self._vmsd(vm))

    def _write(self, vm: Vm, snapshots: list[Snapshot], current: int, last: int) -> None:
        vmsd.write(self._vmsd(vm), snapshots, current, last)

    def _in_snapshots(self, vm: Vm) -> dict[str, str]:
        """Node to file name of the disks that a snapshot takes in: independent ones are left out."""
        settings = vm.settings
        return {
            node: settings.get(f"{node}.fileName")
            for node in self._storage.disk_paths(vm)
            if not settings.get(f"{node}.mode").lower().startswith("independent")
        }

    def _new_links(self, vm: Vm) -> dict[str, str]:
        """A fresh delta above every disk's link in use; returns node to the new file name."""
        made: dict[str, str] = {}
        for node, name in self._in_snapshots(vm).items():
            path = self._storage.here(self._storage.beside(vm, name))
            chain = links(path, self._storage.here)
            stem = os.path.basename(chain[-1].path).removesuffix(".vmdk")
            folder = os.path.dirname(path)
            number = 1
            while os.path.lexists(f"{folder}/{stem}-{number:06d}.vmdk"):
                number += 1
            child = f"{stem}-{number:06d}.vmdk"
            kind = self._storage.delta_kind(path, chain[0].descriptor.size_bytes)
            operations.branch(path, f"{folder}/{child}", os.path.basename(path), kind)
            prefix = os.path.dirname(name)
            made[node] = f"{prefix}/{child}" if prefix else child
        return made

    def _switch(self, vm: Vm, names: dict[str, str]) -> None:
        settings = vm.settings
        for node, name in names.items():
            settings[f"{node}.fileName"] = name
        vm.config = settings.pairs()
        self._power.write_config(vm)
        self._power.relock(vm)
        self._inventory.save()

    def create(self, vm: Vm, name: str, description: str) -> Snapshot:
        """Freeze the links in use and go on in new deltas; memory is not kept (assumed: flag ignored)."""
        snapshots, current, last = self.read(vm)
        frozen = self._in_snapshots(vm)
        stem = Path(vm.path).stem
        made = Snapshot(
            uid=last + 1,
            parent=current,
            file=f"{stem}-Snapshot{last + 1}.vmsn",
            name=name,
            description=description,
            created_us=time.time_ns() // 1000,
            on=vm.state == ON,
            disks=frozen,
        )
        self._power.before_freeze(vm)
        try:
            names = self._new_links(vm)
        except DiskFault as trouble:
            raise failed(trouble.text) from None
        state = b"\xd0\xbe\xd0\xbe" + bytes(1020) + vm.settings.render().encode("utf-8", "surrogateescape")
        place = self._vmsd(vm).with_name(made.file)
        place.write_bytes(state.ljust(VMSN_BYTES, b"\0"))
        place.chmod(0o600)
        self._switch(vm, names)
        self._write(vm, [*snapshots, made], made.uid, made.uid)
        return made

    def remove(self, vm: Vm, uid: int, *, children: bool = False) -> None:
        """Delete one snapshot: what its frozen links' children hold goes down into them."""
        snapshots, current, last = self.read(vm)
        chosen = next((item for item in snapshots if item.uid == uid), None)
        if chosen is None:
            raise gone(str(uid))
        below = [item.uid for item in snapshots if item.parent == uid]
        if children:
            for inner in below:
                self.remove(vm, inner, children=True)
            self.remove(vm, uid)
            return
        child = next((item for item in snapshots if item.parent == uid), None)
        branches = len(below) + (current == uid)
        for item in snapshots:
            if item.parent == uid:
                item.parent = chosen.parent
        left = [item for item in snapshots if item.uid != uid]
        self._write(vm, left, chosen.parent if current == uid else current, last)
        self._vmsd(vm).with_name(chosen.file).unlink(missing_ok=True)
        for node, name in chosen.disks.items():
            if branches == 0:
                self._drop_unused(vm, node, name, left)
            elif branches == 1:
                top = child.disks.get(node) if child else vm.settings.get(f"{node}.fileName")
                self._merge_into(vm, node, name, top or name, left)

    def _real(self, vm: Vm, name: str) -> str:
        return os.path.realpath(self._storage.here(self._storage.beside(vm, name)))

    def _extent(self, extent: str) -> str:
        """An extent's path on this machine as the lock table names it."""
        return os.path.normpath(VOLUMES + os.path.relpath(extent, self._storage.volumes))

    def _drop_unused(self, vm: Vm, node: str, name: str, left: list[Snapshot]) -> None:
        """Delete the frozen link of a leaf, unless the disk in use or another snapshot stands on it."""
        place = self._storage.here
        tops = [vm.settings.get(f"{node}.fileName"), *(item.disks.get(node, name) for item in left)]
        used = {
            os.path.realpath(link.path)
            for top in tops
            if top != name or top == tops[0]
            for link in links(self._real(vm, top), place)
        }
        if self._real(vm, name) not in used:
            operations.delete(self._real(vm, name))

    def _merge_into(self, vm: Vm, node: str, name: str, top: str, left: list[Snapshot]) -> None:
        """Merge the link above the frozen `name` into it; `top` is a disk that stands on both."""
        place = self._storage.here
        chain = links(self._real(vm, top), place)
        paths = [os.path.realpath(link.path) for link in chain]
        frozen = self._real(vm, name)
        if frozen not in paths or paths.index(frozen) == 0:
            return
        at = paths.index(frozen)
        above = paths[at - 1]
        self._power.locks.release(f"vm:{vm.vmid}")
        held = [self._extent(link.extent) for link in chain[at - 1 : at + 1]]
        if not all(self._power.locks.take(path, f"merge:{vm.vmid}", "write") for path in held):
            self._power.locks.release(f"merge:{vm.vmid}")
            self._power.relock(vm)
            raise failed("Failed to lock the file")
        try:
            operations.merge(above, place)
        finally:
            self._power.locks.release(f"merge:{vm.vmid}")
        self._renamed(above, frozen)
        for item in left:
            if node in item.disks and self._real(vm, item.disks[node]) == above:
                item.disks[node] = name
        snapshots, current, last = self.read(vm)
        by_uid = {item.uid: item for item in left}
        for item in snapshots:
            item.disks = by_uid[item.uid].disks
        self._write(vm, snapshots, current, last)
        in_use = self._real(vm, vm.settings.get(f"{node}.fileName")) == above
        self._switch(vm, {node: name} if in_use else {})

    @staticmethod
    def _renamed(old: str, new: str) -> None:
        """Let every link that stood on `old` stand on `new`."""
        merged = load(new)
        for file in Path(new).parent.glob("*.vmdk"):
            try:
                described = load(str(file))
            except DiskFault:
                continue
            if described.parent_hint and os.path.join(file.parent, described.parent_hint) == old:
                described.parent_hint = os.path.basename(new)
                described.parent_cid = merged.cid
                store(str(file), described)

    def remove_all(self, vm: Vm) -> None:
        """Leaves that the VM does not stand on go first, then the VM's own chain is merged downwards.

        Links that no snapshot froze (left by a merge that failed) go with the others.
        """
        while True:
            snapshots, current, _ = self.read(vm)
            if not snapshots:
                break
            parents = {item.parent for item in snapshots}
            leaf = next((item for item in snapshots if item.uid not in parents | {current}), None)
            chosen = leaf or next(item for item in snapshots if item.parent == 0)
            self.remove(vm, chosen.uid)
        self.consolidate(vm)

    def consolidate(self, vm: Vm) -> None:
        """Merge every link of the disks in use that no snapshot froze into the one below."""
        snapshots, _, _ = self.read(vm)
        for node in self._in_snapshots(vm):
            frozen = {self._real(vm, item.disks[node]) for item in snapshots if node in item.disks}
            while True:
                top = vm.settings.get(f"{node}.fileName")
                chain = links(self._real(vm, top), self._storage.here)
                below = next((link for link in chain[1:] if os.path.realpath(link.path) not in frozen), None)
                if below is None:
                    break
                folder = os.path.dirname(top)
                name = os.path.basename(below.path)
                self._merge_into(vm, node, f"{folder}/{name}" if folder else name, top, snapshots)

    def revert(self, vm: Vm, uid: int) -> None:
        """Throw the deltas in use away and start new ones above the snapshot's links; the VM ends off."""
        snapshots, _, last = self.read(vm)
        chosen = next((item for item in snapshots if item.uid == uid), None)
        if chosen is None:
            raise gone(str(uid))
        if vm.state != OFF:
            self._power.switch_off(vm)
        needed = {name for item in snapshots for name in item.disks.values()}
        left = {node: name for node, name in self._in_snapshots(vm).items() if node in chosen.disks}
        settings = vm.settings
        for node, name in chosen.disks.items():
            settings[f"{node}.fileName"] = name
        vm.config = settings.pairs()
        # The new link is made before the old one goes, so it has another number (files-revert-and-…-1).
        self._switch(vm, self._new_links(vm))
        for name in left.values():
            if name not in needed:
                operations.delete(self._storage.here(self._storage.beside(vm, name)))
        self._write(vm, snapshots, uid, last)
