"""Real file systems, read from outside, hold what was put into them."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from disk_images import CLEAN, DEBUGFS, MIB, MKE2FS, drive, ext4, gpt, lvm, mbr, put
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ceso_mcp.guest.disk.ext4 import Ext4
from ceso_mcp.guest.disk.look import look
from ceso_mcp.guest.disk.lvm import parse
from ceso_mcp.guest.disk.pages import paged
from ceso_mcp.guest.disk.partitions import partitions
from ceso_mcp.guest.disk.ranges import Asking, Unknown, Volume, settled
from ceso_mcp.guest.disk.tree import Mounted, Tree

pytestmark = pytest.mark.skipif(MKE2FS is None, reason="needs e2fsprogs")


def tree_of(image: bytes) -> Tree:
    system = drive(Ext4.open(), image)
    return Tree(Mounted(Volume.plain("the whole disk", 0, len(image)), system))


def everything(tree: Tree, path: str = "") -> Asking[dict[str, Any]]:
    """Every file below `path` as the reader sees it."""
    found: dict[str, Any] = {}
    for name in (yield from tree.names(path or "/")) or ():
        here = f"{path}/{name}"
        node = yield from tree.find(here, follow=False)
        assert node is not None
        if node.target is not None:
            found[here] = ("link", node.target)
        elif node.inode.is_directory:
            found[here] = "folder"
            found |= yield from everything(tree, here)
        else:
            found[here] = yield from tree.read(here, 64 * MIB)
    return found


def on_this_machine(root: Path) -> dict[str, Any]:
    found: dict[str, Any] = {"/lost+found": "folder"}
    for folder, folders, files in os.walk(root):
        for name in folders + files:
            path = Path(folder, name)
            here = f"/{path.relative_to(root)}"
            if path.is_symlink():
                found[here] = ("link", os.readlink(path))
            else:
                found[here] = "folder" if path.is_dir() else path.read_bytes()
    return found


FEATURES = {
    "usual": (),
    "1 KiB blocks": ("-b", "1024"),
    "64bit off": ("-O", "^64bit"),
    "small inodes": ("-I", "128", "-O", "^metadata_csum"),
    "inline data": ("-O", "inline_data"),
    "no flex groups": ("-O", "^flex_bg", "-b", "1024", "-g", "1024"),
    "many things": ("-O", "^has_journal,metadata_csum,^resize_inode", "-b", "2048"),
}


@pytest.mark.parametrize("features", FEATURES)
def test_every_file_is_found_with_its_bytes(tmp_path: Path, features: str) -> None:
    root = tmp_path / "root"
    chance = random.Random(features)
    put(
        root,
        {
            **CLEAN,
            "empty": "",
            "tiny": "a few bytes",
            "between": b"m" * 100,
            "large": chance.randbytes(3 * MIB + 17),
            "short link": "-> tiny",
            "long link": "-> " + "x/" * 60 + "y",
            "folder/" + "n" * 255: "a long name",
            "häßlich/ñ 文": "not ASCII",
        },
    )
    put(root, {f"many/entry with a rather long name {number:05}": str(number) for number in range(1500)})
    with open(root / "holes", "wb") as file:
        for at in (0, 40 * 4096, 41 * 4096, 100 * 4096):
            file.seek(at)
            file.write(chance.randbytes(4096))
        if features != "inline data":  # mke2fs 1.47 loses a hole at the end of a file there
            file.truncate(130 * 4096 + 5)
    image = ext4(tmp_path, root, 32 * MIB, "-N", "4096", *FEATURES[features])
    assert drive(everything(tree_of(image)), image) == on_this_machine(root)


def test_an_indexed_directory_and_a_scattered_file_are_read(tmp_path: Path) -> None:
    """debugfs writes what mke2fs does not: a file of many extents in a folder that e2fsck has indexed."""
    if DEBUGFS is None:
        pytest.skip("needs debugfs")
    root = tmp_path / "root"
    put(root, {f"many/entry with a rather long name {number:05}": str(number) for number in range(3000)})
    with open(root / "scattered", "wb") as file:
        for number in range(0, 1200, 2):
            file.seek(number * 1024)
            file.write(bytes([number % 251 + 1]) * 1024)
    image = ext4(tmp_path, root, 32 * MIB, "-N", "4096", "-b", "1024")
    place = tmp_path / "image"
    place.write_bytes(image)
    check = Path(DEBUGFS).with_name("e2fsck")
    subprocess.run([check, "-fyD", str(place)], capture_output=True, check=False)
    image = place.read_bytes()
    shown = subprocess.run(
        [DEBUGFS, "-R", "htree /many", str(place)], capture_output=True, text=True, check=True
    ).stdout
    assert "Root node dump" in shown
    extents = subprocess.run(
        [DEBUGFS, "-R", "dump_extents /scattered", str(place)], capture_output=True, text=True, check=True
    ).stdout
    assert len(extents.splitlines()) > 500
    assert drive(everything(tree_of(image)), image) == on_this_machine(root)


NAMES = st.text(st.characters(codec="utf-8", exclude_characters="/\0"), min_size=1, max_size=40).filter(
    lambda name: name not in (".", "..", "lost+found") and len(name.encode()) <= 120
)
TREES = st.dictionaries(
    st.lists(NAMES, min_size=1, max_size=3).map(tuple),
    st.one_of(st.binary(max_size=300), st.just(b"k" * 9000), st.none()),
    max_size=12,
)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(files=TREES, inline=st.booleans())
def test_any_small_tree_is_read_as_it_is(
    tmp_path_factory: pytest.TempPathFactory, files: dict[tuple[str, ...], bytes | None], inline: bool
) -> None:
    work = tmp_path_factory.mktemp("tree")
    root = work / "root"
    root.mkdir()
    for names, content in files.items():
        path = root.joinpath(*names)
        if any(parent.is_file() for parent in path.parents) or path.exists():
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        if content is None:
            path.mkdir()
        else:
            path.write_bytes(content)
    image = ext4(work, root, 4 * MIB, *(("-O", "inline_data") if inline else ()))
    assert drive(everything(tree_of(image)), image) == on_this_machine(root)


def guest(tmp_path: Path, more: dict[str, Any] | None = None, *options: str, size: int = 16 * MIB) -> bytes:
    root = tmp_path / "guest"
    put(root, {**CLEAN, **(more or {})})
    return ext4(tmp_path, root, size, *options)


def test_a_guest_is_found_behind_every_kind_of_table(tmp_path: Path) -> None:
    system = guest(tmp_path)
    at, size = 2 * MIB, 20 * MIB
    plain = mbr([(0xEF, MIB, MIB), (0x83, at, len(system))], size)
    plain[at : at + len(system)] = system
    tabled = gpt([(MIB, MIB), (at, len(system))], size)
    tabled[at : at + len(system)] = system
    logical = mbr([(0x05, MIB, size - MIB)], size)
    chained = mbr([(0x83, MIB, len(system))], 512)
    logical[MIB : MIB + 512] = chained
    logical[at : at + len(system)] = system
    for disk, name in ((system, "the whole disk"), (plain, "partition 2"), (tabled, "partition 2")):
        seen = drive(look(len(disk)), disk)
        assert seen.where == f"ext4 on {name}"
        assert seen.text("/etc/os-release") == CLEAN["usr/lib/os-release"]
        assert seen.unseen == {}
    assert drive(look(size), logical).where == "ext4 on partition 5"


@pytest.mark.parametrize("how", [{}, {"runs_round": True}, {"backwards": True}])
def test_a_guest_on_lvm_with_a_boot_partition_of_its_own(tmp_path: Path, how: dict[str, bool]) -> None:
    """As Ubuntu's installer lays it out: EFI, /boot, and ubuntu-vg/ubuntu-lv."""
    put(tmp_path / "boot", {"grub/grub.cfg": "linux /vmlinuz ds=nocloud\n"})
    boot_uuid = "11111111-2222-3333-4444-555555555555"
    boot = ext4(tmp_path, tmp_path / "boot", 4 * MIB, "-U", boot_uuid)
    fstab = (
        "/dev/disk/by-id/dm-uuid-LVM-x / ext4 defaults 0 1\n"
        f"/dev/disk/by-uuid/{boot_uuid} /boot ext4 defaults 0 1\n"
    )
    volume = lvm(24 * MIB, guest(tmp_path, {"etc/fstab": fstab}), **how)
    disk = gpt([(MIB, MIB), (2 * MIB, len(boot)), (6 * MIB, len(volume))], 32 * MIB)
    disk[2 * MIB : 6 * MIB] = boot
    disk[6 * MIB : 6 * MIB + len(volume)] = volume
    rounds: list[int] = []
    seen = drive(paged(look(len(disk)), len(disk)), disk, rounds)
    assert seen.where == "ext4 on ubuntu-vg/ubuntu-lv; /boot on partition 2"
    assert seen.text("/boot/grub/grub.cfg") == "linux /vmlinuz ds=nocloud\n"
    assert len(rounds) < 25, rounds
    assert sum(rounds) < 2 * MIB


