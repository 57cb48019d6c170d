"""Copies of a repository: the same bytes, only what is missing, never listed before it is whole."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from repository_cases import Kit, add_disk, backup_id, image_of, sparse_image

from ceso_mcp.errors import RepositoryFault
from ceso_mcp.repository import LocalRepository, Repository, keeping
from ceso_mcp.repository.copying import Copied, copy_backups, missing
from ceso_mcp.repository.lock import RepositoryLock
from ceso_mcp.repository.targets.local import LocalTarget

NOW = datetime(2026, 1, 1, tzinfo=UTC)
FIRST = sparse_image(1 << 20, 3, 0.5)
SECOND = sparse_image(1 << 20, 4, 0.5)


def copy_all(source: Kit, to: Kit) -> Copied:
    origin = Repository.open_at(LocalTarget(source.path))
    destination = Repository.init_at(LocalTarget(to.path), like=origin.settings)
    found = missing(origin, destination)
    return copy_backups(origin, destination, tuple(m.id for m in found.manifests), found.protected)


def beside(kit: Kit, name: str = "copy") -> Kit:
    return Kit(kit.path.with_name(name), kit.recipients, kit.identities)


def kept(kit: Kit) -> dict[str, bytes]:
    return {name: content for name, content in kit.objects().items() if not name.startswith("tmp/")}


def test_a_copy_is_the_same_bytes_and_takes_no_key(kit: Kit) -> None:
    kit.back_up(FIRST, run=0)
    kit.back_up(SECOND, FIRST, run=1)
    copy = beside(kit)
    found = missing(kit.open(), None)
    assert [m.id for m in found.manifests] == [str(backup_id(0)), str(backup_id(1))]
    done = copy_all(kit, copy)
    assert (done.backups, done.objects, done.size_bytes) == (2, len(found.parts), found.size_bytes)
    assert kept(copy) == kept(kit)
    opened = copy.open()
    for manifest in opened.list().manifests:
        assert opened.verify(manifest.id).ok
    assert image_of(opened.reader(str(backup_id(0))).disk_stream(0), len(FIRST)) == FIRST


def test_what_is_there_is_not_sent_again(plain_kit: Kit, monkeypatch: pytest.MonkeyPatch) -> None:
    plain_kit.back_up(FIRST, run=0)
    copy = beside(plain_kit)
    first = copy_all(plain_kit, copy)
    plain_kit.back_up(FIRST, SECOND, run=1)  # the first disk's packs are shared
    sent: list[str] = []
    put = LocalTarget.put
    monkeypatch.setattr(
        LocalTarget, "put", lambda self, name, data: sent.append(name) or put(self, name, data)
    )
    second = copy_all(plain_kit, copy)
    shared = {pack for disk in plain_kit.open().manifest(backup_id(0)).disks for pack in disk.packs}
    assert shared
    assert not [name for name in sent if any(pack.sha256 in name for pack in shared)]
    assert sent[-1] == backup_id(1).object("manifest.json")
    assert second.backups == 1
    assert first.objects > 0
    assert copy_all(plain_kit, copy) == Copied(0, 0, 0)
    assert kept(copy) == kept(plain_kit)


def test_only_the_named_backup_is_copied(plain_kit: Kit) -> None:
    plain_kit.back_up(FIRST, run=0)
    plain_kit.back_up(SECOND, run=1)
    found = missing(plain_kit.open(), None, str(backup_id(1)))
    assert [m.id for m in found.manifests] == [str(backup_id(1))]
    with pytest.raises(RepositoryFault) as caught:
        missing(plain_kit.open(), None, str(backup_id(2)))
    assert caught.value.code == "no_such_backup"


@pytest.mark.parametrize("at", range(0, 10, 2))
def test_dying_in_the_middle_lists_nothing_half(
    plain_kit: Kit, monkeypatch: pytest.MonkeyPatch, at: int
) -> None:
    plain_kit.back_up(FIRST, run=0)
    plain_kit.back_up(SECOND, run=1)
    copy = beside(plain_kit)
    put, left = LocalTarget.put, at

    def failing(self: LocalTarget, name: str, content: list[bytes]) -> bool:
        nonlocal left
        left -= 1
        if left < 0:
            raise RepositoryFault("no room", code="repository_full")
        return put(self, name, content)

    monkeypatch.setattr(LocalTarget, "put", failing)
    with pytest.raises(RepositoryFault, match="of 2 backups had been copied") as caught:
        copy_all(plain_kit, copy)
    assert caught.value.code == "repository_full"
    monkeypatch.undo()
    opened = copy.open()
    assert opened.list().damaged == []
    for manifest in opened.list().manifests:
        assert opened.verify(manifest.id).ok
    copy_all(plain_kit, copy)
    assert kept(copy) == kept(plain_kit)


def test_a_damaged_object_is_not_copied_and_its_backup_not_listed(plain_kit: Kit) -> None:
    plain_kit.back_up(FIRST, run=0)
    plain_kit.back_up(SECOND, run=1)
    pack = next(p for d in plain_kit.open().manifest(backup_id(1)).disks for p in d.packs)
    path = plain_kit.path / "packs" / pack.sha256[:2] / f"{pack.sha256}.zst"
    content = bytearray(path.read_bytes())
    content[100] ^= 1
    path.write_bytes(content)
    with pytest.raises(RepositoryFault) as caught:
        copy_all(plain_kit, beside(plain_kit))
    assert caught.value.code == "damaged"
    assert pack.sha256 in caught.value.message
    assert [m.id for m in beside(plain_kit).open().list().manifests] == [str(backup_id(0))]


def test_a_storage_that_keeps_other_bytes_is_found_out(
    plain_kit: Kit, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain_kit.back_up(FIRST, run=0)
    copy, put = beside(plain_kit), LocalTarget.put

    def careless(self: LocalTarget, name: str, content: list[bytes]) -> bool:
        return put(self, name, [b"".join(content)[:-1] + b"?"] if name.startswith("packs/") else content)

    monkeypatch.setattr(LocalTarget, "put", careless)
    with pytest.raises(RepositoryFault) as caught:
        copy_all(plain_kit, copy)
    assert caught.value.code == "damaged"
    assert copy.open().list().manifests == []


def test_damage_in_the_copy_that_shows_is_mended(plain_kit: Kit) -> None:
    plain_kit.back_up(FIRST, run=0)
    copy = beside(plain_kit)
    copy_all(plain_kit, copy)
    manifest = copy.path / backup_id(0).object("manifest.json")
    manifest.write_text("{}")
    pack = next(iter((copy.path / "packs").rglob("*.zst")))
    pack.write_bytes(b"short")
    assert missing(plain_kit.open(), copy.open()).mended == (str(backup_id(0)),)
    copy_all(plain_kit, copy)
    assert kept(copy) == kept(plain_kit)


def test_a_repository_of_its_own_is_no_copy(plain_kit: Kit, tmp_path: Path) -> None:
    plain_kit.back_up(FIRST, run=0)
    other = LocalRepository.init(tmp_path / "other")
    for use in (
        lambda: missing(plain_kit.open(), other),
        lambda: copy_backups(plain_kit.open(), other, (str(backup_id(0)),)),
        lambda: Repository.init_at(LocalTarget(tmp_path / "other"), like=plain_kit.open().settings),
    ):
        with pytest.raises(RepositoryFault) as caught:
            use()
        assert caught.value.code == "settings_differ"
    assert other.list().manifests == []


def test_a_copy_is_written_by_one_at_a_time(plain_kit: Kit) -> None:
    plain_kit.back_up(FIRST, run=0)
    copy = beside(plain_kit)
    origin = plain_kit.open()
    Repository.init_at(LocalTarget(copy.path), like=origin.settings)
    lock = RepositoryLock(LocalTarget(copy.path), "prune")
    with pytest.raises(RepositoryFault) as caught:
        copy_all(plain_kit, copy)
    assert caught.value.code == "repository_locked"
    lock.release()
    lock = RepositoryLock(LocalTarget(plain_kit.path), "backup")  # the source may be in use
    assert copy_all(plain_kit, copy).backups == 1
    lock.release()


def test_both_places_may_take_backups_and_are_made_equal_again(plain_kit: Kit) -> None:
    plain_kit.back_up(FIRST, run=0)
    copy = beside(plain_kit)
    copy_all(plain_kit, copy)
    with copy.open().writer(backup_id(1)) as writer:
        add_disk(writer, 0, SECOND)
        from repository_cases import FACTS

        writer.commit(**FACTS)
    plain_kit.back_up(SECOND, run=2)
    copy_all(plain_kit, copy)
    copy_all(copy, plain_kit)
    assert kept(copy) == kept(plain_kit)
    assert len(plain_kit.open().list().manifests) == 3


def note_of(kit: Kit, run: int, name: str = "protected.json") -> Path:
    return kit.path / backup_id(run).object(name)


def test_protection_goes_with_a_backup_and_to_one_that_is_there(plain_kit: Kit) -> None:
    plain_kit.back_up(FIRST, run=0)
    plain_kit.back_up(SECOND, run=1)
    origin = plain_kit.open()
    keeping.protect(origin, str(backup_id(0)), "the good one", NOW)
    keeping.note_verification(origin, origin.verify(backup_id(0)))
    copy = beside(plain_kit)
    assert copy_all(plain_kit, copy).protections == 1
    assert note_of(copy, 0).read_bytes() == note_of(plain_kit, 0).read_bytes()
    assert not note_of(copy, 0, "verified.json").exists()
    (stands,) = [one for one in keeping.standing(copy.open()).backups if one.protected is not None]
    assert (stands.manifest.id, stands.protected) == (str(backup_id(0)), "the good one")
    # Protected after it was copied; and a note that stands there says what it says.
    keeping.protect(origin, str(backup_id(1)), "", NOW)
    keeping.protect(origin, str(backup_id(0)), "another reason", NOW)
    found = missing(plain_kit.open(), copy.open())
    assert (found.manifests, found.protected) == ((), (str(backup_id(1)),))
    assert copy_all(plain_kit, copy) == Copied(0, 0, 0, 1)
    assert b"the good one" in note_of(copy, 0).read_bytes()
    assert missing(plain_kit.open(), copy.open()).protected == ()
    # It is never taken away by copying.
    keeping.unprotect(origin, str(backup_id(1)))
    assert copy_all(plain_kit, copy).protections == 0
    assert note_of(copy, 1).exists()


def test_a_note_that_went_meanwhile_is_left_out(plain_kit: Kit) -> None:
    plain_kit.back_up(FIRST, run=0)
    copy = beside(plain_kit)
    origin = plain_kit.open()
    destination = Repository.init_at(LocalTarget(copy.path), like=origin.settings)
    assert copy_backups(origin, destination, (str(backup_id(0)),), (str(backup_id(0)),)).protections == 0
    assert not note_of(copy, 0).exists()
