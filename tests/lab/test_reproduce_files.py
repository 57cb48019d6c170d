"""Captures of vmkfstools and of datastores: made anew from a stated world, or listed with a reason."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from disk_stage import HERE, MIB, Stage, calls, capture, seen

Build = Callable[[Stage], None]
TEST_STORE = "4e4043f8-160ce551-98d6-00221591be89"
OWNER = "4fbbf995-325ce3c2-e7ee-bcaec58ad83d"


@dataclass(frozen=True)
class Made:
    """`build` states the world; `mask` are patterns left out on both sides, with the reason."""

    build: Build
    release: str = "8.0"
    mask: tuple[str, ...] = ()
    why: str = ""
    status: int = 0
    lines: tuple[str, ...] = ()


@dataclass(frozen=True)
class Differs:
    """The lab does not make this capture."""

    why: str


def plain(*names: str, folder: str = "", type_: str = "VMFS-6") -> Build:
    """A datastore with these disks."""

    def build(stage: Stage) -> None:
        stage.store("datastore1", TEST_STORE, type_, folder)
        for name in names:
            stage.disk(name)

    return build


def vps_running(stage: Stage) -> None:
    stage.store("vmfs", TEST_STORE, folder="vps")
    stage.desk.owner_ids = [(3907584, "4f7b1c42-4b58f6dd-3e59-bcaec58ad83d")]
    stage.disk("vps.vmdk", 10 << 30)
    stage.delta("vps.vmdk", "vps-000001.vmdk")
    stage.lock("vps-000001-delta.vmdk", "exclusive")
    stage.lock(
        "vps-flat.vmdk", "shared", offset=133255168, version=1775, heartbeat=3907584, generation=7633,
        mtime=94066, address="4, 309, 2", file_generation=1746, blocks=1253,
    )  # fmt: skip


def top_and_base(stage: Stage) -> None:
    stage.store("vmfs", TEST_STORE, folder="test")
    stage.desk.owner_ids = [(3907584, OWNER)]
    stage.disk("test.vmdk", 10 << 30)
    stage.delta("test.vmdk", "test-000001.vmdk")
    numbers = {"heartbeat": 3907584, "generation": 4851}
    stage.lock(
        "test-000001-delta.vmdk", "exclusive", offset=138997760, version=589, mtime=730751,
        address="4, 310, 46", file_generation=584, depth=1, **numbers,
    )  # fmt: skip
    os.truncate(stage.here("test-000001-delta.vmdk"), 24576)
    stage.lock(
        "test-flat.vmdk", "shared", offset=138977280, version=582, mtime=730756, address="4, 310, 36",
        file_generation=573, blocks=0, **numbers,
    )  # fmt: skip


def held(mode: str, name: str, length: int, owners: list[tuple[int, str]], **numbers: object) -> Build:
    """One file of `length` bytes in a lock state."""

    def build(stage: Stage) -> None:
        stage.store("vmfs", TEST_STORE)
        stage.desk.owner_ids = owners
        place = Path(stage.here(name))
        place.touch(0o600)
        os.truncate(place, length)
        stage.lock(name, mode, **numbers)

    return build


def sql_chain(order: list[int], folder: str = "sql", **broken: object) -> Build:
    """sql.vmdk (8 GiB) and deltas above it in this order; `broken` says what is wrong with which."""

    def build(stage: Stage) -> None:
        stage.store("vmfs", TEST_STORE, folder=folder)
        stage.disk("sql.vmdk", 8 << 30, cid="dffffffe")
        below = "sql.vmdk"
        for number in order:
            name = f"sql-{number:06d}.vmdk"
            stage.delta(below, name, cid=f"{number:x}ffffffe")
            below = name
        change = broken.get("change")
        if callable(change):
            change(stage)

    return build


def edit(name: str, old: str, new: str) -> Callable[[Stage], None]:
    def change(stage: Stage) -> None:
        place = Path(stage.here(name))
        text, count = re.subn(old, new, place.read_text(), count=1, flags=re.MULTILINE)
        assert count == 1
        place.write_text(text)

    return change


def cids_differ(stage: Stage) -> None:
    edit("sql-000002.vmdk", "^parentCID=.*", "parentCID=fffffffe")(stage)
    edit("sql-000001.vmdk", "^CID=.*", "CID=ffffffde")(stage)


def volume(name: str, uuid: str, type_: str, size: int, free: int, **more: object) -> Build:
    def build(stage: Stage) -> None:
        stage.store(name, uuid, type_, size_bytes=size, **more)
        datastore = stage.world.datastores[-1]
        datastore.reserve_bytes = size - free - stage.storage.used_bytes(datastore)

    return build


def nfs_disk(stage: Stage) -> None:
    volume("Yaz", "56cbdb2b-370a2b64", "NFS", 8001326940160, 3420039405568)(stage)
    stage.cwd += "/VMs/gleek"
    stage.disk("gleek-thick.vmdk")
    datastore = stage.world.datastores[-1]
    datastore.reserve_bytes += stage.storage.free_bytes(datastore) - 3420039405568


def rdm_chain(stage: Stage) -> None:
    stage.store("vmfs", TEST_STORE, folder="test")
    device = "vml.0200090000600144f0e8cb470000005025b86b0003434f4d535441"
    stage.mapping("test_new.vmdk", device, passthrough=False)
    stage.delta("test_new.vmdk", "test-000001.vmdk")
    stage.delta("test-000001.vmdk", "test-000002.vmdk")


def rdmp(stage: Stage) -> None:
    stage.store("datastore", TEST_STORE, folder="MSCS_NODE")
    device = "vml.0200050000600601603df02d00d06e9cf71b6fe111565241494420"
    stage.mapping("MSCS_NODE_3.vmdk", device, passthrough=True)


def kali(stage: Stage) -> None:
    stage.store("datastore1", TEST_STORE, "VMFS-6")
    place = stage.here("Kali-Linux-2020.2-vmware-amd64.vmdk")
    options = ["-f", "vmdk", "-o", "subformat=twoGbMaxExtentSparse"]
    subprocess.run(["qemu-img", "create", "-q", *options, place, "8M"], check=True)


def locked_base(stage: Stage) -> None:
    stage.store("datastore1", TEST_STORE, "VMFS-6")
    stage.disk("XXXX.vmdk")
    stage.lock("XXXX-flat.vmdk", "exclusive")


def full(stage: Stage) -> None:
    volume("vmfs", TEST_STORE, "VMFS-5", 200 << 30, 0)(stage)
    stage.disk("a.vmdk")
    place = stage.here("a-flat.vmdk")
    with open(place, "r+b") as file:
        file.write(b"x" * MIB)


def two_stores(*names: str, other: str = "iscsi_dev", folders: tuple[str, ...] = ()) -> Build:
    """Disks on one datastore (their folder is the cwd) and another datastore to copy to."""

    def build(stage: Stage) -> None:
        cwd = stage.store(other, "50000000-00000000-0000-000000000000")
        for folder in folders:
            Path(stage.here(folder)).mkdir(parents=True)
        stage.store("datastore1", TEST_STORE)
        assert cwd != stage.cwd
        for name in names:
            stage.disk(name)

    return build


def onto_nfs(stage: Stage) -> None:
    stage.store("datastore1", "61bd73fa-5036a36c-d583-001b21a2bb8e", "VMFS-6", "Test1")
    stage.disk("Test1.vmdk", 16 << 30)
    stage.store("backups", "a5d6ef71-975f3d86", "NFS", "friday/Test1")


LVM = "naa.60060e80072720000030272000000032:1"
COUNTERS = capture("vmkfstools-Ph-v1-vmfs6-1").split("TB\n")[1].split("UUID")[0].splitlines()
SCRIPT = "the log of a script, not of the host"
LOG = "vmware.log is kept to a few lines"
DEVICE = "no device fails in the lab; Fault(effect='fail', stdout=…) can say these words"
SPACES = (r"(?<=DISKLIB-)\w+\s*:\s*",)
FREE = 93.1 * (1 << 30)

TABLE: dict[str, Made | Differs] = {
    "vmkfstools-D-base-ro-lock-1": Made(vps_running, "5.0"),
    "vmkfstools-i-hotclone-base-1": Made(vps_running, "5.0"),
    "vmkfstools-D-active-delta-and-base-2": Made(top_and_base, "5.0", mask=("nb [01] ",),
        why="a fresh delta has no block here, one on VMFS"),
    "vmkfstools-i-to-rdm-1": Differs("the lab has no devices to map"),
    "vmkfstools-q-rdm-chain-1": Made(rdm_chain, "5.0"),
    "vmwarelog-chain-open-1": Differs(LOG),
    "vmkfstools-cold-clone-full-sequence-1": Made(
        two_stores("sql-000005.vmdk", folders=("sql.cloned",)), "5.0",
        why="the vim-cmd lines are the part of vim-cmd"),
    "vmkfstools-q-chain-capacity-mismatch-1": Made(
        sql_chain([1, 2, 3, 4, 5], change=edit("sql.vmdk", r"^RW \d+", "RW 291212371")), "5.0", SPACES,
        "the page squeezed the blanks before the colon", 255),
    "vmkfstools-q-chain-capacity-mismatch-2": Made(
        sql_chain([1, 2, 3, 4, 5], change=edit("sql-000003.vmdk", r"^RW \d+", "RW 125167908")), "5.0",
        SPACES,
        "the page squeezed the blanks", 255),
    "vmkfstools-q-chain-ok-1": Made(sql_chain([1, 2, 3, 4, 5]), "5.0", (*SPACES, "AIOMGR-S.*"),
        "the page squeezed the blanks; the count of reads is the host's"),
    "vmkfstools-q-chain-cid-mismatch-1": Made(sql_chain([1, 2, 3, 4], change=cids_differ), "5.0", SPACES,
        "the page squeezed the blanks", 255),
    "vmkfstools-grep-cid-chain-1": Differs("grep over files that the reader's author wrote by hand"),
    "vmkfstools-q-chain-missing-parent-1": Made(
        sql_chain([1, 2, 3, 4, 5], change=lambda stage: os.unlink(stage.here("sql-000001.vmdk"))), "5.0",
        SPACES, "the page squeezed the blanks", 255),
    "files-vmsn-contents-1": Differs("dates and the host's header; the size and the VMX in it hold"),
    "files-stat-flat-1": Differs("dates, inode and device; the deltas' 20,480 bytes hold (test_disks)"),
    "vmkfstools-q-chain-nonlinear-1": Made(sql_chain([2, 1, 4, 3]), "5.0", SPACES,
        "the page squeezed the blanks"),
    "files-mid-chain-delete-1": Differs("ls in columns; the states are made in test_disks"),
    "files-dir-before-after-snapshot-1": Differs("5.0 names of swap files; isNativeSnapshot of old builds"),
    "files-revert-and-delete-snapshot-1": Differs("ls in columns; the states are made in test_disks"),
    "files-delta-sizes-during-commit-1": Differs("the lab merges at once, no helper delta appears"),
    "vmkfstools-i-clone-snapshot-chain-1": Made(
        two_stores("vps-000001.vmdk", folders=("vps",)), "5.0", (r"done\.?$",), "a full stop was lost"),
    "vmkfstools-E-rename-1": Made(plain("sql.orig.vmdk"), "5.1", (r"-rw.*",), "dates"),
    "vmkfstools-X-grow-1": Made(plain("sql.vmdk"), "5.1", (r"-rw.*",), "dates"),
    "vmkfstools-c-eagerzeroed-1": Made(plain(type_="VMFS-5"), "5.5"),
    "vmkfstools-U-delete-1": Made(plain("VM1-1.vmdk", folder="VM1"), "5.5"),
    "vmkfstools-c-unmap-1": Differs("the command is broken over two lines and timed"),
    "vmkfstools-Ph-vmfs3-1": Made(
        volume("Storage1", "502e8a75-d04a58db-431a-000c29d33d34", "VMFS-3", 9448928051, 1013 * MIB), "4.1",
        (r"\n\tt10.*",), "the device was cut off"),
    "vmkfstools-q-rdmp-1": Made(rdmp, "5.0"),
    "vmkfstools-i-hotclone-delta-esxi67-1": Made(
        two_stores("m2/m2-000001.vmdk", other="backups", folders=("m2",)), "6.7",
        why="the vim-cmd lines are the part of vim-cmd"),
    "vmkfstools-help-usage-1": Made(plain(), lines=("vmkfstools -H",)),
    "vmkfstools-i-clone-with-ls-thick-thin-1": Made(
        plain("centos-0/centos-0.vmdk", "centos-1/x.vmdk", "centos-2/x.vmdk", type_="VMFS-5"), "5.5",
        (r"^(total|drwx|-rw).*",), "dates; sizes of this machine's file system"),
    "vmkfstools-Ph-v1-vmfs6-1": Made(
        volume("Thin_DS2_R800", "3a621e6e-1f3492e8-29a5-6cc2172acba0", "VMFS-6", int(119.8 * (1 << 30)),
               int(FREE), device=LVM, counters=COUNTERS), "6.5",
        (r"^\d+:VVOLLIB.*", "VMFS-6.8[12]", r"\s+naa"), "a process id; 6.81 on 6.5; a lost line end"),
    "vmkfstools-P-vfat-bootbank-1": Made(
        volume("BOOTBANK2", "10096f8b-d044b0e9-8697-0c6ccda4bf06", "vfat", 4293591040, 4120444928,
               device="naa.600508b1001c7ba8871f691e550a30fc:6"), "7.0"),
    "vmkfstools-P-vfat-bootbank-2": Made(
        volume("50705ae3-b08ce25f-a1b8-bc56258253ad", "50705ae3-b08ce25f-a1b8-bc56258253ad", "vfat",
               261853184, 90677248, device="eui.00a0504658335330:5", block_bytes=4096), "6.7"),
    "vmkfstools-P-nfs-vmdk-1": Made(nfs_disk, "5.5", (r"\t",), "a tab was lost"),
    "vmkfstools-K-punchzero-1": Made(plain("Windows_7.vmdk", folder="Windows_7")),
    "vmkfstools-i-locked-16392-1": Made(
        locked_base, "7.0", status=255,
        lines=("vmkfstools -i /vmfs/volumes/datastore1/XXXX.vmdk b.vmdk -d thin",)),
    "vmkfstools-i-fail-enxio-393225-1": Differs(DEVICE),
    "vmkfstools-i-fail-notvmdk-15-1": Differs(DEVICE),
    "vmkfstools-i-fail-check-15-2": Made(kali, "7.0"),
    "vmkfstools-i-fail-check-25-3": Made(plain(), "8.0", status=255, lines=("vmkfstools -i no.vmdk b.vmdk",)),
    "vmkfstools-i-fail-enospc-1835017-1": Made(
        full, "5.0", (r"(?s)^.*?(?=Failed)",), "only the failure was kept", 255,
        ("vmkfstools -i a.vmdk b.vmdk -d thin",)),
    "vmkfstools-i-verbose5-nfs-1": Made(
        onto_nfs, "6.7", (r"hd = \d+", r"(?s)using Object Cloning.*"), "a handle; the excerpt ends there"),
    "vmkfstools-i-verbose-vast-2": Differs("an excerpt whose paths were edited"),
    "vmkfstools-i-eio-at-93-1": Differs(DEVICE),
    "vmkfstools-i-killed-midway-1": Differs("a file that a script split; the kill is in test_vmkfstools"),
    "vmkfstools-D-descriptor-unlocked-3": Made(
        held("", "COR-XP-PRO.vmdk", 492, [], offset=236560384, version=44, heartbeat=4091904,
             generation=6155, mtime=23668, address="4, 558, 4", file_generation=6), "5.0",
        ("n Ovf|nOvf", r"(?s)2012-07.*"), "a blank got in; the log is the host's",
        lines=("vmkfstools -D COR-XP-PRO.vmdk",)),
    "vmkfstools-e-consistent-1": Made(plain("OpenWrt-24.10.2-x86-64-generic-squashfs-combined.vmdk")),
    "vmkfstools-q-not-rdm-1": Made(plain("mavm.vmdk"), "5.0", (r"^\s+",), "the page indents"),
    "vmkfstools-t0-line-markers-1": Differs("three markers only, no line is known"),
    "files-dir-esxi55-running-2": Differs("5.5 names of swap files and .vmx~, .vmxf"),
    "files-dir-vcl-linked-clone-3": Made(
        plain("vmwarewin7-Windows764bit1846-v14-000001.vmdk", type_="VMFS-5"), "5.0", (r"^-.*",), "dates"),
    "vmkfstools-i-ghettovcb-cold-log-1": Differs(SCRIPT),
    "files-dir-esxi8-ubuntu2404-efi-nfs-running-4": Differs("dates; names and modes are made in test_disks"),
    "files-dir-esxi8-ubuntu2404-efi-nfs-off-5": Differs("dates; names and modes are made in test_disks"),
    "files-read-flat-running-vm-denied-1": Differs("raw opens of a running VM's extents are not refused"),
    "files-ls-vmfs-volumes-esxi8-1": Differs("dates and sizes; the links are made in test_disks"),
    "vmkfstools-D-newformat-exclusive-4": Made(
        held("exclusive", "x-flat.vmdk", 42949672960, [(0, "53a21390-e78f7f00-f805-44d3cabcb7b4")],
             blocks=28851), "6.0", lines=("vmkfstools -D x-flat.vmdk",)),
    "vmkfstools-D-newformat-two-ro-owners-5": Made(
        held("shared", "x-flat.vmdk", 107374182400,
             [(3309568, "5630b2a6-c21df93e-32f1-e41f13b64614"),
              (3694592, "562f9f68-e125dcdc-adb9-5cf3fcb6ad78")],
             offset=13895680, version=2175, heartbeat=3694592, generation=13777, mtime=979023,
             address="4, 13, 41", file_generation=85, blocks=51200, to_be_zeroed=18110,
             block_bytes=2 << 20), "6.0", lines=("vmkfstools -D x-flat.vmdk",)),
    "vmkfstools-D-newformat-unlocked-delta-6": Made(
        held("", "x-delta.vmdk", 17190912, [], offset=268500992, version=22420, heartbeat=3293184,
             generation=223, mtime=19999110, address="4, 623, 8", file_generation=22386, blocks=17,
             depth=1), "6.0", lines=("vmkfstools -D x-delta.vmdk",)),
    "vmkfstools-x-check-ok-1": Made(plain("a.vmdk"), lines=("vmkfstools -x check a.vmdk",)),
    "vmkfstools-c-bad-format-1": Made(plain(), "6.0", status=255, lines=("vmkfstools -c 20G -d 1 a.vmdk",)),
    "vmkfstools-X-exit255-1": Differs("the words are the client's; the status is 255"),
    "vmkfstools-diskTool-locked-1": Differs("diskTool is not on release hosts"),
    "vimmsg-poweron-disk-locked-1": Differs("the part of vim-cmd; test_vmkfstools meets it"),
    "vimmsg-static-mac-refused-1": Differs("the part of vim-cmd"),
    "vimmsg-passthru-invalid-config-1": Differs("lines of vmkernel.log"),
    "files-dd-flat-off-over-nc-1": Differs("dd of another machine"),
    "vmkfstools-i-ghettovcb-debug-log-2": Differs(SCRIPT),
    "files-ghettovcb-dryrun-1": Differs(SCRIPT),
    "vmwarelog-consolidate-locked-2": Differs(LOG),
    "vmwarelog-unstun-1": Differs(LOG),
    "vmkfstools-i-from-2gbsparse-multiextent-1": Differs("commands only, no output was kept"),
    "vimmsg-memory-size-invalid-1": Differs("the part of vim-cmd"),
}  # fmt: skip
MADE = {name: case for name, case in TABLE.items() if isinstance(case, Made)}


def _masked(text: str, case: Made) -> str:
    for pattern in case.mask:
        text = re.sub(pattern, "", text, flags=re.MULTILINE)
    return re.sub(r"\n+", "\n", text.expandtabs()).strip("\n")


@pytest.mark.parametrize("name", MADE)
def test_the_lab_prints_what_the_host_printed(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    case = MADE[name]
    # This machine has not the room; a hole as long does as well.
    monkeypatch.setattr(os, "posix_fallocate", lambda handle, at, size: os.ftruncate(handle, at + size))
    stage = Stage(tmp_path, case.release)
    case.build(stage)
    for line, expected in _asked(name, case):
        Path(stage.here("vps.new.vmdk")).unlink(missing_ok=True)
        Path(stage.here("vps.new-flat.vmdk")).unlink(missing_ok=True)
        printed, status = stage.vmkfstools(line)
        assert _masked(seen(printed), case) == _masked(expected, case), line
        assert status == (255 if "-s001" in line else case.status)


def _asked(name: str, case: Made) -> list[tuple[str, str]]:
    """The lines to run, with what the capture has for them."""
    text = capture(name)
    if not case.lines:
        return calls(text)
    if " # " in text.partition("\n")[0]:
        text = text.partition("\n")[2].partition("\n~ #")[0]
    return [(case.lines[0], text)]


def test_every_capture_is_made_or_listed() -> None:
    index = (HERE / "transcripts" / "INDEX-files.tsv").read_text().splitlines()[1:]
    assert set(TABLE) == {line.partition("\t")[0].removesuffix(".txt") for line in index}
    assert all(case.why for case in TABLE.values() if isinstance(case, Differs) or case.mask)