def test_a_folder_on_what_cannot_be_read_is_unseen_and_the_rest_is_seen(tmp_path: Path) -> None:
    system = guest(tmp_path, {"etc/fstab": "UUID=0a0b /var xfs defaults 0 2\n"})
    seen = drive(look(len(system)), system)
    assert seen.unseen["/var/lib/cloud/instance"] == "/var is on UUID=0a0b (xfs), which cannot be read"
    assert seen.files["/etc/machine-id"] == b"uninitialized\n"


@pytest.mark.parametrize(
    ("at", "bytes_", "kind"),
    [
        (0, b"LUKS\xba\xbe", "encrypted (LUKS)"),
        (0, b"XFSB", "XFS"),
        (65536 + 64, b"_BHRfS_M", "btrfs"),
        (0, b"", "empty"),
        (7, b"?", "unknown"),
    ],
)
def test_what_cannot_be_read_is_named(at: int, bytes_: bytes, kind: str) -> None:
    disk = mbr([(0x83, MIB, 3 * MIB)], 4 * MIB)
    disk[MIB + at : MIB + at + len(bytes_)] = bytes_
    with pytest.raises(Unknown) as caught:
        drive(look(len(disk)), disk)
    assert caught.value.reason == f"no root file system that can be read is on it (partition 1: {kind})"


