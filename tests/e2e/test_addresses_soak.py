"""Two processes make and delete VMs at random: never two of anything, and nothing is left over.

CESO_IPAM_ROUNDS sets how many operations there are in all.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from knot_server import KNOTD, KnotServer

from ceso_mcp.facts.inventory import Inventory
from ceso_mcp.guest.guestinfo import decode_guestinfo
from ceso_mcp.lab import Lab

from .conftest import House, settled

ROUNDS = int(os.environ.get("CESO_IPAM_ROUNDS", "60"))
TESTS = Path(__file__).parents[1]
LOOK_EVERY_S = 5.0

pytestmark = [
    pytest.mark.slow,
    pytest.mark.anyio,
    pytest.mark.timeout(300 + 10 * ROUNDS),
    pytest.mark.skipif(KNOTD is None, reason="needs the package knot"),
]


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[KnotServer]:
    found = KnotServer(tmp_path / "knot")
    await asyncio.to_thread(found.start)
    yield found
    await asyncio.to_thread(found.stop)


async def test_never_two_of_anything_and_nothing_left_over(
    shared_lab: Lab, tmp_path: Path, server: KnotServer
) -> None:
    await asyncio.to_thread(shared_lab.reset)
    await asyncio.to_thread(settled, shared_lab)
    house = House(shared_lab, tmp_path, dns=server.settings())
    # As many addresses as there are operations: one that was released is not given out again for a while.
    # The inner pool may run out.
    size = max(ROUNDS, 64)
    await house.do(
        "create_pool",
        name="lab",
        ranges=[f"198.18.0.1-198.18.{size // 256}.{size % 256}/16", "2001:db8::/64"],
        zone="lab.example",
        ping=False,
    )
    await house.do("create_pool", name="inner", ranges=["198.51.100.0/24"], portgroup="Lab, internal")
    workers = [_worker(shared_lab, tmp_path, server, seed) for seed in (1, 2)]
    tally = Counter[str]()
    looks = 0
    while any(worker.poll() is None for worker in workers):
        await asyncio.sleep(LOOK_EVERY_S)
        await consistent(house, None)
        looks += 1
    for worker in workers:
        out, _ = await asyncio.to_thread(worker.communicate)
        assert worker.returncode == 0, out
        tally.update(json.loads(out))
    await consistent(house, server)
    print(f"{sum(tally.values())} operations, {looks} looks in between: {dict(tally)}")
    assert tally["deleted"] > ROUNDS // 10
    assert tally["cloned"] + tally["created"] > ROUNDS // 5
    for vm in (await house.ask("list_vms")).vms:
        if vm.name.startswith("soak"):
            await house.do("delete_vm", vm=vm.name)
    await consistent(house, server)
    assert server.contents() == set()
    held = [
        row for pool in (await house.ask("list_pools")).pools for row in pool.addresses if row.state == "held"
    ]
    assert held == []
    await house.ceso.close()


def _worker(lab: Lab, state: Path, server: KnotServer, seed: int) -> subprocess.Popen[str]:
    words = (str(lab.directory), str(state), str(seed), str(ROUNDS // 2), server.settings().model_dump_json())
    program = [sys.executable, "-m", "e2e.addresses_soak_worker", *words]
    return subprocess.Popen(program, cwd=TESTS, stdout=subprocess.PIPE, text=True)


async def consistent(house: House, server: KnotServer | None) -> None:
    """No two VMs share anything; at rest (`server` given) book and DNS say exactly what the host says."""
    desk = house.ceso.desk()
    try:
        from ceso_mcp.app import _draw

        vms = (await house.ceso._facts(desk, _draw()).read(Inventory())).vms
    finally:
        await desk.close()
    for what, found in {
        "name": [vm.name for vm in vms],
        "UUID": [vm.uuid_bios for vm in vms if vm.uuid_bios],
        "MAC": [mac for vm in vms for mac in vm.macs()],
        "address": [address for vm in vms if vm.vmx for address in told(vm.vmx.get)],
    }.items():
        twice = [value for value, count in Counter(found).items() if count > 1]
        assert not twice, f"{what} twice: {twice}"
    if server is None:
        return
    told_all = {a for vm in vms if vm.name.startswith("soak") for a in told(vm.readable.get)}
    rows = [row for pool in (await house.ask("list_pools")).pools for row in pool.addresses]
    assert {row.address for row in rows if row.state == "held"} == told_all
    in_dns = server.contents()
    names = {name for name, kind, _ in in_dns if kind == "A"}
    assert names == {f"{vm.name}.lab.example." for vm in vms if vm.name.startswith("soak")}
    assert {data for _, kind, data in in_dns if kind in ("A", "AAAA")} == {
        address for address in told_all if not address.startswith("198.51.")
    }
    assert len([kind for _, kind, _ in in_dns if kind == "PTR"]) == len(
        names
    )  # of IPv6, by the zones there are


def told(get: object) -> list[str]:
    """The addresses in a VM's metadata."""
    network = decode_guestinfo(get).get("network", {})  # type: ignore[arg-type]
    return [
        text.partition("/")[0]
        for card in network.get("ethernets", {}).values()
        for text in card.get("addresses", ())
    ]
