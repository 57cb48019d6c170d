"""`copy_backup`, planned and performed on a desk with real repositories, without any host."""

from __future__ import annotations

import asyncio
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

from ceso_mcp.config import BackupSection, CopySection
from ceso_mcp.desk import RepositoryDesk
from ceso_mcp.errors import CesoError, InvalidArguments, RepositoryFault
from ceso_mcp.fact import Fixed
from ceso_mcp.gather import HostFacts
from ceso_mcp.operations.backup.copy_backup import CopyBackup
from ceso_mcp.plan import Plan
from ceso_mcp.redact import Redactor
from ceso_mcp.repository_access import RepositoryAccess

sys.path.insert(0, str(Path(__file__).parents[1] / "repository"))
from repository_cases import Kit, backup_id, sparse_image


class NoHost:
    async def run(self, line: str, **_: Any) -> Any:
        raise AssertionError(f"the host was asked: {line}")


class House:
    def __init__(self, folder: Path) -> None:
        (folder / "state").mkdir(mode=0o700)
        self.folder, self.kit = folder, Kit(folder / "repo", (), ())
        copies = {"second": CopySection(repository=folder / "second")}
        self.access = RepositoryAccess(
            BackupSection(repository=folder / "repo", copies=copies), Redactor(), folder / "state"
        )

        async def never(*_: Any) -> None:
            raise AssertionError

        self.desk = RepositoryDesk(self.access, never)  # type: ignore[arg-type]

    def plan(self, **arguments: Any) -> Plan:
        facts = HostFacts(NoHost(), self.desk, Fixed("2026-01-01T00:00:00+00:00", bytes(32)))
        return asyncio.run(CopyBackup(**arguments).plan(facts))

    def perform(self, plan: Plan) -> Any:
        (step,) = plan.steps
        assert step.here is not None
        return asyncio.run(self.desk.perform(step.here, {}))


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path)


def test_it_is_shown_with_counts_and_bytes_and_then_copied(house: House) -> None:
    house.kit.back_up(sparse_image(1 << 18, 3, 0.9), run=0)
    shown = house.plan(name="second")
    assert not shown.destructive
    line = shown.lines()[0]
    assert f"make a copy of the repository there and copy 1 backup(s), {4} object(s)" in line
    assert str(backup_id(0)) in line
    assert str(house.folder / "second") in line
    assert not (house.folder / "second").exists()
    told = house.perform(shown)
    assert (told["copied_backups"], told["sent_objects"]) == ("1", "4")
    again = house.plan(name="second")
    assert again.title == "copy: nothing is missing"
    assert set(house.perform(again).values()) == {"0"}


def test_what_the_repository_has_lost_comes_back(house: House) -> None:
    house.kit.back_up(sparse_image(1 << 18, 3, 0.9), run=0)
    house.perform(house.plan(name="second"))
    house.access.open()
    shutil.rmtree(house.folder / "repo")
    with pytest.raises(RepositoryFault) as caught:
        house.plan(name="second", direction="from_copy")
    assert caught.value.code == "repository_gone"  # it may only not be mounted
    Path(caught.value.hint.rpartition("remove ")[2]).unlink()
    house.perform(house.plan(name="second", direction="from_copy"))
    assert house.kit.open().verify(backup_id(0)).ok


def test_a_name_that_is_not_configured_and_a_repository_that_is_not_there_are_told(house: House) -> None:
    with pytest.raises(InvalidArguments):
        house.plan(name="third")
    with pytest.raises(RepositoryFault) as caught:
        house.plan(name="second")
    assert caught.value.code == "no_repository"


def test_a_copy_that_has_no_room_is_refused_before(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    from ceso_mcp.repository.targets.local import LocalTarget

    house.kit.back_up(sparse_image(1 << 18, 3, 0.9), run=0)
    monkeypatch.setattr(LocalTarget, "free_bytes", lambda self: 1000)
    with pytest.raises(CesoError) as caught:
        house.plan(name="second")
    assert caught.value.code == "repository_full"
