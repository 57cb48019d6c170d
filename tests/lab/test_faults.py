"""Faults by rule, and a world that outlives its server."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import time

import asyncssh
import pytest
from lab_fixtures import HostShell

from ceso_mcp.errors import LabFault
from ceso_mcp.lab import Fault, Lab

from conftest import DATASTORE1, GOLDEN  # isort: skip


def test_a_rule_fails_a_program_with_the_given_text_once(lab: Lab, host_shell: HostShell) -> None:
    text = "Power on failed: (vim.fault.GenericVmConfigFault) {\n}\n"
    lab.add_fault(
        Fault(match=r"power\.on", effect="fail", where="shim", stdout="Powering on VM:\n", stderr=text)
    )
    ran = host_shell.run("vim-cmd vmsvc/power.on 1")
    assert (ran.exit, ran.stdout, ran.stderr.decode()) == (1, b"Powering on VM:\n", text)
    assert "Powered off" in host_shell.ok("vim-cmd vmsvc/power.getstate 1")
    host_shell.ok("vim-cmd vmsvc/power.on 1")


def test_after_and_times_choose_the_calls(lab: Lab, host_shell: HostShell) -> None:
    lab.add_fault(Fault(match="^probe", effect="fail", after=1, times=2, exit_status=9))
    assert [host_shell.run("probe").exit for _ in range(4)] == [127, 9, 9, 127]


def test_a_cut_before_runs_nothing(lab: Lab, host_shell: HostShell) -> None:
    before = lab.fingerprint()
    lab.add_fault(Fault(match="touch", effect="cut_before"))
    assert host_shell.run(f"touch {DATASTORE1}/x").exit is None
    assert lab.fingerprint() == before
    host_shell.ok(f"touch {DATASTORE1}/x")


@pytest.mark.parametrize("where", ["exec", "shim"])
def test_a_cut_after_has_done_the_work(lab: Lab, host_shell: HostShell, eventually, where) -> None:
    lab.add_fault(Fault(match="vmsvc/unregister 1", effect="cut_after", where=where))
    assert host_shell.run("vim-cmd vmsvc/unregister 1").exit is None
    eventually(lambda: 1 not in [vmid for vmid, _, _ in lab.status().vms])


def test_output_is_cut_at_the_byte(lab: Lab, host_shell: HostShell) -> None:
    received = bytearray()
    lab.add_fault(Fault(match="zero", effect="cut_stdout", at_bytes=100_000))

    async def read() -> int | None:
        connection = await host_shell.connection()
        process = await connection.create_process("dd if=/dev/zero bs=1k count=1000", encoding=None)
        with contextlib.suppress(asyncssh.Error):
            while chunk := await process.stdout.read(65536):
                received.extend(chunk)
        return process.exit_status

    assert host_shell.call(read()) is None
    assert len(received) == 100_000


def test_input_is_cut_at_the_byte(lab: Lab, host_shell: HostShell, eventually) -> None:
    lab.add_fault(Fault(match="cat >", effect="cut_stdin", at_bytes=70_000))
    assert host_shell.run(f"cat > {DATASTORE1}/part", os.urandom(200_000)).exit is None
    part = lab.volume("datastore1") / "part"
    eventually(lambda: part.exists() and part.stat().st_size == 70_000)


def test_a_stream_onto_a_full_datastore_ends_with_the_words_of_the_shell(
    lab: Lab, host_shell: HostShell
) -> None:
    lab.add_fault(Fault(match="cat >", effect="full_stdin", at_bytes=70_000))
    ran = host_shell.run(f"cat > {DATASTORE1}/part", os.urandom(200_000))
    assert ran.exit == 1
    assert b"No space left on device" in ran.stderr
    assert (lab.volume("datastore1") / "part").stat().st_size == 70_000


def test_a_delay_delays(lab: Lab, host_shell: HostShell) -> None:
    lab.add_fault(Fault(match="echo slow", effect="delay", seconds=0.2))
    began = time.monotonic()
    assert host_shell.ok("echo slow") == "slow\n"
    assert time.monotonic() - began >= 0.2


def test_a_vm_can_vanish_before_a_command(lab: Lab, host_shell: HostShell) -> None:
    lab.add_fault(Fault(match="power.on", effect="drop_vm", where="shim", vm="ubuntu-24.04-golden"))
    assert "NotFound" in host_shell.run("vim-cmd vmsvc/power.on 1").text
    assert (lab.volume("datastore1") / "ubuntu-24.04-golden").is_dir()


def test_a_datastore_can_fill_up_during_a_command(lab: Lab, host_shell: HostShell) -> None:
    lab.add_fault(
        Fault(match="vmkfstools -i", effect="fill", where="shim", datastore="datastore1", at_bytes=5 << 20)
    )
    ran = host_shell.run(f"vmkfstools -i {GOLDEN}.vmdk -d thin {DATASTORE1}/c.vmdk")
    assert (ran.exit, "(1835017)" in ran.text) == (255, True)


def test_a_rule_that_makes_no_sense_is_refused() -> None:
    with pytest.raises(LabFault):
        Fault(match="(", effect="fail")
    with pytest.raises(LabFault):
        Fault(match="x", effect="cut_stdin", where="shim")


def test_the_world_survives_a_killed_server(lab: Lab, host_shell: HostShell) -> None:
    host_shell.ok("vim-cmd vmsvc/unregister 2; vim-cmd vmsvc/power.on 1")
    lab.add_fault(Fault(match="never", effect="hang"))
    before = lab.status()
    assert before.pid is not None
    os.kill(before.pid, signal.SIGKILL)
    end = time.monotonic() + 5
    while lab.status().running:
        assert time.monotonic() < end
    lab.start(boot_delay_s=0.05)
    after = lab.status()
    assert after.pid != before.pid
    assert after.vms == before.vms
    assert [rule.match for rule in lab.faults()] == ["never"]
    assert (
        host_shell.ok(f"vim-cmd solo/registervm \"{DATASTORE1}/it's a test [old]/it's a test [old].vmx\"")
        == "6\n"
    )


def test_a_world_file_of_another_version_is_named_not_a_traceback(tmp_path) -> None:
    lab = Lab(tmp_path / "old")
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "world.json").write_text('{"release": "8.0"}')
    with pytest.raises(LabFault, match="cannot be read"):
        lab.start()


def test_reset_makes_the_same_world_again(lab: Lab, host_shell: HostShell) -> None:
    def golden() -> dict:
        return {name: value for name, value in lab.fingerprint()["files"].items() if "golden" in name}

    before = golden()
    host_shell.ok("vim-cmd vmsvc/destroy 1")
    assert golden() == {}
    lab.reset()
    assert golden() == before


def test_the_fingerprint_sees_every_kind_of_change(lab: Lab, host_shell: HostShell) -> None:
    seen = [lab.fingerprint()]
    for line in (
        f"mkdir {DATASTORE1}/d",
        f"echo x > {DATASTORE1}/d/f",
        f"printf y | dd of={GOLDEN}-flat.vmdk bs=1 seek=1000000000 conv=notrunc 2>/dev/null",
        "vim-cmd vmsvc/power.on 2",
        "vim-cmd vmsvc/unregister 3",
    ):
        host_shell.ok(line)
        seen.append(lab.fingerprint())
        assert seen[-1] != seen[-2], line


def test_the_latency_is_added_to_every_vim_cmd_and_kept_by_a_second_start(
    lab: Lab, host_shell: HostShell
) -> None:
    lab.start(latency_s=0.3)
    try:
        lab.start()
        began = time.monotonic()
        host_shell.ok("vim-cmd vmsvc/power.getstate 1")
        assert time.monotonic() - began >= 0.3
    finally:
        lab.start(latency_s=0.0)


def test_a_server_whose_directory_is_gone_ends_by_itself(tmp_path, eventually) -> None:
    lab = Lab(tmp_path / "gone")
    lab.start()
    pid = lab.status().pid
    shutil.rmtree(tmp_path / "gone")

    def ended() -> bool:
        return os.waitpid(pid, os.WNOHANG)[0] == pid

    eventually(ended)


def test_two_labs_run_side_by_side(lab: Lab, tmp_path) -> None:
    other = Lab(tmp_path / "other")
    try:
        address = other.start(release="7.0")
        assert address.port != lab.address().port
        assert other.status().release == "7.0"
        assert other.start() == address
    finally:
        assert other.stop()
    assert not other.status().running
    with pytest.raises(LabFault):
        other.address()
