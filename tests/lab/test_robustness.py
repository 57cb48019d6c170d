"""Many sessions at once lose nothing; a server killed at any moment leaves a world that holds together."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import time
from pathlib import Path

import asyncssh
import pytest
from lab_fixtures import HostShell

from ceso_mcp.lab import Lab

DATASTORE1 = "/vmfs/volumes/datastore1"


async def busy(lab: Lab, number: int, until: float) -> int:
    """One client: data both ways, programs of hostd, files of its own; returns how many rounds it made."""
    address = lab.address()
    chance = random.Random(number)
    rounds = 0
    async with asyncssh.connect(
        address.host,
        address.port,
        username="root",
        client_keys=[str(address.key_file)],
        known_hosts=None,
        config=None,
    ) as connection:
        while not rounds or time.monotonic() < until:
            content = chance.randbytes(chance.randrange(1, 400_000))
            file = f"{DATASTORE1}/busy-{number}"
            line = f"cat > {file} && cat {file} && vim-cmd vmsvc/power.getstate 1 >&2 && exit {number}"
            ran = await connection.run(line, input=content, encoding=None, timeout=50)
            assert (ran.exit_status, ran.stdout) == (number, content)
            assert ran.stderr == b"Retrieved runtime info\nPowered off\n"
            rounds += 1
    return rounds


async def many(lab: Lab, seconds: float) -> list[int]:
    lab.configure(max_startups="100:30:100")
    try:
        until = time.monotonic() + seconds
        return await asyncio.gather(*(busy(lab, number, until) for number in range(1, 21)))
    finally:
        lab.configure(max_startups="10:30:100")


def sessions_lose_nothing(lab: Lab, seconds: float) -> None:
    since = max((entry.seq for entry in lab.log()), default=0)
    rounds = asyncio.run(many(lab, seconds))
    assert all(rounds)
    entries = [entry for entry in lab.log(since) if entry.kind == "exec"]
    assert len(entries) == sum(rounds)
    assert len({entry.seq for entry in entries}) == len(entries)
    assert len([entry for entry in lab.log(since) if entry.kind == "shim"]) == sum(rounds)


def test_twenty_sessions_at_once_lose_nothing(lab: Lab) -> None:
    sessions_lose_nothing(lab, 0.5)


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_twenty_sessions_at_once_lose_nothing_for_a_minute(lab: Lab) -> None:
    sessions_lose_nothing(lab, 60)


WORK = """i=0; while [ $i -lt 50 ]; do i=$((i + 1))
mkdir D/k$i && vmkfstools -i D/ubuntu-24.04-golden/ubuntu-24.04-golden.vmdk -d thin D/k$i/k$i.vmdk >/dev/null
sed -e s/ubuntu-24.04-golden/k$i/ -e /^uuid/d D/ubuntu-24.04-golden/ubuntu-24.04-golden.vmx > D/k$i/k$i.vmx
v=$(vim-cmd solo/registervm D/k$i/k$i.vmx) && vim-cmd vmsvc/power.on $v && vim-cmd vmsvc/snapshot.create $v s
vim-cmd vmsvc/snapshot.removeall $v; vim-cmd vmsvc/power.off $v; vim-cmd vmsvc/destroy $v; done
""".replace("D/", f"{DATASTORE1}/")


def killed_and_started_again(lab: Lab, shell: HostShell, after_s: float) -> None:
    """Kill the server in the middle of work; afterwards every VM it knows answers for itself."""

    async def begin() -> asyncssh.SSHClientProcess[bytes]:
        return await (await shell.connection()).create_process(WORK, encoding=None)

    shell.call(begin())
    time.sleep(after_s)
    pid = lab.status().pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    end = time.monotonic() + 5
    while lab.status().running:
        assert time.monotonic() < end
    known = {vmid: state for vmid, _, state in lab.status().vms}
    lab.start(boot_delay_s=0.05)
    shell = HostShell(lab)
    try:
        rows = shell.ok("vim-cmd vmsvc/getallvms 2>/dev/null").splitlines()
        listed = {int(row.split()[0]) for row in rows if row[:1].isdigit() and "not-a-vm" not in row}
        for vmid, state in known.items():
            said = shell.ok(f"vim-cmd vmsvc/power.getstate {vmid}").splitlines()[1]
            assert said == {"poweredOn": "Powered on", "poweredOff": "Powered off"}[state]
        assert listed <= set(known)
        assert {1, 2, 3, 4, 5} <= set(known)
        again = shell.ok(f"vim-cmd vmsvc/unregister 1 && vim-cmd solo/registervm {GOLDEN_VMX}")
        assert int(again) > max(known)
        inventory = shell.ok("cat /etc/vmware/hostd/vmInventory.xml")
        assert inventory.count("<objID>") == len(known)
    finally:
        shell.close()


GOLDEN_VMX = f"{DATASTORE1}/ubuntu-24.04-golden/ubuntu-24.04-golden.vmx"


@pytest.mark.parametrize("number", [1, pytest.param(8, marks=pytest.mark.slow)])
def test_a_server_killed_at_any_moment_leaves_a_world_that_holds(tmp_path: Path, number: int) -> None:
    chance = random.Random(number)
    lab = Lab(tmp_path / "lab")
    lab.start(boot_delay_s=0.05)
    try:
        for _ in range(number):
            shell = HostShell(lab)
            killed_and_started_again(lab, shell, chance.uniform(0.1, 1.0))
            shell.close()
            lab.reset()
    finally:
        lab.stop()
