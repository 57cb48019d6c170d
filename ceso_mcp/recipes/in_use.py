"""What on the host needs a datastore: VMs, the host's own folders, backups."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from ceso_mcp.errors import Refused
from ceso_mcp.esxi.esxcli import Volume
from ceso_mcp.fact import Facts
from ceso_mcp.facts.inventory import HostVms, Vm
from ceso_mcp.facts.nfs import HostFolders, StandingOf

_VOLUMES = "/vmfs/volumes/"
SHOWN = 6


async def refuse_used(facts: Facts, name: str, volume: Volume | None, inventory: HostVms) -> tuple[str, ...]:
    """Warnings about what could not be told of the use of datastore `name`.

    Raises Refused: `datastore_in_use` when a registered VM has a file there (its .vmx, a disk or a link
    below it, a CD image, a swap file, whatever its .vmx names), `host_uses_datastore` when scratch or
    logs lie there, `vmx_unreadable` when it cannot be told of a VM.
    """
    ids = {name} if volume is None else {name, volume.uuid}
    uses = [use for vm in inventory.vms for use in _uses(vm, ids)]
    _refuse(name, uses)
    for vm in inventory.vms:
        if vm.vmx is None:
            raise Refused(
                f"the .vmx of {vm.name!r} cannot be read, so it is not known whether it needs {name!r}",
                code="vmx_unreadable",
                hint=f"repair or unregister {vm.name!r} first",
            )
    disks = {path: vm for vm in inventory.vms for path in vm.disk_paths()}
    standing = await facts.read(StandingOf(tuple(disks)))
    below = [
        f"{disks[one.disk].name!r} ({path})"
        for one in standing
        for path in sorted(one.files)
        if path.datastore in ids
    ]
    _refuse(name, below)
    for what, path in await facts.read(HostFolders()):
        if _place(path) in ids:
            raise Refused(
                f"the host's own {what} lies on datastore {name!r} ({path})",
                code="host_uses_datastore",
                hint="give the host another place for it first",
            )
    unknown = tuple(
        f"Whether the disk {one.disk} of {disks[one.disk].name} stands on it is not known:"
        f" {one.unreadable} cannot be read."
        for one in standing
        if one.unreadable is not None
    )
    if inventory.invalid_ids:
        ids_shown = ", ".join(str(vmid) for vmid in inventory.invalid_ids)
        return (*unknown, f"Whether VMs that the host calls invalid need it is not known (ids {ids_shown}).")
    return unknown


def _refuse(name: str, uses: list[str]) -> None:
    if uses:
        more = f" and {len(uses) - SHOWN} more" if len(uses) > SHOWN else ""
        raise Refused(
            f"datastore {name!r} is in use by {'; '.join(uses[:SHOWN])}{more}",
            code="datastore_in_use",
            hint="move or unregister those VMs, or take these files out of them, first",
        )


def _uses(vm: Vm, ids: Collection[str]) -> Iterator[str]:
    """The VM's .vmx on the datastore, and what its .vmx names there."""
    if vm.path.datastore in ids:
        yield f"{vm.name!r} (it lies there)"
        return
    for key in vm.vmx.keys() if vm.vmx is not None else ():
        value = (vm.vmx.get(key) if vm.vmx is not None else None) or ""
        bracketed = any(value.startswith(f"[{name}]") for name in ids)
        if bracketed or (value.startswith(_VOLUMES) and _place(value) in ids):
            yield f"{vm.name!r} ({key} = {value})"


def _place(path: str) -> str:
    """The name or id of the volume; a value that is no path of ceso's making may have slashes to spare."""
    return path.removeprefix(_VOLUMES).lstrip("/").partition("/")[0]
