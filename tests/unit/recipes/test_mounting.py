"""Mounting by plan: lines hold every name whole, and what is looked for is found again."""

from __future__ import annotations

import shlex
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ceso_mcp.errors import HostFault, Refused, StepFailed
from ceso_mcp.esxi.esxcli import NfsMount, Volume, nfs_mounts
from ceso_mcp.esxi.paths import DatastorePath
from ceso_mcp.esxi.vmx import Vmx
from ceso_mcp.fact import Fact, Fixed, Reply
from ceso_mcp.facts.inventory import HostVms, Vm
from ceso_mcp.facts.nfs import HostFolders, Standing, StandingOf
from ceso_mcp.operation import parse_arguments
from ceso_mcp.operations.host.mount_datastore import MountDatastore
from ceso_mcp.operations.host.unmount_datastore import _special
from ceso_mcp.recipes.in_use import refuse_used
from ceso_mcp.recipes.mounting import Share, is_mounted, is_unmounted, mounted_again, unmounted

COLUMNS = ("Volume Name", "Host", "Share", "Accessible", "Mounted", "Read-Only", "isPE")
texts = st.text(st.characters(codec="utf-8", exclude_categories=("C", "Z")), min_size=1, max_size=20)
shares = st.builds(
    Share,
    name=texts,
    version=st.sampled_from(["3", "4.1"]),
    servers=st.lists(st.from_regex("[a-z]{1,9}", fullmatch=True), min_size=1, max_size=3, unique=True).map(
        tuple
    ),
    path=texts.map("/".__add__),
    read_only=st.booleans(),
)


def listed(*shares: Share) -> str:
    """The table of these mounts, in the form of esxcli-nfs-list-4 and esxcli-nfs41-list-1."""
    if not shares:
        return ""
    titles = [*COLUMNS, "Security"] if shares[0].version == "4.1" else [*COLUMNS]
    if shares[0].version == "4.1":
        titles[1] = "Host(s)"
    rows = [
        [s.name, ",".join(s.servers), s.path, "true", "true", str(s.read_only).lower(), "false", "AUTH_SYS"]
        for s in shares
    ]
    widths = [max(len(row[at]) for row in [titles, *rows]) for at in range(len(titles))]
    lines = [titles, ["-" * width for width in widths], *rows]
    return "".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=False)).rstrip() + "\n"
        for line in lines
    )


def after(share: Share, said: str) -> Reply:
    """What the host prints for `Share.look` when esxcli says `said`."""
    words = shlex.split(share.look().line)
    return Reply(0, said + "".join(f"{word}\n" for word in words[words.index("printf") + 2 :]))


@given(shares)
def test_the_lines_hold_every_name_as_one_word(share: Share) -> None:
    words = shlex.split(share.add().line)
    assert words[4:10] == ["-H", ",".join(share.servers), "-s", share.path, "-v", share.name]
    assert words[10:] == (["-r"] if share.read_only else [])
    assert shlex.split(share.remove().line)[3:] == ["remove", "-v", share.name]


@given(shares, shares)
def test_a_mount_is_found_just_so_or_not_at_all(share: Share, other: Share) -> None:
    assert is_mounted(after(share, "")) is None
    assert is_unmounted(after(share, "")) == {}
    there = after(share, listed(share))
    assert is_mounted(there) == {}
    assert is_unmounted(there) is None
    if other.version == share.version and (other.name, other.path) != (share.name, share.path):
        assert is_mounted(after(share, listed(other))) is None
        assert is_unmounted(after(share, listed(other))) == {}
        assert is_mounted(after(share, listed(other, share))) == {}


def test_undoing_is_judged_by_the_list_and_not_by_the_words_of_a_failure() -> None:
    share = Share("a b", "3", ("nas",), "/srv/x")
    refusal = "Whatever the host says.\n"
    unmounted(after(share, ""), {})  # removed
    unmounted(after(share, refusal), {})  # was not there any more
    with pytest.raises(HostFault, match=r"still mounted: Whatever the host says\."):
        unmounted(after(share, refusal + listed(share)), {})
    mounted_again(after(share, ""), {})  # added
    mounted_again(after(share, refusal + listed(share)), {})  # was still there
    with pytest.raises(HostFault, match="not mounted: Whatever"):
        mounted_again(after(share, refusal), {})
    with pytest.raises(HostFault, match="does not answer"):
        unmounted(Reply(1, "Connect to localhost failed: Connection failure\n"), {})
    with pytest.raises(StepFailed):
        unmounted(Reply(0, "cut"), {})


def test_read_only_is_part_of_how_a_share_is_mounted() -> None:
    share = Share("a", "4.1", ("x", "Y"), "/srv", read_only=True)
    assert is_mounted(after(share, listed(Share("a", "4.1", ("y", "x"), "/srv", read_only=True)))) == {}
    assert is_mounted(after(share, listed(Share("a", "4.1", ("y", "x"), "/srv")))) is None
    assert is_unmounted(after(share, listed(Share("a", "4.1", ("y", "x"), "/srv")))) is None


