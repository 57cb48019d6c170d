"""Half a backup is never listed, damage is found, two writers do not meet, a full disk loses nothing."""

from __future__ import annotations

import json
import os
import random
import select
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from repository_cases import (
    FACTS,
    SMALL_PACK_BYTES,
    Kit,
    add_disk,
    backup_id,
    image_of,
    sparse_image,
    wire_of,
)

from ceso_mcp.backup import manifest_text
from ceso_mcp.clock import process_started
from ceso_mcp.errors import InvalidArguments, RepositoryFault
from ceso_mcp.repository import LocalRepository
from ceso_mcp.repository.lock import LEASE_S, LOCK, Holder, RepositoryLock
from ceso_mcp.repository.targets.local import LocalTarget

IMAGE = sparse_image(2 << 20, 1, 0.5)


def leftovers(kit: Kit) -> list[str]:
    fixed = {"ceso-repo.json", "RESTORE.txt", "restore.sh"}
    return [name for name in kit.objects() if name not in fixed]


@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.99, 1.0])
def test_a_stream_without_its_end_cannot_be_finished(plain_kit: Kit, share: float) -> None:
    stream = wire_of(IMAGE)[:-13]
    with plain_kit.make().writer(backup_id()) as writer:
        disk = writer.disk(0, node="", file_name="", capacity_bytes=len(IMAGE), descriptor="")
        disk.feed(stream[: int(len(stream) * share)])
        with pytest.raises(RepositoryFault) as caught:
            disk.finish()
        assert caught.value.code == "short_stream"
        with pytest.raises(RepositoryFault) as caught:
            writer.commit(**FACTS)
        assert caught.value.code == "short_stream"
    assert plain_kit.open().list() == ([], [])
    assert leftovers(plain_kit) == []


@pytest.mark.parametrize(("accounted", "frames"), [(-512, 0), (0, -1), (0, 1)])
def test_an_end_whose_counts_do_not_fit_is_short(plain_kit: Kit, accounted: int, frames: int) -> None:
    stream = wire_of(IMAGE)
    end = stream[-13:]
    wrong = (
        b"\xff"
        + (int.from_bytes(end[1:9], "big") + accounted).to_bytes(8, "big")
        + (int.from_bytes(end[9:], "big") + frames).to_bytes(4, "big")
    )
    with plain_kit.make().writer(backup_id()) as writer:
        disk = writer.disk(0, node="", file_name="", capacity_bytes=len(IMAGE), descriptor="")
        disk.feed(stream[:-13] + wrong)
        with pytest.raises(RepositoryFault) as caught:
            disk.finish()
        assert caught.value.code == "short_stream"


def test_an_abandoned_backup_leaves_nothing_and_frees_the_repository(kit: Kit) -> None:
    writer = kit.make().writer(backup_id())
    add_disk(writer, 0, IMAGE)
    unfinished = writer.disk(1, node="", file_name="", capacity_bytes=len(IMAGE), descriptor="")
    unfinished.feed(wire_of(IMAGE)[:700_000])
    assert leftovers(kit) != []
    writer.abandon()
    writer.abandon()
    assert leftovers(kit) == []
    with pytest.raises(RepositoryFault):
        unfinished.feed(b"x")
    kit.back_up(IMAGE)


def test_abandoning_keeps_the_packs_that_another_backup_has(plain_kit: Kit) -> None:
    manifest = plain_kit.back_up(IMAGE, run=0)
    writer = plain_kit.make().writer(backup_id(1))
    add_disk(writer, 0, IMAGE)
    writer.abandon()
    assert plain_kit.open().verify(manifest.id).ok
    assert len(plain_kit.open().list().manifests) == 1


def test_a_commit_is_final(plain_kit: Kit) -> None:
    with plain_kit.make().writer(backup_id()) as writer:
        add_disk(writer, 0, IMAGE)
        manifest = writer.commit(**FACTS)
        for use in (
            lambda: writer.commit(**FACTS),
            lambda: writer.add_file("x", b""),
            lambda: writer.disk(1, node="", file_name="", capacity_bytes=512, descriptor=""),
        ):
            with pytest.raises(RepositoryFault):
                use()
    assert plain_kit.open().verify(manifest.id).ok


