"""The parts of real guests that need no boot: overlays, the lines to the guest, QEMU's words."""

from __future__ import annotations

import base64
import shutil
import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner

from ceso_mcp.errors import LabFault
from ceso_mcp.lab import Lab, golden, qemu_command, qemu_firmware, qemu_overlay, qemu_report, seed
from ceso_mcp.lab.blueprint import Blueprint
from ceso_mcp.lab.disks import operations
from ceso_mcp.lab.disks.chain import Disk, same
from ceso_mcp.lab.disks.sesparse import SeSparse
from ceso_mcp.lab.inventory import Inventory
from ceso_mcp.lab.locks import Locks
from ceso_mcp.lab.power import Power
from ceso_mcp.lab.qemu_command import Channels
from ceso_mcp.lab.qemu_guests import QemuGuests
from ceso_mcp.lab.storage import Storage
from ceso_mcp.lab.vmx import Settings
from ceso_mcp.lab.world import Vm
from ceso_mcp.surfaces.cli.root import ceso

needs_qemu_img = pytest.mark.skipif(shutil.which("qemu-img") is None, reason="no qemu-img here")
MIB = 1 << 20


def _write(overlay: Path, *commands: str) -> None:
    argv = ["qemu-io", "-f", "qcow2"]
    for command in commands:
        argv += ["-c", command]
    subprocess.run([*argv, str(overlay)], check=True, capture_output=True)


