"""SSH public keys for a guest's `authorized_keys`: checked to the last byte before they are written.

The forms are those of RFC 4253 §6.6 (RSA), RFC 5656 §3.1 (ECDSA), RFC 8709 §4 (Ed25519) and OpenSSH's
PROTOCOL.u2f (sk-*).
"""

from __future__ import annotations

import base64
import binascii
import re
import unicodedata

RSA_BITS_MIN = 2048
RSA_BITS_MAX = 16384

_CURVE_BYTES = {"nistp256": 32, "nistp384": 48, "nistp521": 66}
_ED25519 = "ssh-ed25519"
_SK_ED25519 = "sk-ssh-ed25519@openssh.com"
_SK_ECDSA = "sk-ecdsa-sha2-nistp256@openssh.com"
KEY_TYPES = (
    _ED25519,
    "ssh-rsa",
    *(f"ecdsa-sha2-{curve}" for curve in _CURVE_BYTES),
    _SK_ED25519,
    _SK_ECDSA,
)
_DAMAGED = "the SSH key is damaged: its inside does not fit its type (was it cut short when copied?)"


def ssh_public_key(text: str) -> str:
    """The key as one line `type base64 [comment]`, or `ValueError` in one sentence without the key.

    Refused with words of their own: private keys, several lines, options before the key,
    certificates, DSA, RSA below 2048 bits, and a blob whose inner type or length does not fit.
    """
    if "PRIVATE KEY" in text or "PuTTY-User-Key-File" in text:
        raise ValueError(
            "this is a private key: give the public one (the .pub file), and replace this key pair, "
            "since it has now been shown"
        )
    if "BEGIN SSH2 PUBLIC KEY" in text or "BEGIN PUBLIC KEY" in text:
        raise ValueError("give the SSH key in OpenSSH's one-line form, as ssh-keygen -i prints it")
    line = text.strip(" \t\r\n")
    if "\n" in line or "\r" in line:
        raise ValueError("an SSH key is one line: give several keys as several items")
    words = re.split(r"[ \t]+", line, maxsplit=2)
    if len(words) < 2:
        raise ValueError("an SSH key is its type, a space and its base64 text")
    kind, encoded, comment = words[0], words[1], "".join(words[2:])
    _check_kind(kind)
    if any(unicodedata.category(char) in ("Cc", "Cf", "Cs", "Zl", "Zp") for char in comment):
        raise ValueError("the comment of an SSH key must not hold control or invisible characters")
    try:
        blob = base64.b64decode(encoded.encode("ascii"), validate=True)
    except (binascii.Error, UnicodeEncodeError):
        raise ValueError("the second word of an SSH key must be base64 (was it cut or wrapped?)") from None
    _check_blob(kind, blob)
    return " ".join(word for word in (kind, encoded, comment) if word)


def _check_kind(kind: str) -> None:
    if kind in KEY_TYPES:
        return
    if kind == "ssh-dss":
        raise ValueError("DSA keys are no longer accepted by SSH servers: use Ed25519")
    if kind.endswith("-cert-v01@openssh.com"):
        raise ValueError("this is an SSH certificate: give the plain public key")
    if "=" in kind or "," in kind or kind in ("restrict", "cert-authority", "no-pty"):
        raise ValueError("options before an SSH key are not supported: give the key alone")
    raise ValueError(f"an SSH key begins with its type, one of: {', '.join(KEY_TYPES)}")


def _check_blob(kind: str, blob: bytes) -> None:
    fields = _fields(blob)
    if fields[0] != kind.encode():
        raise ValueError("the SSH key's type word and the type inside its base64 text differ")
    body = fields[1:]
    if kind == "ssh-rsa":
        if len(body) != 2:
            raise ValueError(_DAMAGED)
        _check_rsa(exponent=_positive(body[0]), modulus=_positive(body[1]))
        return
    if kind in (_SK_ED25519, _SK_ECDSA):
        application = body.pop() if body else b""
        if not application:
            raise ValueError(_DAMAGED)
    if kind in (_ED25519, _SK_ED25519):
        if [len(part) for part in body] != [32]:
            raise ValueError(_DAMAGED)
        return
    curve = kind.removesuffix("@openssh.com").rpartition("-")[2]
    if len(body) != 2 or body[0] != curve.encode():
        raise ValueError(_DAMAGED)
    # RFC 5656 §3.1: an uncompressed point is the byte 4 and two coordinates.
    if len(body[1]) != 1 + 2 * _CURVE_BYTES[curve] or body[1][0] != 4:
        raise ValueError(_DAMAGED)


def _check_rsa(*, exponent: int, modulus: int) -> None:
    bits = modulus.bit_length()
    if bits < RSA_BITS_MIN:
        raise ValueError(f"an RSA key must have at least {RSA_BITS_MIN} bits: use Ed25519 or a longer key")
    if bits > RSA_BITS_MAX:
        raise ValueError(f"an RSA key has at most {RSA_BITS_MAX} bits in OpenSSH")
    if exponent < 3 or exponent % 2 == 0 or modulus % 2 == 0:
        raise ValueError(_DAMAGED)


def _fields(blob: bytes) -> list[bytes]:
    fields = []
    at = 0
    while at < len(blob):
        length = int.from_bytes(blob[at : at + 4], "big")
        at += 4
        if at > len(blob) or at + length > len(blob):
            raise ValueError(_DAMAGED)
        fields.append(blob[at : at + length])
        at += length
    if not fields:
        raise ValueError(_DAMAGED)
    return fields


def _positive(mpint: bytes) -> int:
    if not mpint or mpint[0] & 0x80:
        raise ValueError(_DAMAGED)
    return int.from_bytes(mpint, "big")
