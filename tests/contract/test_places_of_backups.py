"""Backups at every place: written, listed, verified, read back, pruned; also after a writer was killed."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from place_cases import Spot
from repository_cases import (
    FACTS,
    SMALL_PACK_BYTES,
    add_disk,
    backup_id,
    image_of,
    new_identity,
    new_signer,
    sparse_image,
)

from ceso_mcp.backup.signature import Trust
from ceso_mcp.errors import RepositoryFault
from ceso_mcp.repository import Repository, is_repository
from ceso_mcp.repository.copying import copy_backups, missing
from ceso_mcp.repository.targets.local import LocalTarget

FIRST = sparse_image(1 << 20, 3, 0.5)
SECOND = sparse_image(1 << 20, 4, 0.5)

DYING = """
from place_cases import described_target
from repository_cases import add_disk, backup_id, sparse_image
from ceso_mcp.repository import Repository
target = described_target(sys.argv[1])
calls, put = 0, target.put
def counted(name, content):
    global calls
    calls += 1
    if calls == int(sys.argv[2]):
        print("now", flush=True)
        sys.stdin.readline()
    return put(name, content)
target.put = counted
with Repository.open_at(target).writer(backup_id(5)) as writer:
    add_disk(writer, 0, sparse_image(2 << 20, 9, 0.7))
    writer.add_file("web 01.vmx", b"x")
    writer.commit(**{facts!r})
print("done", flush=True)
"""


def back_up(repository: Repository, image: bytes, run: int) -> str:
    with repository.writer(backup_id(run)) as writer:
        add_disk(writer, 0, image)
        writer.add_file("web 01.vmx", b"x")
        return writer.commit(**FACTS).id


def require_whole(repository: Repository, images: dict[str, bytes]) -> None:
    listed = repository.list()
    assert listed.damaged == []
    assert {manifest.id for manifest in listed.manifests} == set(images)
    for name, image in images.items():
        assert repository.verify(name).ok
        assert image_of(repository.reader(name).disk_stream(0), len(image)) == image


@pytest.mark.parametrize("sealed", [False, True], ids=["plain", "sealed"])
def test_backups_come_back_whole_and_pruning_takes_only_rubbish(spot: Spot, sealed: bool) -> None:
    private, public = new_identity()
    target = spot.target()
    assert not is_repository(target)
    made = Repository.init_at(target, recipients=(public,) if sealed else (), pack_bytes=SMALL_PACK_BYTES)
    images = {back_up(made, FIRST, 0): FIRST, back_up(made, SECOND, 1): SECOND}
    target.close()
    target = spot.target()
    assert is_repository(target)
    repository = Repository.open_at(target, identities=(private,) if sealed else ())
    require_whole(repository, images)
    rubbish = f"packs/ab/{'ab' * 32}.zst" + (".age" if sealed else "")
    target.put(rubbish, [b"rubbish"])
    with repository.writer(backup_id(7)) as writer:
        add_disk(writer, 0, sparse_image(1 << 20, 6, 0.5))  # and given up
    garbage = repository.garbage()
    assert [entry.name for entry in garbage.entries] == [rubbish]
    assert repository.prune(garbage.digest).objects == 1
    require_whole(repository, images)
    target.close()


def test_backups_are_copied_to_a_place_and_from_it(spot: Spot, tmp_path: Path) -> None:
    (tmp_path / "here").mkdir()
    here = Repository.init_at(LocalTarget(tmp_path / "here"), pack_bytes=SMALL_PACK_BYTES)
    here.sign_with = new_signer(tmp_path)
    trust = Trust((here.sign_with.public,), required=True)
    images = {back_up(here, FIRST, 0): FIRST, back_up(here, SECOND, 1): SECOND}
    target = spot.target()
    there = Repository.init_at(target, like=here.settings)
    here.trust = there.trust = trust
    done = copy_backups(here, there, tuple(sorted(images)))
    assert done.backups == 2
    require_whole(there, images)
    (tmp_path / "back").mkdir()
    back = Repository.init_at(LocalTarget(tmp_path / "back"), like=there.settings)
    back.trust = trust
    assert copy_backups(there, back, tuple(sorted(images))).size_bytes == done.size_bytes
    require_whole(back, images)
    assert missing(here, there).manifests == missing(there, here).manifests == ()
    target.close()


def test_a_backup_is_signed_at_any_place_and_its_signature_is_missed(spot: Spot, tmp_path: Path) -> None:
    target = spot.target()
    made = Repository.init_at(target, pack_bytes=SMALL_PACK_BYTES)
    made.sign_with = new_signer(tmp_path)
    made.trust = Trust((made.sign_with.public,), required=True)
    name = back_up(made, FIRST, 0)
    require_whole(made, {name: FIRST})
    assert made.garbage().entries == ()
    signature = backup_id(0).object("manifest.json.sig")
    stored = target.get(signature)
    target.delete(signature)
    assert made.verify(name).signature.state == "missing"
    target.put(signature, [made.sign_with.sign(b"another text")])
    assert made.list_with_signatures()[1][name].state == "bad"
    with pytest.raises(RepositoryFault, match="bad"):
        made.reader(name)
    target.replace(signature, stored)
    require_whole(made, {name: FIRST})
    target.close()


@pytest.mark.slow
@pytest.mark.parametrize("at", [1, 4, -1], ids=["first object", "in the middle", "manifest"])
def test_a_killed_writer_costs_nothing_but_its_own_backup(spot: Spot, at: int) -> None:
    if not spot.described:
        pytest.skip("a store in memory has one process")
    target = spot.target()
    repository = Repository.init_at(target, pack_bytes=SMALL_PACK_BYTES)
    images = {back_up(repository, FIRST, 0): FIRST}
    if at < 0:
        at = _puts_of()
    folders = [str(Path(__file__).parent), str(Path(__file__).parents[2])]
    folders.append(str(Path(__file__).parents[1] / "unit" / "repository"))
    program = f"import sys; sys.path[:0] = {folders!r}\n" + DYING.replace("{facts!r}", repr(FACTS))
    command = [sys.executable, "-c", program, spot.described, str(at)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        try:
            assert process.stdout.readline() == b"now\n"
        finally:
            process.kill()
    require_whole(repository, images)
    images[back_up(repository, SECOND, 1)] = SECOND  # the dead one's lock is taken over
    garbage = repository.garbage()
    assert len(garbage.packs) + len(garbage.parts) >= at - 1
    repository.prune(garbage.digest)
    assert repository.garbage().entries == ()
    require_whole(repository, images)
    target.close()


def _puts_of() -> int:
    """How many objects the backup of the dying writer has; the last one is its manifest.

    Any place gives the same number.
    """

    from ceso_mcp.repository.targets.local import LocalTarget  # any place gives the same number

    with tempfile.TemporaryDirectory() as folder:
        local = LocalTarget(Path(folder))
        calls, put = 0, local.put

        def counted(name: str, content: list[bytes]) -> bool:
            nonlocal calls
            calls += 1
            return put(name, content)

        local.put = counted  # type: ignore[assignment, method-assign]
        repository = Repository.init_at(local, pack_bytes=SMALL_PACK_BYTES)
        back_up(repository, sparse_image(2 << 20, 9, 0.7), 5)
        return calls
