"""Backups that are compared with earlier ones: complete each by itself, and small."""

from __future__ import annotations

import random
import shutil
import subprocess
import tempfile
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from incremental_cases import BLOCK, NODE, back_up_file, begun, changed, host_reads, made, restored, sparse
from repository_cases import FACTS, Kit, backup_id, image_of, sparse_image

from ceso_mcp.backup.block_map import BlockMap
from ceso_mcp.backup.manifest import Manifest
from ceso_mcp.backup.sums import DIGEST_BYTES, UNKNOWN_DIGEST, run_digests
from ceso_mcp.backup.wire import HEAD, data_head, end_frame, zeros_head
from ceso_mcp.errors import ConfigFault, InvalidArguments, RepositoryFault
from ceso_mcp.repository.backup_reader import BackupReader
from ceso_mcp.repository.index_key import index_key
from ceso_mcp.repository.keeping import note_verification
from ceso_mcp.repository.parent import ParentDisk

ODD = (3 << 20) + 5 * 512


@pytest.fixture
def flat(tmp_path: Path) -> Path:
    return sparse(tmp_path / "flat", sparse_image(ODD, 1))


def pack_path(kit: Kit, manifest: Manifest, number: int) -> Path:
    name = manifest.disks[0].packs[number].sha256
    (path,) = kit.path.glob(f"packs/*/{name}.*")
    return path


def parent(kit: Kit, manifest: Manifest) -> ParentDisk:
    disk = manifest.disks[0]
    return kit.open().parent_disk(manifest.id, disk.node, disk.capacity_bytes)


def forget(kit: Kit, manifest: Manifest) -> None:
    """Remove a backup's manifest and prune what only it named."""
    (kit.path / manifest.backup_id.object("manifest.json")).unlink()
    repository = kit.open()
    repository.prune(repository.garbage().digest)


def frames(stream: bytes) -> list[tuple[int, int, int]]:
    """(type, offset, length) of each frame."""
    found, at = [], 0
    while at < len(stream):
        kind, offset, length = HEAD.unpack_from(stream, at)
        found.append((kind, offset, length))
        at += HEAD.size + (length if kind == 1 else 0)
    return found


def test_a_compared_backup_restores_byte_for_byte_and_is_small(kit: Kit, flat: Path) -> None:
    first, sent_first, _ = back_up_file(kit, flat, 0)
    image = changed(flat.read_bytes(), 2, times=2)
    sparse(flat, image)
    second, sent, added = back_up_file(kit, flat, 1, first)
    assert restored(kit, second) == image
    assert kit.open().verify(second.id).ok
    assert second.parent == first.id
    assert sent < sent_first / 3
    assert added < second.stored_bytes / 2
    forget(kit, first)
    assert restored(kit, second) == image
    assert kit.open().verify(second.id).ok


def test_the_host_sends_exactly_the_blocks_that_differ(plain_kit: Kit, flat: Path) -> None:
    first, _, _ = back_up_file(plain_kit, flat, 0)
    old = flat.read_bytes()
    image = changed(old, 3, times=12)
    sparse(flat, image)
    told = list(parent(plain_kit, first).payload(0))
    stream = host_reads(flat, ODD, told)
    flat.write_bytes(image)
    assert host_reads(flat, ODD, told) == stream, "without holes it says the same"
    *found, end = frames(stream)
    assert end == (255, ODD, len(found))
    differs = {at for at in range(0, ODD, BLOCK) if image[at : at + BLOCK] != old[at : at + BLOCK]}
    zero = {at for at in differs if not any(image[at : at + BLOCK])}
    sent = {kind: {b for k, at, n in found if k == kind for b in range(at, at + n, BLOCK)} for kind in (0, 1)}
    assert sent == {0: zero, 1: differs - zero}
    assert zero


def test_an_unchanged_disk_is_only_an_end_and_shares_every_pack(kit: Kit, flat: Path) -> None:
    first, _, _ = back_up_file(kit, flat, 0)
    second, sent, added = back_up_file(kit, flat, 1, first)
    assert sent == HEAD.size
    assert second.disks[0].packs == first.disks[0].packs
    assert second.files_object is not None
    parts = (second.disks[0].map, second.disks[0].sums, second.files_object)
    assert added == sum(part.bytes for part in parts)
    assert restored(kit, second) == flat.read_bytes()


