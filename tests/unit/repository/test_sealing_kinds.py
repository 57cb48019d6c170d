"""Every way of sealing: written, compared, read, and restored by hand with nothing but its programs."""

from __future__ import annotations

import os
import pty
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from gpg_cases import PASSPHRASE, Gpg, throwaway_gpg
from incremental_cases import back_up_file, sparse
from repository_cases import SMALL_PACK_BYTES, Kit, image_of, new_identity, sparse_image

from ceso_mcp.config import BackupSection
from ceso_mcp.errors import CesoError, InvalidArguments, RepositoryFault
from ceso_mcp.redact import Redactor
from ceso_mcp.repository import LocalRepository
from ceso_mcp.repository.passphrase import read_key
from ceso_mcp.repository.targets.local import LocalTarget
from ceso_mcp.repository_access import RepositoryAccess
from ceso_mcp.secrets import SecretRef

# What restore.sh says that it needs; `sh` is the shell itself.
PROGRAMS = [
    "sh",
    "awk",
    "sed",
    "grep",
    "cut",
    "wc",
    "cat",
    "dd",
    "sha256sum",
    "truncate",
    "mktemp",
    "rm",
    "dirname",
    "sync",
    "tail",
    "zstd",
]
# scrypt takes its second on purpose, and more on a busy machine.
SLOW = [pytest.mark.slow, pytest.mark.timeout(300)]
SIZE = (1 << 20) + 5 * 512


@pytest.fixture(scope="module")
def gpg() -> Iterator[Gpg]:
    with throwaway_gpg() as found, pytest.MonkeyPatch.context() as patch:
        patch.setenv("GNUPGHOME", str(found.home))
        yield found


@pytest.fixture(scope="module")
def alice(gpg: Gpg) -> str:
    return gpg.key("alice@example.org")


@pytest.fixture(scope="module")
def locked(gpg: Gpg) -> str:
    recipient = gpg.key("locked@example.org", passphrase=PASSPHRASE)
    subprocess.run(["gpgconf", "--kill", "gpg-agent"], check=True, timeout=30)  # it remembers
    return recipient


@dataclass(frozen=True)
class AnyKit(Kit):
    passphrase: str | None = None
    keyring: bool = False

    def make(self) -> LocalRepository:
        return LocalRepository.init(
            self.path,
            recipients=self.recipients,
            pack_bytes=SMALL_PACK_BYTES,
            passphrase=self.passphrase,
        )

    def open(self) -> LocalRepository:
        identities = list(self.identities)
        if self.passphrase is not None:
            key = read_key(LocalTarget(self.path), self.passphrase)
            assert key is not None
            identities.append(key.secret)
        found = LocalRepository.open(self.path, identities=identities)
        if self.keyring:
            found.use_keyring()
        return found


@pytest.fixture(params=["none", "age", pytest.param("passphrase", marks=SLOW), "openpgp"])
def any_kit(request: pytest.FixtureRequest, tmp_path: Path) -> AnyKit:
    path = tmp_path / "repo"
    if request.param == "age":
        private, public = new_identity()
        return AnyKit(path, (public,), (private,))
    if request.param == "passphrase":
        return AnyKit(path, (), (), PASSPHRASE)
    if request.param == "openpgp":
        return AnyKit(path, (request.getfixturevalue("alice"),), (), keyring=True)
    return AnyKit(path, (), ())


def identity_by_hand(repository: Path, out: Path) -> None:
    """What a person does: `age -d`, and the passphrase at the terminal."""
    child, terminal = pty.fork()
    if child == 0:
        os.execvp("age", ["age", "-d", "-o", str(out), str(repository / "key.age")])
    said = b""
    while b"assphrase" not in said:
        said += os.read(terminal, 1000)
    os.write(terminal, PASSPHRASE.encode() + b"\n")
    assert os.waitpid(child, 0)[1] == 0, said
    os.close(terminal)


def by_hand(kit: AnyKit, backup_id: str, folder: Path) -> bytes:
    """What restore.sh makes of disk 0 where there is nothing but the programs that it names."""
    programs = folder / "bin"
    programs.mkdir(exist_ok=True)
    extra, env = [], {"PATH": str(programs)}
    needed = list(PROGRAMS)
    if kit.keyring:
        needed.append("gpg")
        env["GNUPGHOME"] = os.environ["GNUPGHOME"]
    elif kit.passphrase or kit.identities:
        needed.append("age")
        key = folder / "key.txt"
        if kit.passphrase:
            if not key.exists():
                identity_by_hand(kit.path, key)
        else:
            key.write_text(kit.identities[0])
        extra = [str(key)]
    for program in needed:
        found = shutil.which(program)
        assert found is not None, program
        (programs / program).unlink(missing_ok=True)
        (programs / program).symlink_to(found)
    out = folder / "out.raw"
    out.unlink(missing_ok=True)
    command = [str(programs / "sh"), str(kit.path / "restore.sh"), str(kit.path), backup_id, "0", str(out)]
    done = subprocess.run(
        [*command, *extra], env=env, capture_output=True, text=True, timeout=50, check=False
    )
    assert done.returncode == 0, done.stderr
    return out.read_bytes()


