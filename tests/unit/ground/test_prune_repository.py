"""`prune_repository`, planned and performed on a desk with a real repository, without any host."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from ceso_mcp.config import BackupSection
from ceso_mcp.desk import RepositoryDesk
from ceso_mcp.errors import RepositoryFault
from ceso_mcp.fact import Fixed
from ceso_mcp.gather import HostFacts
from ceso_mcp.operations.backup.prune_repository import PruneRepository
from ceso_mcp.plan import Plan
from ceso_mcp.redact import Redactor
from ceso_mcp.repository import LocalRepository
from ceso_mcp.repository_access import RepositoryAccess

GARBAGE = f"packs/ab/{'ab' * 32}.zst"


class NoHost:
    async def run(self, line: str, **_: Any) -> Any:
        raise AssertionError(f"the host was asked: {line}")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    LocalRepository.init(tmp_path / "repo")
    (tmp_path / "repo" / GARBAGE).parent.mkdir(parents=True)
    (tmp_path / "repo" / GARBAGE).write_bytes(bytes(1000))
    return tmp_path / "repo"


def desk(path: Path) -> RepositoryDesk:
    async def never(*_: Any) -> None:
        raise AssertionError

    return RepositoryDesk(RepositoryAccess(BackupSection(repository=path), Redactor()), never)


def plan(path: Path) -> Plan:
    facts = HostFacts(NoHost(), desk(path), Fixed("2026-01-01T00:00:00+00:00", bytes(32)))
    return asyncio.run(PruneRepository().plan(facts))


def perform(path: Path, plan: Plan) -> Any:
    (step,) = plan.steps
    assert step.here is not None
    return asyncio.run(desk(path).perform(step.here, {}))


def test_it_is_shown_with_counts_and_bytes_and_then_removed(path: Path) -> None:
    shown = plan(path)
    assert shown.destructive
    assert "remove 1 pack(s), 0 part(s) of unfinished backups and 0 draft(s), 1000 bytes" in shown.lines()[0]
    assert perform(path, shown) == {"removed_objects": "1", "freed_bytes": "1000"}
    assert not (path / GARBAGE).exists()


def test_nothing_to_remove_destroys_nothing(path: Path) -> None:
    perform(path, plan(path))
    shown = plan(path)
    assert not shown.destructive
    assert perform(path, shown) == {"removed_objects": "0", "freed_bytes": "0"}


def test_the_plan_changes_with_what_would_be_removed(path: Path) -> None:
    before = plan(path)
    assert before.digest() == plan(path).digest()
    (path / "tmp").mkdir(exist_ok=True)
    (path / "tmp" / "aa").write_bytes(b"x")
    assert before.digest() != plan(path).digest()
    with pytest.raises(RepositoryFault):
        perform(path, before)
    assert (path / GARBAGE).exists()


def test_a_backup_that_cannot_be_read_and_files_of_others_are_named(path: Path) -> None:
    folder = path / "backups" / "vm" / "20260101T000000Z-aaaa"
    folder.mkdir(parents=True)
    (folder / "manifest.json").write_text("{}")
    (path / "packs" / "README").write_text("mine")
    shown = plan(path)
    assert not shown.destructive
    assert "vm/20260101T000000Z-aaaa" in shown.warnings[0]
    assert "1 file(s) that are not ceso's" in shown.warnings[1]
    assert shown.outcome["kept_packs"] == 1
