"""A guest is reached from here, or it is told how it is not."""

from __future__ import annotations

import asyncio

import pytest

from ceso_mcp.errors import StepFailed
from ceso_mcp.reach_desk import reach
from ceso_mcp.recipes.proving import ReachGuest

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


async def test_a_port_that_listens_is_reached_by_the_address_that_was_captured() -> None:
    def serve(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    try:
        for address in ("127.0.0.1", "{address}"):
            found = await reach(ReachGuest(address, port, 5.0), {"address": "127.0.0.1"})
            assert found == {"reached": f"127.0.0.1 port {port}"}
    finally:
        server.close()
        await server.wait_closed()


async def test_nothing_listens(monkeypatch: pytest.MonkeyPatch) -> None:
    server = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    server.close()
    await server.wait_closed()
    monkeypatch.setattr("ceso_mcp.reach_desk.PAUSE_S", 0.05)
    with pytest.raises(StepFailed) as caught:
        await reach(ReachGuest("127.0.0.1", port, 0.2), {})
    assert caught.value.code == "guest_refuses"


async def test_nothing_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    async def never(address: str, port: int) -> None:
        await asyncio.sleep(3600)

    monkeypatch.setattr("ceso_mcp.reach_desk.asyncio.open_connection", never)
    with pytest.raises(StepFailed) as caught:
        await reach(ReachGuest("192.0.2.1", 22, 0.1), {})
    assert caught.value.code == "guest_unreachable"


async def test_no_address_is_known() -> None:
    with pytest.raises(StepFailed) as caught:
        await reach(ReachGuest("{address}", 22, 0.1), {"address": ""})
    assert caught.value.code == "guest_unreachable"
