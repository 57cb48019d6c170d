"""A VM that asks before it starts: the question is told, cancelled, and nothing is left."""

from __future__ import annotations

from typing import Any

import pytest

from .conftest import House, at_rest
from .test_main_job import CREATE

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(120)]


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ceso_mcp.recipes.questions.FIRST_LOOK_S", 0.3)


async def moved(house: House) -> Any:
    """A VM whose .vmx says that it got its UUID elsewhere, as after a copy by hand."""
    await house.do("create_vm", name="web01", power_on=False, **CREATE)
    vmx = house.lab.volume("datastore1") / "web01" / "web01.vmx"
    with vmx.open("a") as file:
        file.write('uuid.location = "56 4d 00 11 22 33 44 55-66 77 88 99 aa bb cc dd"\n')
    vmid = (await house.ask("show_vm", vm="web01")).vmid
    await house.ceso.runner.run(f"vim-cmd vmsvc/reload {vmid}")
    return vmid


async def nothing_asked(house: House, vmid: int) -> bool:
    return (await house.ceso.runner.run(f"vim-cmd vmsvc/message {vmid}")).stdout == "No message.\n"


async def test_powering_on_tells_the_question_and_leaves_the_vm_off(house: House) -> None:
    vmid = await moved(house)
    before = at_rest(house)
    job = await house.confirm((await house.preview("power_vm", vm="web01", action="on")).confirm_token)
    error = job.error or {}
    assert (job.state, error["code"]) == ("failed", "vm_question")
    assert "moved or copied" in error["message"]
    assert "I Copied It" in error["message"]
    assert "as it was" in error["changed"]
    assert await nothing_asked(house, vmid)
    assert (await house.ask("show_vm", vm="web01")).power == "off"
    assert at_rest(house) == before


async def test_readdressing_a_vm_that_asks_is_taken_back(house: House) -> None:
    vmid = await moved(house)
    before = at_rest(house)
    preview = await house.preview("readdress_vm", vm="web01", ipv4="192.0.2.44/24")
    job = await house.confirm(preview.confirm_token)
    assert (job.state, (job.error or {})["code"]) == ("failed", "vm_question")
    assert await nothing_asked(house, vmid)
    assert at_rest(house) == before


@pytest.mark.slow
@pytest.mark.timeout(300)
async def test_copies_of_a_vm_that_would_ask_do_not(house: House) -> None:
    await moved(house)
    backup = await house.do("backup_vm", vm="web01")
    await house.do("clone_vm", source="web01", name="two", ipv4="192.0.2.12/24", power_on=True)
    await house.do(
        "restore_vm",
        backup_id=backup["backup_id"],
        name="three",
        datastore="datastore1",
        ipv4="192.0.2.13/24",
        power_on=True,
    )
    assert {vm.name for vm in (await house.ask("list_vms", power="on")).vms} >= {"two", "three"}