@needs_qemu_img
def test_what_a_guest_wrote_lands_in_the_delta_and_comes_down_with_it(tmp_path: Path) -> None:
    base, delta = str(tmp_path / "a.vmdk"), str(tmp_path / "a-000001.vmdk")
    operations.create(base, 8 * MIB, "thin")
    with Disk(base, writable=True) as disk:
        disk.write(3 * MIB, b"\x11" * 8192)
    flat = (tmp_path / "a-flat.vmdk").read_bytes()
    operations.branch(base, delta, "a.vmdk")
    texts = [Path(base).read_bytes(), Path(delta).read_bytes()]
    overlay = tmp_path / "o.qcow2"
    qemu_overlay.create(overlay, delta)
    _write(overlay, "write -P 0x22 3145728 4096", "write -z 5M 64k", "write -P 0x33 7M 512")
    assert [Path(base).read_bytes(), Path(delta).read_bytes()] == texts
    assert qemu_overlay.commit(overlay, delta, same) == 8192
    assert (tmp_path / "a-flat.vmdk").read_bytes() == flat
    delta_file = SeSparse(str(tmp_path / "a-000001-sesparse.vmdk"))
    assert delta_file.written() == [3 * MIB // 4096, 7 * MIB // 4096]
    delta_file.close()
    assert qemu_overlay.commit(overlay, delta, same) == 0
    operations.merge(delta)
    wanted = bytearray(flat)
    wanted[3 * MIB : 3 * MIB + 4096] = b"\x22" * 4096
    wanted[7 * MIB : 7 * MIB + 512] = b"\x33" * 512
    assert (tmp_path / "a-flat.vmdk").read_bytes() == bytes(wanted)


def test_a_file_that_is_no_overlay_is_refused(tmp_path: Path) -> None:
    place = tmp_path / "o.qcow2"
    place.write_bytes(b"x" * 4096)
    with pytest.raises(LabFault):
        list(qemu_overlay.written(place))


def _asked(text: str, values: dict[str, str]) -> tuple[bool, str]:
    def get(key: str) -> str:
        return values.get(key, "")

    return qemu_report.rpc(base64.b64encode(text.encode()) + b"\n", get, values.__setitem__)


def test_the_guest_reads_and_overwrites_guestinfo_and_nothing_else() -> None:
    values = {"guestinfo.metadata": "e30=", "annotation": "secret"}
    assert _asked("info-get guestinfo.metadata", values) == (True, "e30=")
    assert _asked("info-get guestinfo.none", values) == (False, "No value found")
    assert _asked("info-set guestinfo.userdata.encoding  ", values) == (True, "")
    assert values["guestinfo.userdata.encoding"] == " "
    assert _asked("info-get annotation", values) == (False, "Unknown command")
    assert _asked("info-set memSize 4", values) == (False, "Unknown command")


def test_a_report_is_read_card_by_card() -> None:
    lines = ["hostname web01", "machine-id ab", "os Debian", "nic ens192 00:50:56:AA:00:01"]
    lines += ["inet ens192 192.0.2.10/24", "inet6 ens192 fe80::1/64", "inet docker0 10.0.0.1/8"]
    told = qemu_report.parse(lines)
    assert told["nics"] == {"00:50:56:aa:00:01": ["192.0.2.10", "fe80::1"]}
    assert (told["hostname"], told["machine_id"], told["os"]) == ("web01", "ab", "Debian")


def test_qemu_gets_the_identity_and_slots_of_the_vmx() -> None:
    settings = Settings(
        {
            "uuid.bios": "56 4d 01 02 03 04 05 06-07 08 09 0a 0b 0c 0d 0e",
            "memSize": "512",
            "scsi0.virtualDev": "pvscsi",
            "ethernet0.present": "TRUE",
            "ethernet0.virtualDev": "vmxnet3",
            "ethernet0.addressType": "static",
            "ethernet0.address": "00:50:56:01:02:03",
            "ethernet0.pciSlotNumber": "224",
        }.items()
    )
    overlays = {"scsi0:0": Path("/x/a,b.qcow2")}
    line = " ".join(qemu_command.command(settings, 7, overlays, Channels(3, 4, 5), Path("/x/c")))
    assert "serial=VMware-56 4d 01 02 03 04 05 06-07 08 09 0a 0b 0c 0d 0e" in line
    assert "uuid=02014d56-0403-0605-0708-090a0b0c0d0e" in line
    assert "file=/x/a,,b.qcow2" in line
    assert "pcie-root-port,id=port0,chassis=1,slot=224" in line
    assert "ifname=t7n0" in line
    settings["scsi0.virtualDev"] = "buslogic"
    with pytest.raises(LabFault, match="scsi0"):
        qemu_command.command(settings, 7, overlays, Channels(3, 4, 5), Path("/x/c"))


def test_a_uefi_guest_gets_its_firmware_and_nvme_disks_as_namespaces() -> None:
    settings = Settings(
        {"uuid.bios": "56 4d 01 02 03 04 05 06-07 08 09 0a 0b 0c 0d 0e", "firmware": "efi"}.items()
    )
    overlays = {"nvme0:0": Path("/x/a"), "nvme0:1": Path("/x/b"), "nvme1:0": Path("/x/c")}
    channels, console = Channels(3, 4, 5), Path("/x/c")
    line = " ".join(qemu_command.command(settings, 7, overlays, channels, console, Path("/x/v,1")))
    assert "if=pflash,unit=1,format=raw,file=/x/v,,1" in line
    assert line.count("-device nvme,id=nvme0,") == 1
    assert "nvme-ns,bus=nvme0,nsid=1,drive=nvme0_0,bootindex=0" in line
    assert "nvme-ns,bus=nvme0,nsid=2,drive=nvme0_1,bootindex=1" in line
    assert "nvme-ns,bus=nvme1,nsid=1,drive=nvme1_0,bootindex=2" in line
    with pytest.raises(LabFault, match="sata0:0"):
        qemu_command.command(settings, 7, {"sata0:0": Path("/x/a")}, channels, console)


def test_firmware_variables_come_from_the_nvram_file_and_go_back_to_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code, empty, nvram = tmp_path / "code", tmp_path / "empty", tmp_path / "vm.nvram"
    monkeypatch.setattr(qemu_firmware, "CODE", code)
    monkeypatch.setattr(qemu_firmware, "EMPTY", empty)
    with pytest.raises(LabFault, match="ovmf"):
        qemu_firmware.begin(nvram, tmp_path)
    code.touch()
    empty.write_bytes(bytes(40) + b"_FVH" + bytes(100))
    for strange in (None, b"MRVN" + bytes(140), bytes(40) + b"_FVH"):
        if strange is not None:
            nvram.write_bytes(strange)
        assert qemu_firmware.begin(nvram, tmp_path).read_bytes() == empty.read_bytes()
    used = qemu_firmware.begin(nvram, tmp_path)
    used.write_bytes(bytes(40) + b"_FVH" + b"x" * 100)
    qemu_firmware.keep(used, nvram)
    assert nvram.stat().st_mode & 0o777 == 0o600
    assert qemu_firmware.begin(nvram, tmp_path).read_bytes()[44:] == b"x" * 100


def test_real_guests_say_what_they_need(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lab = Lab(tmp_path / "lab")
    monkeypatch.setattr(qemu_command.shutil, "which", lambda name: None)
    with pytest.raises(LabFault, match="qemu-system-x86 qemu-utils"):
        lab.start(guests="qemu")
    with pytest.raises(LabFault, match="mmdebstrap"):
        golden.build(tmp_path / "cache")
    monkeypatch.setattr(qemu_command.shutil, "which", lambda name: f"/usr/bin/{name}")
    with pytest.raises(LabFault, match="no golden image"):
        lab.start(guests="qemu", golden_cache=tmp_path / "cache")


def test_the_command_line_says_what_real_guests_need(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CESO_LAB_DIR", str(tmp_path / "lab"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(qemu_command.shutil, "which", lambda name: f"/usr/bin/{name}")
    ran = CliRunner().invoke(ceso, ["lab", "start", "--guests", "qemu"])
    assert ran.exit_code != 0
    assert "no golden image" in ran.output + str(ran.exception)


@needs_qemu_img
@pytest.mark.parametrize("snapshot", ["not yet", "taken"])
def test_overlays_of_a_killed_server_go_where_the_vm_stands(tmp_path: Path, snapshot: str) -> None:
    world = seed.new_world(Blueprint())
    storage = Storage(world, tmp_path / "volumes")
    store = f"/vmfs/volumes/{world.datastores[0].uuid}/a"
    Path(storage.here(store)).mkdir(parents=True)
    disk = storage.here(f"{store}/a.vmdk")
    operations.create(disk, 8 * MIB, "thin")
    nodes = [("scsi0.present", "TRUE"), ("scsi0:0.present", "TRUE")]
    vm = Vm(vmid=7, path=f"{store}/a.vmx", config=[*nodes, ("scsi0:0.fileName", "a.vmdk")])
    world.vms[7] = vm
    power = Power(world, storage, Inventory(world, storage, tmp_path / "list.xml", lambda: None), Locks())
    guests = QemuGuests(world, storage, power, lambda: None, tmp_path / "guests")
    run = tmp_path / "guests" / "7"
    run.mkdir(parents=True)
    old, new = run / "scsi0_0-0.qcow2", run / "scsi0_0-1.qcow2"
    qemu_overlay.create(old, disk)
    qemu_overlay.create(new, disk)
    _write(old, "write -P 0x11 0 4096", "write -P 0x11 1M 4096")
    _write(new, "write -P 0x22 1M 4096")
    guests._note(vm, run, {"scsi0:0": [old, new]})
    top = disk
    if snapshot == "taken":
        qemu_overlay.commit(old, disk, same)
        top = disk.replace("a.vmdk", "a-000001.vmdk")
        operations.branch(disk, top, "a.vmdk")
        vm.config = [*nodes, ("scsi0:0.fileName", "a-000001.vmdk")]
    guests._recover()
    assert not run.exists()
    with Disk(top, same) as seen:
        assert seen.read(0, 4096) == b"\x11" * 4096
        assert seen.read(MIB, 4096) == b"\x22" * 4096
    if snapshot == "taken":
        with Disk(disk, same) as frozen:
            assert frozen.read(MIB, 4096) == b"\x11" * 4096
