"""What goes into a repository comes out of it, bit for bit, for whoever may read it."""

from __future__ import annotations

import hashlib
import os
import stat
import subprocess
from pathlib import Path

import pyrage
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from repository_cases import FACTS, Kit, add_disk, backup_id, image_of, new_identity, sparse_image, wire_of

from ceso_mcp.backup.names import BackupId
from ceso_mcp.backup.sums import block_bytes_for
from ceso_mcp.backup.wire import data_head, end_frame
from ceso_mcp.errors import InvalidArguments, RepositoryFault, Unreadable
from ceso_mcp.repository import LocalRepository
from ceso_mcp.repository.targets.local import free_bytes

ODD = (3 << 20) + 5 * 512


@pytest.mark.parametrize("capacity_bytes", [512, 65536, 65536 + 512, 1 << 20, ODD])
def test_a_disk_of_any_size_comes_back_bit_for_bit(kit: Kit, capacity_bytes: int) -> None:
    image = sparse_image(capacity_bytes, seed=capacity_bytes, share=0.5)
    manifest = kit.back_up(image)
    stream = kit.open().reader(manifest.id).disk_stream(0)
    assert image_of(stream, capacity_bytes) == image
    assert kit.open().verify(manifest.id).ok


def test_a_disk_of_zeros_needs_no_pack_and_comes_back_as_zeros(kit: Kit) -> None:
    manifest = kit.back_up(bytes(ODD))
    assert manifest.disks[0].packs == ()
    assert image_of(kit.open().reader(manifest.id).disk_stream(0), ODD) == bytes(ODD)
    assert kit.open().verify(manifest.id).ok


def test_many_packs_and_several_disks_come_back(kit: Kit) -> None:
    images = [sparse_image(6 << 20, 1, 0.9), bytes(4096), sparse_image(ODD, 2)]
    manifest = kit.back_up(*images)
    assert len(manifest.disks[0].packs) > 3
    reader = kit.open().reader(manifest.id)
    assert [image_of(reader.disk_stream(i), len(image)) for i, image in enumerate(images)] == images


def test_disks_may_arrive_side_by_side(kit: Kit) -> None:
    images = [sparse_image(1 << 20, 3), sparse_image(ODD, 4)]
    streams = [wire_of(image) for image in images]
    with kit.make().writer(backup_id()) as writer:
        disks = [
            writer.disk(i, node=f"scsi0:{i}", file_name="d.vmdk", capacity_bytes=len(image), descriptor="")
            for i, image in enumerate(images)
        ]
        for at in range(0, max(map(len, streams)), 50_000):
            for disk, stream in zip(disks, streams, strict=True):
                disk.feed(stream[at : at + 50_000])
        for disk in disks:
            disk.finish()
        manifest = writer.commit(**FACTS)
    reader = kit.open().reader(manifest.id)
    assert [image_of(reader.disk_stream(i), len(image)) for i, image in enumerate(images)] == images


def test_kept_files_come_back(kit: Kit) -> None:
    manifest = kit.back_up(bytes(512))
    assert kit.open().reader(manifest.id).file("web 01.vmx") == b'displayName = "web 01"\n'
    assert kit.open().reader(manifest.id).file("web 01.nvram") == bytes(range(256)) * 16
    with pytest.raises(InvalidArguments):
        kit.open().reader(manifest.id).file("other.vmx")


def test_the_manifest_says_what_was_backed_up(kit: Kit) -> None:
    image = sparse_image(ODD, 5)
    manifest = kit.back_up(image)
    assert kit.open().manifest(manifest.id) == manifest
    assert manifest.vm.name == "web 01"
    assert manifest.disks[0].capacity_bytes == ODD
    nonzero = sum(
        len(block) for block in (image[at : at + 65536] for at in range(0, ODD, 65536)) if any(block)
    )
    assert manifest.data_bytes == manifest.disks[0].data_bytes == nonzero
    assert manifest.raw_bytes == nonzero + sum(file.bytes for file in manifest.files)
    on_disk = {n: len(c) for n, c in kit.objects().items() if n.startswith(("packs/", "backups/"))}
    on_disk.pop(backup_id().object("manifest.json"))
    assert manifest.stored_bytes == sum(on_disk.values())


