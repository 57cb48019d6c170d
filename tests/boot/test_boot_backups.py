"""Backups of real guests: what comes back is the moment of the snapshot, boots, and is sound."""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
import time
from pathlib import Path

import pytest
from e2e.conftest import House
from lab_fixtures import HostShell

from ceso_mcp.lab import Fault, Lab, golden

from .real_guests import BOOT_TIMEOUT_S, STORE, TEMPLATE, Copy, Door, digest, holds, said, until

pytestmark = [pytest.mark.anyio, pytest.mark.boot, pytest.mark.timeout(3000)]
OTHER_STORE = "Backup SSD (nvme)"
# The first vmkfstools of a backup waits so long: time to look at what is frozen.
LOOK_S = 20.0
# One number goes to all disks in turn, each time synced; sums are of files that are synced already.
WRITER = """n=0
while :; do
    n=$((n + 1))
    for place in PLACES; do
        printf '%08d\\n' $n | dd of=$place/counter conv=notrunc,fsync status=none
    done
    if [ $n -le 1500 ]; then
        head -c 16384 /dev/urandom >/mnt/1/random.$n
        sync /mnt/1/random.$n
        sha256sum /mnt/1/random.$n >>/mnt/1/sums
        sync /mnt/1/sums
    fi
done
"""
MARK = "CesoMark"
MARK_FILE = f"/sys/firmware/efi/efivars/{MARK}-6f5d2a10-9d1c-4a34-8f0e-2b7a55c1d9e3"


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def uefi_nvme_three_disks(lab: Lab, host: HostShell, key: Path) -> Copy:
    """A guest that starts by UEFI, with two disks on one datastore and a third on another."""
    other = f"/vmfs/volumes/{OTHER_STORE}"
    host.ok(f"mkdir '{other}/uefi01' && vmkfstools -c 64m -d thin '{other}/uefi01/uefi01_2.vmdk'")
    real = host.ok(f"cd '{other}' && pwd -P").strip()
    disks = {
        "nvme0:0": "uefi01.vmdk",
        "nvme0:1": "uefi01_1.vmdk",
        "nvme0:2": f"{real}/uefi01/uefi01_2.vmdk",
    }
    hardware = {"firmware": "efi", "nvme0.present": "TRUE"}
    for node, name in disks.items():
        hardware |= {f"{node}.fileName": name, f"{node}.present": "TRUE"}
    guest = Copy(lab, host, "uefi01", 30, TEMPLATE, key, hardware)
    host.ok(f"vmkfstools -c 64m -d thin {STORE}/uefi01/uefi01_1.vmdk")
    return guest


def extents(lab: Lab, name: str) -> list[Path]:
    """The flat extents of a VM made by ceso: all in its folder, in the order of its disks."""
    folder = lab.volume("datastore1") / name
    return sorted(folder.glob("*-flat.vmdk"), key=lambda path: (len(path.name), path.name))


# Linux numbers the disks of an NVMe controller as it finds them; which one is which, only the namespace says.
NAMESPACE = """namespace() {
    for found in /sys/block/nvme0n*; do
        [ "$(cat $found/nsid)" != "$1" ] || echo "/dev/${found##*/}"
    done
}
"""


def start_writing(guest: Copy, namespaces: list[int]) -> None:
    """Let the guest write to its own disk and to new file systems on these namespaces."""
    places = ["/mnt/1", *(f"/mnt/{number}" for number in namespaces)]
    lines = [f"{NAMESPACE}mkdir -p {' '.join(places)}"]
    for number in namespaces:
        lines.append(f"mke2fs -q -t ext4 -O ^metadata_csum_seed,^orphan_file $(namespace {number})")
        lines.append(f"mount $(namespace {number}) /mnt/{number}")
    lines += ["cat >/var/tmp/writer <<'END'", WRITER.replace("PLACES", " ".join(places)) + "END"]
    lines += ["sync", "systemd-run -q --unit=writer sh /var/tmp/writer"]
    guest.door.root("\n".join(lines))
    count = "cat /mnt/*/counter 2>/dev/null || true"
    until(lambda: len(counters(guest.run(count))) == len(places), 300, "all disks are written to")


def counters(text: str) -> list[int]:
    return [int(line) for line in text.split()]


