"""The SSH side: a real shell, quoting, streams, exit statuses, log-in rules, flow of big data."""

from __future__ import annotations

import asyncio
import hashlib
import os
import re
import shlex
import shutil
import signal
import subprocess
from pathlib import Path

import asyncssh
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from lab_fixtures import HostShell

from ceso_mcp.lab import Lab

WORDS = st.lists(st.text(st.characters(blacklist_characters="\0", blacklist_categories=("Cs",))), max_size=4)


@settings(
    max_examples=60, deadline=None, database=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(words=WORDS)
def test_quoted_words_come_back_whole(host_shell: HostShell, words: list[str]) -> None:
    quoted = " ".join("'" + word.replace("'", "'\\''") + "'" for word in words)
    said = host_shell.run(f"for word in {quoted}; do printf '%s\\0' \"$word\"; done").stdout
    assert said == b"".join(word.encode() + b"\0" for word in words)


def test_stdout_stderr_and_exit_status_are_kept_apart(host_shell: HostShell) -> None:
    ran = host_shell.run("echo out; echo err >&2; exit 37")
    assert (ran.exit, ran.stdout, ran.stderr) == (37, b"out\n", b"err\n")


def test_binary_data_pass_through_both_ways(host_shell: HostShell) -> None:
    content = os.urandom(3_000_001)
    assert host_shell.run("cat", content).stdout == content


def test_end_of_input_reaches_the_command(host_shell: HostShell) -> None:
    assert host_shell.ok("wc -c", b"12345").strip() == "5"


def test_programs_that_esxi_lacks_are_not_found(host_shell: HostShell) -> None:
    names = ["tr", "base64", "bash", "rsync", "curl", "truncate", "ip", "xxd", "hush", "mount", "passwd-x"]
    ran = host_shell.run("; ".join(f"{name} x" for name in names))
    assert ran.exit == 127
    assert ran.stderr.decode().splitlines() == [f"sh: {name}: not found" for name in names]


def test_the_command_builtin_is_missing_as_on_esxi(host_shell: HostShell) -> None:
    assert host_shell.run("command -v ls").stderr == b"sh: command: not found\n"


PRESENT = """awk sed grep find stat od dd du sort xargs md5sum sha256sum setsid nohup cksum seq timeout
vim-cmd esxcli vmkfstools python3 df tar gzip"""


def test_programs_that_esxi_has_are_there(host_shell: HostShell) -> None:
    host_shell.ok(f"for name in {' '.join(PRESENT.split())}; do type $name || exit 1; done")


def test_cksum_agrees_with_posix(host_shell: HostShell) -> None:
    content = os.urandom(5000)
    local = subprocess.run(["cksum"], input=content, capture_output=True, check=True).stdout
    assert host_shell.run("cksum", content).stdout == local


def test_commands_run_as_root_on_a_host_of_that_name(host_shell: HostShell) -> None:
    assert host_shell.ok("id -u; hostname; pwd") == "0\nesxi01.lab.example\n/\n"
    assert host_shell.ok("vmware -v") == "VMware ESXi 8.0.3 build-24022510\n"


def test_the_machine_outside_is_not_to_be_seen(host_shell: HostShell) -> None:
    assert host_shell.ok("ls /home /srv /root/.ssh 2>/dev/null; echo end") == "end\n"


def test_a_detached_command_outlives_its_exec_and_can_be_found(host_shell: HostShell) -> None:
    number = host_shell.ok("setsid sleep 60 </dev/null >/dev/null 2>&1 & echo $!").strip()
    assert host_shell.run(f"kill -0 {number}").exit == 0
    host_shell.ok(f"kill {number}")


def test_a_lab_started_under_nohup_still_hangs_up(tmp_path: Path) -> None:
    lab = Lab(tmp_path / "lab")
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        lab.start()
    finally:
        signal.signal(signal.SIGHUP, before)
    shell = HostShell(lab)
    try:
        assert shell.run("kill -HUP $$; echo still here").stdout == b""
    finally:
        shell.close()
        lab.stop()


def test_closing_the_channel_ends_what_ran_in_it(host_shell: HostShell, eventually) -> None:
    async def close_midway() -> None:
        connection = await host_shell.connection()
        process = await connection.create_process("sleep 4711")
        await asyncio.sleep(0.1)
        process.close()
        await process.wait_closed()

    host_shell.call(close_midway())
    eventually(lambda: "4711" not in host_shell.run("ps -c").text.replace("grep", ""))


def test_a_killed_command_is_reported_by_its_signal(host_shell: HostShell) -> None:
    async def run() -> asyncssh.SSHCompletedProcess:
        connection = await host_shell.connection()
        return await connection.run("kill -9 $$")

    assert host_shell.call(run()).exit_signal[0] == "KILL"


def test_a_client_that_does_not_read_stops_the_sender(host_shell: HostShell, lab: Lab) -> None:
    class Idle(asyncssh.SSHClientSession):
        received = 0

        def data_received(self, data: bytes, datatype: int | None) -> None:
            Idle.received += len(data)

    async def hold() -> None:
        connection = await host_shell.connection()
        channel, _ = await connection.create_session(Idle, "dd if=/dev/zero bs=1M count=400", encoding=None)
        channel.pause_reading()
        await asyncio.sleep(0.4)
        channel.abort()

    def peak_kib() -> int:
        text = Path(f"/proc/{lab.status().pid}/status").read_text()
        return int(re.findall(r"VmHWM:\s+(\d+)", text)[0])

    before = peak_kib()
    host_shell.call(hold())
    assert Idle.received < 50 << 20
    assert peak_kib() - before < 60 << 10


def test_an_eleventh_session_on_a_connection_is_refused(host_shell: HostShell) -> None:
    async def open_many() -> int:
        connection = await host_shell.connection()
        processes = [await connection.create_process("cat") for _ in range(10)]
        refused = 0
        try:
            await connection.create_process("cat")
        except asyncssh.ChannelOpenError:
            refused = 1
        for process in processes:
            process.stdin.write_eof()
        await asyncio.gather(*(process.wait() for process in processes))
        return refused

    assert host_shell.call(open_many()) == 1


def _login(lab: Lab, **options: object) -> str:
    async def attempt() -> str:
        address = lab.address()
        try:
            async with asyncssh.connect(
                address.host, address.port, username="root", known_hosts=None, config=None, **options
            ) as connection:
                return str((await connection.run("echo in")).stdout)
        except asyncssh.PermissionDenied:
            return "refused"

    return asyncio.run(attempt())


def test_the_password_works_over_keyboard_interactive_only(lab: Lab) -> None:
    password = lab.address().password
    plain = {"client_keys": None, "agent_path": None}
    assert _login(lab, password=password, preferred_auth="keyboard-interactive", **plain) == "in\n"
    assert _login(lab, password=password, preferred_auth="password", **plain) == "refused"
    assert _login(lab, password="wrong", preferred_auth="keyboard-interactive", **plain) == "refused"


def test_a_foreign_key_is_refused(lab: Lab) -> None:
    for algorithm in ("ssh-ed25519", "ecdsa-sha2-nistp256"):
        key = asyncssh.generate_private_key(algorithm)
        assert _login(lab, client_keys=[key], agent_path=None, preferred_auth="publickey") == "refused"


@pytest.mark.skipif(shutil.which("ssh") is None, reason="needs OpenSSH's client")
def test_openssh_gets_in_with_a_pinned_key_and_moves_data(lab: Lab) -> None:
    content = os.urandom(2_000_003)
    ran = subprocess.run([*lab.shell_argv(), "sha256sum"], input=content, capture_output=True, timeout=20)
    assert (ran.returncode, ran.stderr) == (0, b"")
    assert ran.stdout.split()[0].decode() == hashlib.sha256(content).hexdigest()
    awkward = 'it\'s "a" $(test) `x` [old] \\ ;'
    ran = subprocess.run(
        [*lab.shell_argv(), f"printf %s {shlex.quote(awkward)}"], capture_output=True, timeout=20
    )
    assert ran.stdout.decode() == awkward


def test_the_log_holds_every_exec_as_sent_and_every_program_call(lab: Lab, host_shell: HostShell) -> None:
    since = max((entry.seq for entry in lab.log()), default=0)
    host_shell.run("echo 'a b'; vim-cmd vmsvc/power.getstate 1; exit 4")
    host_shell.run("vim-cmd vmsvc/unregister 2")
    shims = [entry for entry in lab.log(since) if entry.kind == "shim"]
    execs = [entry for entry in lab.log(since) if entry.kind == "exec"]
    assert [entry.line for entry in execs] == [
        "echo 'a b'; vim-cmd vmsvc/power.getstate 1; exit 4",
        "vim-cmd vmsvc/unregister 2",
    ]
    assert [entry.exit for entry in execs] == [4, 0]
    assert [(entry.argv, entry.changed) for entry in shims] == [
        (("vim-cmd", "vmsvc/power.getstate", "1"), False),
        (("vim-cmd", "vmsvc/unregister", "2"), True),
    ]
    assert shims[0].exec == execs[0].seq