def test_an_id_is_used_once(plain_kit: Kit) -> None:
    plain_kit.back_up(bytes(512))
    with pytest.raises(RepositoryFault) as caught:
        plain_kit.make().writer(backup_id())
    assert caught.value.code == "backup_exists"
    plain_kit.back_up(bytes(512), run=1)


def test_a_disk_or_file_is_added_once(plain_kit: Kit) -> None:
    with plain_kit.make().writer(backup_id()) as writer:
        add_disk(writer, 0, bytes(512))
        writer.add_file("a", b"1")
        with pytest.raises(InvalidArguments):
            writer.disk(0, node="", file_name="", capacity_bytes=512, descriptor="")
        with pytest.raises(InvalidArguments):
            writer.add_file("a", b"2")


@pytest.mark.parametrize("which", ["packs/", "disk-0.map", "disk-0.sums"])
def test_nothing_is_committed_over_an_object_that_has_gone(kit: Kit, which: str) -> None:
    with kit.make().writer(backup_id()) as writer:
        add_disk(writer, 0, IMAGE)
        kit.path.joinpath(next(name for name in kit.objects() if which in name)).unlink()
        with pytest.raises(RepositoryFault) as caught:
            writer.commit(**FACTS)
        assert caught.value.code == "damaged"
    assert kit.open().list() == ([], [])


def test_a_second_writer_is_told_who_has_the_lock(plain_kit: Kit) -> None:
    with plain_kit.make().writer(backup_id(0)):
        with pytest.raises(RepositoryFault) as caught:
            plain_kit.make().writer(backup_id(1))
        assert caught.value.code == "repository_locked"
        assert f"process {os.getpid()} on" in caught.value.message
    plain_kit.back_up(bytes(512), run=1)


