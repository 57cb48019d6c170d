from __future__ import annotations

import base64

import asyncssh
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ceso_mcp.guest.ssh_keys import ssh_public_key


def _string(raw: bytes) -> bytes:
    return len(raw).to_bytes(4, "big") + raw


def _line(kind: str, *fields: bytes, inner: str | None = None, comment: str = "") -> str:
    blob = _string((inner or kind).encode()) + b"".join(_string(field) for field in fields)
    return f"{kind} {base64.b64encode(blob).decode()}{' ' + comment if comment else ''}"


def _rsa(bits: int) -> str:
    modulus = ((1 << (bits - 1)) | 1).to_bytes(bits // 8 + 1, "big").lstrip(b"\0")
    return _line("ssh-rsa", b"\x01\x00\x01", b"\0" + modulus)


POINT_256 = b"\x04" + bytes(64)
ED25519 = _line("ssh-ed25519", bytes(range(32)), comment="ann@laptop")


@pytest.mark.parametrize(
    "kind", ["ssh-ed25519", "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521", "ssh-rsa"]
)
def test_a_key_that_asyncssh_makes_is_accepted_unchanged(kind: str) -> None:
    key = asyncssh.generate_private_key(kind, comment="ann müller")
    line = key.export_public_key().decode().strip()
    assert ssh_public_key(line + "\n") == line


@pytest.mark.parametrize(
    "line",
    [
        _line("sk-ssh-ed25519@openssh.com", bytes(32), b"ssh:"),
        _line("sk-ecdsa-sha2-nistp256@openssh.com", b"nistp256", POINT_256, b"ssh:"),
        _rsa(2048),
        _rsa(4096),
    ],
)
def test_security_keys_and_long_rsa_keys_are_accepted(line: str) -> None:
    assert ssh_public_key(line) == line


def test_spaces_around_the_words_are_tidied() -> None:
    kind, encoded, comment = ED25519.split(" ")
    assert ssh_public_key(f"  {kind}\t{encoded}   {comment} \r\n") == ED25519


@pytest.mark.parametrize(
    ("text", "mistake"),
    [
        ("-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA", "private key"),
        ("-----BEGIN RSA PRIVATE KEY-----", "private key"),
        ("PuTTY-User-Key-File-3: ssh-ed25519", "private key"),
        ("---- BEGIN SSH2 PUBLIC KEY ----", "one-line form"),
        (f"{ED25519}\n{ED25519}", "one line"),
        ("", "its type, a space"),
        ("ssh-ed25519", "its type, a space"),
        (f'from="10.0.0.1" {ED25519}', "options"),
        (f"restrict {ED25519}", "options"),
        (_line("ssh-dss", b"1"), "DSA"),
        (_line("ssh-ed25519-cert-v01@openssh.com", b"1"), "certificate"),
        ("ssh-magic AAAA", "begins with its type"),
        ("ssh-ed25519 AAA!", "base64"),
        ("ssh-ed25519 AAA", "base64"),
        ("ssh-ed25519 ÄÄÄÄ", "base64"),
        (ED25519 + "\x07", "control"),
        (ED25519 + "\u202e", "control"),
        (_line("ssh-ed25519", bytes(32), inner="ssh-rsa"), "differ"),
        (_line("ssh-ed25519", bytes(31)), "damaged"),
        (_line("ssh-ed25519", bytes(32), b"more"), "damaged"),
        (_line("ecdsa-sha2-nistp256", b"nistp384", POINT_256), "damaged"),
        (_line("ecdsa-sha2-nistp384", b"nistp384", POINT_256), "damaged"),
        (_line("ecdsa-sha2-nistp256", b"nistp256", b"\x02" + bytes(64)), "damaged"),
        (_line("sk-ssh-ed25519@openssh.com", bytes(32)), "damaged"),
        (_line("ssh-rsa", b"\x03"), "damaged"),
        (_line("ssh-rsa", b"\x02", b"\0" + b"\xff" * 256), "damaged"),
        (_line("ssh-rsa", b"\x03", b"\xff" * 256), "damaged"),
        (_rsa(2040), "at least 2048"),
        (_rsa(16392), "at most 16384"),
    ],
)
def test_each_mistake_in_a_key_has_its_own_words(text: str, mistake: str) -> None:
    with pytest.raises(ValueError, match=mistake) as caught:
        ssh_public_key(text)
    for word in text.split():
        if len(word) > 30:
            assert word not in str(caught.value)


@given(st.integers(min_value=0, max_value=len(ED25519.split(" ")[1]) - 1))
def test_a_key_cut_short_anywhere_is_refused(length: int) -> None:
    kind, encoded, _ = ED25519.split(" ")
    with pytest.raises(ValueError):
        ssh_public_key(f"{kind} {encoded[:length]}")
