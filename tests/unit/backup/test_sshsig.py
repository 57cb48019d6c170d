"""SSHSIG: what ssh-keygen makes is understood here, what is made here ssh-keygen accepts, nothing else is."""

from __future__ import annotations

import base64
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ceso_mcp.backup import sshsig
from ceso_mcp.backup.signature import Trust
from ceso_mcp.errors import ConfigFault, InvalidArguments, Unreadable
from ceso_mcp.repository.signing import SigningKey, judge

KINDS = [
    ("ed25519", []),
    ("ecdsa", ["-b", "256"]),
    ("ecdsa", ["-b", "384"]),
    ("ecdsa", ["-b", "521"]),
    ("rsa", ["-b", "2048"]),
    ("rsa", ["-b", "2048", "-m", "PEM"]),
]
CONTENT = b'{\n "format": "ceso-backup"\n}\n'


def keygen(*arguments: str | Path, content: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    command = ["ssh-keygen", *map(str, arguments)]
    return subprocess.run(command, input=content, capture_output=True, check=False, timeout=60)


def new_key(path: Path, kind: str = "ed25519", extra: tuple[str, ...] = (), phrase: str = "") -> Path:
    assert keygen("-q", "-t", kind, *extra, "-N", phrase, "-f", path).returncode == 0
    return path


def signed(key: Path, content: bytes = CONTENT, namespace: str = sshsig.NAMESPACE, *options: str) -> bytes:
    """What ssh-keygen makes of it."""
    done = keygen("-q", "-Y", "sign", "-f", key, "-n", namespace, *options, content=content)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize(
    ("kind", "extra"), KINDS, ids=lambda value: value if isinstance(value, str) else "".join(value)
)
def test_both_ways_with_ssh_keygen(tmp_path: Path, kind: str, extra: list[str]) -> None:
    path = new_key(tmp_path / "key", kind, tuple(extra))
    key = SigningKey.read(path.read_text())
    shown = keygen("-l", "-f", path.with_suffix(".pub")).stdout.decode()
    assert key.public.fingerprint in shown.split()
    assert path.with_suffix(".pub").read_text().startswith(key.public.line)
    assert sshsig.public_key(path.with_suffix(".pub").read_text()) == key.public
    for hash_name in ("sha256", "sha512"):
        theirs = signed(path, CONTENT, sshsig.NAMESPACE, "-O", f"hashalg={hash_name}")
        assert sshsig.armored(sshsig.parse(theirs)) == theirs
        assert judge(CONTENT, theirs, Trust((key.public,))).state == "signed"
        assert judge(CONTENT + b" ", theirs, Trust((key.public,))).state == "bad"
    (tmp_path / "signers").write_text(f"ceso {key.public.line}\n")
    (tmp_path / "sig").write_bytes(key.sign(CONTENT))
    verify = ("-Y", "verify", "-f", tmp_path / "signers", "-I", "ceso", "-n", "ceso-backup", "-s")
    assert keygen(*verify, tmp_path / "sig", content=CONTENT).returncode == 0
    assert keygen(*verify, tmp_path / "sig", content=CONTENT + b" ").returncode != 0


def test_states(tmp_path: Path) -> None:
    mine, other = new_key(tmp_path / "mine"), new_key(tmp_path / "other")
    key, stranger = SigningKey.read(mine.read_text()), SigningKey.read(other.read_text())
    trust = Trust.of([mine.with_suffix(".pub").read_text()])
    by_other = stranger.sign(CONTENT)
    assert judge(CONTENT, None, trust).state == "unsigned"
    assert judge(CONTENT, None, trust, promised=True).state == "missing"
    assert judge(CONTENT, key.sign(CONTENT), Trust()).state == "unchecked"
    found = judge(CONTENT, by_other, trust)
    assert (found.state, found.signer) == ("unknown_signer", stranger.public.fingerprint)
    for stored in (b"", b"\xff", b"x" * 100_000, signed(mine, namespace="git"), by_other.replace(b"A", b"B")):
        assert judge(CONTENT, stored, trust).state == "bad"
    # The key of one and the signature of another.
    mixed = sshsig.parse(by_other)
    forged = sshsig.armored(sshsig.SshSignature(key.public, "sha512", mixed.algorithm, mixed.raw))
    assert judge(CONTENT, forged, trust).state == "bad"


def test_a_key_of_another_kind_is_an_unknown_signer() -> None:
    blob = sshsig.string(b"sk-ssh-ed25519@openssh.com") + sshsig.string(b"\0" * 32) + sshsig.string(b"ssh:")
    key = sshsig.PublicKey("sk-ssh-ed25519@openssh.com", blob)
    stored = sshsig.armored(sshsig.SshSignature(key, "sha512", key.kind, b"x"))
    found = judge(CONTENT, stored, Trust())
    assert (found.state, found.signer) == ("unknown_signer", key.fingerprint)
    with pytest.raises(InvalidArguments):
        sshsig.public_key(key.line)


def test_no_byte_of_a_signature_can_be_changed(tmp_path: Path) -> None:
    key = SigningKey.read(new_key(tmp_path / "key").read_text())
    trust = Trust((key.public,))
    begin, *lines, end = key.sign(CONTENT).decode().splitlines()
    blob = base64.b64decode("".join(lines))
    for place in range(len(blob)):
        changed = bytearray(blob)
        changed[place] ^= 1
        text = f"{begin}\n{base64.b64encode(bytes(changed)).decode()}\n{end}\n".encode()
        assert judge(CONTENT, text, trust).state != "signed", place
    for cut in range(0, len(blob), 7):
        text = f"{begin}\n{base64.b64encode(blob[:cut]).decode()}\n{end}\n".encode()
        assert judge(CONTENT, text, trust).state == "bad"
    longer = f"{begin}\n{base64.b64encode(blob + b'x').decode()}\n{end}\n".encode()
    assert judge(CONTENT, longer, trust).state == "bad"


@given(st.binary(max_size=300))
def test_whatever_is_stored_is_judged(blob: bytes) -> None:
    text = f"-----BEGIN SSH SIGNATURE-----\n{base64.b64encode(b'SSHSIG' + blob).decode()}\n"
    assert judge(CONTENT, blob, Trust()).state == "bad"
    assert judge(CONTENT, text.encode() + b"-----END SSH SIGNATURE-----\n", Trust()).state in (
        "bad",
        "unknown_signer",
    )
    with pytest.raises(Unreadable):
        sshsig.parse(blob)


PUBLIC = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ2nqvjQ4S0sF0VYVwWw0jvVd9Cl8u1yq2fQxJ0b7m5c"
BAD_LINES = ["", "ssh-ed25519", "ssh-ed25519 AAAA", "ssh-dss AAAAB3NzaC1kc3M=", f'from="*" {PUBLIC}']


@pytest.mark.parametrize("line", [*BAD_LINES, PUBLIC.replace("ssh-ed25519", "ssh-rsa")])
def test_what_is_no_public_key_is_refused(line: str) -> None:
    with pytest.raises(InvalidArguments):
        sshsig.public_key(line)


def test_keys_that_cannot_sign_are_refused(tmp_path: Path) -> None:
    locked = new_key(tmp_path / "locked", phrase="not empty").read_text()
    locked_pem = new_key(tmp_path / "pem", "rsa", ("-b", "2048", "-m", "PEM"), "not empty").read_text()
    small = new_key(tmp_path / "small", "rsa", ("-b", "1024")).read_text()
    public = (tmp_path / "small.pub").read_text()
    for text, why in (
        (locked, "passphrase"),
        (locked_pem, "passphrase"),
        (small, "2048"),
        (public, "no"),
        ("", "no"),
    ):
        with pytest.raises(ConfigFault) as caught:
            SigningKey.read(text)
        assert caught.value.code == "sign_key_unusable"
        assert why in caught.value.message
        assert text[40:60] not in caught.value.text() or not text
