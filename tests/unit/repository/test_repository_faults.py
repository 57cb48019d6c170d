"""Whatever fails, wherever: the last good backup is whole and listed, a half one never is, pruning
takes the room back. The matrix is generated from the calls that the work makes."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from fault_cases import CALLS, Faults, error
from repository_cases import Kit, add_disk, backup_id, image_of, new_signer, sparse_image

from ceso_mcp.backup.signature import Trust
from ceso_mcp.errors import RepositoryFault

GOOD = sparse_image(1 << 18, 3, 0.9)
NEXT = sparse_image(2 << 20, 7, 0.6)
ERRORS = (errno.ENOSPC, errno.EIO, errno.ESTALE, errno.EROFS)
CODES = {
    errno.ENOSPC: {"repository_full"},
    errno.EIO: {"repository"},
    errno.ESTALE: {"repository_gone"},
    errno.EROFS: {"repository_read_only"},
}


def named(kit: Kit) -> set[str]:
    """Every object that a listed backup names, and the fixed ones."""
    found = {"ceso-repo.json", "RESTORE.txt", "restore.sh"}
    for manifest in kit.open().list().manifests:
        folder = manifest.backup_id.folder
        parts = [part.object for disk in manifest.disks for part in (disk.map, disk.sums)]
        assert manifest.files_object is not None
        found |= {f"{folder}/{name}" for name in (*parts, manifest.files_object.object, "manifest.json")}
        packs = [pack.sha256 for disk in manifest.disks for pack in disk.packs]
        found |= {f"packs/{sha256[:2]}/{sha256}.zst" for sha256 in packs}
        found |= {f"{folder}/manifest.json.sig"} if manifest.signature else set()
    return found


def prune(kit: Kit) -> int:
    repository = kit.open()
    return repository.prune(repository.garbage().digest).objects


def require_sound(kit: Kit, why: str) -> set[str]:
    """Good is there and whole, and so is all that is listed; then prune, and nothing else is left."""
    repository = kit.open()
    listed = repository.list()
    assert listed.damaged == [], why
    ids = {manifest.id for manifest in listed.manifests}
    assert str(backup_id(0)) in ids, why
    for manifest in listed.manifests:
        assert repository.verify(manifest.id).ok, why
    prune(kit)
    small = {name for name in kit.objects() if name.startswith("tmp/claim-")}
    assert set(kit.objects()) - small == named(kit), why
    assert {manifest.id for manifest in repository.list().manifests} == ids, why
    assert image_of(repository.reader(str(backup_id(0))).disk_stream(0), len(GOOD)) == GOOD, why
    return ids


def fresh(kit: Kit, name: str) -> Kit:
    """A copy of the repository with the good backup in it."""
    copy = Kit(kit.path.with_name(name), (), (), kit.signer, kit.trust)
    shutil.rmtree(copy.path, ignore_errors=True)
    shutil.copytree(kit.path, copy.path)
    return copy


@pytest.fixture
def good(tmp_path: Path) -> Kit:
    signer = new_signer(tmp_path)
    kit = Kit(tmp_path / "repo", (), (), signer, Trust((signer.public,), required=True))
    kit.back_up(GOOD, run=0)
    return kit


def calls_of_a_backup(kit: Kit) -> int:
    copy = fresh(kit, "counted")
    with Faults(str(copy.path), CALLS, None, error(0), lasting=False).armed() as faults:
        copy.back_up(NEXT, run=1)
    assert faults.count > 80
    return faults.count


def require_no_lie(kit: Kit, number: int, at: int, lasting: bool) -> None:
    why = f"{errno.errorcode[number]} at call {at}, {'lasting' if lasting else 'once'}"
    copy = fresh(kit, "faulty")
    told: RepositoryFault | None = None
    with Faults(str(copy.path), CALLS, at, error(number), lasting=lasting).armed() as faults:
        try:
            copy.back_up(NEXT, run=1)
        except RepositoryFault as fault:
            told = fault
    assert faults.hit, why
    if told is not None and lasting:
        assert told.code in CODES[number], f"{why}: {told.code}"
    ids = require_sound(copy, why)
    if told is None:
        assert str(backup_id(1)) in ids, why


def test_an_error_at_a_sample_of_all_calls_costs_no_backup(good: Kit) -> None:
    calls = calls_of_a_backup(good)
    for turn, at in enumerate(range(2, calls, calls // 24)):
        require_no_lie(good, ERRORS[turn % 4], at, lasting=turn % 3 > 0)


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("lasting", [False, True], ids=["once", "lasting"])
@pytest.mark.parametrize("number", ERRORS, ids=errno.errorcode.get)
def test_an_error_at_every_call_costs_no_backup(good: Kit, number: int, lasting: bool) -> None:
    for at in range(1, calls_of_a_backup(good) - 1):
        require_no_lie(good, number, at, lasting)


class Killer:
    """Has work done by processes that are killed with -9 at a given call."""

    def __init__(self) -> None:
        program = str(Path(__file__).with_name("killed_program.py"))
        self._process = subprocess.Popen(
            [sys.executable, program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def killed(self, kit: Kit, work: str, at: int, when: str) -> bool:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{kit.path} {work} {at} {when}\n")
        self._process.stdin.flush()
        said = self._process.stdout.readline().strip()
        assert said in ("killed", "ended 0"), said
        return said == "killed"

    def end(self) -> None:
        self._process.communicate(timeout=20)


@pytest.fixture
def killer() -> Iterator[Killer]:
    found = Killer()
    yield found
    found.end()


def kill_everywhere(good: Kit, killer: Killer, work: str, step: int) -> int:
    """Kill `work` before and after every `step`-th call; returns how many kills there were."""
    kills, at = 0, 1
    while True:
        for when in ("before", "after"):
            copy = fresh(good, "killed")
            if not killer.killed(copy, work, at, when):
                return kills
            kills += 1
            require_sound(copy, f"{work} killed {when} call {at}")
        at += step


def with_garbage(good: Kit) -> Kit:
    """Good, and all that a writer which died at the end of a second backup has left."""
    writer = good.make().writer(backup_id(1))
    add_disk(writer, 0, NEXT)
    objects = good.objects()
    writer.abandon()
    for name, content in objects.items():
        if not (good.path / name).exists() and not name.startswith("locks/"):
            (good.path / name).parent.mkdir(parents=True, exist_ok=True)
            (good.path / name).write_bytes(content)
    (good.path / "tmp" / "0123456789abcdef01234567").write_bytes(bytes(1000))
    return good


def test_a_backup_killed_at_a_sample_of_all_calls_costs_no_backup(good: Kit, killer: Killer) -> None:
    assert kill_everywhere(good, killer, "backup", 19) >= 4


def test_a_prune_killed_at_a_sample_of_all_calls_costs_no_backup(good: Kit, killer: Killer) -> None:
    assert kill_everywhere(with_garbage(good), killer, "prune", 11) >= 4


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("work", ["backup", "prune"])
def test_killed_at_every_call_costs_no_backup(good: Kit, killer: Killer, work: str) -> None:
    kit = good if work == "backup" else with_garbage(good)
    assert kill_everywhere(kit, killer, work, 1) >= 20


def test_a_mount_that_vanished_is_not_written_into(good: Kit, monkeypatch: pytest.MonkeyPatch) -> None:
    writer = good.make().writer(backup_id(1))
    add_disk(writer, 0, NEXT)
    good.path.rename(good.path.with_name("elsewhere"))
    good.path.mkdir()
    real = os.stat

    class Elsewhere:
        st_dev = -1

    def stat(path: object, **rest: object) -> object:
        return Elsewhere if path == good.path else real(path, **rest)  # type: ignore[call-overload]

    monkeypatch.setattr(os, "stat", stat)
    writer.add_file("vm.vmx", b"x")
    with pytest.raises(RepositoryFault) as caught:
        writer.commit(vm_name="", vm_uuid="", vmx_path="", host="", esxi_version="", esxi_build="")
    assert caught.value.code == "repository_gone"
    monkeypatch.undo()
    writer.abandon()
    assert list(good.path.iterdir()) == []


WRITING = """
import sys
import threading
from pathlib import Path
sys.path[:0] = [{cases!r}, {package!r}]
from repository_cases import Kit, sparse_image
from ceso_mcp.errors import RepositoryFault
kit, me = Kit(Path(sys.argv[1]), (), ()), int(sys.argv[2])
for turn in range(6):
    try:
        print("did", kit.back_up(sparse_image(1 << 17, me, 0.9), run=me * 10 + turn).id, flush=True)
    except RepositoryFault as fault:
        print("not", fault.code, flush=True)
    try:
        kit.open().prune(kit.open().garbage().digest)
    except RepositoryFault as fault:
        print("not", fault.code, flush=True)
