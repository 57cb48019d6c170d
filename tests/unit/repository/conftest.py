"""Repositories for tests, plain and sealed."""

from __future__ import annotations

from pathlib import Path

import pytest
from repository_cases import Kit, new_identity


@pytest.fixture(params=["none", "age"])
def kit(request: pytest.FixtureRequest, tmp_path: Path) -> Kit:
    if request.param == "none":
        return Kit(tmp_path / "repo", (), ())
    private, public = new_identity()
    return Kit(tmp_path / "repo", (public, new_identity()[1]), (private,))


@pytest.fixture
def plain_kit(tmp_path: Path) -> Kit:
    return Kit(tmp_path / "repo", (), ())


@pytest.fixture
def sealed_kit(tmp_path: Path) -> Kit:
    private, public = new_identity()
    return Kit(tmp_path / "repo", (public,), (private,))
