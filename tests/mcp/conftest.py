"""A workshop of toys for each test, and the protocol era as a parameter."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from toy_operations import GATES, SHELF, stand_in
from workshop import ERAS, Caller, Workshop


@pytest.fixture(params=ERAS)
def era(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
async def workshop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Callable[..., Workshop]]:
    """`workshop(policy=…, operations=…, call_patience_s=…)` opens one; it is closed after the test."""
    stand_in(monkeypatch)
    SHELF[:] = ["bear", "train"]
    GATES.clear()
    opened: list[Workshop] = []

    def open_one(**settings: Any) -> Workshop:
        opened.append(Workshop(tmp_path / str(len(opened)), **settings))
        return opened[-1]

    yield open_one
    for gate in GATES:
        gate.set()
    for one in opened:
        await asyncio.wait_for(one.finish(), 10)


@pytest.fixture
def talk(workshop: Callable[..., Workshop], era: str) -> Callable[..., Any]:
    """`async with talk(dialog=…, **settings) as (caller, workshop)`."""

    @contextlib.asynccontextmanager
    async def conversation(dialog: Any = None, **settings: Any) -> AsyncIterator[tuple[Caller, Workshop]]:
        shop = workshop(**settings)
        async with shop.client(era, dialog) as client:
            yield await shop.caller(client), shop

    return conversation