async def backed_up_hot(house: House, guest: Copy, flats: list[Path]) -> tuple[str, list[str]]:
    """The backup's id and the digests of the extents while the snapshot had frozen them."""
    folder = flats[0].parent
    preview = await house.preview("backup_vm", vm=guest.name, how="hot")
    house.lab.add_fault(Fault(match="vmkfstools -i", effect="delay", seconds=LOOK_S, times=1))
    backup = asyncio.create_task(house.confirm(preview.confirm_token))
    # The .vmsd names the snapshot once every disk has gone on above what is frozen.
    vmsd = folder / f"{guest.name}.vmsd"
    for _ in range(3000):
        if "snapshot0.uid" in vmsd.read_text():
            break
        assert not backup.done(), backup.result().error
        await asyncio.sleep(0.1)
    frozen = [await asyncio.to_thread(digest, flat) for flat in flats]
    assert list(folder.glob("*-000001.vmdk")), "the snapshot was gone before its disks had been looked at"
    job = await backup
    house.lab.clear_faults()
    assert job.state == "done", job.error
    assert job.result is not None
    assert job.result["consistency"] == "crash"
    assert not list(folder.glob("*-00000?.vmdk"))
    return str(job.result["backup_id"]), frozen


def checked(flat: Path, at: int, work: Path, *, after_power_cut: bool) -> None:
    """The ext4 file system at that offset is sound; a copy may replay its journal first if it may need it.

    `-p` mends what a power cut leaves (journal, orphans), and gives up with 4 at any other damage.
    """
    copy = work / "checked.img"
    argv = ["dd", f"if={flat}", f"of={copy}", "bs=1M", f"skip={at >> 20}", "conv=sparse", "status=none"]
    if at:  # the EFI partition follows
        argv.append(f"count={(golden.EFI_AT - at) >> 20}")
    subprocess.run(argv, check=True)
    if after_power_cut:
        replayed = subprocess.run(["/sbin/e2fsck", "-fp", str(copy)], capture_output=True, text=True)
        assert replayed.returncode in (0, 1), replayed.stdout + replayed.stderr
    clean = subprocess.run(["/sbin/e2fsck", "-fn", str(copy)], capture_output=True, text=True)
    assert clean.returncode == 0, clean.stdout + clean.stderr
    copy.unlink()


def all_checked(flats: list[Path], work: Path, *, after_power_cut: bool) -> None:
    for flat, at in zip(flats, [golden.PARTITION_AT, *([0] * (len(flats) - 1))], strict=True):
        checked(flat, at, work, after_power_cut=after_power_cut)


READ_BACK = f"""{NAMESPACE}for n in 2 3; do
    mkdir -p /mnt/$n
    mount -o ro $(namespace $n) /mnt/$n
done
cat /mnt/*/counter
"""


