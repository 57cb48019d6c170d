"""Notes, policy, forgetting: what is decided stands in the repository, and what stays is whole."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
from repository_cases import Kit, add_disk, backup_id, image_of, sparse_image

from ceso_mcp.backup.notes import PROTECTED, RETENTION, VERIFIED
from ceso_mcp.backup.retention_policy import Policy
from ceso_mcp.errors import RepositoryFault
from ceso_mcp.repository import keeping
from ceso_mcp.repository.check import check
from ceso_mcp.repository.repository import Repository
from ceso_mcp.repository.room import room

SIZE = 1 << 18
SHARED = sparse_image(SIZE, 1, 0.9)
IMAGES = [SHARED, sparse_image(SIZE, 2, 0.9), SHARED, sparse_image(SIZE, 3, 0.9)]
IDS = [str(backup_id(run)) for run in range(4)]


@pytest.fixture(scope="module")
def four_backups(tmp_path_factory: pytest.TempPathFactory) -> Path:
    kit = Kit(tmp_path_factory.mktemp("four") / "repo", (), ())
    for run, image in enumerate(IMAGES):
        kit.back_up(image, run=run)
    return kit.path


@pytest.fixture
def kit(four_backups: Path, tmp_path: Path) -> Kit:
    shutil.copytree(four_backups, tmp_path / "repo")
    return Kit(tmp_path / "repo", (), ())


def digest(repository: Repository) -> str:
    return keeping.standing(repository).digest([IDS[0].split("/")[0]])


def forget(kit: Kit, *ids: str) -> None:
    """Forget and sweep, as the plan of an operation does."""
    repository = kit.open()
    garbage = keeping.garbage_without(repository, ids)
    if ids:
        assert keeping.forget(repository, ids, digest(repository)) == len(ids)
    assert repository.garbage().digest == garbage.digest
    assert repository.prune(garbage.digest).size_bytes == garbage.size_bytes


def restored(kit: Kit, run: int) -> bytes:
    return image_of(kit.open().reader(IDS[run]).disk_stream(0), SIZE)


def test_what_stays_restores_and_of_what_goes_nothing_is_left(kit: Kit) -> None:
    keeping.note_verification(kit.open(), kit.open().verify(IDS[0]))
    forget(kit, IDS[0], IDS[1])
    assert [m.id for m in kit.open().list().manifests] == [IDS[3], IDS[2]]
    assert [restored(kit, run) for run in (2, 3)] == IMAGES[2:]
    assert not [name for name in kit.objects() if IDS[0] in name or IDS[1] in name]
    found = check(kit.open())
    assert (found.problems, found.loose_objects, found.foreign_files) == ((), 0, 0)
    forget(kit, IDS[2], IDS[3])
    assert not [name for name in kit.objects() if name.startswith(("packs/", "backups/"))]


def test_nothing_is_forgotten_when_the_backups_are_not_as_they_were_shown(kit: Kit) -> None:
    repository = kit.open()
    shown = digest(repository)
    keeping.protect(repository, IDS[0], "before the upgrade", datetime(2026, 2, 1, tzinfo=UTC))
    before = kit.objects()
    with pytest.raises(RepositoryFault) as caught:
        keeping.forget(repository, [IDS[0]], shown)
    assert caught.value.code == "backups_changed"
    assert kit.objects() == before
    keeping.unprotect(repository, IDS[0])
    assert digest(repository) == shown
    for change in (
        lambda: kit.back_up(SHARED, run=7),
        lambda: keeping.note_verification(repository, repository.verify(IDS[1])),
        lambda: keeping.set_policy(repository, Policy(keep_daily=1), "none"),
    ):
        seen = digest(repository)
        change()
        assert digest(repository) != seen


def test_a_protection_is_listed_survives_pruning_and_goes_with_its_backup(kit: Kit) -> None:
    keeping.protect(kit.open(), IDS[1], "keep me", datetime(2026, 2, 1, tzinfo=UTC))
    assert kit.open().garbage().entries == ()
    assert keeping.standing(kit.open()).named(IDS[1]).protected == "keep me"
    note = kit.path / "backups" / IDS[1] / PROTECTED
    note.write_bytes(b"{ broken")
    assert keeping.standing(kit.open()).named(IDS[1]).protected is not None
    assert "protected.json" in check(kit.open()).notes[0]
    forget(kit, IDS[1])
    assert not note.parent.exists()
    with pytest.raises(RepositoryFault) as caught:
        keeping.protect(kit.open(), IDS[1], "", datetime(2026, 2, 1, tzinfo=UTC))
    assert caught.value.code == "no_such_backup"


def test_a_verification_is_remembered_until_damage_is_found(kit: Kit) -> None:
    def noted(**how: float) -> None:
        keeping.note_verification(kit.open(), kit.open().verify(IDS[1], **how))

    def kept() -> tuple[bool, str]:
        found = keeping.standing(kit.open()).named(IDS[1])
        return found.verified is not None, found.state

    noted(sample_percent=50)
    assert kept() == (False, "complete")
    noted()
    assert kept() == (True, "complete")
    noted(sample_percent=1)
    assert kept() == (True, "complete")
    disk = kit.open().manifest(IDS[1]).disks[0]
    for pack in disk.packs:
        path = kit.path / "packs" / pack.sha256[:2] / f"{pack.sha256}.zst"
        path.write_bytes(path.read_bytes()[:-9] + bytes(9))
    noted(sample_percent=1)
    assert kept() == (False, "damaged")
    kit.back_up(IMAGES[1], run=8)  # stores the damaged packs anew
    noted()
    assert kept() == (True, "complete")
    (kit.path / "backups" / IDS[1] / VERIFIED).write_bytes(b"no note")
    assert kept() == (False, "complete")


def test_a_sample_reads_so_much_and_no_more(kit: Kit) -> None:
    image = random.Random(5).randbytes(5 << 20)
    manifest = kit.back_up(image, run=9)
    packs = manifest.disks[0].packs
    assert len(packs) > 4
    part = kit.open().verify(manifest.id, sample_percent=25)
    assert part.objects == 3 + -(-len(packs) // 4)
    assert part.bytes_read < manifest.stored_bytes
    assert (part.ok, part.sample_percent) == (True, 25)


def test_a_policy_is_kept_in_the_repository_and_not_overwritten_unseen(kit: Kit) -> None:
    assert keeping.policy_of(kit.open()) is None
    keeping.set_policy(kit.open(), Policy(keep_daily=7), "none")
    with pytest.raises(RepositoryFault) as caught:
        keeping.set_policy(kit.open(), Policy(), "none")
    assert caught.value.code == "backups_changed"
    assert keeping.policy_of(kit.open()) == Policy(keep_daily=7)
    (kit.path / RETENTION).write_bytes(b'{"keep_daily": 7, "keep_never": 1}')
    with pytest.raises(RepositoryFault) as caught:
        keeping.standing(kit.open())
    assert caught.value.code == "retention_unreadable"


def test_nothing_is_forgotten_while_a_backup_is_written(kit: Kit) -> None:
    shown = digest(kit.open())
    with kit.make().writer(backup_id(9)) as writer:
        add_disk(writer, 0, SHARED)
        for use in (
            lambda: keeping.garbage_without(kit.open(), [IDS[0]]),
            lambda: keeping.forget(kit.open(), [IDS[0]], shown),
            lambda: keeping.protect(kit.open(), IDS[0], "", datetime(2026, 2, 1, tzinfo=UTC)),
        ):
            with pytest.raises(RepositoryFault) as caught:
                use()
            assert caught.value.code == "repository_locked"


def test_room_tells_what_is_shared_and_what_would_become_free(kit: Kit) -> None:
    found = room(kit.open())
    (vm,) = found.vms
    assert (vm.name, vm.backups, found.backups) == ("web 01", 4, 4)
    assert found.stored_bytes < found.named_bytes
    named = [name for name in kit.objects() if name.startswith(("packs/", "backups/"))]
    assert found.stored_bytes == sum(
        len(kit.objects()[name]) for name in named if not name.endswith("manifest.json")
    )
    assert vm.own_bytes == found.stored_bytes
    assert found.garbage_bytes == 0


KILLED = """
import os, signal, sys
from pathlib import Path
from ceso_mcp.repository import LocalRepository, keeping
from ceso_mcp.repository.targets.local import LocalTarget
path, at, expected, garbage, *ids = sys.argv[1:]
delete, left = LocalTarget.delete, [int(at)]
def dying(self, name):
    if left[0] == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    left[0] -= 1
    delete(self, name)