def test_a_disk_that_was_emptied_names_no_pack(plain_kit: Kit, flat: Path) -> None:
    first, _, _ = back_up_file(plain_kit, flat, 0)
    sparse(flat, bytes(ODD))
    second, sent, _ = back_up_file(plain_kit, flat, 1, first)
    assert sent < 1000
    assert (second.disks[0].packs, second.disks[0].data_bytes) == ((), 0)
    assert restored(plain_kit, second) == bytes(ODD)


def test_a_disk_that_was_empty_is_compared_too(kit: Kit, tmp_path: Path) -> None:
    flat = sparse(tmp_path / "flat", bytes(ODD))
    first, _, _ = back_up_file(kit, flat, 0)
    image = sparse_image(ODD, 4)
    sparse(flat, image)
    second, _, _ = back_up_file(kit, flat, 1, first)
    assert restored(kit, second) == image


def test_a_parent_of_another_size_is_none(plain_kit: Kit, flat: Path) -> None:
    first, _, _ = back_up_file(plain_kit, flat, 0)
    repository = plain_kit.open()
    vm_id = first.backup_id.vm_id
    assert repository.parent_for(vm_id, [(NODE, ODD)]) == (first.id, (True,), "")
    assert repository.parent_for(vm_id, [(NODE, ODD), ("scsi0:1", ODD)]).disks == (True, False)
    for vm, node, size in ((vm_id, NODE, ODD + 512), (vm_id, "nvme0:0", ODD), ("another", NODE, ODD)):
        assert repository.parent_for(vm, [(node, size)]) == (None, (False,), "")
    with pytest.raises(RepositoryFault) as caught:
        repository.parent_disk(first.id, NODE, ODD + 512)
    assert caught.value.code == "no_such_disk"
    with plain_kit.make().writer(backup_id(1)) as writer, pytest.raises(InvalidArguments):
        begun(writer, ODD + 512, parent(plain_kit, first))


def test_the_newest_backup_that_can_be_read_is_the_parent(plain_kit: Kit, flat: Path) -> None:
    first, _, _ = back_up_file(plain_kit, flat, 0)
    second, _, _ = back_up_file(plain_kit, flat, 1, first)
    repository = plain_kit.open()
    assert repository.parent_for(first.backup_id.vm_id, [(NODE, ODD)]).backup_id == second.id
    sums = plain_kit.path / second.backup_id.object(second.disks[0].sums.object)
    sums.write_bytes(sums.read_bytes()[:-1])
    choice = repository.parent_for(first.backup_id.vm_id, [(NODE, ODD)])
    assert choice.backup_id == first.id
    assert second.id in choice.reason


@pytest.mark.parametrize("harm", ["missing", "short"])
def test_blocks_of_a_lost_pack_are_sent_again(kit: Kit, flat: Path, harm: str) -> None:
    first, _, _ = back_up_file(kit, flat, 0)
    lost = pack_path(kit, first, 1)
    lost.unlink() if harm == "missing" else lost.write_bytes(lost.read_bytes()[:-1])
    old = parent(kit, first)
    assert 0 < old.unknown_blocks < ODD // BLOCK
    second, sent, _ = back_up_file(kit, flat, 1, first)
    assert old.unknown_blocks * BLOCK * 0.9 <= sent <= old.unknown_blocks * (BLOCK + 13) + 13
    assert restored(kit, second) == flat.read_bytes()
    assert kit.open().verify(second.id).ok


def test_blocks_of_a_pack_known_as_damaged_are_sent_again(plain_kit: Kit, flat: Path) -> None:
    from ceso_mcp.repository.parent import parent_disk

    first, _, _ = back_up_file(plain_kit, flat, 0)
    store = plain_kit.open()._store
    old = parent_disk(store, first, 0, damaged={first.disks[0].packs[0].sha256})
    assert old.unknown_blocks > parent_disk(store, first, 0).unknown_blocks == 0


