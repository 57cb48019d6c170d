"""Real Linux guests on the lab: what cloud-init made of guestinfo, proved from outside the guest."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest
from lab_fixtures import HostShell

from ceso_mcp.lab import Lab, golden

from .real_guests import STOP_TIMEOUT_S, STORE, TEMPLATE, Copy, digest, holds, said, until

pytestmark = [pytest.mark.boot, pytest.mark.timeout(2400)]
MARK = "written after the snapshot\n"


def test_a_real_guest_from_its_first_boot_to_its_clone_and_through_a_killed_server(
    lab: Lab, host: HostShell, key: Path, tmp_path: Path
) -> None:
    since = time.monotonic()
    first = Copy(lab, host, "web01", 10, TEMPLATE, key)
    first.start()
    said("the copy of the template is up", since)
    ids = is_what_its_metadata_says(first, host)
    writes_after_a_snapshot_come_down_with_it(first, host, lab.volume("datastore1") / "web01", tmp_path)
    said("its snapshot is merged", since)

    second = Copy(lab, host, "db01", 20, f"{STORE}/web01/web01", key)
    second.start()
    said("its clone is up", since)
    for door in (second.door, second.door6):
        assert door.run("hostname; head -n 1 after") == "db01\n" + MARK
    assert not set(ids) & set(identity(second))
    assert not first.door.open()

    if os.environ.get("CESO_BOOT") == "all":  # two boots and more, five minutes
        a_reset_is_sudden_and_a_reboot_is_not(second, host)
        said("reset and rebooted", since)
        a_killed_server_loses_nothing_that_was_synced(second, lab)
        said("on again after the server was killed", since)
    second.shut_down()
    flat = lab.volume("datastore1") / "db01" / "db01-flat.vmdk"
    checked = subprocess.run(
        ["/sbin/e2fsck", "-fn", f"{flat}?offset={golden.PARTITION_AT}"], capture_output=True
    )
    assert checked.returncode == 0, checked.stdout
    said("shut down", since)


def identity(guest: Copy) -> list[str]:
    """The machine-id and the public host keys."""
    found = guest.run("cat /etc/machine-id; cut -d' ' -f2 /etc/ssh/ssh_host_*_key.pub").split()
    assert len(found) == 3
    return found


def is_what_its_metadata_says(guest: Copy, host: HostShell) -> list[str]:
    for door in (guest.door, guest.door6):
        assert door.run("hostname") == "web01\n"
    assert f'         macAddress = "{guest.mac}", ' in guest.reported()
    assert '   hostName = "web01", \n' in guest.reported()
    assert 'guestinfo.userdata = "---"' in host.ok(f"cat {STORE}/web01/web01.vmx")
    assert guest.run("systemd-detect-virt; ls /sys/class/net") == "vmware\nens192\nlo\n"
    told = guest.run("cloud-init status --wait --long || true")
    assert "status: done\n" in told, told
    return identity(guest)


def writes_after_a_snapshot_come_down_with_it(
    guest: Copy, host: HostShell, folder: Path, tmp_path: Path
) -> None:
    flat, delta = folder / "web01-flat.vmdk", folder / "web01-000001.vmdk"
    host.ok(f"vim-cmd vmsvc/snapshot.create {guest.vmid} before")
    frozen = digest(flat)
    wrote = f"yes '{MARK.strip()}' | head -c 100000 > after; sync; head -n 1 after"
    assert guest.run(wrote) == MARK
    guest.shut_down()
    pattern = MARK.encode() * 100
    assert holds(folder / "web01-000001-sesparse.vmdk", pattern)
    assert digest(flat) == frozen
    assert not holds(flat, pattern)
    subprocess.run(["qemu-img", "convert", "-O", "raw", str(delta), str(tmp_path / "whole")], check=True)
    wanted = digest(tmp_path / "whole")
    (tmp_path / "whole").unlink()
    host.ok(f"vim-cmd vmsvc/snapshot.removeall {guest.vmid}")
    assert digest(flat) == wanted
    assert not delta.exists()


def a_reset_is_sudden_and_a_reboot_is_not(guest: Copy, host: HostShell) -> None:
    # A unit that leaves a trace when it is stopped tells an orderly end from a power cut.
    stop = "ExecStop=/bin/touch /var/tmp/stopped"
    mark = f"sudo -n systemd-run -q --unit=mark -p RemainAfterExit=yes -p '{stop}' true && sync"
    for command, orderly in (("reset", ""), ("reboot", "/var/tmp/stopped\n")):
        assert guest.run(mark) == ""
        before = guest.boot_id()
        host.ok(f"vim-cmd vmsvc/power.{command} {guest.vmid}")
        guest.until_booted_anew(before)
        assert guest.run("ls /var/tmp/stopped 2>/dev/null || true") == orderly, command


def a_killed_server_loses_nothing_that_was_synced(guest: Copy, lab: Lab) -> None:
    assert guest.run("echo kept > kept; sync") == ""
    before, pid = guest.boot_id(), lab.status().pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    until(lambda: not lab.status().running, STOP_TIMEOUT_S, "the server is gone")
    lab.start()
    assert "Powered on" in guest.host.ok(f"vim-cmd vmsvc/power.getstate {guest.vmid}")
    guest.until_booted_anew(before)
    assert guest.run("cat kept; hostname") == "kept\ndb01\n"
