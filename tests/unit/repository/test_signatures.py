"""Signed backups: what was done to a manifest or its signature is named, and is not restored or leaned on."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from incremental_cases import NODE, back_up_file, sparse
from repository_cases import Kit, backup_id, image_of, new_signer, sparse_image
from test_copying import beside, copy_all
from test_keeping import digest
from test_repository_by_hand import restore

from ceso_mcp.backup.signature import Trust
from ceso_mcp.errors import CesoError, RepositoryFault
from ceso_mcp.repository import Repository, keeping
from ceso_mcp.repository.check import check
from ceso_mcp.repository.copying import copy_backups, missing
from ceso_mcp.repository.signing import SigningKey
from ceso_mcp.repository.targets.local import LocalTarget

SIZE = 1 << 18
IMAGES = [sparse_image(SIZE, seed, 0.9) for seed in range(2)]
MANIFEST, SIG = "manifest.json", "manifest.json.sig"


@pytest.fixture
def signer(tmp_path: Path) -> SigningKey:
    return new_signer(tmp_path)


@pytest.fixture
def kit(tmp_path: Path, signer: SigningKey) -> Kit:
    """Two signed backups, whose signer is trusted."""
    kit = Kit(tmp_path / "repo", (), (), signer, Trust((signer.public,)))
    for run, image in enumerate(IMAGES):
        kit.back_up(image, run=run)
    return kit


def requiring(kit: Kit) -> Kit:
    return Kit(kit.path, (), (), kit.signer, Trust(kit.trust.signers, required=True))


def at(kit: Kit, name: str, run: int = 1) -> Path:
    return kit.path / backup_id(run).object(name)


def with_right_checksum(content: bytes) -> bytes:
    """The manifest with the checksum that its content has now, which anybody can write."""
    body = content[: content.rindex(b' "checksum"')]
    return body + f' "checksum": "{hashlib.sha256(body).hexdigest()}"\n}}\n'.encode()


def change(kit: Kit, old: bytes, new: bytes, run: int = 1) -> None:
    content = at(kit, MANIFEST, run).read_bytes()
    assert old in content
    at(kit, MANIFEST, run).write_bytes(with_right_checksum(content.replace(old, new)))


def resigned(kit: Kit) -> None:
    """By a key that nobody knows."""
    stranger = new_signer(kit.path.parent, "stranger")
    at(kit, SIG).write_bytes(stranger.sign(at(kit, MANIFEST).read_bytes()))


def stripped(kit: Kit) -> None:
    """As if it had never been signed."""
    at(kit, SIG).unlink()
    change(kit, b' "signature": "sshsig"', b' "signature": null')


TAMPERING: dict[str, tuple[Callable[[Kit], object], str]] = {
    "another name": (lambda kit: change(kit, b'"web 01"', b'"web 02"'), "bad"),
    "another pack": (lambda kit: change(kit, *packs(kit)), "bad"),
    "says unsigned": (lambda kit: change(kit, b' "signature": "sshsig"', b' "signature": null'), "bad"),
    "another one's signature": (lambda kit: shutil.copy(at(kit, SIG, 0), at(kit, SIG)), "bad"),
    "no signature in it": (lambda kit: at(kit, SIG).write_bytes(b""), "bad"),
    "signature gone": (lambda kit: at(kit, SIG).unlink(), "missing"),
    "another key": (resigned, "unknown_signer"),
    "stripped": (stripped, "unsigned"),
}


def packs(kit: Kit) -> tuple[bytes, bytes]:
    """A line of a pack in the newer manifest, and one of the older."""
    lines = [
        next(line for line in at(kit, MANIFEST, run).read_bytes().splitlines() if line.startswith(b'    ["'))
        for run in (1, 0)
    ]
    (_, old, *_), (_, new, *_) = (line.split(b'"') for line in lines)
    return old, new


def test_a_signed_backup_says_so_and_restores(kit: Kit, signer: SigningKey) -> None:
    repository = requiring(kit).open()
    standing = keeping.standing(repository)
    assert [(b.signature.state, b.signature.signer, b.state) for b in standing.backups] == [
        ("signed", signer.public.fingerprint, "complete")
    ] * 2
    for run, image in enumerate(IMAGES):
        manifest = repository.manifest(backup_id(run))
        assert manifest.signature == "sshsig"
        assert image_of(repository.reader(manifest.id).disk_stream(0), SIZE) == image
        report = repository.verify(manifest.id)
        assert (report.ok, report.refused, report.signature.state) == (True, "", "signed")
    assert check(repository).problems == ()
    # Somebody without any configuration sees who signed, and restores.
    plain = Kit(kit.path, (), ()).open()
    assert {b.signature.state for b in keeping.standing(plain).backups} == {"unchecked"}
    assert plain.reader(backup_id(1)).disk_record(0)


@pytest.mark.parametrize("what", TAMPERING)
def test_tampering_is_named_and_refused(kit: Kit, what: str) -> None:
    tamper, state = TAMPERING[what]
    tamper(kit)
    lax, strict = kit.open(), requiring(kit).open()
    assert lax.list().damaged == []
    report = lax.verify(backup_id(1))
    assert report.signature.state == state
    named = [item for item in report.damage if item.object == backup_id(1).object(SIG)]
    assert bool(named) == (state in ("bad", "missing"))
    assert {entry for entry, _ in check(lax).problems} == ({str(backup_id(1))} if named else set())
    code = {"bad": "bad_signature", "unknown_signer": "unknown_signer"}.get(state, "not_signed")
    for reading in (strict.restorable, strict.reader):
        with pytest.raises(RepositoryFault) as caught:
            reading(backup_id(1))
        assert caught.value.code == code
    assert strict.verify(backup_id(1)).refused
    if state == "bad":
        with pytest.raises(RepositoryFault) as caught:
            lax.reader(backup_id(1))
        assert caught.value.code == code
        with pytest.raises(RepositoryFault) as caught:  # also without any configuration
            Kit(kit.path, (), ()).open().reader(backup_id(1))
        assert caught.value.code == code
    else:
        assert image_of(lax.reader(backup_id(1)).disk_stream(0), SIZE) == IMAGES[1]
    # What is refused never counts as a good backup, so that it pushes none out.
    newest = keeping.standing(strict).groups()[0]
    assert [backup.state for backup in newest.backups] == ["damaged", "complete"]
    # The other backup is as it was.
    assert image_of(strict.reader(backup_id(0)).disk_stream(0), SIZE) == IMAGES[0]


def test_every_byte_of_a_signed_manifest_counts(kit: Kit) -> None:
    repository, good = kit.open(), at(kit, MANIFEST).read_bytes()
    for place in range(0, len(good) - 90, 3):
        changed = bytearray(good)
        changed[place] ^= 1
        at(kit, MANIFEST).write_bytes(with_right_checksum(bytes(changed)))
        with pytest.raises(CesoError):
            repository.reader(backup_id(1))
    at(kit, MANIFEST).write_bytes(good)
    assert repository.reader(backup_id(1))


def test_a_signed_backup_in_another_place_is_found_out(kit: Kit) -> None:
    moved = "564d7c1e-0022/20260101T031500Z-4f2a9c"
    shutil.copytree(kit.path / backup_id(1).folder, kit.path / "backups" / moved)
    shutil.rmtree(at(kit, "", 0))
    shutil.copytree(kit.path / backup_id(1).folder, at(kit, "", 0))  # the newer one in the older one's place
    listing, signatures = kit.open().list_with_signatures()
    assert [manifest.id for manifest in listing.manifests] == [str(backup_id(1))]
    assert {entry.id for entry in listing.damaged} == {moved, str(backup_id(0))}
    assert set(signatures) == {str(backup_id(1))}
    for name in (moved, str(backup_id(0))):
        with pytest.raises(RepositoryFault, match="another backup than its folder"):
            kit.open().reader(name)


def test_a_signed_backup_of_another_repository_is_found_out(kit: Kit, tmp_path: Path) -> None:
    other = Kit(tmp_path / "other", (), (), kit.signer, kit.trust)
    other.make()
    shutil.copytree(kit.path / "backups", other.path / "backups", dirs_exist_ok=True)
    shutil.copytree(kit.path / "packs", other.path / "packs", dirs_exist_ok=True)
    assert other.open().list().manifests == []
    with pytest.raises(RepositoryFault, match="another repository"):
        other.open().reader(backup_id(0))


@pytest.mark.parametrize("state", ["signed", *TAMPERING])
def test_only_what_is_signed_is_leaned_on(kit: Kit, state: str) -> None:
    if state != "signed":
        TAMPERING[state][0](kit)
    chosen = kit.open().parent_for(backup_id(1).vm_id, [(NODE, SIZE)])
    assert chosen.backup_id == str(backup_id(1 if state == "signed" else 0))
    assert bool(chosen.reason) == (state != "signed")
    if state == "signed":
        return
    assert str(backup_id(1)) in chosen.reason
    with pytest.raises(RepositoryFault) as caught:
        kit.open().parent_disk(backup_id(1), NODE, SIZE)
    assert caught.value.code == "bad_signature"
    # Nobody's signature counts: only a bad one keeps a backup from being a parent.
    plain = Kit(kit.path, (), ()).open().parent_for(backup_id(1).vm_id, [(NODE, SIZE)])
    assert plain.backup_id == str(backup_id(0 if TAMPERING[state][1] == "bad" else 1))


def test_an_unsigned_parent_means_a_full_backup_with_the_reason(tmp_path: Path, signer: SigningKey) -> None:
    Kit(tmp_path / "repo", (), ()).back_up(IMAGES[0])
    kit = Kit(tmp_path / "repo", (), (), signer, Trust((signer.public,)))
    chosen = kit.open().parent_for(backup_id(0).vm_id, [(NODE, SIZE)])
    assert (chosen.backup_id, chosen.disks) == (None, (False,))
    assert chosen.reason == f"backup {backup_id(0)} cannot be relied on: not signed"


def test_a_signed_backup_leans_on_a_signed_one(tmp_path: Path, signer: SigningKey) -> None:
    kit = Kit(tmp_path / "repo", (), (), signer, Trust((signer.public,), required=True))
    flat = sparse(tmp_path / "flat", IMAGES[0])
    first, _, _ = back_up_file(kit, flat, 0)
    sparse(flat, IMAGES[0][:-65536] + os.urandom(65536))
    second, _, _ = back_up_file(kit, flat, 1, first)
    assert second.parent == first.id
    repository = kit.open()
    keeping.forget(repository, [first.id], digest(repository))
    repository.prune(repository.garbage().digest)
    assert not at(kit, SIG, 0).exists()
    assert at(kit, SIG, 1).exists()
    assert image_of(kit.open().reader(second.id).disk_stream(0), SIZE) == flat.read_bytes()


def test_the_signature_goes_with_its_backup_and_never_before(kit: Kit) -> None:
    repository = kit.open()
    assert repository.garbage().entries == ()
    garbage = keeping.garbage_without(repository, [str(backup_id(0))])
    assert backup_id(0).object(SIG) in {entry.name for entry in garbage.parts}
    keeping.forget(repository, [str(backup_id(0))], digest(repository))
    assert at(kit, SIG, 0).exists()  # the manifest went first
    repository.prune(garbage.digest)
    assert not at(kit, "", 0).exists() or not list(at(kit, "", 0).iterdir())
    assert check(kit.open()).problems == ()


def test_an_abandoned_backup_leaves_no_signature(kit: Kit, monkeypatch: pytest.MonkeyPatch) -> None:
    real = LocalTarget.put

    def full(target: LocalTarget, name: str, content: list[bytes]) -> bool:
        if name.endswith(MANIFEST):
            assert (kit.path / f"{name}.sig").exists()
            raise RepositoryFault("no room", code="repository_full")
        return real(target, name, content)

    monkeypatch.setattr(LocalTarget, "put", full)
    before = kit.objects()
    with pytest.raises(RepositoryFault, match="no room"):
        kit.back_up(IMAGES[0], run=2)
    assert kit.objects() == before


def test_copies_are_signed_and_mended(kit: Kit) -> None:
    copy_all(kit, beside(kit))
    there = Kit(beside(kit).path, (), (), None, requiring(kit).trust)
    assert {b.signature.state for b in keeping.standing(there.open()).backups} == {"signed"}
    assert at(there, SIG).read_bytes() == at(kit, SIG).read_bytes()
    at(there, SIG).unlink()
    at(there, SIG, 0).write_bytes(b"something else")
    found = missing(kit.open(), there.open())
    assert set(found.mended) == {str(backup_id(0)), str(backup_id(1))}
    assert found.parts == ()
    copy_all(kit, there)
    assert {b.signature.state for b in keeping.standing(there.open()).backups} == {"signed"}
    assert missing(kit.open(), there.open()).manifests == ()


def test_a_bad_signature_is_not_copied(kit: Kit) -> None:
    change(kit, b'"web 01"', b'"web 02"')
    found = missing(kit.open(), None)
    assert [manifest.id for manifest in found.manifests] == [str(backup_id(0))]
    assert found.damaged == (str(backup_id(1)),)
    destination = Repository.init_at(LocalTarget(beside(kit).path), like=kit.open().settings)
    with pytest.raises(RepositoryFault) as caught:
        copy_backups(kit.open(), destination, (str(backup_id(1)),))
    assert caught.value.code == "bad_signature"
    assert destination.list().manifests == []


def test_an_older_backup_can_be_signed_by_hand(tmp_path: Path, signer: SigningKey) -> None:
    kit = Kit(tmp_path / "repo", (), (), None, Trust((signer.public,), required=True))
    kit.back_up(IMAGES[0])
    with pytest.raises(RepositoryFault) as caught:
        kit.open().reader(backup_id(0))
    assert caught.value.code == "not_signed"
    command = ["ssh-keygen", "-q", "-Y", "sign", "-f", str(tmp_path / "signer"), "-n", "ceso-backup"]
    subprocess.run([*command, str(at(kit, MANIFEST, 0))], check=True)
    assert image_of(kit.open().reader(backup_id(0)).disk_stream(0), SIZE) == IMAGES[0]


def by_hand(kit: Kit, *options: str | Path) -> subprocess.CompletedProcess[bytes]:
    """The command of RESTORE.txt, in the backup's folder."""
    text = (kit.path / "RESTORE.txt").read_text()
    line = next(line for line in text.splitlines() if line.startswith(f"  ssh-keygen -Y {options[0]}"))
    return subprocess.run(
        ["sh", "-c", line.replace("-f signers", f"-f '{kit.path.parent}/signers'")],
        cwd=at(kit, ""), capture_output=True, check=False, timeout=30,
    )  # fmt: skip


