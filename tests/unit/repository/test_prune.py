"""Pruning removes what no backup names: all of it, nothing else, and not while it could be wrong."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
from repository_cases import Kit, add_disk, backup_id, sparse_image
from test_repository_faults import GOOD, NEXT, named, prune, with_garbage

from ceso_mcp.errors import RepositoryFault
from ceso_mcp.repository.lock import LOCK


@pytest.fixture
def kit(tmp_path: Path) -> Kit:
    kit = Kit(tmp_path / "repo", (), ())
    kit.back_up(GOOD, run=0)
    return with_garbage(kit)


def test_all_garbage_goes_and_is_counted_before(kit: Kit) -> None:
    garbage = kit.open().garbage()
    doomed = set(kit.objects()) - named(kit)
    assert {entry.name for entry in garbage.entries} == doomed
    assert (len(garbage.packs) > 1, len(garbage.parts), len(garbage.drafts)) == (True, 2, 1)
    assert garbage.size_bytes == sum(len(kit.objects()[name]) for name in doomed)
    removed = kit.open().prune(garbage.digest)
    assert (removed.objects, removed.size_bytes) == (len(doomed), garbage.size_bytes)
    assert set(kit.objects()) == named(kit)
    assert kit.open().verify(str(backup_id(0))).ok
    assert prune(kit) == 0


def test_nothing_goes_while_a_backup_is_written(kit: Kit) -> None:
    digest = kit.open().garbage().digest
    with kit.make().writer(backup_id(2)) as writer:
        add_disk(writer, 0, sparse_image(1 << 18, 11, 0.9))
        before = kit.objects()
        for use in (kit.open().garbage, lambda: kit.open().prune(digest)):
            with pytest.raises(RepositoryFault) as caught:
                use()
            assert caught.value.code == "repository_locked"
        assert kit.objects() == before


def test_other_garbage_than_was_shown_is_not_removed(kit: Kit) -> None:
    digest = kit.open().garbage().digest
    (kit.path / "tmp" / "fedcba9876543210fedcba98").write_bytes(b"more")
    before = kit.objects()
    with pytest.raises(RepositoryFault) as caught:
        kit.open().prune(digest)
    assert caught.value.code == "garbage_changed"
    assert kit.objects() == before


@pytest.mark.parametrize("damage", ["flipped", "truncated", "empty"])
def test_while_a_manifest_cannot_be_read_every_pack_stays(kit: Kit, damage: str) -> None:
    kit.back_up(NEXT, run=3)
    path = kit.path / "backups" / str(backup_id(3)) / "manifest.json"
    content = path.read_bytes()
    flipped = content.replace(b'"cold"', b'"colt"')
    path.write_bytes({"flipped": flipped, "truncated": content[:-200], "empty": b""}[damage])
    before = {name for name in kit.objects() if name.startswith(("packs/", str(path.parent)))}
    garbage = kit.open().garbage()
    assert (garbage.packs, garbage.damaged) == ((), (str(backup_id(3)),))
    assert prune(kit) == len(garbage.parts) + len(garbage.drafts) > 0
    assert before <= set(kit.objects())
    path.write_bytes(content)
    assert kit.open().verify(str(backup_id(3))).ok


def test_what_is_not_ceso_s_own_is_left_alone(kit: Kit) -> None:
    others = ["packs/README", "packs/ab/photo.zst", "backups/mine.txt", "backups/vm/notes/a.txt", "x.iso"]
    for name in others:
        (kit.path / name).parent.mkdir(parents=True, exist_ok=True)
        (kit.path / name).write_bytes(b"mine")
    garbage = kit.open().garbage()
    assert garbage.foreign == 4
    prune(kit)
    assert set(kit.objects()) == named(kit) | set(others)


def test_what_somebody_who_waits_for_the_lock_writes_stays(kit: Kit) -> None:
    young, old = kit.path / "tmp" / "claim-aa", kit.path / "tmp" / "claim-bb"
    young.write_bytes(b"x")
    old.write_bytes(b"x")
    os.utime(old, (time.time() - 7200,) * 2)
    prune(kit)
    assert (young.exists(), old.exists()) == (True, False)


def test_a_prune_that_lost_its_lock_stops_and_says_how_far_it_came(
    kit: Kit, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ceso_mcp.repository.targets.local import LocalTarget

    digest, delete, calls = kit.open().garbage().digest, LocalTarget.delete, []

    def losing(self: LocalTarget, name: str) -> None:
        delete(self, name)
        calls.append(name)
        if len(calls) == 2:
            (kit.path / LOCK).write_bytes(b"{}")

    monkeypatch.setattr(LocalTarget, "delete", losing)
    with pytest.raises(RepositoryFault, match="2 of") as caught:
        kit.open().prune(digest)
    assert caught.value.code == "repository_locked"
    assert len(calls) == 2