def test_blocks_of_a_backup_that_was_found_damaged_are_sent_again(kit: Kit, flat: Path) -> None:
    first, sent_first, _ = back_up_file(kit, flat, 0)
    path = pack_path(kit, first, 0)
    stored = bytearray(path.read_bytes())
    stored[len(stored) // 2] ^= 1
    path.write_bytes(bytes(stored))
    note_verification(kit.open(), kit.open().verify(first.id))
    second, sent, _ = back_up_file(kit, flat, 1, first)
    assert sent >= sent_first
    assert restored(kit, second) == flat.read_bytes()
    assert kit.open().verify(second.id).ok


def test_blocks_that_map_and_digests_do_not_agree_about_are_sent_again(
    plain_kit: Kit, flat: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = bytearray(flat.read_bytes())
    image[: 4 * BLOCK] = random.Random(11).randbytes(4 * BLOCK)
    sparse(flat, bytes(image))
    first, _, _ = back_up_file(plain_kit, flat, 0)
    reader = plain_kit.open().reader(first.id)
    block_map, sums = reader.block_map(0), reader.digests(0)
    headless = BlockMap(block_map._numbers[4:])
    blind = replace(sums, digests=bytes(DIGEST_BYTES) + sums.digests[DIGEST_BYTES:])
    for name, value in (("block_map", headless), ("digests", blind)):
        with monkeypatch.context() as patch:
            patch.setattr(BackupReader, name, lambda reader, index, value=value: value)
            old = parent(plain_kit, first)
        assert old.unknown_blocks >= block_map[0].length // BLOCK, name
        assert old.digests[:DIGEST_BYTES] == UNKNOWN_DIGEST


def test_what_is_left_of_a_hardly_used_pack_is_carried_forward(plain_kit: Kit, tmp_path: Path) -> None:
    chance = random.Random(5)
    image = bytearray(chance.randbytes(8 * BLOCK))
    flat = sparse(tmp_path / "flat", bytes(image))
    first, _, _ = back_up_file(plain_kit, flat, 0)
    image[: 7 * BLOCK] = chance.randbytes(7 * BLOCK)
    sparse(flat, bytes(image))
    second, _, _ = back_up_file(plain_kit, flat, 1, first)
    left = {pack.sha256 for pack in first.disks[0].packs} & {p.sha256 for p in second.disks[0].packs}
    assert len(left) <= 1
    third, sent, _ = back_up_file(plain_kit, flat, 2, second)
    live = parent(plain_kit, second).block_map.live_bytes(len(second.disks[0].packs))
    scarce = [n for n, pack in enumerate(second.disks[0].packs) if live[n] < 0.4 * pack.raw_bytes]
    gone = {second.disks[0].packs[n].sha256 for n in scarce}
    assert bool(gone) == (sent > HEAD.size)
    assert not gone & {pack.sha256 for pack in third.disks[0].packs}
    assert restored(plain_kit, third) == bytes(image)


def test_a_broken_stream_goes_on_at_every_border_and_between(plain_kit: Kit, flat: Path) -> None:
    first, _, _ = back_up_file(plain_kit, flat, 0)
    image = changed(flat.read_bytes(), 6, times=5)
    sparse(flat, image)
    whole = host_reads(flat, ODD, parent(plain_kit, first).payload(0))
    cuts, at = [0], 0
    for kind, _, length in frames(whole):
        at += HEAD.size + (length if kind == 1 else 0)
        cuts += [at, at - 7]
    for number, cut in enumerate(cuts[:-2]):
        with plain_kit.make().writer(backup_id(number % 20 + 1)) as writer:
            disk = begun(writer, ODD, parent(plain_kit, first))
            disk.feed(whole[:cut])
            since = disk.resume()
            disk.feed(host_reads(flat, ODD, disk.known_digests(), since=since))
            disk.finish()
            manifest = writer.commit(**FACTS)
        assert restored(plain_kit, manifest) == image, cut
        (plain_kit.path / manifest.backup_id.object("manifest.json")).unlink()
        shutil.rmtree(plain_kit.path / manifest.backup_id.folder)


def test_a_host_that_leaves_out_what_it_was_asked_for_is_a_short_stream(plain_kit: Kit, flat: Path) -> None:
    first, _, _ = back_up_file(plain_kit, flat, 0)
    pack_path(plain_kit, first, 0).unlink()
    with plain_kit.make().writer(backup_id(1)) as writer:
        disk = begun(writer, ODD, parent(plain_kit, first))
        disk.feed(end_frame(ODD, 0))
        with pytest.raises(RepositoryFault) as caught:
            disk.finish()
        assert caught.value.code == "short_stream"


def test_zeros_that_come_as_data_count_as_zeros(plain_kit: Kit, flat: Path) -> None:
    first, _, _ = back_up_file(plain_kit, flat, 0)
    with plain_kit.make().writer(backup_id(1)) as writer:
        disk = begun(writer, ODD, parent(plain_kit, first))
        body = b"x" * BLOCK + bytes(BLOCK) + b"y" * BLOCK
        disk.feed(data_head(BLOCK, len(body)) + body + zeros_head(5 * BLOCK, BLOCK) + end_frame(ODD, 2))
        disk.finish()
        second = writer.commit(**FACTS)
    image = bytearray(flat.read_bytes())
    image[BLOCK : BLOCK + len(body)] = body
    image[5 * BLOCK : 6 * BLOCK] = bytes(BLOCK)
    assert restored(plain_kit, second) == bytes(image)
    assert plain_kit.open().verify(second.id).ok


@pytest.mark.parametrize("harm", ["missing", "short"])
def test_a_pack_that_goes_during_the_backup_prevents_the_commit(kit: Kit, flat: Path, harm: str) -> None:
    first, _, _ = back_up_file(kit, flat, 0)
    with kit.make().writer(backup_id(1)) as writer:
        disk = begun(writer, ODD, parent(kit, first))
        disk.feed(host_reads(flat, ODD, disk.known_digests()))
        disk.finish()
        lost = pack_path(kit, first, 0)
        lost.unlink() if harm == "missing" else lost.write_bytes(lost.read_bytes()[:-1])
        with pytest.raises(RepositoryFault) as caught:
            writer.commit(**FACTS)
        assert caught.value.code == "damaged"
        assert caught.value.hint
    assert [manifest.id for manifest in kit.open().list().manifests] == [first.id]
    # The next backup sends what is missing.
    second, _, _ = back_up_file(kit, flat, 2, first)
    assert restored(kit, second) == flat.read_bytes()


def test_an_abandoned_backup_takes_nothing_of_its_parent_along(kit: Kit, flat: Path) -> None:
    first, _, _ = back_up_file(kit, flat, 0)
    before = kit.objects()
    sparse(flat, changed(flat.read_bytes(), 8))
    with kit.make().writer(backup_id(1)) as writer:
        disk = begun(writer, ODD, parent(kit, first))
        disk.feed(host_reads(flat, ODD, disk.known_digests()))
        disk.finish()
    assert kit.objects() == before


def test_any_part_of_a_restore_can_be_left_out(plain_kit: Kit, flat: Path) -> None:
    first, _, _ = back_up_file(plain_kit, flat, 0)
    sparse(flat, changed(flat.read_bytes(), 9))
    second, _, _ = back_up_file(plain_kit, flat, 1, first)
    reader = plain_kit.open().reader(second.id)
    *whole, _ = reader.disk_stream(0)
    skipped = 0
    for number, chunk in enumerate(whole):
        *rest, end = reader.disk_stream(0, skip_bytes=skipped)
        assert rest == whole[number:]
        assert end == end_frame(ODD, len(rest))
        skipped += len(chunk) - HEAD.size
    assert skipped == second.disks[0].data_bytes


def test_the_index_key_opens_maps_and_digests_and_nothing_else(
    sealed_kit: Kit, flat: Path, tmp_path: Path
) -> None:
    keys = tmp_path / "keys"
    first, _, _ = back_up_file(sealed_kit, flat, 0, keys=keys)
    (file,) = keys.iterdir()
    assert file.name == f"{first.repository}.txt"
    assert (file.stat().st_mode & 0o777, keys.stat().st_mode & 0o777) == (0o600, 0o700)
    image = changed(flat.read_bytes(), 10)
    sparse(flat, image)
    second, _, _ = back_up_file(sealed_kit, flat, 1, first, keys=keys)
    # The recipients' own key is enough to read everything.
    assert restored(sealed_kit, second) == image
    blind = made(sealed_kit, keys)
    reader = blind.reader(second.id)
    reader.block_map(0)
    reader.digests(0)
    for read in (
        lambda: list(reader.disk_stream(0)),
        lambda: blind.verify(second.id),
        lambda: reader.open_pack(second.disks[0], 0),
    ):
        with pytest.raises(RepositoryFault) as caught:
            read()
        assert caught.value.code == "no_identity"
    # That key alone, used as if it were the recipients', opens no pack and no file.
    from ceso_mcp.repository import LocalRepository

    thief = LocalRepository.open(sealed_kit.path, identities=[file.read_text()])
    stolen = thief.reader(second.id)
    for read in (lambda: stolen.open_pack(second.disks[0], 0), stolen.files):
        with pytest.raises(RepositoryFault) as caught:
            read()
        assert caught.value.code == "wrong_identity"


def test_without_the_index_key_a_backup_is_full_and_says_why(
    sealed_kit: Kit, flat: Path, tmp_path: Path
) -> None:
    first, _, _ = back_up_file(sealed_kit, flat, 0, keys=tmp_path / "one")
    vm_id = first.backup_id.vm_id
    one, other = made(sealed_kit, tmp_path / "one"), made(sealed_kit, tmp_path / "other")
    assert one.parent_for(vm_id, [(NODE, ODD)]).backup_id == first.id
    choice = other.parent_for(vm_id, [(NODE, ODD)])
    assert choice.backup_id is None
    assert "no key" in choice.reason
    # Its own backup is one that it can compare with; the first machine then goes by its own.
    second, _, _ = back_up_file(sealed_kit, flat, 1, keys=tmp_path / "other")
    assert other.parent_for(vm_id, [(NODE, ODD)]).backup_id == second.id
    assert one.parent_for(vm_id, [(NODE, ODD)]).backup_id == first.id


def test_an_index_key_that_cannot_be_used_does_not_stand_in_the_way_of_a_restore(
    sealed_kit: Kit, flat: Path, tmp_path: Path
) -> None:
    keys = tmp_path / "keys"
    first, _, _ = back_up_file(sealed_kit, flat, 0, keys=keys)
    (file,) = keys.iterdir()
    file.chmod(0o644)
    repository = sealed_kit.open()
    repository.use_index_key(keys)
    assert image_of(repository.reader(first.id).disk_stream(0), ODD) == flat.read_bytes()
    with pytest.raises(ConfigFault):
        repository.use_index_key(keys, make=True)


def test_a_key_file_that_others_can_read_or_that_holds_no_key_is_refused(tmp_path: Path) -> None:
    name = "01234567-89ab-cdef-0123-456789abcdef"
    keys = tmp_path / "keys"
    assert index_key(keys, name) is None
    assert index_key(keys, "../../etc/passwd", make=True) is None
    assert not keys.exists()
    assert index_key(keys, name, make=True) is not None
    file = keys / f"{name}.txt"
    text = file.read_text()
    index_key(keys, name, make=True)
    assert file.read_text() == text
    file.chmod(0o640)
    with pytest.raises(ConfigFault) as caught:
        index_key(keys, name)
    assert caught.value.code == "state_exposed"
    file.chmod(0o600)
    file.write_text("# nothing\n")
    with pytest.raises(ConfigFault) as caught:
        index_key(keys, name)
    assert caught.value.code == "secret_missing"


@pytest.mark.skipif(not all(map(shutil.which, ("age", "zstd", "sh"))), reason="needs age and zstd")
def test_a_compared_backup_is_restored_by_hand(kit: Kit, flat: Path, tmp_path: Path) -> None:
    keys = tmp_path / "keys"
    manifest, image = None, flat.read_bytes()
    for run in range(3):
        manifest, _, _ = back_up_file(kit, flat, run, manifest, keys=keys)
        before, image = image, changed(image, 20 + run, times=3)
        sparse(flat, image)
    assert manifest is not None
    identity = tmp_path / "identity"
    identity.write_text("\n".join(kit.identities))
    out = tmp_path / "out.raw"
    command = ["sh", str(kit.path / "restore.sh"), str(kit.path), manifest.id, "0", str(out), str(identity)]
    done = subprocess.run(
        command[: None if kit.identities else -1], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert out.read_bytes() == before


def reference_stream(image: bytes, parent_digests: bytes, key: bytes) -> bytes:
    """What the host's program sends, block by block, made without it."""
    found = []
    for number, at in enumerate(range(0, len(image), BLOCK)):
        block = image[at : at + BLOCK]
        was = parent_digests[number * DIGEST_BYTES : (number + 1) * DIGEST_BYTES]
        if not any(block):
            found += [zeros_head(at, len(block))] if any(was) else []
        elif was == UNKNOWN_DIGEST or run_digests(block, BLOCK, key) != was:
            found.append(data_head(at, len(block)) + block)
    return b"".join(found) + end_frame(len(image), len(found))


BLOCKS = 24
WRITES = st.lists(
    st.tuples(st.integers(0, BLOCKS - 1), st.integers(1, 5), st.sampled_from([0, 0, 1, 2, 3])), max_size=5
)
Steps = list[tuple[list[tuple[int, int, int]], bool, bool, int]]
STEPS = st.lists(st.tuples(WRITES, st.booleans(), st.booleans(), st.integers(0, 3)), min_size=1, max_size=5)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(STEPS)
def test_every_listed_backup_restores_whatever_happens_between(steps: Steps) -> None:
    """Changes, forgotten backups with a prune, and lost packs in any order."""
    with tempfile.TemporaryDirectory() as folder:
        kit = Kit(Path(folder) / "repo", (), ())
        image = bytearray(BLOCKS * BLOCK - 512)
        kept: list[tuple[Manifest, bytes]] = []
        for run, (writes, forgets, loses, which) in enumerate(steps):
            for block, count, value in writes:
                start = block * BLOCK
                stop = min(len(image), start + count * BLOCK)
                image[start:stop] = (
                    bytes(stop - start) if not value else bytes([value, run]) * ((stop - start) // 2)
                )
            old = parent(kit, kept[-1][0]) if kept else None
            with kit.make().writer(backup_id(run)) as writer:
                disk = begun(writer, len(image), old)
                blank = bytes(DIGEST_BYTES * BLOCKS)
                digests, key = (bytes(old.digests), old.key) if old else (blank, bytes(16))
                disk.feed(reference_stream(bytes(image), digests, key))
                disk.finish()
                kept.append((writer.commit(**FACTS), bytes(image)))
            if forgets and len(kept) > 1:
                forget(kit, kept.pop(which % (len(kept) - 1))[0])
            for manifest, content in kept:
                assert restored(kit, manifest) == content
            assert kit.open().verify(kept[-1][0].id).ok
            if loses and kept[-1][0].disks[0].packs:
                # All earlier backups may have needed that pack; the next one must not.
                packs = kept[-1][0].disks[0].packs
                pack_path(kit, kept[-1][0], which % len(packs)).unlink()
                gone = packs[which % len(packs)].sha256
                kept = [
                    entry
                    for entry in kept
                    if entry is kept[-1] or gone not in {pack.sha256 for pack in entry[0].disks[0].packs}
                ]
                last = parent(kit, kept[-1][0])
                assert last.unknown_blocks
                with kit.make().writer(backup_id(run + 10)) as writer:
                    disk = begun(writer, len(image), last)
                    disk.feed(reference_stream(bytes(image), bytes(last.digests), last.key))
                    disk.finish()
                    kept[-1] = (writer.commit(**FACTS), bytes(image))
