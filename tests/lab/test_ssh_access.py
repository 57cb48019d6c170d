"""Getting in: the key file, lock-out, start-up limit, banner, the host's own logs, the pace of things."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import asyncssh
import pytest
from lab_fixtures import HostShell

from ceso_mcp.lab import Lab

DATASTORE1 = "/vmfs/volumes/datastore1"
KEY_FILE = "/etc/ssh/keys-root/authorized_keys"


@pytest.fixture
def configured(lab: Lab) -> Iterator[Lab]:
    """The lab, with its usual settings again afterwards."""
    yield lab
    lab.configure(
        latency_s=0.0,
        login_s=0.0,
        throughput_bytes_s=0,
        lock_failures=5,
        unlock_s=900.0,
        max_startups="10:30:100",
        keep_alive_s=200.0,
    )


def login(lab: Lab, line: str = "echo in", **options: object) -> str:
    async def attempt() -> str:
        address = lab.address()
        try:
            async with asyncssh.connect(
                address.host, address.port, username="root", known_hosts=None, config=None, **options
            ) as connection:
                return str((await connection.run(line)).stdout)
        except asyncssh.PermissionDenied:
            return "refused"
        except (OSError, asyncssh.Error):
            return "dropped"

    return asyncio.run(attempt())


def by_password(lab: Lab, password: str) -> str:
    return login(
        lab, password=password, client_keys=None, agent_path=None, preferred_auth="keyboard-interactive"
    )


def by_key(lab: Lab, key: asyncssh.SSHKey, line: str = "echo in") -> str:
    return login(lab, line, client_keys=[key], agent_path=None, preferred_auth="publickey")


def test_five_wrong_passwords_lock_the_account_for_a_while(configured: Lab) -> None:
    configured.configure(unlock_s=0.6)
    right = configured.address().password
    for _ in range(5):
        assert by_password(configured, "wrong") == "refused"
    assert by_password(configured, right) == "refused"
    assert login(configured, client_keys=[str(configured.address().key_file)]) == "in\n"
    time.sleep(0.6)
    assert by_password(configured, right) == "in\n"


def test_a_right_password_forgets_the_wrong_ones(configured: Lab) -> None:
    right = configured.address().password
    for _ in range(2):
        for _ in range(3):
            by_password(configured, "wrong")
        assert by_password(configured, right) == "in\n"


def test_pam_tally2_unlocks_the_account(configured: Lab, host_shell: HostShell) -> None:
    for _ in range(5):
        by_password(configured, "wrong")
    host_shell.ok("pam_tally2 --user root --reset")
    assert by_password(configured, configured.address().password) == "in\n"


def test_a_key_written_to_the_key_file_logs_in(lab: Lab, host_shell: HostShell) -> None:
    key = asyncssh.generate_private_key("ecdsa-sha2-nistp256")
    public = key.export_public_key().decode()
    assert by_key(lab, key) == "refused"
    host_shell.ok(f"cat >> {KEY_FILE}", f"# ours\nnot a key\n{public}".encode())
    assert by_key(lab, key) == "in\n"
    host_shell.ok(f"chmod 666 {KEY_FILE}")
    assert by_key(lab, key) == "refused"


def test_options_of_a_key_line_hold(lab: Lab, host_shell: HostShell) -> None:
    key = asyncssh.generate_private_key("ssh-rsa", key_size=2048)
    public = key.export_public_key().decode()
    line = f'restrict,command="echo only this; echo \\"$SSH_ORIGINAL_COMMAND\\"" {public}'
    host_shell.ok(f"cat >> {KEY_FILE}", line.encode())
    assert by_key(lab, key, "reboot now") == "only this\nreboot now\n"


def test_an_ed25519_key_in_the_file_is_refused_all_the_same(lab: Lab, host_shell: HostShell) -> None:
    key = asyncssh.generate_private_key("ssh-ed25519")
    host_shell.ok(f"cat >> {KEY_FILE}", key.export_public_key())
    assert by_key(lab, key) == "refused"


def test_who_removes_the_key_locks_himself_out_until_a_reset(lab: Lab, host_shell: HostShell) -> None:
    key = str(lab.address().key_file)
    host_shell.ok(f"rm {KEY_FILE}")
    assert login(lab, client_keys=[key], agent_path=None, preferred_auth="publickey") == "refused"
    lab.reset()
    assert login(lab, client_keys=[key], agent_path=None, preferred_auth="publickey") == "in\n"


def test_too_many_logins_at_once_are_dropped(configured: Lab) -> None:
    configured.configure(max_startups="2:100:2")

    async def open_and_wait() -> list[bytes]:
        address = configured.address()
        pairs = [await asyncio.open_connection(address.host, address.port) for _ in range(3)]
        greetings = [await asyncio.wait_for(reader.read(8), 5) for reader, _ in pairs]
        for _, writer in pairs:
            writer.close()
        return greetings

    assert asyncio.run(open_and_wait()) == [b"SSH-2.0-", b"SSH-2.0-", b""]


def test_the_issue_file_is_shown_before_the_login(lab: Lab, host_shell: HostShell) -> None:
    host_shell.ok("echo 'Authorised use only' > /etc/issue")
    try:
        ran = subprocess.run(
            [*[word.replace("LogLevel=ERROR", "LogLevel=INFO") for word in lab.shell_argv()], "true"],
            capture_output=True,
            timeout=20,
        )
        assert (ran.stdout, ran.stderr.splitlines()) == (b"", [b"Authorised use only"])
    finally:
        host_shell.ok(": > /etc/issue")


def test_the_hosts_own_logs_have_commands_and_logins(lab: Lab, host_shell: HostShell) -> None:
    host_shell.ok("echo 'a  b' $HOME")
    by_password(lab, lab.address().password)
    shell = host_shell.ok("grep 'a  b' /var/log/shell.log | head -1")
    assert shell.rstrip("\n").endswith("]: [root]: echo 'a  b' $HOME")
    assert " In(14) shell[" in shell
    accepted = host_shell.ok("tail -n 20 /var/log/auth.log | grep keyboard")
    assert "Accepted keyboard-interactive/pam for root from 127.0.0.1 port" in accepted
    assert accepted.endswith(" ssh2\n")


def test_lines_typed_into_an_interactive_shell_are_logged(lab: Lab, host_shell: HostShell) -> None:
    typed = b"echo onn\x7fe $vm_id\nexit\n"
    ran = subprocess.run(
        [lab.shell_argv()[0], "-tt", *lab.shell_argv()[1:]], input=typed, capture_output=True, timeout=20
    )
    assert b"The ESXi Shell can be disabled by an administrative user." in ran.stdout
    assert "]: [root]: echo one $vm_id\n" in host_shell.ok("tail -n 5 /var/log/shell.log")


def test_a_terminal_has_a_name(lab: Lab) -> None:
    ran = subprocess.run([*lab.shell_argv(), "-tt", "tty"], capture_output=True, timeout=20)
    assert ran.stdout.startswith(b"/dev/pts/")


def test_a_client_that_no_longer_answers_is_dropped(
    configured: Lab, host_shell: HostShell, eventually: Callable[[Callable[[], bool]], None]
) -> None:
    configured.configure(keep_alive_s=0.1)
    silent, healthy = (
        subprocess.Popen(
            [*configured.shell_argv(), f"echo ready; exec sleep {seconds}"], stdout=subprocess.PIPE
        )
        for seconds in (4714, 4715)
    )
    try:
        for client in (silent, healthy):
            assert client.stdout is not None
            assert client.stdout.readline() == b"ready\n"
        configured.configure(keep_alive_s=200.0)
        silent.send_signal(signal.SIGSTOP)
        eventually(lambda: "sleep 4714" not in host_shell.ok("ps -c"))
        assert "sleep 4715" in host_shell.ok("ps -c")
    finally:
        for client in (silent, healthy):
            client.kill()
            client.communicate()


def test_a_login_takes_as_long_as_configured(configured: Lab) -> None:
    configured.configure(login_s=0.3)
    began = time.monotonic()
    login(configured, client_keys=[str(configured.address().key_file)])
    assert time.monotonic() - began >= 0.3


def test_streams_keep_to_the_throughput_both_ways(configured: Lab, tmp_path: Path) -> None:
    configured.configure(throughput_bytes_s=20 << 20)
    shell = HostShell(configured)
    try:
        began = time.monotonic()
        assert len(shell.run("dd if=/dev/zero bs=1M count=8 2>/dev/null").stdout) == 8 << 20
        assert time.monotonic() - began > 0.3
        content = os.urandom(8 << 20)
        began = time.monotonic()
        assert shell.ok("wc -c", content).strip() == str(8 << 20)
        assert time.monotonic() - began > 0.3
    finally:
        shell.close()


@pytest.mark.parametrize(("place", "size_mib"), [("/tmp/x", 256), ("/x", 32)])
def test_a_ramdisk_is_full_when_it_is(host_shell: HostShell, place: str, size_mib: int) -> None:
    ran = host_shell.run(f"dd if=/dev/zero of={place} bs=1M count={size_mib + 8}")
    taken = host_shell.ok(f"stat -c %s {place}; vdf -h | grep ^tmp; rm {place}").splitlines()
    assert ran.exit == 1
    assert b"No space left on device" in ran.stderr
    assert (size_mib - 2) << 20 <= int(taken[0]) <= size_mib << 20
    assert taken[1].split()[:2] == ["tmp", "256M"]
    assert taken[1].split()[4] == ("100%" if place == "/tmp/x" else "0%")
