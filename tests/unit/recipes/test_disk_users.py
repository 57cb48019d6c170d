"""Who uses which disk: nothing that a .vmx, a snapshot or a chain needs is taken for free."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ceso_mcp.errors import Refused
from ceso_mcp.esxi.paths import DatastorePath
from ceso_mcp.fact import Reply
from ceso_mcp.facts.disk_users import DiskUsers, Usage
from ceso_mcp.facts.inventory import HostVms, Vm
from ceso_mcp.recipes.clearing import Kept, files_of, refuse_used

VOLUMES = {
    "store": "66f0a1b3-4d5e6f70-8b9c-3cecef000001",
    "Other (nvme)": "66f0a1b3-4d5e6f70-8b9c-3cecef000002",
}


def base(name: str, **more: str) -> str:
    return descriptor(f'RW 8192 VMFS "{name}-flat.vmdk"', "ffffffff", **more)


def delta(name: str, parent: str, **more: str) -> str:
    extent = f'RW 8192 SESPARSE "{name}-sesparse.vmdk"'
    return descriptor(extent, "12345678", parentFileNameHint=parent, **more)


def descriptor(extent: str, parent_cid: str, **more: str) -> str:
    extra = "".join(f'{key}="{value}"\n' for key, value in more.items())
    return (
        f'# Disk DescriptorFile\nversion=4\nCID=12345678\nparentCID={parent_cid}\ncreateType="vmfs"\n'
        f'{extra}{extent}\nddb.uuid = "60 00 C2 9a"\n'
    )


def vmx(**disks: str) -> str:
    lines = [
        f'scsi0:{n}.present = "TRUE"\nscsi0:{n}.fileName = "{name}"\n'
        for n, name in enumerate(disks.values())
    ]
    return "".join(lines)


def vmsd(*links: str) -> str:
    lines = [f'snapshot.numSnapshots = "{len(links)}"\nsnapshot.current = "{len(links)}"\n']
    for n, link in enumerate(links):
        lines.append(
            f'snapshot{n}.uid = "{n + 1}"\nsnapshot{n}.filename = "x.vmsn"\nsnapshot{n}.numDisks = "1"\n'
        )
        lines.append(f'snapshot{n}.disk0.fileName = "{link}"\nsnapshot{n}.disk0.node = "scsi0:0"\n')
        if n:
            lines.append(f'snapshot{n}.parent = "{n}"\n')
    return "".join(lines)


def path(text: str) -> DatastorePath:
    return DatastorePath.parse(text)


def usage_on(files: Mapping[str, str], *registered: str) -> Usage:
    """What the fact finds on a host that has these files, by `[datastore] path`."""
    stored = {path(name).posix(): text for name, text in files.items()}

    def answer(line: str) -> Reply:
        words = shlex.split(line)
        if words[0] == "esxcli":
            return Reply(0, _table())
        if words[0] == "ls":
            found = [name for name in stored if name.endswith(".vmx") and name.count("/") == 5]
            return (
                Reply(0, "".join(f"{name}\n" for name in found))
                if found
                else Reply(1, "", "No such file or directory")
            )
        if words[1] in stored:
            return Reply(0, stored[words[1]])
        return Reply(1, "", f"cat: can't open '{words[1]}': No such file or directory")

    reading = DiskUsers(tuple(path(name) for name in registered)).reading()
    questions: Sequence[Any] = next(reading)
    while True:
        try:
            questions = reading.send([answer(question.line) for question in questions])
        except StopIteration as end:
            return end.value  # type: ignore[no-any-return]


def _table() -> str:
    widths = (60, 14, 37, 7, 7, 12, 12)
    rows = [
        ("Mount Point", "Volume Name", "UUID", "Mounted", "Type", "Size", "Free"),
        tuple("-" * w for w in widths),
    ]
    rows += [
        (f"/vmfs/volumes/{uuid}", name, uuid, "true", "VMFS-6", "1000000", "900000")
        for name, uuid in VOLUMES.items()
    ]
    return (
        "\n".join("  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)) for row in rows)
        + "\n"
    )


OTHER = f"/vmfs/volumes/{VOLUMES['Other (nvme)']}"
CHAIN = {
    "[store] vm/vm.vmx": vmx(a="vm.vmdk", b=f"{OTHER}/data/d-000002.vmdk"),
    "[store] vm/vm.vmsd": vmsd(f"{OTHER}/data/d.vmdk", f"{OTHER}/data/d-000001.vmdk"),
    "[store] vm/vm.vmdk": base("vm"),
    "[Other (nvme)] data/d-000002.vmdk": delta(
        "d-000002", "d-000001.vmdk", changeTrackPath="d-000002-ctk.vmdk"
    ),
    "[Other (nvme)] data/d-000001.vmdk": delta("d-000001", f"{OTHER}/data/d.vmdk"),
    "[Other (nvme)] data/d.vmdk": base("d"),
}


def test_a_chain_is_followed_by_whatever_name_it_has_and_its_files_are_known() -> None:
    usage = usage_on(CHAIN)
    links = usage.of(path("[store] vm/vm.vmx")).links
    data = [f"[Other (nvme)] data/d{n}.vmdk" for n in ("-000002", "-000001", "")]
    assert links == {path("[store] vm/vm.vmdk"), *map(path, data)}
    ordered = usage.children_first(links)
    assert [str(link) for link in ordered if link.datastore != "store"] == data
    names = {file.name for file in files_of(ordered, usage)}
    assert names >= {"d-000002-ctk.vmdk", "d-000001-sesparse.vmdk", "d-flat.vmdk", "d.vmdk", "vm-flat.vmdk"}


@given(gone=st.sets(st.sampled_from([name for name in CHAIN if name.endswith(".vmdk")])))
def test_whatever_was_deleted_already_the_rest_is_still_known(gone: set[str]) -> None:
    usage = usage_on({name: text for name, text in CHAIN.items() if name not in gone})
    mine = usage.of(path("[store] vm/vm.vmx"))
    assert not mine.problem
    left = {path(name) for name in CHAIN if name.endswith(".vmdk") and name not in gone}
    assert set(usage.children_first(mine.links)) == left


ASIDE, NEW = path("[store] vm.before-1/vm.vmx"), path("[store] vm/vm.vmx")
KEPT = {
    str(ASIDE): vmx(a="vm.vmdk", b=f"{OTHER}/data/d.vmdk"),
    "[store] vm.before-1/vm.vmdk": base("vm"),
    str(NEW): vmx(a="vm.vmdk"),
    "[store] vm/vm.vmdk": base("vm"),
    "[Other (nvme)] data/d.vmdk": base("d"),
    "[Other (nvme)] data/d-000001.vmdk": delta("d-000001", "d.vmdk"),
}
USERS = {
    "its disk by the volume's name": {"[store] x/x.vmx": vmx(a="/vmfs/volumes/Other (nvme)/data/d.vmdk")},
    "its disk by the volume's id": {"[store] x/x.vmx": vmx(a=f"{OTHER}/data/d.vmdk")},
    "a disk that is not present": {
        "[store] x/x.vmx": f'nvme0:1.present = "FALSE"\nnvme0:1.fileName = "{OTHER}/data/d.vmdk"\n'
    },
    "a child of it": {"[Other (nvme)] data/x.vmx": vmx(a="d-000001.vmdk")},
    "a snapshot that holds it": {"[store] x/x.vmx": "", "[store] x/x.vmsd": vmsd(f"{OTHER}/data/d.vmdk")},
    "the restored VM itself": {str(NEW): vmx(a="vm.vmdk", b=f"{OTHER}/data/d.vmdk")},
    "a disk of the folder kept aside": {"[store] x/x.vmx": vmx(a="/vmfs/volumes/store/vm.before-1/vm.vmdk")},
}


def refusal(files: Mapping[str, str], *, elsewhere: bool = True, invalid: tuple[int, ...] = ()) -> str:
    vm = Vm(1, "vm", NEW, "off", None)
    usage = usage_on(files, str(NEW), str(ASIDE))
    mine = usage.of(ASIDE)
    outside = tuple(link for link in usage.children_first(mine.links) if link.parent != ASIDE.parent)
    kept = Kept(vm, ASIDE.parent, ASIDE, outside, not outside)
    try:
        refuse_used(kept, usage, HostVms((vm,), invalid), elsewhere=elsewhere)
    except Refused as error:
        return error.code
    return ""


@pytest.mark.parametrize("how", USERS)
def test_what_somebody_else_needs_is_refused(how: str) -> None:
    assert refusal({**KEPT, **USERS[how]}) == "disk_shared"
    kept_aside = how == "a disk of the folder kept aside"
    assert refusal({**KEPT, **USERS[how]}, elsewhere=False) == ("disk_shared" if kept_aside else "")


def test_what_is_not_known_is_refused_and_nothing_else() -> None:
    assert refusal(KEPT) == ""
    unreadable = {**KEPT, "[store] x/x.vmx": "what is this\n"}
    assert (refusal(unreadable), refusal(unreadable, elsewhere=False)) == ("vmx_unreadable", "")
    assert refusal(KEPT, invalid=(7,)) == "vmx_unreadable"
    assert (
        refusal({**KEPT, "[store] x/x.vmx": vmx(a="x.vmdk"), "[store] x/x.vmdk": "KDMV"}) == "vmx_unreadable"
    )
    assert refusal({**KEPT, str(NEW): "what is this\n"}, elsewhere=False) == "vmx_unreadable"


def test_files_that_may_not_be_the_disks_own_are_refused() -> None:
    rdm = base("d").replace('"vmfs"', '"vmfsRawDeviceMap"')
    assert refusal({**KEPT, "[Other (nvme)] data/d.vmdk": rdm}) == "raw_device_mapping"
    far = base("/vmfs/volumes/store/x/d")
    assert refusal({**KEPT, "[Other (nvme)] data/d.vmdk": far}) == "disk_unreadable"
    absolute = {str(ASIDE): vmx(a="/vmfs/volumes/store/vm/old.vmdk"), "[store] vm/old.vmdk": base("old")}
    assert refusal({**KEPT, **absolute}) == "disk_shared"
