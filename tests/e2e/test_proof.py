"""A guest that does not become what was asked is kept, and the reason told; a guest is reached."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from .conftest import House
from .test_main_job import CREATE, SMALL

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(120)]


@pytest.mark.slow
async def test_a_guest_without_tools_is_kept_and_named_silent(house: House) -> None:
    arguments = {**CREATE, "template": SMALL, "unprepared": True, "wait_s": 10}
    job = await house.confirm((await house.preview("create_vm", name="web01", **arguments)).confirm_token)
    error = job.error or {}
    assert (job.state, error["code"]) == ("failed", "guest_silent")
    assert "kept" in error["changed"]
    assert "open-vm-tools" in error["hint"]
    assert (await house.ask("show_vm", vm="web01")).power == "on"


async def test_reaching_it_is_the_last_step_and_its_failure_keeps_the_vm(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ceso_mcp.recipes.proving.REACH_LIMIT_S", 0.3)
    preview = await house.preview("create_vm", name="web01", reach=True, **CREATE)
    assert "TCP port 22 of 192.0.2.10" in preview.steps[-1].command
    job = await house.confirm(preview.confirm_token)
    error = job.error or {}
    assert (job.state, error["code"]) == ("failed", "guest_unreachable")
    assert (await house.ask("show_vm", vm="web01")).power == "on"


async def test_a_leased_address_is_reached_once_it_is_known(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Any] = []

    class Writer:
        def close(self) -> None: ...

    async def connect(address: str, port: int) -> tuple[None, Writer]:
        asked.append((address, port))
        await asyncio.sleep(0)
        return None, Writer()

    monkeypatch.setattr("ceso_mcp.reach_desk.asyncio.open_connection", connect)
    arguments = {**CREATE, "ipv4": "dhcp", "gateway4": None}
    result = await house.do("create_vm", name="web01", reach=True, **arguments)
    assert asked == [(result["address"], 22)]
    assert result["reached"] == f"{result['address']} port 22"
