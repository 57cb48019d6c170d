"""Address pools on the lab: from preview to deletion, with everything that can go wrong between."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from ceso_mcp import ipam
from ceso_mcp.lab import Fault
from ceso_mcp.preview import Preview

from .conftest import KEY, TEMPLATE, House
from .dying import die, recover

pytestmark = pytest.mark.anyio

SMALL = "it's a test [old]"
POOL: dict[str, Any] = {
    "name": "lab",
    "ranges": ["192.0.2.200-192.0.2.203/24"],
    "gateway4": "192.0.2.1",
    "dns": ["192.0.2.53"],
    "search": ["lab.example"],
    "portgroup": "DMZ (vlan 20)",
}
CLONE = {"source": SMALL, "pool": "lab"}


def lines(preview: Preview) -> list[str]:
    return [step.command for step in preview.steps]


async def taken(house: House) -> dict[str, tuple[str, str]]:
    (pool,) = (await house.ask("list_pools")).pools
    return {row.address: (row.state, row.vm) for row in pool.addresses}


async def test_a_vm_gets_everything_from_its_pool_and_gives_it_back(house: House) -> None:
    await house.do("create_pool", **POOL)
    preview = await house.preview("create_vm", name="web01", template=TEMPLATE, ssh_keys=[KEY], pool="lab")
    assert lines(preview)[0] == "# here: hold address 192.0.2.200 of pool lab for VM web01"
    assert await taken(house) == {"192.0.2.200": ("leased", "")}
    job = await house.confirm(preview.confirm_token)
    assert job.state == "done", job.error
    assert job.result is not None
    assert (job.result["address"], job.result["addresses"]) == ("192.0.2.200", ["192.0.2.200"])
    assert await taken(house) == {"192.0.2.200": ("held", "web01")}
    shown = await house.ask("show_vm", vm="web01")
    assert "192.0.2.200" in shown.model_dump_json()
    assert "DMZ (vlan 20)" in shown.model_dump_json()
    await house.do("power_vm", vm="web01", action="off")
    deleted = await house.preview("delete_vm", vm="web01")
    assert lines(deleted)[0].startswith("# here: release address 192.0.2.200 of VM web01 to pool lab")
    assert (await house.confirm(deleted.confirm_token)).state == "done"
    assert await taken(house) == {"192.0.2.200": ("released", "web01")}
    use = (await house.ask("list_pools", pool="lab")).pools[0].use[0]
    assert (use.size, use.free, use.released) == (4, 3, 1)
    await house.do("release_address", address="192.0.2.200")
    assert await taken(house) == {}


@pytest.mark.slow
async def test_previews_do_not_meet_and_an_exhausted_pool_says_so(house: House) -> None:
    await house.do("create_pool", **POOL | {"ranges": ["192.0.2.200-192.0.2.201/24"]})
    first = await house.preview("clone_vm", name="a", **CLONE)
    second = await house.preview("clone_vm", name="b", **CLONE)
    assert {line for p in (first, second) for line in lines(p) if "hold" in line} == {
        "# here: hold address 192.0.2.200 of pool lab for VM a",
        "# here: hold address 192.0.2.201 of pool lab for VM b",
    }
    assert (await house.refusal("clone_vm", name="c", **CLONE)).code == "pool_exhausted"
    for preview in (second, first):
        assert (await house.confirm(preview.confirm_token)).state == "done"
    assert await taken(house) == {"192.0.2.200": ("held", "a"), "192.0.2.201": ("held", "b")}
    kept = await house.preview("delete_vm", vm="a", keep_addresses=True)
    assert not any("release" in line for line in lines(kept))


@pytest.mark.slow
async def test_a_lease_that_was_lost_is_told_with_the_new_plan(house: House) -> None:
    await house.do("create_pool", **POOL)
    late = await house.preview("clone_vm", name="late", **CLONE)
    with pytest.MonkeyPatch.context() as patch:
        real = ipam.time.time
        patch.setattr(ipam.time, "time", lambda: real() + 3600)
        assert (
            await house.refusal("clone_vm", name="late", source="none", pool="lab")
        ).code == "vm_not_found"
        await house.preview("clone_vm", name="quick", **CLONE)
    job = await house.confirm(late.confirm_token)
    assert job.state == "failed"
    assert job.error is not None
    assert job.error["code"] == "host_changed"
    assert "+# here: hold address 192.0.2.201 of pool lab for VM late" in job.error["message"]


async def test_each_conflict_has_its_own_refusal_and_keeps_no_lease(house: House) -> None:
    await house.do("create_pool", **POOL)
    await house.do("clone_vm", name="by hand", source=SMALL, ipv4="192.0.2.200/24", hostname="byhand")
    assert "192.0.2.201" in lines(await house.preview("clone_vm", name="x", **CLONE))[0]
    for arguments, code in (
        ({"pool": "none"}, "no_such_pool"),
        ({"ipv4": "192.0.2.9"}, "address_outside_pool"),
        ({"ipv6": "2001:db8::9"}, "address_outside_pool"),
        ({"ipv4": "192.0.2.200"}, "address_taken"),
        ({"ipv4": "192.0.2.201"}, "address_taken"),
        ({"portgroup": "VM Network"}, "portgroup_not_the_pools"),
        ({"ipv4": "dhcp"}, "invalid_arguments"),
        ({"gateway4": "192.0.2.1"}, "invalid_arguments"),
        ({"ipv4": "none"}, "pool_has_none"),
        ({"source": TEMPLATE, "datastore": "nowhere"}, "no_such_datastore"),
        (
            {"mac": "00:50:56:00:00:01", "nics": [{"pool": "lab", "portgroup": "none"}]},
            "portgroup_not_the_pools",
        ),
    ):
        try:
            assert (await house.refusal("clone_vm", name="y", **CLONE | arguments)).code == code
        except AssertionError as error:
            raise AssertionError(f"{arguments}: {error}") from None
    assert set(await taken(house)) == {"192.0.2.201"}
    asked = await house.preview("clone_vm", name="y", **CLONE, ipv4="192.0.2.203")
    assert "192.0.2.203" in lines(asked)[0]


async def test_a_stranger_that_answers_a_ping_is_passed_over(house: House) -> None:
    await house.do("create_pool", **POOL)
    # A guest with this address that ceso never heard of: nothing of it is in any .vmx.
    fault = Fault(
        match="vmkping -c 1 -W 1 192.0.2.200",
        effect="lie",
        stdout="64 bytes from 192.0.2.200: icmp_seq=0 ttl=64 time=0.3 ms\n",
        where="shim",
        times=None,
    )
    await asyncio.to_thread(house.lab.add_fault, fault)
    preview = await house.preview("clone_vm", name="x", **CLONE)
    assert "192.0.2.201" in lines(preview)[0]
    assert await taken(house) == {"192.0.2.200": ("stranger", ""), "192.0.2.201": ("leased", "")}
    asked = await house.refusal("clone_vm", name="y", **CLONE, ipv4="192.0.2.200")
    assert asked.code == "address_in_use"


@pytest.mark.slow
async def test_a_guest_that_is_on_answers_the_hosts_ping(house: House) -> None:
    (vm,) = (await house.ask("list_vms", power="on")).vms
    report = (await house.ask("show_vm", vm=vm.name)).model_dump_json()
    address = next(f"192.0.2.{n}" for n in range(1, 255) if f'"192.0.2.{n}"' in report)
    ranges = [f"{address}-{address}/24", "192.0.2.240-192.0.2.241/24"]
    await house.do("create_pool", **POOL | {"ranges": ranges})
    assert "192.0.2.240" in lines(await house.preview("clone_vm", name="x", **CLONE))[0]


@pytest.mark.slow
async def test_two_cards_two_families_and_one_default_gateway(house: House) -> None:
    await house.do(
        "create_pool", **POOL | {"ranges": [*POOL["ranges"], "2001:db8::/64"], "gateway6": "2001:db8::1"}
    )
    inner = {"name": "inner", "ranges": ["198.51.100.0/24"], "gateway4": "198.51.100.1"}
    await house.do("create_pool", **inner, portgroup="Lab, internal")
    preview = await house.preview(
        "create_vm", name="v", template=TEMPLATE, ssh_keys=[KEY], pool="lab", nics=[{"pool": "inner"}]
    )
    assert any("does not use gateway 198.51.100.1" in warning for warning in preview.warnings)
    result = (await house.confirm(preview.confirm_token)).result
    assert result is not None
    assert result["addresses"] == ["192.0.2.200", "2001:db8::2", "198.51.100.2"]


async def test_a_failing_run_gives_the_address_back(house: House) -> None:
    await house.do("create_pool", **POOL)
    await asyncio.to_thread(house.lab.add_fault, Fault(match="solo/registervm", effect="fail", times=1))
    job = await house.confirm((await house.preview("clone_vm", name="x", **CLONE)).confirm_token)
    assert job.state == "failed"
    assert await taken(house) == {}


@pytest.mark.slow
async def test_a_dead_workers_address_is_given_back_or_held(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    await house.do("create_pool", **POOL)
    preview = await house.preview("clone_vm", name="x", **CLONE)
    count = len(lines(preview))
    for number in (1, 2, 4):
        for moment in ("before", "after"):
            token = (await house.preview("clone_vm", name="x", **CLONE)).confirm_token
            await die(house, token, number, moment, monkeypatch)
            if house.ceso.journal.open_runs(house.ceso.host_identity()):
                assert (await recover(house)).state == "done"
            assert "held" not in {state for state, _ in (await taken(house)).values()}
    token = (await house.preview("clone_vm", name="x", **CLONE)).confirm_token
    await die(house, token, count, "after", monkeypatch)
    assert (await recover(house)).state == "done"
    assert [vm for state, vm in (await taken(house)).values() if state == "held"] == ["x"]
    made = await house.preview("delete_vm", vm="x")
    await die(house, made.confirm_token, 1, "after", monkeypatch)
    assert "released" in {state for state, _ in (await taken(house)).values()}
    assert (await recover(house)).state == "done"
    assert [vm for state, vm in (await taken(house)).values() if state == "held"] == ["x"]


async def test_pools_are_changed_and_removed_with_care(house: House) -> None:
    await house.do("create_pool", **POOL)
    await house.do("clone_vm", name="x", **CLONE)
    for name, arguments, code in (
        ("create_pool", POOL, "pool_exists"),
        ("create_pool", POOL | {"name": "other"}, "pool_overlaps"),
        (
            "create_pool",
            POOL | {"name": "other", "ranges": ["203.0.113.0/24"], "gateway4": None, "zone": "a.b"},
            "dns_not_configured",
        ),
        ("set_pool", {"name": "lab", "ranges": ["192.0.2.210-192.0.2.220/24"]}, "pool_in_use"),
        ("set_pool", {"name": "lab"}, "invalid_arguments"),
        ("set_pool", {"name": "none", "ping": False}, "no_such_pool"),
        ("delete_pool", {"name": "lab"}, "pool_in_use"),
        ("delete_pool", {"name": "none"}, "no_such_pool"),
        ("release_address", {"address": "192.0.2.203"}, "not_held"),
    ):
        assert (await house.refusal(name, **arguments)).code == code, (name, arguments)
    await house.do("set_pool", name="lab", exclude=["192.0.2.201"], clear=["portgroup"])
    (pool,) = (await house.ask("list_pools")).pools
    assert (pool.exclude, pool.portgroup, pool.gateways) == (["192.0.2.201"], None, ["192.0.2.1"])
    await house.do("release_address", address="192.0.2.200")
    await house.do("delete_pool", name="lab")
    assert (await house.ask("list_pools")).pools == []