def test_every_pack_is_named_by_the_hash_of_its_file(kit: Kit) -> None:
    kit.back_up(sparse_image(ODD, 6))
    packs = {name: content for name, content in kit.objects().items() if name.startswith("packs/")}
    assert packs
    for name, content in packs.items():
        digest = hashlib.sha256(content).hexdigest()
        assert name.split("/")[1:] == [digest[:2], digest + (".zst.age" if kit.identities else ".zst")]


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.integers(1, 70_000), min_size=1, max_size=30), st.booleans())
def test_how_the_stream_is_cut_does_not_matter(tmp_path: Path, cuts: list[int], skip_zeros: bool) -> None:
    image = sparse_image((1 << 20) + 512, 7)
    stream = wire_of(image, skip_zeros=skip_zeros)
    kit = Kit(tmp_path / os.urandom(6).hex(), (), ())
    with kit.make().writer(backup_id()) as writer:
        disk = writer.disk(0, node="scsi0:0", file_name="d", capacity_bytes=len(image), descriptor="")
        at = 0
        while at < len(stream):
            for cut in cuts:
                disk.feed(stream[at : at + cut])
                at += cut
        disk.finish()
        manifest = writer.commit(**FACTS)
    assert image_of(kit.open().reader(manifest.id).disk_stream(0), len(image)) == image
    packs = {name for name in kit.objects() if name.startswith("packs/")}
    whole = Kit(tmp_path / os.urandom(6).hex(), (), ())
    whole.back_up(image)
    assert packs == {name for name in whole.objects() if name.startswith("packs/")}


def test_equal_disks_share_their_packs_in_a_plain_repository(plain_kit: Kit) -> None:
    image = sparse_image(ODD, 8)
    first = plain_kit.back_up(image, run=0)
    packs = {name for name in plain_kit.objects() if name.startswith("packs/")}
    second = plain_kit.back_up(image, image, run=1)
    assert {name for name in plain_kit.objects() if name.startswith("packs/")} == packs
    assert first.disks[0].packs == second.disks[0].packs == second.disks[1].packs
    assert plain_kit.open().verify(second.id).ok


