"""Fixtures that every test may use."""

from __future__ import annotations

import pytest
from hypothesis import settings

# No test measures time: a busy machine may take long over one example.
settings.register_profile("unhurried", deadline=None)
settings.load_profile("unhurried")


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


SLOW_TIMEOUT_S = 400


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A slow test has a long limit at the least: several of them share the processors."""
    for item in items:
        if item.get_closest_marker("slow"):
            own = item.get_closest_marker("timeout")
            limit = max(SLOW_TIMEOUT_S, own.args[0]) if own is not None else SLOW_TIMEOUT_S
            item.add_marker(pytest.mark.timeout(limit), append=False)
