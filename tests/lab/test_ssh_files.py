"""Copying files with OpenSSH's own clients: sftp, scp over sftp, and scp with the old protocol."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from lab_fixtures import HostShell

from ceso_mcp.lab import Lab

DATASTORE1 = "/vmfs/volumes/datastore1"

pytestmark = pytest.mark.skipif(shutil.which("scp") is None, reason="needs OpenSSH's clients")


def options(lab: Lab) -> list[str]:
    """What every OpenSSH client takes, without the user and host."""
    argv = lab.shell_argv()[1:-1]
    at = argv.index("-p")
    return [*argv[:at], "-P", *argv[at + 1 :]]


def scp(lab: Lab, *words: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(["scp", "-q", *options(lab), *words], capture_output=True, timeout=30)


def sftp(lab: Lab, batch: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        ["sftp", "-q", *options(lab), "-b", "-", "root@127.0.0.1"],
        input=batch.encode(),
        capture_output=True,
        timeout=30,
    )


@pytest.mark.parametrize("protocol", ["-s", "-O"])
def test_scp_carries_files_both_ways(lab: Lab, tmp_path: Path, protocol: str) -> None:
    given = tmp_path / "big file.bin"
    given.write_bytes(os.urandom(3_000_017))
    given.chmod(0o640)
    os.utime(given, (1_700_000_000, 1_700_000_100))
    ran = scp(lab, protocol, "-p", str(given), f"root@127.0.0.1:{DATASTORE1}/copy.bin")
    assert (ran.returncode, ran.stderr) == (0, b"")
    there = lab.volume("datastore1") / "copy.bin"
    assert there.read_bytes() == given.read_bytes()
    assert (there.stat().st_mode & 0o777, int(there.stat().st_mtime)) == (0o640, 1_700_000_100)
    back = tmp_path / "back.bin"
    assert scp(lab, protocol, "-p", f"root@127.0.0.1:{DATASTORE1}/copy.bin", str(back)).returncode == 0
    assert back.read_bytes() == given.read_bytes()
    assert int(back.stat().st_mtime) == 1_700_000_100


@pytest.mark.parametrize("protocol", ["-s", "-O"])
def test_scp_carries_folders_both_ways(lab: Lab, tmp_path: Path, protocol: str) -> None:
    tree = tmp_path / "tree"
    (tree / "inner" / "empty").mkdir(parents=True)
    (tree / "a").write_bytes(b"")
    (tree / "inner" / "b").write_bytes(b"b" * 70_000)
    ran = scp(lab, protocol, "-r", str(tree), f"root@127.0.0.1:{DATASTORE1}/")
    assert (ran.returncode, ran.stderr) == (0, b"")
    assert (
        scp(lab, protocol, "-r", f"root@127.0.0.1:{DATASTORE1}/tree", str(tmp_path / "back")).returncode == 0
    )
    found = sorted(str(p.relative_to(tmp_path / "back")) for p in (tmp_path / "back").rglob("*"))
    assert found == ["a", "inner", "inner/b", "inner/empty"]
    assert (tmp_path / "back" / "inner" / "b").read_bytes() == b"b" * 70_000


@pytest.mark.parametrize("protocol", ["-s", "-O"])
def test_scp_says_what_is_not_there(lab: Lab, tmp_path: Path, protocol: str) -> None:
    ran = scp(lab, protocol, f"root@127.0.0.1:{DATASTORE1}/none", str(tmp_path / "x"))
    assert ran.returncode == 1
    assert b"No such file" in ran.stderr


def test_sftp_lists_renames_links_and_removes(lab: Lab, host_shell: HostShell) -> None:
    host_shell.ok(f"mkdir {DATASTORE1}/d && echo hello > {DATASTORE1}/d/f && echo x > {DATASTORE1}/d/g")
    ran = sftp(
        lab,
        f"cd {DATASTORE1}/d\npwd\nls -l f\nrename f h\nln -s h link\nchmod 600 h\nmkdir sub\nls -1\n"
        "rm g\nrmdir sub\n",
    )
    assert ran.returncode == 0, ran
    said = ran.stdout.decode()
    uuid = lab.volume("datastore1").name
    assert f"Remote working directory: /vmfs/volumes/{uuid}/d" in said
    assert re.search(r"^-rw-r--r-- .* 6 .*f$", said, re.MULTILINE), said
    assert "\ng\nh\nlink\nsub\n" in said
    folder = lab.volume("datastore1") / "d"
    assert sorted(os.listdir(folder)) == ["h", "link"]
    assert os.readlink(folder / "link") == "h"
    assert (folder / "h").stat().st_mode & 0o777 == 0o600


def test_sftp_sees_the_hosts_tree_and_only_that(lab: Lab) -> None:
    said = sftp(lab, "ls -1 /vmfs/volumes\nls -1 /etc\nls -1 /\n").stdout.decode()
    assert "/vmfs/volumes/datastore1" in said
    assert "/etc/motd" in said
    assert "/home" not in said.split()


def test_a_failing_sftp_command_ends_the_batch(lab: Lab) -> None:
    ran = sftp(lab, "rm /vmfs/volumes/datastore1/none\n")
    assert ran.returncode == 1
    assert b"No such file" in ran.stderr


def test_sftp_is_in_the_log_and_can_be_hit_by_a_fault(lab: Lab) -> None:
    from ceso_mcp.lab import Fault

    lab.add_fault(Fault(match="^subsystem sftp$", effect="cut_before"))
    assert sftp(lab, "ls /\n").returncode == 255
    assert sftp(lab, "ls /\n").returncode == 0
    assert [entry.line for entry in lab.log()][-1] == "subsystem sftp"