def test_a_file_system_with_an_unknown_feature_is_refused_by_its_name(tmp_path: Path) -> None:
    image = bytearray(guest(tmp_path))
    image[1024 + 0x60] |= 0x1
    with pytest.raises(Unknown, match="features that are not known here: compression"):
        drive(Ext4.open(), image)
    image = bytearray(guest(tmp_path, None, "-O", "meta_bg,^resize_inode"))
    with pytest.raises(Unknown, match="meta_bg"):
        drive(Ext4.open(), image)


def test_an_unclean_shutdown_is_seen(tmp_path: Path) -> None:
    image = bytearray(guest(tmp_path))
    assert not drive(look(len(image)), image).dirty
    image[1024 + 0x60] |= 0x4
    assert drive(look(len(image)), image).dirty


def test_two_systems_on_one_disk_are_not_told_apart(tmp_path: Path) -> None:
    system = guest(tmp_path, size=8 * MIB)
    disk = mbr([(0x83, MIB, 8 * MIB), (0x83, 9 * MIB, 8 * MIB)], 17 * MIB)
    disk[MIB : 9 * MIB] = disk[9 * MIB : 17 * MIB] = system
    with pytest.raises(Unknown, match="more than one operating system"):
        drive(look(len(disk)), disk)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.integers(0, 40000), st.integers(0, 255)), min_size=1, max_size=40))
def test_a_damaged_disk_ends_in_words_and_never_in_a_crash(
    damaged: bytes, spots: list[tuple[int, int]]
) -> None:
    disk = bytearray(damaged)
    for at, value in spots:
        disk[at * 7 % len(disk)] = value
        disk[MIB + at % 8192] = value
    seen = drive(settled(look(len(disk))), disk)
    assert seen.reason if isinstance(seen, Unknown) else seen.where


@pytest.fixture(scope="module")
def damaged(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    work = tmp_path_factory.mktemp("damaged")
    volume = lvm(12 * MIB, guest(work, size=8 * MIB))
    disk = gpt([(MIB, len(volume))], 16 * MIB)
    disk[MIB : MIB + len(volume)] = volume
    return bytes(disk)


def test_tables_that_lie_are_refused() -> None:
    beyond = mbr([(0x83, MIB, 8 * MIB)], 4 * MIB)
    assert drive(partitions(len(beyond)), beyond) == []  # no table: what it names is not there
    broken = gpt([(MIB, MIB)], 4 * MIB)
    broken[1030] ^= 1
    with pytest.raises(Unknown, match="GPT's entries"):
        drive(partitions(len(broken)), broken)
    endless = mbr([(0x05, MIB, MIB)], 4 * MIB)
    endless[MIB : MIB + 512] = mbr([(0x05, 512, 512)], 512)
    endless[MIB + 454 : MIB + 462] = (0).to_bytes(4, "little") + (1).to_bytes(4, "little")
    with pytest.raises(Unknown, match="no end"):
        drive(partitions(len(endless)), endless)


@pytest.mark.parametrize("runs_round", [False, True])
def test_lvms_own_program_reads_the_physical_volume_that_the_tests_make(
    tmp_path: Path, runs_round: bool
) -> None:
    program = shutil.which("pvck", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
    if program is None:
        pytest.skip("needs lvm2")
    place = tmp_path / "pv"
    place.write_bytes(lvm(12 * MIB, bytes(8 * MIB), runs_round=runs_round))
    ran = subprocess.run(
        [program, "--dump", "metadata", str(place)],
        capture_output=True,
        text=True,
        timeout=30,
        env={"PATH": "/usr/sbin:/sbin:/usr/bin:/bin", "LVM_SUPPRESS_FD_WARNINGS": "1"},
    )
    assert ran.returncode == 0, ran.stderr
    assert "# vgname ubuntu-vg seqno 2" in ran.stdout
    assert 'contents = "Text Format Volume Group"' in ran.stdout


@pytest.mark.parametrize("text", ["vg {", "vg = [", "= 3", 'vg { a = "x }', "vg { a { } } }"])
def test_lvm_texts_of_another_form_are_refused(text: str) -> None:
    with pytest.raises(Unknown):
        parse(text)
