"""A folder that is mounted from an NFS server: answers that lie, and names that come and go."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ceso_mcp.errors import RepositoryFault
from ceso_mcp.repository import Repository
from ceso_mcp.repository.targets.local import LocalTarget

SILLY = ".nfs00000000012c4f1d0000002a"


@pytest.fixture
def share(tmp_path: Path) -> Path:
    Repository.init_at(LocalTarget(tmp_path / "share"), recipients=())
    return tmp_path / "share"


def sent_twice(real: Callable[..., None], number: int) -> Callable[..., None]:
    """`real` happens, its answer is lost, and the second try finds it done."""

    def call(*paths: Any) -> None:
        real(*paths)
        raise OSError(number, os.strerror(number))

    return call


def test_a_link_or_a_rename_that_was_sent_twice_has_happened_once(
    share: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = LocalTarget(share)
    monkeypatch.setattr(os, "link", sent_twice(os.link, errno.EEXIST))
    assert target.lock("locks/writer", b"mine") is True
    assert target.lock("locks/writer", b"other") is False
    monkeypatch.undo()
    assert target.get("locks/writer") == b"mine"
    monkeypatch.setattr(os, "rename", sent_twice(os.rename, errno.ENOENT))
    assert target.put("packs/aa/one", [b"content"]) is True
    target.replace("note", b"new")
    monkeypatch.undo()
    assert (target.get("packs/aa/one"), target.get("note")) == (b"content", b"new")
    assert list(target.drafts()) == []


def test_a_rename_that_did_not_happen_is_a_fault(share: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = LocalTarget(share)

    def lost(draft: Path, path: Path) -> None:
        raise FileNotFoundError(errno.ENOENT, "no", str(path))

    monkeypatch.setattr(os, "rename", lost)
    with pytest.raises(RepositoryFault):
        target.put("packs/aa/one", [b"content"])
    assert not target.exists("packs/aa/one")


def test_a_share_that_is_stale_is_told_as_gone(share: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = LocalTarget(share)
    monkeypatch.setattr(os, "fsync", sent_twice(os.fsync, errno.ESTALE))
    with pytest.raises(RepositoryFault) as caught:
        target.put("packs/aa/one", [b"content"])
    assert caught.value.code == "repository_gone"


def test_files_that_the_client_keeps_for_their_readers_are_left_alone(share: Path) -> None:
    for folder in ("tmp", "packs/aa", "backups/x", "locks", "."):
        (share / folder).mkdir(parents=True, exist_ok=True)
        (share / folder / SILLY).write_text("still read by somebody")
    repository = Repository.open_at(LocalTarget(share))
    garbage = repository.garbage()
    assert (garbage.entries, garbage.foreign) == ((), 0)
    assert repository.prune(garbage.digest).objects == 0
    assert repository.list() == ([], [])
    assert len(list(share.rglob(SILLY))) == 5
