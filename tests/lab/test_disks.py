"""Disks and directories in a stated world: formats, chains, snapshots on every kind of datastore, locks."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest
from disk_stage import MIB, Stage, seen

from ceso_mcp.lab import vmx
from ceso_mcp.lab.disks import cowd, operations
from ceso_mcp.lab.disks.chain import Disk, links
from ceso_mcp.lab.disks.descriptor import load, parse
from ceso_mcp.lab.disks.fault import DiskFault
from ceso_mcp.lab.inventory import Inventory
from ceso_mcp.lab.power import Power
from ceso_mcp.lab.result import Faulted
from ceso_mcp.lab.snapshots import Snapshots
from ceso_mcp.lab.vmx import Settings
from ceso_mcp.lab.world import Vm

UUID = "4e4043f8-160ce551-98d6-00221591be89"


class Bench:
    """A stage with one VM `vps` on it."""

    def __init__(self, root: Path, type_: str = "VMFS-6") -> None:
        self.stage = Stage(root)
        nfs = type_.startswith("NFS")
        self.folder = self.stage.store("data", "c2d6a58c-fb7a181e" if nfs else UUID, type_, "vps")
        self.stage.disk("vps.vmdk", 64 * MIB)
        pairs = {
            ".encoding": "UTF-8", "displayName": "vps", "memSize": "64", "scsi0.present": "TRUE",
            "scsi0:0.fileName": "vps.vmdk", "scsi0:0.present": "TRUE",
        }  # fmt: skip
        vmx.store(Path(self.stage.here("vps.vmx")), Settings(pairs.items()))
        world, storage = self.stage.world, self.stage.storage
        inventory = Inventory(world, storage, root / "vmInventory.xml", lambda: None)
        self.power = Power(world, storage, inventory, self.stage.locks)
        self.snapshots = Snapshots(storage, inventory, self.power)
        self.vm: Vm = inventory.register(f"{self.folder}/vps.vmx")

    def names(self, pattern: str = "*.vmdk") -> list[str]:
        return sorted(path.name for path in Path(self.stage.here(self.folder)).glob(pattern))

    def hint(self, name: str) -> str:
        return load(self.stage.here(name)).parent_hint

    @property
    def in_use(self) -> str:
        return self.vm.settings.get("scsi0:0.fileName")

    def write(self, letter: bytes, at: int) -> None:
        with Disk(self.stage.here(self.in_use), self.stage.storage.here, writable=True) as disk:
            disk.write(at, letter * 4096)
        operations.touched(self.stage.here(self.in_use))

    def read(self, at: int) -> bytes:
        with Disk(self.stage.here(self.in_use), self.stage.storage.here) as disk:
            return disk.read(at, 4096)[:1]


@pytest.mark.parametrize(("gib", "head_bytes"), [(8, 20480), (10, 24576), (20, 45056)])
def test_a_fresh_delta_is_as_long_as_the_hosts(tmp_path: Path, gib: int, head_bytes: int) -> None:
    path = str(tmp_path / "x-delta.vmdk")
    cowd.create(path, gib << 30)
    assert os.path.getsize(path) == head_bytes
    delta = cowd.Cowd(path, writable=True)
    delta.write(5 << 30, b"x" * 512)
    delta.close()
    assert os.path.getsize(path) == head_bytes + (16 << 20)


@pytest.mark.parametrize(
    ("type_", "ending"), [("VMFS-6", "sesparse"), ("VMFS-5", "delta"), ("NFS", "delta"), ("NFS41", "delta")]
)
def test_a_chain_reads_the_same_for_the_lab_and_for_qemu(tmp_path: Path, type_: str, ending: str) -> None:
    bench = Bench(tmp_path, type_)
    bench.write(b"a", 0)
    bench.write(b"b", 8 * MIB)
    for number in (1, 2):
        bench.snapshots.create(bench.vm, f"s{number}", "")
        assert bench.in_use == f"vps-00000{number}.vmdk"
        assert f"vps-00000{number}-{ending}.vmdk" in bench.names()
        bench.write(b"%d" % number, (8 + number) * MIB)
    bench.write(b"c", 8 * MIB)
    made = str(tmp_path / "raw")
    top = bench.stage.here(bench.in_use)
    subprocess.run(["qemu-img", "convert", "-O", "raw", top, made], check=True)
    content = Path(made).read_bytes()
    assert [bytes([content[at]]) for at in (0, 8 * MIB, 9 * MIB, 10 * MIB)] == [b"a", b"c", b"1", b"2"]
    assert [bench.read(at) for at in (0, 8 * MIB, 9 * MIB, 10 * MIB, MIB)] == [b"a", b"c", b"1", b"2", b"\0"]
    bench.snapshots.remove_all(bench.vm)
    assert bench.names() == ["vps-flat.vmdk", "vps.vmdk"]
    assert [bench.read(at) for at in (0, 8 * MIB, 9 * MIB, 10 * MIB)] == [b"a", b"c", b"1", b"2"]


def test_deleting_the_older_of_two_snapshots(tmp_path: Path) -> None:
    """files-mid-chain-delete-1, state by state."""
    bench = Bench(tmp_path, "VMFS-5")
    first = bench.snapshots.create(bench.vm, "one", "")
    bench.snapshots.create(bench.vm, "two", "")
    assert (bench.in_use, bench.hint("vps-000002.vmdk")) == ("vps-000002.vmdk", "vps-000001.vmdk")
    bench.snapshots.remove(bench.vm, first.uid)
    assert bench.names() == ["vps-000002-delta.vmdk", "vps-000002.vmdk", "vps-flat.vmdk", "vps.vmdk"]
    assert (bench.in_use, bench.hint("vps-000002.vmdk")) == ("vps-000002.vmdk", "vps.vmdk")
    bench.snapshots.create(bench.vm, "three", "")
    assert (bench.in_use, bench.hint("vps-000001.vmdk")) == ("vps-000001.vmdk", "vps-000002.vmdk")


def test_reverting_takes_a_new_number(tmp_path: Path) -> None:
    """files-revert-and-delete-snapshot-1, state by state."""
    bench = Bench(tmp_path, "VMFS-5")
    made = bench.snapshots.create(bench.vm, "one", "")
    bench.write(b"x", 0)
    bench.snapshots.revert(bench.vm, made.uid)
    assert bench.names() == ["vps-000002-delta.vmdk", "vps-000002.vmdk", "vps-flat.vmdk", "vps.vmdk"]
    assert (bench.in_use, bench.hint("vps-000002.vmdk")) == ("vps-000002.vmdk", "vps.vmdk")
    assert bench.read(0) == b"\0"
    bench.snapshots.remove(bench.vm, made.uid)
    assert (bench.in_use, bench.names()) == ("vps.vmdk", ["vps-flat.vmdk", "vps.vmdk"])


def test_a_merge_waits_for_no_reader_and_can_be_made_up_for(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.power.switch_on(bench.vm)
    made = bench.snapshots.create(bench.vm, "one", "")
    bench.write(b"x", 0)
    assert bench.stage.locks.take(f"{bench.folder}/vps-flat.vmdk", "a clone", "read")
    with pytest.raises(Faulted):
        bench.snapshots.remove(bench.vm, made.uid)
    assert bench.snapshots.read(bench.vm)[0] == []
    assert bench.in_use == "vps-000001.vmdk"
    assert bench.stage.locks.mode(f"{bench.folder}/vps-000001-sesparse.vmdk") == 1
    bench.stage.locks.release("a clone")
    bench.snapshots.remove_all(bench.vm)
    assert (bench.in_use, bench.read(0)) == ("vps.vmdk", b"x")
    assert bench.stage.locks.mode(f"{bench.folder}/vps-flat.vmdk") == 1


def _listing(bench: Bench) -> set[tuple[str, str]]:
    found = set()
    for path in Path(bench.stage.here(bench.folder)).iterdir():
        name = re.sub(r"[0-9a-f]{64}", "H64", path.name)
        name = re.sub(r"^\.lck-[0-9a-f]{16}$", "lock", name)
        name = re.sub(r"-[0-9a-f]{8}\.vswp", "-H8.vswp", name)
        found.add((f"{path.stat().st_mode & 0o777:o}", name))
    return found


def test_the_directory_shows_the_state(tmp_path: Path) -> None:
    """files-dir-esxi8-ubuntu2404-efi-nfs-running-4 and -off-5, but for the names of the VM."""
    bench = Bench(tmp_path, "NFS")
    for _ in range(2):
        bench.power.switch_on(bench.vm)
        running = _listing(bench)
        locks = [name for name in os.listdir(bench.stage.here(bench.folder)) if name.startswith(".lck-")]
        sizes = [os.path.getsize(bench.stage.here(f"{bench.folder}/{name}")) for name in locks]
        assert sizes == [92] * 4
        swap = bench.stage.storage.used_bytes(bench.stage.world.datastores[0])
        assert swap >= (64 + 82) * MIB
        bench.power.switch_off(bench.vm)
    off = {
        ("644", "vps-1.scoreboard"), ("644", "vps.scoreboard"), ("600", "vps-flat.vmdk"),
        ("600", "vps.nvram"), ("600", "vps.vmdk"), ("644", "vps.vmsd"), ("755", "vps.vmx"),
        ("644", "vmware-1.log"), ("644", "vmware.log"),
    }  # fmt: skip
    assert _listing(bench) == off
    more = {("775", "lock"), ("600", "vps-H8.vswp"), ("600", "vps.vmx.lck"), ("600", "vmx-vps-H64-1.vswp")}
    assert running == off | more


def test_an_nfs_datastore_is_linked_by_its_short_id(tmp_path: Path) -> None:
    """files-ls-vmfs-volumes-esxi8-1."""
    stage = Stage(tmp_path)
    stage.store("ESXi-NFS-Share", "c2d6a58c-fb7a181e", "NFS")
    stage.store("datastore1", UUID, "VMFS-6")
    volumes = stage.storage.volumes
    assert os.readlink(volumes / "ESXi-NFS-Share") == "c2d6a58c-fb7a181e"
    assert os.lstat(volumes / "ESXi-NFS-Share").st_size == 17
    assert os.lstat(volumes / "datastore1").st_size == 35
    assert [f"{(volumes / id_).stat().st_mode & 0o7777:o}" for id_ in (UUID, "c2d6a58c-fb7a181e")] == [
        "1755",
        "755",
    ]


def test_a_split_disk_from_workstation_becomes_a_flat_one(tmp_path: Path) -> None:
    stage = Stage(tmp_path)
    stage.store("data", UUID)
    raw = tmp_path / "raw"
    raw.write_bytes(os.urandom(MIB) + bytes(5 * MIB) + os.urandom(2 * MIB))
    options = ["-f", "raw", "-O", "vmdk", "-o", "subformat=twoGbMaxExtentSparse"]
    subprocess.run(["qemu-img", "convert", *options, raw, stage.here("in.vmdk")], check=True)
    assert stage.vmkfstools("vmkfstools -i in.vmdk out.vmdk -d thin")[1] == 0
    assert Path(stage.here("out-flat.vmdk")).read_bytes() == raw.read_bytes()
    assert stage.vmkfstools("vmkfstools -U in.vmdk") == ("", 0)
    assert sorted(os.listdir(stage.here(stage.cwd))) == ["out-flat.vmdk", "out.vmdk"]


@pytest.mark.parametrize("option", ["-j", "-k"])
def test_inflating_takes_the_place_and_the_thin_mark(tmp_path: Path, option: str) -> None:
    stage = Stage(tmp_path)
    stage.store("data", UUID)
    stage.disk("a.vmdk", 8 * MIB)
    assert stage.vmkfstools(f"vmkfstools {option} a.vmdk")[1] == 0
    assert os.stat(stage.here("a-flat.vmdk")).st_blocks * 512 >= 8 * MIB
    assert not load(stage.here("a.vmdk")).thin
    stage.disk("b.vmdk", 8 * MIB)
    stage.world.datastores[0].reserve_bytes = stage.world.datastores[0].size_bytes
    printed, status = stage.vmkfstools(f"vmkfstools {option} b.vmdk")
    assert (status, "(1835017)" in printed) == (255, True)


def test_on_nfs_a_thick_disk_takes_no_place(tmp_path: Path) -> None:
    stage = Stage(tmp_path)
    stage.store("share", "c2d6a58c-fb7a181e", "NFS")
    assert stage.vmkfstools("vmkfstools -c 64M -d zeroedthick a.vmdk")[1] == 0
    assert os.stat(stage.here("a-flat.vmdk")).st_blocks == 0
    assert not load(stage.here("a.vmdk")).thin


def test_switches_of_the_world(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    stage = bench.stage
    assert stage.vmkfstools("vmkfstools -t 0 vps.vmdk")[1] == 255
    stage.world.mapping = True
    bench.write(b"x", 3 * MIB)
    lines = stage.vmkfstools("vmkfstools -t 0 vps.vmdk")[0].splitlines()
    assert ["NOMP -- :" in line for line in lines[1:]] == [True, False, True]
    stage.world.clone_limit = 2
    assert [stage.desk.answer(["slot"], owner) for owner in ("a", "b", "c")] == ["ok", "ok", "full"]
    printed, status = stage.vmkfstools("vmkfstools -i vps.vmdk c.vmdk -d thin")
    assert (status, printed.endswith("Cannot allocate memory (786441).\n")) == (255, True)
    stage.desk.gone("a")
    assert stage.vmkfstools("vmkfstools -i vps.vmdk c.vmdk -d thin")[1] == 0
    stage.world.base_exclusive = True
    bench.power.switch_on(bench.vm)
    bench.snapshots.create(bench.vm, "hot", "")
    printed, status = stage.vmkfstools("vmkfstools -i vps.vmdk d.vmdk -d thin")
    assert (status, "(16392)" in printed) == (255, True)
    stage.world.base_exclusive = False
    bench.power.relock(bench.vm)
    assert stage.vmkfstools("vmkfstools -i vps.vmdk d.vmdk -d thin")[1] == 0


def test_words_that_are_no_call_print_the_usage(tmp_path: Path) -> None:
    stage = Stage(tmp_path)
    stage.store("data", UUID)
    for words in ("", "-c 1M", "-c 1X a.vmdk", "--nonsense a.vmdk", "-U -e a.vmdk", "-x mend a.vmdk", "-i"):
        stage.disk("a.vmdk") if not os.path.exists(stage.here("a.vmdk")) else None
        printed, status = stage.vmkfstools(f"vmkfstools {words}")
        assert (status, printed.startswith("OPTIONS FOR FILE SYSTEMS:\n")) == (255, True), words
    assert "Non-passthrough" not in seen(stage.vmkfstools("vmkfstools -q a.vmdk")[0])


def test_a_descriptor_keeps_what_the_lab_has_no_use_for(tmp_path: Path) -> None:
    stage = Stage(tmp_path)
    stage.store("data", UUID)
    described = stage.disk("a.vmdk")
    described.more["isNativeSnapshot"] = "no"
    described.track_path = "a-ctk.vmdk"
    again = parse(described.render())
    assert (again.more, again.track_path) == ({"isNativeSnapshot": "no"}, "a-ctk.vmdk")
    assert described.render().startswith("# Disk DescriptorFile\nversion=3\n")
    place = Path(stage.here("a.vmdk"))
    place.write_text(place.read_text().replace("createType", 'encryptionKeys="vmware:key"\ncreateType'))
    with pytest.raises(DiskFault, match="15"):
        links(str(place))


def test_a_vmx_escape_stands_for_a_byte() -> None:
    settings = vmx.parse('annotation = "a|22b|7C|0AC|c3|bc"\n')
    assert settings.get("annotation") == 'a"b|\nCü'
    assert settings.render() == 'annotation = "a|22b|7C|0ACü"\n'
