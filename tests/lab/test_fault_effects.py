"""hostd that is away, answers that lie, operations that go on after they were said to have failed."""

from __future__ import annotations

import pytest
from lab_fixtures import HostShell

from ceso_mcp.errors import LabFault
from ceso_mcp.lab import Fault, Lab

from conftest import DATASTORE1, GOLDEN  # isort: skip


def test_while_hostd_is_away_its_clients_cannot_connect_and_disks_go_on(
    lab: Lab, host_shell: HostShell, eventually
) -> None:
    lab.add_fault(Fault(match="getallvms", effect="hostd_restart", where="shim", seconds=0.5))
    ran = host_shell.run("vim-cmd vmsvc/getallvms")
    assert (ran.exit, ran.text) == (1, "Failed to login: Connection refused\n")
    ran = host_shell.run("esxcli system version get")
    assert (ran.exit, ran.text) == (1, "Connect to localhost failed: Connection failure\n")
    host_shell.ok(f"localcli system version get && vmkfstools -i {GOLDEN}.vmdk -d thin {DATASTORE1}/c.vmdk")
    eventually(lambda: host_shell.run("vim-cmd vmsvc/getallvms").exit == 0)


def test_the_init_script_restarts_hostd(lab: Lab, host_shell: HostShell, eventually) -> None:
    assert host_shell.ok("/etc/init.d/hostd restart") == "hostd stopped.\nhostd started.\n"
    assert host_shell.run("vim-cmd vmsvc/getallvms").exit == 1
    eventually(lambda: host_shell.run("vim-cmd vmsvc/getallvms").exit == 0)


def test_other_init_scripts_say_what_they_do(host_shell: HostShell) -> None:
    assert host_shell.ok("/etc/init.d/SSH restart") == "SSH login disabled\nSSH login enabled\n"
    assert host_shell.ok("/etc/init.d/usbarbitrator status") == "usbarbitrator is running\n"


def test_a_power_on_can_be_reported_failed_and_work(lab: Lab, host_shell: HostShell) -> None:
    said = "Power on failed\n"
    lab.add_fault(Fault(match="power.on", effect="lie", where="shim", stderr=said))
    ran = host_shell.run("vim-cmd vmsvc/power.on 1")
    assert (ran.exit, ran.stderr.decode()) == (1, said)
    assert "Powered on" in host_shell.ok("vim-cmd vmsvc/power.getstate 1")


def test_a_power_on_can_be_reported_done_and_not_happen(lab: Lab, host_shell: HostShell) -> None:
    lab.add_fault(
        Fault(match="power.on", effect="fail", where="shim", stdout="Powering on VM:\n", exit_status=0)
    )
    assert host_shell.ok("vim-cmd vmsvc/power.on 1") == "Powering on VM:\n"
    assert "Powered off" in host_shell.ok("vim-cmd vmsvc/power.getstate 1")


def test_a_snapshot_can_time_out_and_be_made_all_the_same(
    lab: Lab, host_shell: HostShell, eventually
) -> None:
    lab.add_fault(
        Fault(match="snapshot.create", effect="late", where="shim", seconds=3, stderr="timed out\n")
    )
    assert host_shell.run("vim-cmd vmsvc/snapshot.create 1 after").exit == 1
    assert "after" not in host_shell.ok("vim-cmd vmsvc/snapshot.get 1")
    eventually(lambda: "after" in host_shell.ok("vim-cmd vmsvc/snapshot.get 1"))


@pytest.mark.parametrize("effect", ["lie", "late"])
def test_effects_on_answers_need_a_program(effect) -> None:
    with pytest.raises(LabFault):
        Fault(match="x", effect=effect)
