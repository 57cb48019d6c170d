"""Several VMs by one request: one plan, one token, and a clean end when one of them cannot be made."""

from __future__ import annotations

import pytest

from ceso_mcp.lab import Fault
from ceso_mcp.recipes.place import MARGIN_BYTES

from .conftest import KEY, TEMPLATE, House, at_rest
from .dying import die, recover
from .test_failures import no_marks
from .test_main_job import SMALL

pytestmark = pytest.mark.anyio
ASKED = {"template": SMALL, "ssh_keys": [KEY], "power_on": False, "unprepared": True}


async def names(house: House) -> set[str]:
    return {vm.name for vm in (await house.ask("list_vms")).vms}


async def test_one_request_makes_several_that_share_nothing(house: House) -> None:
    before = await names(house)
    preview = await house.preview("create_vm", name="web01", count=3, ipv4="192.0.2.10/24", **ASKED)
    assert list(dict.fromkeys(step.part for step in preview.steps)) == [
        "VM web01",
        "VM web02",
        "VM web03",
    ]
    job = await house.confirm(preview.confirm_token)
    assert job.state == "done", job.error
    assert await names(house) - before == {"web01", "web02", "web03"}
    made = (job.result or {})["parts"]
    assert [one["hostname"] for one in made] == ["web01", "web02", "web03"]
    for what in ("vmid", "uuid_bios", "instance_id", "path"):
        assert len({one[what] for one in made}) == 3, what
    assert len({mac for one in made for mac in one["macs"]}) == 3
    assert no_marks(house)


async def test_what_cannot_be_made_is_taken_back_and_what_was_made_is_kept(house: House) -> None:
    before = await names(house)
    preview = await house.preview("create_vm", name="web01", count=3, **ASKED)
    house.lab.add_fault(Fault(match=".*registervm.*web02.*", effect="fail", stderr="Operation failed\n"))
    job = await house.confirm(preview.confirm_token)
    house.lab.clear_faults()
    assert job.state == "failed"
    assert job.error is not None
    assert job.error["changed"] == "Made and kept: VM web01. What it had begun after that was undone."
    assert "(VM web02: register the VM)" in job.error["message"]
    assert await names(house) - before == {"web01"}
    assert no_marks(house)
    assert (await house.do("create_vm", name="web02", count=2, **ASKED))["vms"] == ["web02", "web03"]


@pytest.mark.slow
async def test_a_dead_worker_leaves_whole_vms_only(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    before = await names(house)
    preview = await house.preview("create_vm", name="web01", count=2, **ASKED)
    number = next(
        number
        for number, step in enumerate(preview.steps, 1)
        if step.part == "VM web02" and "register" in step.why
    )
    await die(house, preview.confirm_token, number, "after", monkeypatch)
    job = await recover(house)
    assert job.state == "done", job.error
    assert "the parts that it had finished are kept" in str(job.result)
    assert await names(house) - before == {"web01"}
    assert no_marks(house)


async def test_a_refused_preview_of_several_keeps_no_address(house: House) -> None:
    await house.do("create_pool", name="lab", ranges=["198.18.0.0/24"], gateway4="198.18.0.1")
    await house.do("create_vm", name="web02", pool="lab", **ASKED)
    refusal = await house.refusal("create_vm", name="web01", count=2, pool="lab", **ASKED)
    assert refusal.code == "name_taken"
    rows = [row for pool in (await house.ask("list_pools")).pools for row in pool.addresses]
    assert [(row.vm, row.state) for row in rows] == [("web02", "held")]


async def test_their_copies_have_to_fit_together(house: House) -> None:
    one = (await house.preview("create_vm", name="web01", **ASKED)).estimate
    house.lab.fill("datastore1", MARGIN_BYTES + 2 * one.copy_bytes + 4096)
    two = (await house.preview("create_vm", name="web01", count=2, **ASKED)).estimate
    assert two.copy_bytes == 2 * one.copy_bytes > 0
    assert (await house.refusal("create_vm", name="web01", count=3, **ASKED)).code == "datastore_full"
    house.lab.unfill("datastore1")


@pytest.mark.slow
async def test_several_guests_come_up_and_each_is_waited_for(house: House) -> None:
    made = await house.do(
        "create_vm", name="web01", count=2, template=TEMPLATE, ssh_keys=[KEY], ipv4="192.0.2.10/24", wait_s=30
    )
    assert [one["address"] for one in made["parts"]] == ["192.0.2.10", "192.0.2.11"]
    before = at_rest(house)
    refusal = await house.refusal("create_vm", name="web02", count=2, **ASKED)
    assert refusal.code == "name_taken"
    assert at_rest(house) == before