def test_a_mount_of_newer_hosts_shows_its_cards_and_connections() -> None:
    titles = ("Volume Name", "Host(s)", "Share", "Vmknics", "Accessible", "Mounted", "Connections")
    titles += ("Read-Only", "Security", "isPE")
    row = ("a", "10.0.0.1,nas2", "/a", "None", "true", "true", "4", "false", "SEC_KRB5", "false")
    widths = [max(len(title), len(cell)) for title, cell in zip(titles, row, strict=True)]
    lines = [titles, tuple("-" * width for width in widths), row]
    (mount,) = nfs_mounts(
        "".join(
            "  ".join(f"{cell:{width}}" for cell, width in zip(line, widths, strict=True)) + "\n"
            for line in lines
        )
    )
    assert (mount.servers, mount.cards, mount.connections) == (("10.0.0.1", "nas2"), "", 4)
    assert _special(mount) == ["4 connections"]
    assert Share.of(mount).add().line.endswith("-v a -a SEC_KRB5")


@pytest.mark.parametrize(
    ("given", "kept"),
    [("::1", "::1"), ("FE80::0001", "fe80::1"), ("NAS-1.lab.example.", None), ("a_b", None)],
)
def test_servers_are_names_or_addresses(given: str, kept: str | None) -> None:
    operation = parse_arguments(MountDatastore, {"name": "n", "servers": [given], "share": "/"})
    assert isinstance(operation, MountDatastore)
    assert operation.servers == (kept or given,)


def vm(name: str, vmx: str | None, place: str = "ds") -> Vm:
    return Vm(
        1, name, DatastorePath(place, f"{name}/{name}.vmx"), "off", Vmx.parse(vmx) if vmx else None, "torn"
    )


class Told:
    """Facts about where disks stand and what the host has where."""

    fixed = Fixed("2026-01-01T00:00:00+00:00", bytes(32))

    def __init__(
        self, standing: tuple[Standing, ...] = (), folders: tuple[tuple[str, str], ...] = ()
    ) -> None:
        self.standing, self.folders = standing, folders

    async def read(self, *facts: Fact[Any]) -> Any:
        (fact,) = facts
        return {StandingOf: self.standing, HostFolders: self.folders}[type(fact)]


VOLUME = Volume("/vmfs/volumes/aa-bb", "nas", "aa-bb", True, "NFS", 1, 1)
DISK = 'scsi0:0.fileName = "a.vmdk"\nscsi0:0.present = "TRUE"\n'
TOP = DatastorePath("ds", "a/a.vmdk")


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("vms", "facts", "code"),
    [
        ([vm("a", DISK, "nas")], Told(), "datastore_in_use"),
        ([vm("a", DISK, "aa-bb")], Told(), "datastore_in_use"),
        ([vm("a", 'sata0:0.fileName = "/vmfs/volumes/aa-bb/cd.iso"\n')], Told(), "datastore_in_use"),
        ([vm("a", 'sata0:0.fileName = "/vmfs/volumes//nas/cd.iso"\n')], Told(), "datastore_in_use"),
        ([vm("a", 'x.dir = "[nas] swap"\n')], Told(), "datastore_in_use"),
        ([vm("a", None)], Told(), "vmx_unreadable"),
        (
            [vm("a", DISK)],
            Told((Standing(TOP, frozenset({TOP, DatastorePath("aa-bb", "base/base.vmdk")})),)),
            "datastore_in_use",
        ),
        ([], Told(folders=(("log folder", "/vmfs/volumes/nas/logs"),)), "host_uses_datastore"),
        ([], Told(folders=(("scratch folder", "/vmfs/volumes/aa-bb/.locker"),)), "host_uses_datastore"),
    ],
)
async def test_what_needs_a_datastore_keeps_it(vms: list[Vm], facts: Told, code: str) -> None:
    with pytest.raises(Refused) as caught:
        await refuse_used(facts, "nas", VOLUME, HostVms(tuple(vms), ()))  # type: ignore[arg-type]
    assert caught.value.code == code


@pytest.mark.anyio
async def test_what_cannot_be_told_is_said() -> None:
    facts = Told((Standing(TOP, frozenset({TOP}), TOP),), (("log folder", "/vmfs/volumes/other/nas"),))
    said = await refuse_used(facts, "nas", VOLUME, HostVms((vm("a", DISK),), (7,)))  # type: ignore[arg-type]
    assert "[ds] a/a.vmdk cannot be read" in said[0]
    assert "(ids 7)" in said[1]


def test_a_share_of_another_server_is_another_one() -> None:
    share = Share("n", "3", ("nas",), "/srv/a")
    for servers, path, same in [
        (("NAS",), "/srv/a/", True),
        (("x", "nas"), "/srv/a", True),
        (("nas",), "/srv/A", False),
        (("other",), "/srv/a", False),
    ]:
        assert share.same_files(NfsMount("m", "4.1", servers, path, True, True, False)) is same