def test_of_many_that_want_the_lock_one_gets_it(plain_kit: Kit) -> None:
    plain_kit.make()
    held: list[RepositoryLock] = []
    refused: list[str] = []
    start = threading.Barrier(8)

    def want() -> None:
        start.wait(10)
        try:
            held.append(RepositoryLock(LocalTarget(plain_kit.path), "backup"))
        except RepositoryFault as fault:
            refused.append(fault.code)

    threads = [threading.Thread(target=want) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert len(held) == 1
    assert refused == ["repository_locked"] * 7
    held[0].release()


def other_holder(**changes: object) -> bytes:
    now = time.time()
    own = {"id": "x", "op": "backup", "host": "other", "machine": "another", "pid": 1, "started": "1"}
    return json.dumps(own | {"since": now - 10, "until": now + 200} | changes).encode()


def dead_process() -> tuple[int, str]:
    with subprocess.Popen(["sleep", "0"]) as process:
        pass
    return process.pid, "1"


@pytest.mark.parametrize("why", ["time is up", "its process is gone", "its pid was reused"])
def test_a_stale_lock_is_taken_over(plain_kit: Kit, why: str) -> None:
    plain_kit.make()
    lock = plain_kit.path / LOCK
    lock.parent.mkdir()
    with RepositoryLockHeld(plain_kit) as mine:
        machine = mine.machine
    changes: dict[str, object] = {}
    if why == "its process is gone":
        changes = {"machine": machine, "pid": dead_process()[0], "started": "1"}
    elif why == "its pid was reused":
        changes = {"machine": machine, "pid": os.getpid(), "started": "1"}
    lock.write_bytes(other_holder(**changes))
    if why == "time is up":
        os.utime(lock, (time.time() - LEASE_S - 1,) * 2)
    plain_kit.back_up(bytes(512))
    assert not lock.exists()


def test_no_clock_that_was_set_makes_a_lock_stale(plain_kit: Kit, monkeypatch: pytest.MonkeyPatch) -> None:
    plain_kit.make()
    (plain_kit.path / LOCK).parent.mkdir()
    (plain_kit.path / LOCK).write_bytes(other_holder(until=1.0))
    for now in (0.0, 1e6, time.time() - 86_400, time.time() + 86_400):
        monkeypatch.setattr(time, "time", lambda now=now: now)
        with pytest.raises(RepositoryFault) as caught:
            plain_kit.make().writer(backup_id())
        assert caught.value.code == "repository_locked"
    (plain_kit.path / LOCK).unlink()
    lock = RepositoryLock(LocalTarget(plain_kit.path), "backup")
    os.utime(plain_kit.path / LOCK, (1.0, 1.0))  # renewed long ago, but its process lives
    with pytest.raises(RepositoryFault) as caught:
        plain_kit.make().writer(backup_id())
    assert caught.value.code == "repository_locked"
    lock.release()


def test_a_killed_holder_that_nobody_waited_for_is_gone() -> None:
    with subprocess.Popen(["sleep", "30"]) as process:
        assert process_started(process.pid)
        process.kill()
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        assert process_started(process.pid) is None


class RepositoryLockHeld:
    """Takes the lock and shows its content."""

    def __init__(self, kit: Kit) -> None:
        self._lock = RepositoryLock(LocalTarget(kit.path), "backup")
        self._path = kit.path / LOCK

    def __enter__(self) -> Holder:
        holder = Holder.parse(self._path.read_bytes())
        assert holder is not None
        return holder

    def __exit__(self, *_: object) -> None:
        self._lock.release()


@pytest.mark.parametrize("content", [other_holder(), b"", b"{}", b'{"pid": "x"}'])
def test_a_lock_that_may_be_alive_is_respected(plain_kit: Kit, content: bytes) -> None:
    plain_kit.make()
    lock = plain_kit.path / LOCK
    lock.parent.mkdir()
    lock.write_bytes(content)
    with pytest.raises(RepositoryFault) as caught:
        plain_kit.make().writer(backup_id())
    assert caught.value.code == "repository_locked"
    assert lock.read_bytes() == content


def test_renewing_extends_the_lease_and_keeps_the_lock(plain_kit: Kit) -> None:
    plain_kit.make()
    lock = RepositoryLock(LocalTarget(plain_kit.path), "backup")
    before = Holder.parse((plain_kit.path / LOCK).read_bytes())
    lock.renew()
    after = Holder.parse((plain_kit.path / LOCK).read_bytes())
    assert before is not None
    assert after is not None
    assert (after.id, after.until > before.until, lock.held()) == (before.id, True, True)
    lock.release()
    assert not (plain_kit.path / LOCK).exists()


def test_a_writer_that_lost_its_lock_does_not_commit_and_deletes_nothing(plain_kit: Kit) -> None:
    with plain_kit.make().writer(backup_id()) as writer:
        add_disk(writer, 0, IMAGE)
        (plain_kit.path / LOCK).write_bytes(other_holder())
        with pytest.raises(RepositoryFault) as caught:
            writer.commit(**FACTS)
        assert caught.value.code == "repository_locked"
    assert plain_kit.open().list() == ([], [])
    assert any(name.startswith("packs/") for name in plain_kit.objects())
    assert (plain_kit.path / LOCK).read_bytes()


KILLED = """
import random, sys
from pathlib import Path
sys.path[:0] = [{cases!r}, {package!r}]
from repository_cases import FACTS, Kit, add_disk, backup_id, sparse_image
kit = Kit(Path(sys.argv[1]), tuple(sys.argv[2:]), ())
print("ready", flush=True)
for run in range(28):
    print(kit.back_up(sparse_image(1 << 20, run, 0.6), run=run).id, flush=True)
"""


def test_killed_at_any_moment_only_whole_backups_are_listed(kit: Kit) -> None:
    chance = random.Random(5)
    package = Path(__file__).parents[3]
    program = KILLED.format(cases=str(Path(__file__).parent), package=str(package))
    for attempt in range(4):
        fresh = Kit(kit.path.with_name(f"repo-{attempt}"), kit.recipients, kit.identities)
        fresh.make()
        with subprocess.Popen(
            [sys.executable, "-c", program, str(fresh.path), *kit.recipients], stdout=subprocess.PIPE
        ) as process:
            assert process.stdout is not None
            try:
                ready, _, _ = select.select([process.stdout], [], [], 20)
                assert ready
                time.sleep(chance.uniform(0.02, 0.35))
            finally:
                process.kill()
            said = process.stdout.read().decode().split()[1:]
        listed = fresh.open().list()
        assert listed.damaged == []
        ids = {manifest.id for manifest in listed.manifests}
        assert set(said) <= ids
        assert len(ids) <= len(said) + 1
        for manifest in listed.manifests:
            assert fresh.open().verify(manifest.id).ok
        newest = listed.manifests[:1]
        for manifest in newest:
            run = manifest.backup_id.taken.day - 1
            stream = fresh.open().reader(manifest.id).disk_stream(0)
            assert image_of(stream, 1 << 20) == sparse_image(1 << 20, run, 0.6)
        assert fresh.back_up(bytes(512), run=29).id


def test_a_flipped_bit_in_any_object_of_a_backup_is_found(kit: Kit) -> None:
    manifest = kit.back_up(IMAGE, sparse_image(1 << 20, 2))
    chance = random.Random(1)
    objects = {n: c for n, c in kit.objects().items() if n.startswith(("packs/", "backups/"))}
    assert len(objects) > 8
    for name, content in objects.items():
        damaged = bytearray(content)
        damaged[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
        for broken in (bytes(damaged), content[:-1], content + b"x", b"", None):
            path = kit.path / name
            path.write_bytes(broken) if broken is not None else path.unlink()
            if name.endswith("manifest.json"):
                listed = kit.open().list()
                assert listed.manifests == []
                assert [entry.id for entry in listed.damaged] == ([] if broken is None else [manifest.id])
                with pytest.raises(RepositoryFault) as caught:
                    kit.open().verify(manifest.id)
                assert caught.value.code == ("no_such_backup" if broken is None else "damaged")
            else:
                report = kit.open().verify(manifest.id)
                assert [found.object for found in report.damage] == [name]
                if "files.tar" not in name:
                    assert report.damage[0].affected_bytes > 0
                stored = kit.open().verify(manifest.id, storage_only=True)
                assert [found.object for found in stored.damage] == [name]
        (kit.path / name).write_bytes(content)
    assert kit.open().verify(manifest.id).ok


def test_damage_names_the_disk_and_exactly_the_ranges_it_costs(kit: Kit) -> None:
    images = [sparse_image(1 << 20, 3), IMAGE]
    manifest = kit.back_up(*images)
    lost = manifest.disks[1].packs[1]
    path = next(path for path in kit.path.joinpath("packs").rglob(f"{lost.sha256}*"))
    path.unlink()
    (found,) = kit.open().verify(manifest.id).damage
    assert found.disk == 1
    assert found.affected_bytes == lost.raw_bytes == sum(length for _, length in found.ranges)
    stream = kit.open().reader(manifest.id).disk_stream(1)
    with pytest.raises(RepositoryFault) as caught:
        image_of(stream, len(IMAGE))
    assert caught.value.code == "damaged"
    assert image_of(kit.open().reader(manifest.id).disk_stream(0), 1 << 20) == images[0]


def reforged(kit: Kit, manifest_id: str, change: str, forge: bytes) -> None:
    """Replace an unsealed part with `forge` and make the manifest agree, as a malicious writer would."""
    import hashlib

    import zstandard

    folder = kit.path / "backups" / manifest_id
    stored = zstandard.compress(forge)
    (folder / f"disk-0.{change}.zst").write_bytes(stored)
    manifest = kit.open().manifest(manifest_id)
    document = json.loads(manifest_text.render(manifest))
    del document["checksum"]
    part = document["disks"][0][change]
    document["stored_bytes"] += len(stored) - part["bytes"]
    part |= {"sha256": hashlib.sha256(stored).hexdigest(), "bytes": len(stored)}
    forged = type(manifest).model_validate(document)
    (folder / "manifest.json").write_bytes(manifest_text.render(forged))


@pytest.mark.parametrize(
    "case",
    ["a run left out", "runs swapped", "a run elsewhere", "digests of zeros", "a text for a map"],
)
def test_what_contradicts_itself_is_found_though_all_hashes_fit(plain_kit: Kit, case: str) -> None:
    manifest = plain_kit.back_up(IMAGE)
    reader = plain_kit.open().reader(manifest.id)
    lines = reader.part(manifest.disks[0].map, 1 << 20).splitlines(keepends=True)
    sums = reader.part(manifest.disks[0].sums, 1 << 20)
    assert len(lines) > 3
    if case == "a run left out":
        reforged(plain_kit, manifest.id, "map", b"".join(lines[:1] + lines[2:]))
    elif case == "runs swapped":
        reforged(plain_kit, manifest.id, "map", b"".join([lines[1], lines[0], *lines[2:]]))
    elif case == "a run elsewhere":
        offset, length, pack, _ = lines[0].split()
        moved = b" ".join((offset, length, pack, b"65536")) + b"\n"
        reforged(plain_kit, manifest.id, "map", b"".join([moved, *lines[1:]]))
    elif case == "digests of zeros":
        head = sums.index(b"\n") + 1
        reforged(plain_kit, manifest.id, "sums", sums[:head] + bytes(len(sums) - head))
    else:
        reforged(plain_kit, manifest.id, "map", b"all of it\n")
    report = plain_kit.open().verify(manifest.id)
    assert not report.ok
    assert report.damage[0].disk == 0
    with pytest.raises(RepositoryFault) as caught:
        list(plain_kit.open().reader(manifest.id).disk_stream(0))
    assert caught.value.code == "damaged"


def test_verify_reads_every_byte_and_says_how_far_it_is(kit: Kit) -> None:
    manifest = kit.back_up(IMAGE, IMAGE)
    calls: list[tuple[int, int]] = []
    report = kit.open().verify(manifest.id, progress=lambda done, total: calls.append((done, total)))
    assert report.bytes_read == manifest.stored_bytes
    assert calls[-1] == (manifest.stored_bytes, manifest.stored_bytes)
    assert calls == sorted(calls)
    assert report.objects == len(manifest.stored_objects()) == len(calls)


def test_a_manifest_in_the_wrong_folder_is_damage(plain_kit: Kit) -> None:
    manifest = plain_kit.back_up(bytes(512))
    text = (plain_kit.path / "backups" / manifest.id / "manifest.json").read_bytes()
    other = plain_kit.path / "backups" / str(backup_id(4))
    other.mkdir(parents=True)
    (other / "manifest.json").write_bytes(text)
    (plain_kit.path / "backups" / "stray").mkdir()
    (plain_kit.path / "backups" / "stray" / "manifest.json").write_bytes(text)
    listed = plain_kit.open().list()
    assert [m.id for m in listed.manifests] == [manifest.id]
    assert [entry.id for entry in listed.damaged] == [str(backup_id(4)), "stray"]


def test_a_manifest_of_another_repository_is_damage(plain_kit: Kit, tmp_path: Path) -> None:
    manifest = plain_kit.back_up(bytes(512))
    other = Kit(tmp_path / "other", (), ())
    other.make()
    folder = other.path / "backups" / manifest.id
    folder.mkdir(parents=True)
    (folder / "manifest.json").write_bytes(
        (plain_kit.path / "backups" / manifest.id / "manifest.json").read_bytes()
    )
    assert len(other.open().list().damaged) == 1


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small tmpfs needs root")
def test_a_full_disk_is_told_and_what_was_there_stays(tmp_path: Path) -> None:
    place = tmp_path / "small"
    place.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=6m", "ceso-test", str(place)], check=False)
    if mounted.returncode != 0:
        pytest.skip("this machine does not let root mount a tmpfs")
    try:
        kit = Kit(place, (), ())
        first = kit.back_up(sparse_image(2 << 20, 1, 0.9), run=0)
        before = kit.objects()
        chance = random.Random(3)
        big = chance.randbytes(8 << 20)
        with pytest.raises(RepositoryFault) as caught:
            kit.back_up(big, run=1)
        assert caught.value.code == "repository_full"
        assert kit.objects() == before
        assert kit.open().verify(first.id).ok
        kit.back_up(bytes(512), run=2)
    finally:
        subprocess.run(["umount", str(place)], check=True)


def test_a_target_that_fails_in_the_middle_fails_the_disk_for_good(
    plain_kit: Kit, monkeypatch: pytest.MonkeyPatch
) -> None:
    stream = wire_of(IMAGE)
    put, calls = LocalTarget.put, []

    def full(self: LocalTarget, name: str, content: list[bytes]) -> bool:
        calls.append(name)
        if len(calls) == 3:
            raise RepositoryFault("no room", code="repository_full")
        return put(self, name, content)

    with plain_kit.make().writer(backup_id()) as writer:
        disk = writer.disk(0, node="", file_name="", capacity_bytes=len(IMAGE), descriptor="")
        monkeypatch.setattr(LocalTarget, "put", full)
        disk.feed(stream[:-13])
        disk.feed(stream[-13:])
        with pytest.raises(RepositoryFault) as caught:
            disk.finish()
        assert caught.value.code == "repository_full"
        with pytest.raises(RepositoryFault):
            disk.finish()
    assert leftovers(plain_kit) == []


def test_reading_needs_no_lock(plain_kit: Kit) -> None:
    manifest = plain_kit.back_up(IMAGE, run=0)
    with plain_kit.make().writer(backup_id(1)):
        assert plain_kit.open().verify(manifest.id).ok
        assert plain_kit.open().list().manifests == [manifest]


MEMORY = """
import hashlib, sys
from pathlib import Path
sys.path.insert(0, {package!r})
from ceso_mcp.backup.wire import data_head, end_frame
from ceso_mcp.repository import LocalRepository
repository = LocalRepository.init(Path(sys.argv[1]), recipients=sys.argv[2:])
capacity = 1 << 30
def peak_mib():
    # Not ru_maxrss: that one begins with the size of the process which started this one.
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return int(status["VmHWM"].split()[0]) // 1024
noise = hashlib.shake_256(b"noise").digest(1 << 20)
with repository.writer("vm/20260101T000000Z-aaaa") as writer:
    disk = writer.disk(0, node="scsi0:0", file_name="d", capacity_bytes=capacity, descriptor="")
    frames = 0
    for offset in range(0, capacity, 2 << 20):
        body = offset.to_bytes(8, "big") + noise[8:]
        disk.feed(data_head(offset, 1 << 20) + body)
        frames += 1
    disk.feed(end_frame(capacity, frames))
    disk.finish()
    manifest = writer.commit(vm_name="v", vm_uuid="u", vmx_path="p", host="h", esxi_version="8",
                             esxi_build="1")
wrote = peak_mib()
if sys.argv[2:]:
    repository = LocalRepository.open(Path(sys.argv[1]), identities=[sys.stdin.read()])
assert sum(map(len, repository.reader(manifest.id).disk_stream(0))) > capacity // 2
assert repository.verify(manifest.id).ok
print(wrote, peak_mib())
"""


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_a_gibibyte_goes_through_in_200_mib_of_memory(kit: Kit) -> None:
    program = MEMORY.format(package=str(Path(__file__).parents[3]))
    done = subprocess.run(
        [sys.executable, "-c", program, str(kit.path), *kit.recipients],
        input="".join(kit.identities),
        capture_output=True,
        text=True,
        check=True,
        timeout=170,
    )
    wrote_mib, all_mib = map(int, done.stdout.split())
    assert wrote_mib <= 200
    assert all_mib <= 200


def test_small_packs_are_only_a_setting(tmp_path: Path) -> None:
    repository = LocalRepository.init(tmp_path / "repo", pack_bytes=SMALL_PACK_BYTES)
    assert json.loads((tmp_path / "repo" / "ceso-repo.json").read_text())["pack_bytes"] == SMALL_PACK_BYTES
    assert LocalRepository.init(tmp_path / "repo").id == repository.id
