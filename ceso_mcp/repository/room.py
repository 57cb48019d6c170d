"""How much room backups take: by VM, shared, and what nobody names."""

from __future__ import annotations

from dataclasses import dataclass

from ceso_mcp.repository.check import named_objects
from ceso_mcp.repository.prune import garbage_of
from ceso_mcp.repository.repository import Repository


@dataclass(frozen=True, slots=True)
class VmRoom:
    """The backups of one VM. `own_bytes` would become free if all of them went.

    `raw_bytes` is the data of every backup, `named_bytes` the stored size of all that they name,
    counted once for each backup, and `stored_bytes` counted once.
    """

    vm_id: str
    name: str
    backups: int
    raw_bytes: int
    named_bytes: int
    stored_bytes: int
    own_bytes: int


@dataclass(frozen=True, slots=True)
class Room:
    """The whole repository, in the same words."""

    vms: tuple[VmRoom, ...]
    backups: int
    raw_bytes: int
    named_bytes: int
    stored_bytes: int
    garbage_bytes: int


def room(repository: Repository) -> Room:
    """Add up what the manifests say. Backups whose manifest cannot be read are not in it."""
    store = repository.store
    manifests = repository.list().manifests
    by_vm: dict[str, dict[str, int]] = {}
    users: dict[str, set[str]] = {}
    names: dict[str, str] = {}
    totals: dict[str, list[int]] = {}
    for manifest in manifests:  # newest first, so the first name is the last one it had
        vm_id = manifest.backup_id.vm_id
        names.setdefault(vm_id, manifest.vm.name)
        objects = dict(named_objects(manifest, store.suffix))
        by_vm.setdefault(vm_id, {}).update(objects)
        for name in objects:
            users.setdefault(name, set()).add(vm_id)
        count = totals.setdefault(vm_id, [0, 0, 0])
        count[0] += 1
        count[1] += manifest.raw_bytes
        count[2] += sum(objects.values())
    everything: dict[str, int] = {}
    for objects in by_vm.values():
        everything |= objects
    vms = [
        VmRoom(
            vm_id=vm_id,
            name=names[vm_id],
            backups=totals[vm_id][0],
            raw_bytes=totals[vm_id][1],
            named_bytes=totals[vm_id][2],
            stored_bytes=sum(objects.values()),
            own_bytes=sum(size for name, size in objects.items() if len(users[name]) == 1),
        )
        for vm_id, objects in by_vm.items()
    ]
    loose = garbage_of(store.target, store.suffix, repository.list)
    return Room(
        vms=tuple(sorted(vms, key=lambda vm: (vm.name, vm.vm_id))),
        backups=len(manifests),
        raw_bytes=sum(vm.raw_bytes for vm in vms),
        named_bytes=sum(vm.named_bytes for vm in vms),
        stored_bytes=sum(everything.values()),
        garbage_bytes=loose.size_bytes + sum(entry.size_bytes for entry in loose.kept_packs),
    )