def test_a_damaged_pack_that_a_new_backup_needs_is_stored_anew(plain_kit: Kit) -> None:
    image = sparse_image(ODD, 9)
    first = plain_kit.back_up(image, run=0)
    name = next(name for name in plain_kit.objects() if name.startswith("packs/"))
    content = bytearray(plain_kit.path.joinpath(name).read_bytes())
    content[len(content) // 2] ^= 1
    plain_kit.path.joinpath(name).write_bytes(content)
    second = plain_kit.back_up(image, run=1)
    assert plain_kit.open().verify(second.id).ok
    assert plain_kit.open().verify(first.id).ok


def test_any_recipient_can_read_and_nobody_else(tmp_path: Path) -> None:
    (one, one_public), (two, two_public), (other, _) = new_identity(), new_identity(), new_identity()
    kit = Kit(tmp_path / "repo", (one_public, two_public), ())
    image = sparse_image(1 << 20, 10)
    manifest = kit.back_up(image)
    for private in (one, f"# created: today\n# public key: x\n{two}\n"):
        reader = LocalRepository.open(kit.path, identities=[private]).reader(manifest.id)
        assert image_of(reader.disk_stream(0), len(image)) == image
    for identities, code in (([other], "wrong_identity"), ([], "no_identity")):
        repository = LocalRepository.open(kit.path, identities=identities)
        assert repository.list().manifests == [manifest]
        for use in (
            lambda r=repository: list(r.reader(manifest.id).disk_stream(0)),
            lambda r=repository: r.reader(manifest.id).file("web 01.vmx"),
            lambda r=repository: r.verify(manifest.id),
        ):
            with pytest.raises(RepositoryFault) as caught:
                use()
            assert caught.value.code == code


def test_an_ssh_key_can_be_a_recipient(tmp_path: Path) -> None:
    key = tmp_path / "id"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
    kit = Kit(tmp_path / "repo", (key.with_suffix(".pub").read_text(),), (key.read_text(),))
    image = sparse_image(1 << 20, 11)
    manifest = kit.back_up(image)
    assert image_of(kit.open().reader(manifest.id).disk_stream(0), len(image)) == image
    assert kit.make().recipients == kit.open().recipients


def test_nothing_of_a_disk_is_readable_in_a_sealed_repository(sealed_kit: Kit) -> None:
    image = b"find me, I am plain text! " * 40_000
    image += bytes(-len(image) % 512)
    sealed_kit.back_up(image)
    for name, content in sealed_kit.objects().items():
        assert b"find me" not in content
        if name.startswith(("packs/", "backups/")) and not name.endswith("manifest.json"):
            assert content.startswith(b"age-encryption.org/v1\n")


def test_a_repository_is_for_its_owner_alone(plain_kit: Kit) -> None:
    plain_kit.back_up(sparse_image(1 << 20, 12))
    for path in [plain_kit.path, *plain_kit.path.rglob("*")]:
        assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0


@pytest.mark.parametrize("position", [1, 2])
@pytest.mark.parametrize("bad", ["age1nonsense", "ssh-dss AAAA", "", "AGE-SECRET-KEY-1QQQ"])
def test_a_bad_recipient_is_named_by_position_and_not_repeated(
    tmp_path: Path, bad: str, position: int
) -> None:
    recipients = [new_identity()[1]] * (position - 1) + [bad]
    with pytest.raises(InvalidArguments) as caught:
        LocalRepository.init(tmp_path / "repo", recipients=recipients)
    assert f"recipient {position} " in caught.value.text()
    assert not bad or bad not in caught.value.text()
    assert not (tmp_path / "repo").exists()


def test_a_bad_identity_is_named_by_position_and_not_repeated(sealed_kit: Kit) -> None:
    sealed_kit.make()
    for bad in ("AGE-SECRET-KEY-1WRONG", "-----BEGIN OPENSSH PRIVATE KEY-----\nx\n", "# only a comment"):
        with pytest.raises(RepositoryFault) as caught:
            LocalRepository.open(sealed_kit.path, identities=[new_identity()[0], bad])
        assert caught.value.code == "wrong_identity"
        assert "identity 2 " in caught.value.text()
        assert bad not in caught.value.text()


def test_init_again_opens_and_other_recipients_are_refused(kit: Kit) -> None:
    assert kit.make().id == kit.make().id
    with pytest.raises(RepositoryFault) as caught:
        LocalRepository.init(kit.path, recipients=[new_identity()[1]])
    assert caught.value.code == "settings_differ"


def test_a_foreign_folder_is_refused_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(RepositoryFault) as caught:
        LocalRepository.init(tmp_path)
    assert caught.value.code == "not_a_repository"
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_a_mount_that_is_missing_is_not_made_up(tmp_path: Path) -> None:
    with pytest.raises(RepositoryFault) as caught:
        LocalRepository.init(tmp_path / "mnt" / "nas" / "repo")
    assert caught.value.code == "not_a_repository"
    assert not (tmp_path / "mnt").exists()


def test_an_interrupted_init_can_be_finished(tmp_path: Path) -> None:
    LocalRepository.init(tmp_path)
    (tmp_path / "ceso-repo.json").unlink()
    kit = Kit(tmp_path, (), ())
    with pytest.raises(RepositoryFault) as caught:
        kit.open()
    assert caught.value.code == "not_a_repository"
    kit.back_up(bytes(512))


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"format":"ceso-repo","version":2,"id":"x"}', "\xff"])
def test_settings_that_cannot_be_read_are_no_repository(tmp_path: Path, text: str) -> None:
    (tmp_path / "ceso-repo.json").write_text(text, encoding="latin-1")
    with pytest.raises(RepositoryFault) as caught:
        LocalRepository.open(tmp_path)
    assert caught.value.code == "not_a_repository"


def test_free_space_is_told_also_of_a_folder_not_yet_made(kit: Kit) -> None:
    vfs = os.statvfs(kit.path.parent)
    total = vfs.f_blocks * vfs.f_frsize
    assert 0 < free_bytes(kit.path / "a" / "b") <= total
    assert 0 < kit.make().free_bytes() <= total


def test_no_such_backup_is_told(plain_kit: Kit) -> None:
    repository = plain_kit.make()
    for name in (str(backup_id(3)), "x", "../../etc/passwd", ""):
        with pytest.raises(RepositoryFault) as caught:
            repository.manifest(name)
        assert caught.value.code == "no_such_backup"


def test_backups_are_listed_newest_first(plain_kit: Kit) -> None:
    for run in (1, 0, 2):
        plain_kit.back_up(bytes(512), run=run)
    listed = plain_kit.open().list()
    assert [manifest.backup_id for manifest in listed.manifests] == [backup_id(r) for r in (2, 1, 0)]
    assert listed.damaged == []


def test_a_name_that_is_no_unicode_does_not_cost_the_backup(plain_kit: Kit) -> None:
    with plain_kit.make().writer(BackupId.parse("vm/20260101T000000Z-aaaa")) as writer:
        add_disk(writer, 0, bytes(512))
        manifest = writer.commit(**(FACTS | {"vm_name": b"caf\xe9".decode("utf-8", "surrogateescape")}))
    assert plain_kit.open().list().manifests == [manifest]


