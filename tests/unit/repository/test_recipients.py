"""To whom new backups are sealed can change; what is there keeps its recipients, and copies follow."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from incremental_cases import NODE, back_up_file, restored, sparse
from repository_cases import Kit, new_identity, sparse_image

from ceso_mcp.backup.manifest import Manifest
from ceso_mcp.config import BackupSection
from ceso_mcp.errors import CesoError, RepositoryFault
from ceso_mcp.redact import Redactor
from ceso_mcp.repository import LocalRepository
from ceso_mcp.repository.copying import copy_backups
from ceso_mcp.repository.recipients import set_recipients
from ceso_mcp.repository.targets.local import LocalTarget
from ceso_mcp.repository_access import RepositoryAccess

SIZE = 1 << 20
# Between the stamps of `repository_cases.backup_id(0)` and `backup_id(5)`.
SINCE = datetime(2026, 1, 3, tzinfo=UTC)


def kit_for(path: Path, pair: tuple[str, str]) -> Kit:
    return Kit(path, (pair[1],), (pair[0],))


def access(path: Path, *recipients: str, state: Path | None = None) -> RepositoryAccess:
    section = BackupSection(repository=path, recipients=recipients)
    return RepositoryAccess(section, Redactor(), state)


def test_new_backups_are_for_the_new_recipients_and_old_ones_for_the_old(tmp_path: Path) -> None:
    old, new = new_identity(), new_identity()
    before, after = kit_for(tmp_path / "repo", old), kit_for(tmp_path / "repo", new)
    keys = tmp_path / "keys"
    keys.mkdir(mode=0o700)
    image = sparse_image(SIZE, 1)
    flat = sparse(tmp_path / "flat", image)
    first, _, _ = back_up_file(before, flat, 0, keys=keys)
    set_recipients(LocalTarget(before.path), before.recipients, after.recipients, SINCE)
    repository = LocalRepository.open(after.path)
    repository.use_index_key(keys)
    choice = repository.parent_for(str(first.backup_id.vm_id), [(NODE, SIZE)])
    assert (choice.backup_id, "sealed to other recipients" in choice.reason) == (None, True)
    second, _, _ = back_up_file(after, flat, 5, keys=keys)
    assert repository.parent_for(str(first.backup_id.vm_id), [(NODE, SIZE)]).backup_id == second.id
    assert restored(before, first) == restored(after, second) == image
    for kit, manifest in ((after, first), (before, second)):
        with pytest.raises(RepositoryFault) as caught:
            restored(kit, manifest)
        assert caught.value.code == "wrong_identity"


def test_nothing_changes_if_it_is_not_as_shown_or_would_change_its_kind(tmp_path: Path) -> None:
    old, new = new_identity(), new_identity()
    kit = kit_for(tmp_path / "repo", old)
    kit.make()
    settings = (kit.path / "ceso-repo.json").read_bytes()
    for before, after in (((new[1],), (new[1],)), (kit.recipients, ()), (kit.recipients, ("age1nonsense",))):
        with pytest.raises(CesoError):
            set_recipients(LocalTarget(kit.path), before, after, SINCE)
        assert (kit.path / "ceso-repo.json").read_bytes() == settings
    with kit.make().writer(manifest_id()), pytest.raises(RepositoryFault) as caught:
        set_recipients(LocalTarget(kit.path), kit.recipients, (new[1],), SINCE)
    assert caught.value.code == "repository_locked"


def manifest_id() -> str:
    return "564d7c1e-0011/20260101T031500Z-4f2a9c"


def test_a_copy_takes_over_newer_recipients_and_gives_no_older_ones_back(tmp_path: Path) -> None:
    old, new = new_identity(), new_identity()
    kit = kit_for(tmp_path / "repo", old)
    first: Manifest = kit.back_up(sparse_image(SIZE, 2), run=0)
    copied = LocalRepository.init_at(LocalTarget(tmp_path / "copy"), like=kit.open().settings)
    copy_backups(kit.open(), copied, (first.id,))
    set_recipients(LocalTarget(kit.path), kit.recipients, (new[1],), SINCE)
    second = kit_for(kit.path, new).back_up(sparse_image(SIZE, 3), run=5)
    again = LocalRepository.init_at(LocalTarget(tmp_path / "copy"), like=kit.open().settings)
    assert again.recipients == (new[1],)
    copy_backups(kit.open(), again, (second.id,))
    older = kit.open().settings.model_copy(update={"recipients": kit.recipients, "recipients_since": None})
    back = LocalRepository.init_at(LocalTarget(tmp_path / "copy"), like=older)
    assert back.recipients == (new[1],)
    for pair, manifest in ((old, first), (new, second)):
        assert kit_for(tmp_path / "copy", pair).open().verify(manifest.id).ok


def test_the_configured_recipients_are_written_if_they_are_those_that_were_shown(tmp_path: Path) -> None:
    old, new = new_identity(), new_identity()
    access(tmp_path / "repo", old[1]).init()
    changed = access(tmp_path / "repo", new[1])
    status = changed.status()
    assert (status.as_configured, status.sealed_to, status.configured) == (False, (old[1],), (new[1],))
    with pytest.raises(RepositoryFault) as caught:
        changed.set_recipients(status.sealed_to, (old[1],))
    assert caught.value.code == "settings_differ"
    before = datetime.now(UTC)
    changed.set_recipients(status.sealed_to, status.configured)
    assert changed.status().as_configured
    # Counted from the writing: what was backed up after the preview is not to be compared with either.
    since = changed.open(private=False).settings.recipients_since
    assert before <= since <= datetime.now(UTC)