async def test_a_running_uefi_guest_with_nvme_disks_on_two_datastores_comes_back_as_it_was(
    lab: Lab, host: HostShell, key: Path, tmp_path: Path
) -> None:
    since = time.monotonic()
    guest = uefi_nvme_three_disks(lab, host, key)
    folder = lab.volume("datastore1") / "uefi01"
    outer = lab.volume(OTHER_STORE) / "uefi01" / "uefi01_2-flat.vmdk"
    flats = [folder / "uefi01-flat.vmdk", folder / "uefi01_1-flat.vmdk", outer]
    guest.start()
    said("the UEFI guest is up", since)
    start_writing(guest, [2, 3])
    house = House(lab, tmp_path)
    try:
        before = counters(guest.run("cat /mnt/*/counter"))
        hot, frozen = await backed_up_hot(house, guest, flats)
        said("backed up hot", since)
        after = counters(guest.run("cat /mnt/*/counter"))
        assert min(after) > max(before)
        guest.door.root(f"systemctl stop writer; printf '\\007\\000\\000\\000kept' >{MARK_FILE}")

        # As new, beside the one that runs on.
        public = key.with_suffix(".pub").read_text().strip()
        await house.do(
            "restore_vm",
            backup_id=hot,
            name="uefi02",
            datastore="datastore1",
            ipv4="192.0.2.31/24",
            ssh_keys=[public],
            power_on=True,
            wait_s=BOOT_TIMEOUT_S,
        )
        said("its copy is up", since)
        # What a running guest writes is not in its extents yet: they are as they were restored.
        assert [digest(flat) for flat in extents(lab, "uefi02")] == frozen
        all_checked(extents(lab, "uefi02"), tmp_path, after_power_cut=True)
        new = Door(lab, key, "192.0.2.31")
        assert new.run("hostname; ls -d /sys/firmware/efi") == "uefi02\n/sys/firmware/efi\n"
        seen = counters(new.root(READ_BACK))
        instant(seen, before, after)
        assert new.root("sha256sum --quiet -c /mnt/1/sums && wc -l </mnt/1/sums") != "0\n"
        assert guest.run("hostname") == "uefi01\n"
        await house.do("power_vm", vm="uefi02", action="off")
        await house.do("power_vm", vm="uefi01", action="shutdown")

        # Cold: after an orderly end the file systems need no journal.
        now = [digest(flat) for flat in flats]
        assert now != frozen
        cold = await house.do("backup_vm", vm="uefi01", how="cold")
        await house.do("restore_vm", backup_id=cold["backup_id"], name="uefi03", datastore="datastore1")
        assert [digest(flat) for flat in extents(lab, "uefi03")] == now
        all_checked(extents(lab, "uefi03"), tmp_path, after_power_cut=False)
        (nvram,) = (lab.volume("datastore1") / "uefi03").glob("*.nvram")
        assert nvram.read_bytes() == (folder / "uefi01.nvram").read_bytes()
        assert holds(nvram, MARK.encode("utf-16-le"))
        said("backed up cold and restored", since)

        # In place: the old content under the same identity, each disk on the datastore where it was.
        others = set(lab.volume(OTHER_STORE).glob("uefi01-*"))
        await house.do("restore_in_place", backup_id=hot, vm="uefi01")
        (elsewhere,) = set(lab.volume(OTHER_STORE).glob("uefi01-*")) - others
        (far,) = elsewhere.glob("*-flat.vmdk")
        restored = [*extents(lab, "uefi01"), far]
        assert [digest(flat) for flat in restored] == frozen
        assert digest(outer) == now[2]
        guest.vmid = next(vm.vmid for vm in (await house.ask("list_vms")).vms if vm.name == "uefi01")
        guest.start()
        said("restored in place and up", since)
        assert guest.run("hostname") == "uefi01\n"
        assert counters(guest.door.root(READ_BACK)) == seen
        await house.do("power_vm", vm="uefi01", action="shutdown")
        all_checked(restored, tmp_path, after_power_cut=True)
        # The way back, and then what had been restored goes wholly: also its disk on the other datastore.
        await house.do("settle_restore", vm="uefi01", keep="before")
        assert [digest(flat) for flat in flats] == now
        await house.do("settle_restore", vm="uefi01", keep="restored")
        assert not elsewhere.exists()
        assert [digest(flat) for flat in flats] == now
        said("settled", since)
    finally:
        await house.ceso.close()


def in_image(image: str, path: str) -> str:
    """A file of an ext4 image that nobody has mounted."""
    argv = ["/sbin/debugfs", "-R", f"cat {path}", image]
    return subprocess.run(argv, capture_output=True, text=True, check=True).stdout


def instant(seen: list[int], before: list[int], after: list[int]) -> None:
    """The disks were frozen at one instant between the two looks: each number was on its way through them."""
    assert seen == sorted(seen, reverse=True), seen
    assert seen[0] - seen[-1] <= 1, seen
    assert max(before) <= seen[0], (before, seen)
    assert seen[0] <= max(after), (seen, after)


@pytest.mark.skipif(os.environ.get("CESO_BOOT") != "all", reason="two boots more: CESO_BOOT=all")
async def test_with_a_restart_a_bios_guest_is_backed_up_with_its_file_system_at_rest(
    lab: Lab, host: HostShell, key: Path, tmp_path: Path
) -> None:
    since = time.monotonic()
    guest = Copy(lab, host, "bios01", 40, TEMPLATE, key)
    guest.start()
    start_writing(guest, [])
    house = House(lab, tmp_path)
    try:
        before = guest.boot_id()
        written = counters(guest.run("cat /mnt/1/counter"))
        made = await house.do("backup_vm", vm="bios01", how="restart")
        assert made["consistency"] == "powered_off"
        guest.until_booted_anew(before)
        said("backed up with a restart, and on again", since)
        await house.do("restore_vm", backup_id=made["backup_id"], name="bios02", datastore="datastore1")
        all_checked(extents(lab, "bios02"), tmp_path, after_power_cut=False)
        # The writer did not come back with the guest: its last number is the one in the backup.
        last = guest.run("cat /mnt/1/counter")
        flat = f"{extents(lab, 'bios02')[0]}?offset={golden.PARTITION_AT}"
        assert re.fullmatch(r"\d{8}\n", last)
        assert in_image(flat, "/mnt/1/counter") == last
        assert counters(last)[0] > written[0]
        guest.shut_down()
    finally:
        await house.ceso.close()
