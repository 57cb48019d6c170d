"""vim-cmd: the table, the dumps, registration, power, questions, snapshots."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
from lab_fixtures import HostShell

from ceso_mcp.lab import Lab, identity, views, vim_cmd, vim_snapshots
from ceso_mcp.lab.dump import render
from ceso_mcp.lab.inventory import invalid_state
from ceso_mcp.lab.snapshots import Snapshot

from conftest import BACKUP, DATASTORE1, GOLDEN  # isort: skip


def _rows(text: str) -> list[tuple[str, ...]]:
    """Rows cut out of a capture at the offsets of its File column and the runs of blanks."""
    cut = re.compile(r"^(\d+)\s+(.+?)\s{3,}(\[.*?\.vmx)\s+(\S+)\s+(vmx-\d+)\s*(.*)$")
    return [cut.match(line).groups() for line in text.splitlines()[1:]]  # type: ignore[union-attr]


@pytest.mark.parametrize("name", ["vimcmd-getallvms-1", "vimcmd-getallvms-3", "vimcmd-getallvms-6"])
def test_the_table_is_that_of_a_real_host(transcript, name: str) -> None:
    real = transcript(name)
    made = views.table(_rows(real))
    assert [line.rstrip() for line in made.splitlines()] == [line.rstrip() for line in real.splitlines()]


def test_getallvms_orders_ids_as_text_and_pads_the_last_cell(host_shell: HostShell, clone) -> None:
    for number in range(6):
        clone(f"vm{number}")
    lines = host_shell.ok("vim-cmd vmsvc/getallvms").splitlines()
    rows = [line for line in lines if re.match(r"^\d+ .*\.vmx   ", line) and "not-a-vm" not in line]
    ids = [line.split()[0] for line in rows]
    assert ids == ["1", "10", "11", "2", "3", "4", "5", "6", "7", "8", "9"]
    assert len(lines[0]) == len(lines[1])


def test_annotations_are_printed_raw_over_several_lines(host_shell: HostShell) -> None:
    text = host_shell.ok("vim-cmd vmsvc/getallvms")
    assert "\n99     not-a-vm      [datastore1] not-a-vm/not-a-vm.vmx   otherGuest" in text


def test_a_vm_without_its_vmx_is_skipped_on_stderr(host_shell: HostShell) -> None:
    host_shell.ok(f"mv '{GOLDEN}.vmx' '{GOLDEN}.away'")
    ran = host_shell.run("vim-cmd vmsvc/getallvms")
    assert (ran.exit, ran.stderr) == (0, b"Skipping invalid VM '1'\n")
    assert "golden" not in ran.text


def test_a_fault_has_the_form_of_a_real_one(transcript) -> None:
    real = transcript("vimcmd-power.reset-1").split("failed: ")[1]
    assert render(invalid_state("poweredOn", "poweredOff").fault) == real


def test_the_snapshot_tree_has_the_form_of_a_real_one(transcript) -> None:
    first = Snapshot(1, 0, "", "snap1", "Shapshot #1", 1791140452_000000, False)
    second = Snapshot(2, 1, "", "Corelinux running", "", 1791141775_000000, True)
    made = "Get Snapshot:\n" + vim_snapshots.tree([first, second])
    made, real = (
        re.sub(r"Created On  : .*", "Created On", text)
        for text in (made, transcript("vimcmd-snapshot.get-2"))
    )
    assert [line.rstrip() for line in made.splitlines()] == [line.rstrip() for line in real.splitlines()]


def test_times_of_snapshots_are_not_padded() -> None:
    assert vim_snapshots.created_on(1791140452_000000) == "10/4/2026 19:0:52"


def test_the_list_of_a_namespace_is_laid_out_as_on_a_real_host(transcript) -> None:
    real = transcript("vimcmd-help-vmsvc-2")
    made = vim_cmd.columns("vmsvc", real.split(":\n")[1].split())
    assert [line.rstrip() for line in made.splitlines()] == [line.rstrip() for line in real.splitlines()]


@pytest.mark.parametrize(
    "word",
    [
        "1",
        f"{GOLDEN}.vmx",
        "'[datastore1] ubuntu-24.04-golden/ubuntu-24.04-golden.vmx'",
    ],
)
def test_a_vm_is_named_by_id_path_or_datastore_path(host_shell: HostShell, word: str) -> None:
    assert host_shell.ok(f"vim-cmd vmsvc/power.getstate {word}") == "Retrieved runtime info\nPowered off\n"


def test_an_unknown_vm_is_not_found_on_stdout_with_1(host_shell: HostShell) -> None:
    ran = host_shell.run("vim-cmd vmsvc/unregister 99")
    assert (ran.exit, ran.stderr) == (1, b"")
    assert ran.text.startswith("(vim.fault.NotFound) {\n")
    assert 'msg = "Unable to find a VM corresponding to "99""' in ran.text


def test_ids_are_not_used_again(host_shell: HostShell) -> None:
    host_shell.ok("vim-cmd vmsvc/unregister 1")
    assert host_shell.ok(f"vim-cmd solo/registervm {GOLDEN}.vmx") == "6\n"
    ran = host_shell.run(f"vim-cmd solo/registervm {GOLDEN}.vmx")
    assert ran.exit == 1
    assert "(vim.fault.AlreadyExists) {" in ran.text
    assert 'name = "6"' in ran.text


def test_the_inventory_file_follows(host_shell: HostShell) -> None:
    host_shell.ok("vim-cmd vmsvc/unregister 1")
    text = host_shell.ok("cat /etc/vmware/hostd/vmInventory.xml")
    assert "golden" not in text
    assert re.findall(r"<objID>(\d+)</objID>", text) == ["2", "3", "4", "5"]


def test_a_power_cycle_goes_through_all_states(host_shell: HostShell) -> None:
    assert host_shell.run("vim-cmd vmsvc/power.off 1").exit == 1
    assert host_shell.ok("vim-cmd vmsvc/power.on 1") == "Powering on VM:\n"
    assert "Powered on" in host_shell.ok("vim-cmd vmsvc/power.getstate 1")
    again = host_shell.run("vim-cmd vmsvc/power.on 1")
    assert (again.exit, again.stdout) == (1, b"Powering on VM:\n")
    assert again.stderr.startswith(b"Power on failed: (vim.fault.InvalidPowerState) {\n")
    assert host_shell.ok("vim-cmd vmsvc/power.suspend 1") == "Suspending VM:\n"
    assert "Suspended" in host_shell.ok("vim-cmd vmsvc/power.getstate 1")
    host_shell.ok("vim-cmd vmsvc/power.on 1")
    assert host_shell.ok("vim-cmd vmsvc/power.off 1") == "Powering off VM:\n"
    assert "vswp" not in host_shell.ok(f"ls {DATASTORE1}/ubuntu-24.04-golden")


def test_the_first_power_on_fills_in_what_the_host_derives(host_shell: HostShell, clone) -> None:
    vmid = clone("derived")
    host_shell.ok(f"vim-cmd vmsvc/power.on {vmid}")
    vmx = dict(re.findall(r'^(\S+) = "(.*)"$', host_shell.ok(f"cat {DATASTORE1}/derived/derived.vmx"), re.M))
    bios = identity.raw(vmx["uuid.bios"])
    assert bios[:2] == b"\x56\x4d"
    assert vmx["uuid.location"] == vmx["uuid.bios"]
    assert vmx["vmci0.id"] == str(int.from_bytes(bios[12:], "big", signed=True))
    assert vmx["ethernet0.generatedAddress"] == "00:0c:29:" + ":".join(f"{b:02x}" for b in bios[13:])
    assert (vmx["scsi0.pciSlotNumber"], vmx["ethernet0.pciSlotNumber"]) == ("160", "192")


def test_derived_values_are_those_of_a_real_vmx() -> None:
    bios = "56 4d d9 28 84 1b 9d 6a-4e b5 a9 40 b4 53 43 27"
    assert identity.vmci_id(bios) == "-1269611737"
    assert identity.sas_wwid(bios, 0) == "50 05 05 68 84 1b 9d 60"
    assert identity.generated_mac(bios, 0) == "00:0c:29:53:43:27"


def test_a_running_vm_owns_its_vmx(host_shell: HostShell) -> None:
    host_shell.ok("vim-cmd vmsvc/power.on 1")
    host_shell.ok(f"""sed -i 's/memSize = "2048"/memSize = "4096"/' {GOLDEN}.vmx; vim-cmd vmsvc/reload 1""")
    host_shell.ok("vim-cmd vmsvc/power.off 1")
    assert 'memSize = "2048"' in host_shell.ok(f"cat {GOLDEN}.vmx")


@pytest.mark.parametrize(
    ("key", "value", "text"),
    [
        ("memSize", "257", "Memory (RAM) size (257) is invalid."),
        ("scsi0:0.fileName", "gone.vmdk", "Cannot open the disk"),
    ],
)
def test_a_bad_vmx_does_not_start(host_shell: HostShell, key: str, value: str, text: str) -> None:
    host_shell.ok(f"sed -i 's/^{key} = .*/{key} = \"{value}\"/' {GOLDEN}.vmx; vim-cmd vmsvc/reload 1")
    ran = host_shell.run("vim-cmd vmsvc/power.on 1")
    assert ran.exit == 1
    assert text in ran.stderr.decode()
    assert "Powered off" in host_shell.ok("vim-cmd vmsvc/power.getstate 1")


def test_a_vmware_mac_outside_the_static_range_is_refused(host_shell: HostShell, clone) -> None:
    vmid = clone("mac", 'ethernet0.addressType = "static"', 'ethernet0.address = "00:0c:29:1f:4a:ab"')
    ran = host_shell.run(f"vim-cmd vmsvc/power.on {vmid}")
    sentence = "00:0c:29:1f:4a:ab is not an allowed static Ethernet address."
    assert f"{sentence} It conflicts with VMware reserved MACs" in ran.stderr.decode()


def test_a_copied_vmx_asks_before_it_starts(host_shell: HostShell, eventually) -> None:
    host_shell.ok("vim-cmd vmsvc/power.on 1; vim-cmd vmsvc/power.off 1")
    folder = f"{DATASTORE1}/copy"
    host_shell.ok(f"mkdir {folder}; cp {GOLDEN}.vmx {folder}/copy.vmx")
    host_shell.ok(f"cd {folder} && vmkfstools -i {GOLDEN}.vmdk -d thin ubuntu-24.04-golden.vmdk")
    assert host_shell.ok(f"vim-cmd solo/registervm {folder}/copy.vmx") == "6\n"
    host_shell.ok("setsid vim-cmd vmsvc/power.on 6 </dev/null >/tmp/on 2>&1 & true")
    eventually(lambda: "No message." not in host_shell.ok("vim-cmd vmsvc/message 6"))
    text = host_shell.ok("vim-cmd vmsvc/message 6")
    number = re.match(r"Virtual machine message (\d+):", text)[1]  # type: ignore[index]
    assert "   2. button.uuid.copiedTheVM (I Copied It) [default]" in text
    assert "Powered off" in host_shell.ok("vim-cmd vmsvc/power.getstate 6")
    assert host_shell.ok(f"vim-cmd vmsvc/message 6 {number} 2") == ""
    eventually(lambda: "Powered on" in host_shell.ok("vim-cmd vmsvc/power.getstate 6"))
    old, new = host_shell.ok(f"grep -h uuid.bios {GOLDEN}.vmx {folder}/copy.vmx").splitlines()
    assert old != new


BURO = f"{DATASTORE1}/Büro-Server/Büro-Server"


def test_a_snapshot_freezes_and_its_removal_merges(host_shell: HostShell, lab: Lab, tmp_path: Path) -> None:
    folder = lab.volume("datastore1") / "Büro-Server"
    host_shell.ok("vim-cmd vmsvc/power.off 4; vim-cmd vmsvc/snapshot.create 4 first 'a description' 0 0")
    frozen = tmp_path / "frozen.raw"
    flat = folder / "Büro-Server-flat.vmdk"
    subprocess.run(["cp", "--sparse=always", flat, frozen], check=True)
    host_shell.ok("vim-cmd vmsvc/power.on 4; sleep 0.2; vim-cmd vmsvc/power.off 4")
    assert _identical(frozen, flat)
    top = folder / "Büro-Server-000001.vmdk"
    assert not _identical(flat, top)
    assert 'parentFileNameHint="Büro-Server.vmdk"' in top.read_text()
    host_shell.ok(f"vmkfstools -i {BURO}-000001.vmdk -d thin {DATASTORE1}/flattened.vmdk")
    flattened = lab.volume("datastore1") / "flattened.vmdk"
    assert _identical(top, flattened)
    tree = host_shell.ok("vim-cmd vmsvc/snapshot.get 4")
    head = "Get Snapshot:\n|-ROOT\n--Snapshot Name        : first\n--Snapshot Id        : 1\n"
    assert tree.startswith(head)
    host_shell.ok("vim-cmd vmsvc/snapshot.create 4 second '' 0 0")
    assert host_shell.ok("vim-cmd vmsvc/snapshot.remove 4 1").startswith("Remove Snapshot:\n|-ROOT\n")
    host_shell.ok("vim-cmd vmsvc/snapshot.removeall 4")
    assert host_shell.ok("vim-cmd vmsvc/snapshot.get 4") == "Get Snapshot:\n"
    assert not list(folder.glob("*-0000*"))
    assert _identical(folder / "Büro-Server.vmdk", flattened)
    assert 'scsi0:0.fileName = "Büro-Server.vmdk"' in host_shell.ok(f"cat {BURO}.vmx")


def test_removing_a_middle_snapshot_keeps_the_disk_as_it_is(host_shell: HostShell, lab: Lab) -> None:
    folder = lab.volume("datastore1") / "Büro-Server"
    boot = "vim-cmd vmsvc/power.on 4; sleep 0.2; vim-cmd vmsvc/power.off 4"
    host_shell.ok("vim-cmd vmsvc/power.off 4")
    for name in ("one", "two", "three"):
        host_shell.ok(f"vim-cmd vmsvc/snapshot.create 4 {name} '' 0 0; {boot}")
    host_shell.ok(f"vmkfstools -i {BURO}-000003.vmdk -d thin {DATASTORE1}/kept.vmdk")
    kept = lab.volume("datastore1") / "kept.vmdk"
    tree = host_shell.ok("vim-cmd vmsvc/snapshot.remove 4 2")
    assert re.findall(r"Snapshot Id        : (\d)", tree) == ["1", "3"]
    assert sorted(path.name for path in folder.glob("*-00000?.vmdk")) == [
        "Büro-Server-000001.vmdk",
        "Büro-Server-000003.vmdk",
    ]
    assert _identical(folder / "Büro-Server-000003.vmdk", kept)
    host_shell.ok(f"vim-cmd vmsvc/snapshot.revert 4 1 0; {boot}")
    (top,) = re.findall(r'fileName = "(.*-0.*)"', host_shell.ok(f"cat {BURO}.vmx"))
    host_shell.ok(f"vmkfstools -i {DATASTORE1}/Büro-Server/{top} -d thin {DATASTORE1}/branch.vmdk")
    host_shell.ok("vim-cmd vmsvc/snapshot.removeall 4")
    assert not list(folder.glob("*-00000?*"))
    assert _identical(folder / "Büro-Server.vmdk", kept.with_name("branch.vmdk"))
    host_shell.ok(f"vmkfstools -e {BURO}.vmdk; {boot}")


def test_reverting_throws_away_what_was_written_since(host_shell: HostShell, lab: Lab) -> None:
    folder = lab.volume("datastore1") / "Büro-Server"
    host_shell.ok("vim-cmd vmsvc/power.off 4; vim-cmd vmsvc/snapshot.create 4 first '' 0 0")
    host_shell.ok("vim-cmd vmsvc/power.on 4; sleep 0.2; vim-cmd vmsvc/snapshot.revert 4 1 0")
    assert "Powered off" in host_shell.ok("vim-cmd vmsvc/power.getstate 4")
    (top,) = folder.glob("*-00000?.vmdk")
    assert _identical(top, folder / "Büro-Server.vmdk")


def _identical(left: Path, right: Path) -> bool:
    """qemu-img compares the contents; what ends in -flat.vmdk or .raw is read as raw."""

    def kind(path: Path) -> str:
        return "raw" if path.name.endswith(("-flat.vmdk", ".raw")) else "vmdk"

    command = ["qemu-img", "compare", "-f", kind(left), "-F", kind(right), str(left), str(right)]
    return subprocess.run(command, capture_output=True).returncode == 0


def test_destroy_takes_the_disks_and_the_empty_folder(host_shell: HostShell) -> None:
    host_shell.ok("vim-cmd vmsvc/destroy 5")
    assert host_shell.run(f"ls '{BACKUP}/snapshotted'").exit == 1
    host_shell.ok(f"touch {DATASTORE1}/ubuntu-24.04-golden/mine.iso; vim-cmd vmsvc/destroy 1")
    assert host_shell.ok(f"ls {DATASTORE1}/ubuntu-24.04-golden") == "mine.iso\n"


def test_the_host_summary_names_the_release(host_shell: HostShell) -> None:
    text = host_shell.ok("vim-cmd hostsvc/hostsummary")
    assert '         version = "8.0.3", \n         build = "24022510", \n' in text
