"""Helpers of the repository's own tests are used here too."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "unit" / "repository"))

from place_cases import Servers, Spot, local, memory, s3, sftp

SLOW = [pytest.param(kind, marks=pytest.mark.slow) for kind in ("sftp", "s3")]


@pytest.fixture(scope="session")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    with ExitStack() as stack:
        yield Servers(tmp_path_factory.mktemp("servers"), stack)


@pytest.fixture(params=["local", "memory", *SLOW])
def spot(request: pytest.FixtureRequest, tmp_path: Path) -> Spot:
    """A place; on a real server, if it is one of those."""
    match request.param:
        case "local":
            return local(tmp_path)
        case "memory":
            return memory()
    servers = request.getfixturevalue("servers")
    return sftp(servers.sshd, tmp_path / "place") if request.param == "sftp" else s3(servers.seaweed)