def test_what_restore_txt_says_of_signatures_is_so(kit: Kit, signer: SigningKey) -> None:
    (kit.path.parent / "signers").write_text(f"ceso {signer.public.line}\n")
    assert by_hand(kit, "verify").returncode == 0
    done = by_hand(kit, "check-novalidate")
    assert done.returncode == 0
    assert signer.public.fingerprint in done.stdout.decode()
    change(kit, b'"web 01"', b'"web 02"')
    assert by_hand(kit, "verify").returncode != 0
    assert by_hand(kit, "check-novalidate").returncode != 0


@pytest.mark.skipif(not all(map(shutil.which, ("age", "zstd"))), reason="restore.sh needs age and zstd")
def test_the_script_refuses_what_is_not_signed(
    kit: Kit, tmp_path: Path, signer: SigningKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    signers = tmp_path / "signers"
    signers.write_text(f"ceso {signer.public.line}\n")
    out = tmp_path / "out.raw"

    def status(run: int = 1) -> int:
        out.unlink(missing_ok=True)
        done = restore(kit, tmp_path, str(kit.path), str(backup_id(run)), "0", str(out))
        assert out.exists() == (done.returncode == 0)
        return done.returncode

    assert status() == 0
    assert out.read_bytes() == IMAGES[1]
    monkeypatch.setenv("CESO_SIGNERS", str(signers))
    assert status() == 0
    for what in ("another name", "another one's signature", "signature gone", "another key"):
        saved = {name: at(kit, name).read_bytes() for name in (MANIFEST, SIG)}
        TAMPERING[what][0](kit)
        assert status() == 1, what
        monkeypatch.delenv("CESO_SIGNERS")
        assert status() == (1 if TAMPERING[what][1] == "bad" else 0), what
        monkeypatch.setenv("CESO_SIGNERS", "-")
        assert status() == 0, what
        monkeypatch.setenv("CESO_SIGNERS", str(signers))
        for name, content in saved.items():
            at(kit, name).write_bytes(content)
    shutil.rmtree(at(kit, "", 0))
    shutil.copytree(at(kit, ""), at(kit, "", 0))
    assert status(run=0) == 1
