"""Every way in which a token cannot be honoured: a coded error of its own, and the host untouched."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from typing import Any

import pytest

from ceso_mcp.config import ConsentSection, OperationsSection
from ceso_mcp.errors import CesoError

from .conftest import KEY, TEMPLATE, WHO, House
from .test_main_job import SMALL

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(120)]

CREATE: dict[str, Any] = {"template": TEMPLATE, "ssh_keys": [KEY], "power_on": False}


def code(house: House, token: str, consent: Any = "terminal") -> str:
    with pytest.raises(CesoError) as caught:
        house.ceso.confirm(token, WHO, consent=consent)
    return caught.value.code


async def test_wrong_used_expired_and_foreign_tokens(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    before = house.lab.fingerprint()
    assert code(house, "nonsense") == "token_unknown"
    expired = (await house.preview("create_vm", name="a", **CREATE)).confirm_token
    real = time.time
    monkeypatch.setattr(time, "time", lambda: real() + 3600)
    assert code(house, expired) == "token_expired"
    monkeypatch.setattr(time, "time", real)
    foreign = (await house.preview("create_vm", name="b", **CREATE)).confirm_token
    other = House(house.lab, house.folder)
    other.ceso.config = other.config.model_copy(
        update={"host": other.config.host.model_copy(update={"address": "192.0.2.99"})}
    )
    with pytest.raises(CesoError) as caught:
        other.ceso.confirm(foreign, WHO, consent="terminal")
    assert caught.value.code == "token_other_host"
    assert house.lab.fingerprint() == before
    token = (await house.preview("create_vm", name="c", **CREATE)).confirm_token
    assert (await house.confirm(token)).state == "done"
    assert code(house, token) == "token_used"


async def test_a_vm_of_that_name_appears_in_between(house: House) -> None:
    first = await house.preview("create_vm", name="web01", **CREATE)
    await house.do("create_vm", name="web01", **CREATE)
    before = house.lab.fingerprint()
    job = await house.confirm(first.confirm_token)
    assert job.state == "failed"
    assert (job.error or {})["code"] == "host_changed"
    assert "exists already" in (job.error or {})["message"]
    assert house.lab.fingerprint() == before


async def test_the_datastore_fills_in_between(house: House) -> None:
    preview = await house.preview("create_vm", name="web01", **CREATE)
    house.lab.fill("datastore1", 1 << 20)
    before = house.lab.fingerprint()
    job = await house.confirm(preview.confirm_token)
    house.lab.unfill("datastore1")
    assert (job.error or {})["code"] == "host_changed"
    assert "free" in (job.error or {})["message"]
    assert house.lab.fingerprint() == before


async def test_a_changed_plan_shows_the_new_one_with_a_new_token(house: House) -> None:
    preview = await house.preview("delete_vm", vm=SMALL)
    vmx = house.lab.volume("datastore1") / SMALL / f"{SMALL}.vmx"
    power = await house.preview("power_vm", vm=SMALL, action="on")
    await house.do("power_vm", vm=SMALL, action="on")
    await house.do("power_vm", vm=SMALL, action="off")
    assert vmx.exists()
    job = await house.confirm(power.confirm_token)
    assert job.state == "done", job.error
    job = await house.confirm(preview.confirm_token)
    assert (job.error or {})["code"] == "host_changed"
    assert "is on" in (job.error or {})["message"]


async def test_of_two_confirms_at_once_one_runs(house: House) -> None:
    token = (await house.preview("create_vm", name="web01", **CREATE)).confirm_token

    async def confirm() -> str:
        try:
            return (await house.confirm(token)).state
        except CesoError as error:
            return error.code

    outcomes = sorted(await asyncio.gather(confirm(), confirm(), confirm()))
    assert outcomes == ["done", "token_used", "token_used"]
    names = [vm.name for vm in (await house.ask("list_vms")).vms]
    assert names.count("web01") == 1


async def test_a_destructive_plan_needs_a_person(house: House) -> None:
    preview = await house.preview("delete_vm", vm=TEMPLATE)
    assert preview.needs_operator
    assert code(house, preview.confirm_token, "token") == "not_approved"
    house.ceso.approve(preview.confirm_token, WHO)
    house.ceso.confirm(preview.confirm_token, WHO, consent="token")


async def test_a_plan_that_destroys_nothing_needs_the_token_only(house: House) -> None:
    preview = await house.preview("create_vm", name="web01", **CREATE)
    assert not preview.needs_operator
    house.ceso.confirm(preview.confirm_token, WHO, consent="token")


async def test_policy_operator_accepts_no_dialog(house: House) -> None:
    house.ceso.config = house.config.model_copy(update={"consent": ConsentSection(policy="operator")})
    preview = await house.preview("create_vm", name="web01", **CREATE)
    assert code(house, preview.confirm_token, "dialog") == "not_approved"


async def test_read_only_mode_refuses_changes_before_planning(house: House) -> None:
    house.ceso.config = house.config.model_copy(update={"operations": OperationsSection(read_only=True)})
    assert (await house.refusal("create_vm", name="web01", **CREATE)).code == "read_only"
    assert replace(WHO).surface == "test"