def test_full_and_incremental_backups_are_restored_by_ceso_and_by_hand(
    any_kit: AnyKit, tmp_path: Path
) -> None:
    first_image = sparse_image(SIZE, 1, 0.5)
    flat = sparse(tmp_path / "flat", first_image)
    keys = tmp_path / "keys"
    first, sent_first, _ = back_up_file(any_kit, flat, 0, keys=keys)
    second_image = bytearray(first_image)
    second_image[70_000:70_100] = bytes(range(100))
    sparse(flat, bytes(second_image))
    # Comparing needs this machine's key only.
    second, sent, _ = back_up_file(any_kit, flat, 1, first, keys=keys)
    assert sent < sent_first / 4
    opened = any_kit.open()
    for manifest, image in ((first, first_image), (second, bytes(second_image))):
        assert image_of(opened.reader(manifest.id).disk_stream(0), SIZE) == image
        assert by_hand(any_kit, manifest.id, tmp_path) == image
    assert opened.verify(second.id).damage == ()
    found = opened.garbage()
    assert (found.packs, found.parts) == ((), ())


def test_openpgp_objects_are_messages_that_gpg_lists_and_packs_have_no_phrase(
    gpg: Gpg, alice: str, tmp_path: Path
) -> None:
    kit = AnyKit(tmp_path / "repo", (alice,), (), keyring=True)
    flat = sparse(tmp_path / "flat", sparse_image(SIZE, 2))
    back_up_file(kit, flat, 0, keys=tmp_path / "keys")
    names = [name for name in kit.objects() if name.endswith(".gpg")]
    assert any(name.startswith("packs/") for name in names)
    for name in names:
        packets = gpg("--list-packets", str(kit.path / name))
        assert packets.count(":pubkey enc packet:") == 1
        assert packets.count(":symkey enc packet:") == (".map." in name or ".sums." in name)


def refusal(*recipients: str, path: Path) -> InvalidArguments:
    with pytest.raises(InvalidArguments) as caught:
        LocalRepository.init(path, recipients=recipients)
    assert not path.exists()
    return caught.value


def test_keys_that_nobody_should_seal_to_are_refused_before_anything_is_made(
    gpg: Gpg, alice: str, tmp_path: Path
) -> None:
    repo = tmp_path / "repo"
    assert "has no key" in refusal("openpgp:" + "A" * 40, path=repo).text()
    whole, part = gpg.prints("alice@example.org")
    assert alice in refusal(f"openpgp:{part}", path=repo).text()
    for short in (whole[-16:], "alice@example.org", ""):
        assert "whole fingerprint" in refusal(f"openpgp:{short}", path=repo).text()
    assert "one kind" in refusal(alice, new_identity()[1], path=repo).text()
    expired = gpg.key("expired@example.org", "--faked-system-time", "20200101T000000")
    assert "recipient 2: " in refusal(alice, expired, path=repo).text()
    assert "expired" in refusal(expired, path=repo).text()
    signing = gpg.key("signing@example.org", kind="sign")
    assert "encrypt" in refusal(signing, path=repo).text()
    revoked = gpg.key("revoked@example.org")
    paper = gpg.home / "openpgp-revocs.d" / f"{revoked.removeprefix('openpgp:')}.rev"
    gpg("--import", content=paper.read_text().replace(":-----BEGIN", "-----BEGIN"))
    assert "revoked" in refusal(revoked, path=repo).text()


def test_without_gpg_openpgp_recipients_are_refused(
    alice: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(RepositoryFault) as caught:
        LocalRepository.init(tmp_path / "repo", recipients=[alice])
    assert caught.value.code == "gpg_missing"


def private_file(path: Path, text: str) -> SecretRef:
    path.write_text(text)
    path.chmod(0o600)
    return SecretRef(file=path)


def access(tmp_path: Path, **settings: object) -> RepositoryAccess:
    section = BackupSection.model_validate({"repository": tmp_path / "repo", **settings})
    return RepositoryAccess(section, Redactor())


def fault_of(tmp_path: Path, **settings: object) -> CesoError:
    with pytest.raises(CesoError) as caught:
        access(tmp_path, **settings).status()
    assert not (tmp_path / "repo").exists()
    return caught.value


@pytest.mark.slow
def test_a_locked_key_is_said_before_the_first_backup_and_its_passphrase_opens_it(
    locked: str, tmp_path: Path
) -> None:
    assert fault_of(tmp_path, recipients=[locked]).code == "key_locked"
    wrong = private_file(tmp_path / "wrong", "wrong")
    said = fault_of(tmp_path, recipients=[locked], passphrase=wrong)
    assert said.code == "wrong_identity"
    right = access(tmp_path, recipients=[locked], passphrase=private_file(tmp_path / "right", PASSPHRASE))
    assert right.status().provable
    right.init()
    assert right.open().store.can_unseal


def test_an_identity_that_opens_nothing_is_found_before_the_first_backup(tmp_path: Path) -> None:
    private, public = new_identity()
    other = private_file(tmp_path / "other", new_identity()[0])
    said = fault_of(tmp_path, recipients=[public], identity=other)
    assert said.code == "wrong_identity"
    assert "cannot be opened with the configured identity" in said.text()
    assert (
        access(tmp_path, recipients=[public], identity=private_file(tmp_path / "own", private))
        .status()
        .provable
    )
    assert not access(tmp_path, recipients=[public]).status().provable


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_passphrase_is_checked_and_not_needed_where_its_public_key_is_configured(tmp_path: Path) -> None:
    right = access(tmp_path, passphrase=private_file(tmp_path / "right", PASSPHRASE))
    before = right.status()
    assert (before.exists, before.encrypted, before.recipients) == (False, True, 1)
    made = right.init()
    (public,) = made.recipients
    assert right.status().as_configured
    assert right.open().store.can_unseal
    wrong = access(tmp_path, passphrase=private_file(tmp_path / "wrong", "wrong"))
    with pytest.raises(RepositoryFault) as caught:
        wrong.status()
    assert caught.value.code == "wrong_identity"
    assert not access(tmp_path).status().as_configured
    writing = access(tmp_path, recipients=[public]).status()
    assert (writing.as_configured, writing.provable) == (True, False)
