"""What the host's kernel refuses: raw opens of extents in use, full datastores, foreign programs."""

from __future__ import annotations

from pathlib import Path

import pytest
from lab_fixtures import HostShell

from ceso_mcp.lab import Lab
from ceso_mcp.lab.locks import Locks
from ceso_mcp.lab.watch import seccomp
from ceso_mcp.lab.watch.space import fitting_bytes

DATASTORE = "/vmfs/volumes/datastore1"
BACKUP = "/vmfs/volumes/Backup SSD (nvme)"
BUSY = "Device or resource busy"
FULL = "No space left on device"
FREE_BYTES = 1 << 20

watched = pytest.mark.skipif(seccomp.why_not() is not None, reason="no seccomp listeners on this machine")


def vmid(shell: HostShell, name: str) -> str:
    rows = shell.ok("vim-cmd vmsvc/getallvms").splitlines()
    return next(row.split()[0] for row in rows if f" {name} " in row)


@watched
def test_no_program_reads_the_disks_of_a_running_vm_but_vmkfstools_its_frozen_ones(
    host_shell: HostShell,
) -> None:
    host_shell.ok(f"ln -s '{BACKUP}' /tmp/ds")
    folder, number = "/tmp/ds/snapshotted", vmid(host_shell, "snapshotted")
    flat = "snapshotted-flat.vmdk"
    assert host_shell.run(f"head -c 1 {folder}/{flat}").exit == 0
    host_shell.ok(f"ln -s {folder}/{flat} /tmp/link; vim-cmd vmsvc/power.on {number}")
    for line in (
        f"cat {folder}/{flat}",
        f"cat {folder}/snapshotted-000001-*.vmdk",
        f"dd if={folder}/{flat} of=/dev/null count=1",
        f"cd {folder} && cp {flat} /tmp/copy",
        f"scp -f {folder}/{flat}",
        "cat /tmp/link",
        f"echo >> {folder}/{flat}",
    ):
        ran = host_shell.run(line, b"\0\0")
        assert ran.exit != 0, line
        assert BUSY in (ran.stderr + ran.stdout).decode("latin-1"), (line, ran)
    host_shell.ok(f"cat {folder}/snapshotted.vmdk {folder}/snapshotted.vmx && ls -l {folder}")
    host_shell.ok(f"vmkfstools -i {folder}/snapshotted.vmdk -d thin {folder}/frozen.vmdk")
    host_shell.ok(f"vim-cmd vmsvc/power.off {number} && cat {folder}/{flat} > /dev/null")


@watched
def test_sftp_cannot_read_a_running_disk_unless_the_lab_allows_raw_opens(
    lab: Lab, host_shell: HostShell
) -> None:
    number = vmid(host_shell, "snapshotted")
    host_shell.ok(f"vim-cmd vmsvc/power.on {number}")
    flat = f"{BACKUP}/snapshotted/snapshotted-flat.vmdk"

    async def read() -> bytes:
        async with (await host_shell.connection()).start_sftp_client() as sftp, sftp.open(flat, "rb") as file:
            return bytes(await file.read(1))

    with pytest.raises(Exception, match="Failure"):
        host_shell.call(read())
    lab.configure(raw_opens="allowed")
    try:
        assert len(host_shell.call(read())) == 1
    finally:
        lab.configure(raw_opens="refused")


@watched
@pytest.mark.parametrize("line", ["cat > {}", "dd of={} bs=64k", "cp /tmp/much {}"])
def test_the_shell_meets_a_full_datastore_and_leaves_the_part_that_fitted(
    line: str, lab: Lab, host_shell: HostShell
) -> None:
    much = bytes(range(256)) * 12288  # 3 MiB
    host_shell.ok("cat > /tmp/much", much)
    lab.fill("datastore1", FREE_BYTES)
    ran = host_shell.run(line.format(f"{DATASTORE}/part"), much)
    assert ran.exit == 1
    assert FULL in ran.stderr.decode()
    part = (lab.volume("datastore1") / "part").read_bytes()
    assert FREE_BYTES - 65536 <= len(part) <= FREE_BYTES
    assert part == much[: len(part)]
    row = next(row for row in host_shell.ok("df").splitlines() if row.endswith("datastore1"))
    assert int(row.split()[3]) < 65536
    # What the file has already costs nothing, and what is deleted is free again.
    host_shell.ok(f"dd of={DATASTORE}/part bs=4096 count=4 conv=notrunc", much[:16384])
    host_shell.ok(f"rm {DATASTORE}/part && cat > {DATASTORE}/part", much[: 1 << 19])


@watched
def test_programs_that_came_from_nowhere_run_by_path_only_where_the_release_lets_them(
    lab: Lab, host_shell: HostShell
) -> None:
    host_shell.ok("cd /tmp; cp /bin/busybox own; echo 'echo ran' > plain; chmod +x own plain")
    host_shell.ok("cd /tmp; { echo '#!/bin/sh'; echo 'echo ran'; } > proper; chmod +x proper")
    for name in ("own", "plain"):
        ran = host_shell.run(f"/tmp/{name}")
        assert (ran.exit, ran.stderr) == (126, f"sh: /tmp/{name}: Operation not permitted\n".encode())
    assert host_shell.ok("/tmp/proper; sh /tmp/plain; sh -s", b"echo ran") == "ran\nran\nran\n"
    lab.configure(exec_installed_only=False)
    try:
        assert host_shell.ok("/tmp/plain") == "ran\n"
    finally:
        lab.configure(exec_installed_only=None)


def test_blocks_that_a_file_has_cost_nothing_and_others_one_each(tmp_path: Path) -> None:
    place = tmp_path / "file"
    place.write_bytes(bytes([1]) * 4096)
    with open(place, "r+b") as file:
        file.truncate(16384)
        assert fitting_bytes(file.fileno(), 0, 4096, 0) == 4096
        assert fitting_bytes(file.fileno(), 0, 12288, 4096) == 8192
        assert fitting_bytes(file.fileno(), 16380, 100, 4096) == 4
        assert fitting_bytes(file.fileno(), 16384, 4096, 4095) == 0


def test_a_filter_for_each_machine_has_whole_instructions() -> None:
    for machine in seccomp.MACHINES:
        code = seccomp.program(seccomp.OPENS + seccomp.EXECS + seccomp.WRITES, machine)
        assert len(code) % 8 == 0
        assert len(code) // 8 < 256  # a jump of the filter reaches no further


def test_any_holder_makes_an_extent_held() -> None:
    locks = Locks()
    assert locks.take("/a", "clone", "read")
    assert locks.mode("/a") == 2
    locks.release("clone")
    assert locks.mode("/a") == 0