LocalTarget.delete = dying
repository = LocalRepository.open(Path(path))
keeping.forget(repository, ids, expected)
repository.prune(garbage)
"""


@pytest.mark.parametrize(
    "at", [2, *(pytest.param(at, marks=pytest.mark.slow) for at in (0, 1, 3, 4, 5, 6, 7))]
)
def test_killed_anywhere_every_listed_backup_restores_and_the_rest_is_reclaimed(kit: Kit, at: int) -> None:
    repository = kit.open()
    garbage = keeping.garbage_without(repository, IDS[:2]).digest
    words = [str(kit.path), str(at), digest(repository), garbage, *IDS[:2]]
    done = subprocess.run([sys.executable, "-c", KILLED, *words], timeout=30, env=dict(os.environ))
    assert done.returncode == -signal.SIGKILL
    listed = [m.id for m in kit.open().list().manifests]
    assert listed[:2] == [IDS[3], IDS[2]]
    assert len(listed) == max(2, 4 - at)
    assert all(kit.open().verify(name).ok for name in listed)
    forget(kit, *[name for name in listed if name in IDS[:2]])  # the dead one's lock is no obstacle
    assert [m.id for m in kit.open().list().manifests] == [IDS[3], IDS[2]]
    assert check(kit.open()).loose_objects == 0
