"""A place that had a repository and has none is not taken for a new one."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from ceso_mcp.config import BackupSection
from ceso_mcp.errors import ConfigFault, RepositoryFault
from ceso_mcp.known_repositories import KnownRepositories
from ceso_mcp.redact import Redactor
from ceso_mcp.repository_access import RepositoryAccess


@pytest.fixture
def state(tmp_path: Path) -> Path:
    (tmp_path / "state").mkdir(mode=0o700)
    return tmp_path / "state"


def access(state: Path, place: Path) -> RepositoryAccess:
    return RepositoryAccess(BackupSection(repository=place), Redactor(), state)


@pytest.mark.parametrize("left", ["nothing", "an empty folder"])
def test_a_mount_that_vanished_is_no_place_for_a_new_repository(
    tmp_path: Path, state: Path, left: str
) -> None:
    place = tmp_path / "mnt" / "repo"
    place.parent.mkdir()
    access(state, place).init()
    place.rename(tmp_path / "elsewhere")
    if left == "an empty folder":
        place.mkdir()
    gone = access(state, place)
    for use in (gone.exists, gone.status, gone.init, gone.open):
        with pytest.raises(RepositoryFault) as caught:
            use()
        assert caught.value.code == "repository_gone"
    assert not place.exists() or not any(place.iterdir())
    if place.exists():
        place.rmdir()
    (tmp_path / "elsewhere").rename(place)
    assert access(state, place).status().exists


def test_a_repository_that_others_made_is_remembered_once_it_was_read(tmp_path: Path, state: Path) -> None:
    RepositoryAccess(BackupSection(repository=tmp_path / "repo"), Redactor()).init()
    assert access(state, tmp_path / "repo").open().list().manifests == []
    shutil.rmtree(tmp_path / "repo")
    with pytest.raises(RepositoryFault) as caught:
        access(state, tmp_path / "repo").exists()
    assert caught.value.code == "repository_gone"


def test_beginning_anew_takes_removing_the_file_that_the_message_names(tmp_path: Path, state: Path) -> None:
    place = tmp_path / "repo"
    first = access(state, place).init().id
    shutil.rmtree(place)
    with pytest.raises(RepositoryFault) as caught:
        access(state, place).init()
    named = Path(caught.value.hint.rpartition("remove ")[2])
    named.unlink()
    second = access(state, place).init().id
    assert second != first
    assert KnownRepositories(state).id_at(str(place)) == second


def test_another_repository_at_the_place_is_a_repository(tmp_path: Path, state: Path) -> None:
    """Disks that are swapped every week are all right."""
    place = tmp_path / "repo"
    access(state, place).init()
    place.rename(tmp_path / "monday")
    RepositoryAccess(BackupSection(repository=place), Redactor()).init()
    assert access(state, place).status().exists
    found = access(state, place).open().id
    assert KnownRepositories(state).id_at(str(place)) == found


def test_a_memory_that_cannot_be_read_still_counts(tmp_path: Path, state: Path) -> None:
    place = tmp_path / "repo"
    access(state, place).init()
    shutil.rmtree(place)
    KnownRepositories(state).file(str(place)).write_text("{")
    with pytest.raises(RepositoryFault) as caught:
        access(state, place).init()
    assert caught.value.code == "repository_gone"


def test_what_cannot_be_remembered_fails_writing_and_not_reading(
    tmp_path: Path, state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    RepositoryAccess(BackupSection(repository=tmp_path / "repo"), Redactor()).init()

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("ceso_mcp.known_repositories.os.fsync", full)
    assert access(state, tmp_path / "repo").open().list().manifests == []
    monkeypatch.undo()
    monkeypatch.setattr("ceso_mcp.known_repositories.os.replace", full)
    with pytest.raises(ConfigFault) as caught:
        KnownRepositories(state).remember("x", "y")
    assert caught.value.code == "state_full"
    assert list((state / "repositories").iterdir()) == []
