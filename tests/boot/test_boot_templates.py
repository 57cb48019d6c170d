"""A real golden image: looked into, copied, booted, cleaned by the script, looked into again."""

from __future__ import annotations

import asyncio
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
from e2e.conftest import House

from ceso_mcp.lab import Lab

from .real_guests import BOOT_TIMEOUT_S, STOP_TIMEOUT_S, Door, said

pytestmark = [pytest.mark.anyio, pytest.mark.boot, pytest.mark.timeout(2400)]
TEMPLATE = "ubuntu-24.04-golden"
ADDRESS = "192.0.2.70"
SCRIPT = Path(__file__).parents[2] / "ceso_mcp" / "guest" / "golden_image.sh"
TRACES = (
    "grep -c . /etc/machine-id; ls /etc/ssh | grep -c ssh_host; test -e /var/lib/cloud/instance && echo ran"
)


async def verdicts(house: House, vm: str) -> dict[str, str]:
    answer: Any = await house.ask("check_template", vm=vm)
    return {one.check: one.verdict for one in answer.findings if one.verdict != "ok"}


def clean_up(lab: Lab, key: Path) -> None:
    """Run the script in the guest as the documentation says; the connection ends with the guest."""
    argv = [*lab.guest_network_argv(), "ssh", "-F", "none", "-i", str(key)]
    for option in ("StrictHostKeyChecking=no", "UserKnownHostsFile=/dev/null", "BatchMode=yes"):
        argv += ["-o", option]
    line = "sudo sh -s -- --no-packages --remove-user debian --poweroff"
    ran = subprocess.run(
        [*argv, "-o", "ServerAliveInterval=10", f"debian@{ADDRESS}", line],
        input=SCRIPT.read_text(),
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert "golden image: ready" in ran.stdout, ran.stdout + ran.stderr


async def test_a_guest_that_ran_becomes_a_template_by_the_script(lab: Lab, key: Path, tmp_path: Path) -> None:
    since = time.monotonic()
    house = House(lab, tmp_path)
    try:
        assert await verdicts(house, TEMPLATE) == {"system": "warning"}
        await house.do("prepare_template", vm=TEMPLATE)
        said("the golden image is prepared", since)
        await house.do(
            "create_vm",
            name="web01",
            template=TEMPLATE,
            user="debian",
            ssh_keys=[key.with_suffix(".pub").read_text().strip()],
            ipv4=f"{ADDRESS}/24",
            memory_mib=512,
            cpus=1,
            wait_s=BOOT_TIMEOUT_S,
        )
        traces = await asyncio.to_thread(Door(lab, key, ADDRESS).run, TRACES)
        said("its copy is up", since)
        machine_ids, host_keys, ran = traces.split()
        assert (machine_ids, int(host_keys) > 0, ran) == ("1", True, "ran")
        await asyncio.to_thread(clean_up, lab, key)
        runner = house.ceso.runner
        for _ in range(STOP_TIMEOUT_S):
            state = await runner.run("vim-cmd vmsvc/getallvms | grep web01 | cut -d' ' -f1")
            power = await runner.run(f"vim-cmd vmsvc/power.getstate {state.stdout.strip()}")
            if "Powered off" in power.stdout:
                break
            await asyncio.sleep(1)
        said("the script has run and the guest is off", since)
        assert await verdicts(house, "web01") == {"system": "warning"}
        await house.do("prepare_template", vm="web01")
    finally:
        await house.ceso.close()