def test_pyrage_and_the_age_program_agree(sealed_kit: Kit, tmp_path: Path) -> None:
    sealed_kit.back_up(sparse_image(1 << 20, 13))
    for name, content in sealed_kit.objects().items():
        if name.endswith(".age"):
            key = tmp_path / "key"
            key.write_text(sealed_kit.identities[0])
            opened = subprocess.run(
                ["age", "-d", "-i", str(key)], input=content, capture_output=True, check=True
            )
            identity = pyrage.x25519.Identity.from_str(sealed_kit.identities[0])
            assert opened.stdout == pyrage.decrypt(content, [identity])
            assert subprocess.run(["zstd", "-tq"], input=opened.stdout, check=False).returncode == 0


@pytest.mark.parametrize(
    ("what", "stream"),
    [
        ("a frame of no known type", b"\x03" + bytes(12)),
        ("text", b"Traceback (most recent call last)"),
        ("a frame beyond the disk", b"\x01" + (1 << 20).to_bytes(8, "big") + (512).to_bytes(4, "big")),
        ("an empty frame", b"\x01" + bytes(12)),
        ("half a block", b"\x01" + bytes(8) + (512).to_bytes(4, "big")),
        ("more after the end", wire_of(bytes(1 << 20)) + b"x"),
    ],
)
def test_a_stream_that_is_none_of_this_disk_is_refused(plain_kit: Kit, what: str, stream: bytes) -> None:
    with plain_kit.make().writer(backup_id()) as writer:
        disk = writer.disk(0, node="", file_name="", capacity_bytes=1 << 20, descriptor="")
        with pytest.raises(Unreadable):
            disk.feed(stream)
        with pytest.raises(RepositoryFault):
            disk.finish()
    assert plain_kit.open().list().manifests == []


def test_a_frame_that_goes_back_is_refused(plain_kit: Kit) -> None:
    frame = b"\x01" + bytes(8) + (65536).to_bytes(4, "big") + b"x" * 65536
    with plain_kit.make().writer(backup_id()) as writer:
        disk = writer.disk(0, node="", file_name="", capacity_bytes=1 << 20, descriptor="")
        disk.feed(frame)
        with pytest.raises(Unreadable):
            disk.feed(frame)


@pytest.mark.parametrize("capacity_bytes", [0, -512, 511, 513, (64 << 40) + 512])
def test_a_capacity_that_no_disk_has_is_refused(plain_kit: Kit, capacity_bytes: int) -> None:
    with plain_kit.make().writer(backup_id()) as writer, pytest.raises(InvalidArguments):
        writer.disk(0, node="", file_name="", capacity_bytes=capacity_bytes, descriptor="")


@pytest.mark.parametrize("name", ["", "/etc/passwd", "../x", "a/../b", "a//b", "a\nb", "./a", "a/"])
def test_a_file_name_that_climbs_is_refused(plain_kit: Kit, name: str) -> None:
    with plain_kit.make().writer(backup_id()) as writer, pytest.raises(InvalidArguments):
        writer.add_file(name, b"")


@pytest.mark.parametrize("capacity_bytes", [300 << 30, (5 << 40) + 512])
def test_a_huge_disk_with_little_on_it_comes_back(plain_kit: Kit, capacity_bytes: int) -> None:
    block = block_bytes_for(capacity_bytes)
    last = capacity_bytes - (capacity_bytes % block or block)
    runs = {0: b"a" * block, 7 * block: b"b" * (3 * block), last: b"c" * (capacity_bytes - last)}
    with plain_kit.make().writer(backup_id()) as writer:
        disk = writer.disk(0, node="", file_name="", capacity_bytes=capacity_bytes, descriptor="")
        for offset, data in runs.items():
            disk.feed(data_head(offset, len(data)) + data)
        disk.feed(end_frame(capacity_bytes, len(runs)))
        disk.finish()
        manifest = writer.commit(**FACTS)
    assert plain_kit.open().verify(manifest.id).ok
    got: dict[int, bytes] = {}
    for chunk in plain_kit.open().reader(manifest.id).disk_stream(0):
        offset = int.from_bytes(chunk[1:9], "big")
        joined = next((at for at, data in got.items() if at + len(data) == offset), offset)
        got[joined] = got.get(joined, b"") + chunk[13:]
    assert {at: data for at, data in got.items() if data} == runs
