"""Words reach the host's own shell whole, and the main job works on the other release too."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ceso_mcp.lab import Lab
from ceso_mcp.shell import sh
from ceso_mcp.ssh import HostConnection

from .conftest import KEY, House, settled
from .test_main_job import SMALL, contents

words = st.text(st.characters(blacklist_categories=("Cc", "Cs")), max_size=40)


def test_random_words_come_back_whole_from_the_hosts_busybox(shared_lab: Lab, tmp_path: Path) -> None:
    house = House(shared_lab, tmp_path)

    with asyncio.Runner() as loop:
        connection = HostConnection(house.config.host)

        @settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
        @given(st.lists(words, min_size=1, max_size=6))
        def whole(given_words: list[str]) -> None:
            reply = loop.run(connection.run(sh("printf", "%s\\0", *given_words).line))
            assert reply.stdout.split("\0")[:-1] == given_words

        whole()
        loop.run(connection.close())


@pytest.mark.anyio
@pytest.mark.timeout(120)
@pytest.mark.slow
async def test_the_main_job_works_on_esxi_7(tmp_path: Path) -> None:
    lab = Lab(tmp_path / "lab")
    await asyncio.to_thread(lab.start, release="7.0", boot_delay_s=0.05)
    try:
        await asyncio.to_thread(settled, lab)
        house = House(lab, tmp_path / "house")
        assert (await house.ask("discover")).version.startswith("7.0")
        small = {"template": SMALL, "unprepared": True, "ssh_keys": [KEY], "power_on": False}
        await house.do("create_vm", name="web01", **small)
        await house.do("clone_vm", source="web01", name="web02")
        backup = await house.do("backup_vm", vm="web01")
        await house.do("restore_vm", backup_id=backup["backup_id"], name="web03", datastore="datastore1")
        volume = lab.volume("datastore1")
        assert contents(volume / "web01/web01-flat.vmdk") == contents(volume / "web03/web03-flat.vmdk")
        await house.do("delete_vm", vm="web02")
        await house.ceso.close()
    finally:
        lab.stop()