"""


def test_two_processes_that_write_and_prune_at_once_harm_nothing(good: Kit) -> None:
    here = Path(__file__)
    program = WRITING.format(cases=str(here.parent), package=str(here.parents[3]))
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", program, str(good.path), str(me)], stdout=subprocess.PIPE, text=True
        )
        for me in (1, 2)
    ]
    said = [line.split() for writer in writers for line in writer.communicate(timeout=50)[0].splitlines()]
    assert [writer.returncode for writer in writers] == [0, 0]
    assert {word for kind, word in said if kind == "not"} <= {"repository_locked", "garbage_changed"}
    done = {word for kind, word in said if kind == "did"}
    assert done
    assert require_sound(good, "two writers") == done | {str(backup_id(0))}


def test_a_lock_is_renewed_while_a_slow_place_takes_an_object(
    good: Kit, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ceso_mcp.repository import lock
    from ceso_mcp.repository.targets.local import LocalTarget

    put, renewed, seen = LocalTarget.put, threading.Event(), []
    replace = LocalTarget.replace

    def slow(self: LocalTarget, name: str, content: list[bytes]) -> bool:
        renewed.clear()
        assert renewed.wait(20)  # no object is stored before the lock was renewed meanwhile
        seen.append(name)
        return put(self, name, content)

    def noted(self: LocalTarget, name: str, content: bytes) -> None:
        replace(self, name, content)
        if name == lock.LOCK:
            renewed.set()

    monkeypatch.setattr(lock, "RENEW_S", 0.01)
    monkeypatch.setattr(LocalTarget, "put", slow)
    monkeypatch.setattr(LocalTarget, "replace", noted)
    good.back_up(sparse_image(1 << 17, 4, 0.9), run=1)
    assert len(seen) >= 5
    monkeypatch.undo()
    assert len(require_sound(good, "slow")) == 2


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_real_file_system_that_is_full_or_read_only_is_told_and_can_be_pruned(good: Kit) -> None:
    if os.geteuid() != 0:
        pytest.skip("mounting a small tmpfs needs root")
    place = good.path.with_name("small")
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=4m", "ceso-test", str(place)]
    if subprocess.run(mount, check=False).returncode != 0:
        pytest.skip("this machine does not let root mount a tmpfs")
    try:
        kit = Kit(place, (), ())
        kit.back_up(GOOD, run=0)
        garbage = place / "packs" / "00" / f"{'0' * 64}.zst"
        garbage.parent.mkdir()
        garbage.write_bytes(os.urandom(2 << 20))
        with pytest.raises(RepositoryFault) as caught:
            kit.back_up(os.urandom(4 << 20), run=1)
        assert caught.value.code == "repository_full"
        assert prune(kit) >= 1
        kit.back_up(NEXT, run=2)
        subprocess.run(["mount", "-o", "remount,ro", str(place)], check=True)
        with pytest.raises(RepositoryFault) as caught:
            kit.back_up(GOOD, run=3)
        assert caught.value.code == "repository_read_only"
        assert len(kit.open().list().manifests) == 2
        assert all(kit.open().verify(m.id).ok for m in kit.open().list().manifests)
        subprocess.run(["mount", "-o", "remount,rw", str(place)], check=True)
        require_sound(kit, "remounted")
    finally:
        subprocess.run(["umount", str(place)], check=True)
