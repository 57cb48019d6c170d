"""Chaos stands on the same house as the tests of the main job."""

import pytest
from e2e.conftest import house, shared_lab  # noqa: F401


@pytest.fixture(autouse=True)
def guests_go_down_quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    """The lab's guests go down at once; one that was never asked to is waited for this long."""
    monkeypatch.setattr("ceso_mcp.recipes.downtime.GOING_DOWN_S", 5)
