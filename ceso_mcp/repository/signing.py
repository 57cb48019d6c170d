"""Signatures of manifests, made and checked in this process, so that no key is ever written to a file.

They are what `ssh-keygen -Y sign` and `-Y verify` make and check (`backup.sshsig`); the keys are those that
ssh-keygen makes: Ed25519, ECDSA and RSA of 2048 bits and more.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_private_key,
    load_ssh_private_key,
    load_ssh_public_key,
)

from ceso_mcp.backup import sshsig
from ceso_mcp.backup.signature import Signature, Trust
from ceso_mcp.backup.sshsig import PublicKey, SshSignature, Strings
from ceso_mcp.errors import ConfigFault, RepositoryFault, Unreadable

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes

LEAST_RSA_BITS = 2048
_RSA_HASHES: dict[str, hashes.HashAlgorithm] = {
    "rsa-sha2-512": hashes.SHA512(),
    "rsa-sha2-256": hashes.SHA256(),
}
_CURVE_HASHES: dict[str, hashes.HashAlgorithm] = {
    "ecdsa-sha2-nistp256": hashes.SHA256(),
    "ecdsa-sha2-nistp384": hashes.SHA384(),
    "ecdsa-sha2-nistp521": hashes.SHA512(),
}


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A private SSH key; `public` is its other half."""

    public: PublicKey
    _private: Any

    @classmethod
    def read(cls, text: str) -> SigningKey:
        """The key in `text`, as ssh-keygen writes it; raises ConfigFault `sign_key_unusable`."""
        content = (text.strip() + "\n").encode()
        try:
            private = _loaded(content)
            line = private.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()
            public = sshsig.public_key(line)
        except TypeError:
            raise _unusable("it is locked with a passphrase, and nobody can be asked for that") from None
        except (ValueError, UnsupportedAlgorithm, AttributeError):
            raise _unusable("it is not a private SSH key that can sign") from None
        if isinstance(private, rsa.RSAPrivateKey) and private.key_size < LEAST_RSA_BITS:
            raise _unusable(f"an RSA key needs {LEAST_RSA_BITS} bits")
        return cls(public, private)

    def sign(self, content: bytes) -> bytes:
        """The signature file for `content`. The same content may give another file each time."""
        text = sshsig.message(content)
        key, kind = self._private, self.public.kind
        if isinstance(key, ed25519.Ed25519PrivateKey):
            algorithm, raw = kind, key.sign(text)
        elif isinstance(key, rsa.RSAPrivateKey):
            algorithm = "rsa-sha2-512"
            raw = key.sign(text, padding.PKCS1v15(), _RSA_HASHES[algorithm])
        else:
            r, s = decode_dss_signature(key.sign(text, ec.ECDSA(_CURVE_HASHES[kind])))
            algorithm, raw = kind, _mpint(r) + _mpint(s)
        stored = sshsig.armored(SshSignature(self.public, "sha512", algorithm, raw))
        if judge(content, stored, Trust((self.public,))).state != "signed":
            raise RepositoryFault("the signature just made does not verify", code="sign_failed")
        return stored


def judge(content: bytes, stored: bytes | None, trust: Trust, *, promised: bool = False) -> Signature:
    """What the signature file `stored` tells of the manifest `content`; `promised` if that speaks of one."""
    if stored is None:
        return Signature("missing" if promised else "unsigned")
    try:
        found = sshsig.parse(stored)
    except Unreadable as fault:
        return Signature("bad", reason=fault.message.removeprefix("cannot read signature: "))
    signer = found.key.fingerprint
    if not found.key.is_known:
        kind = found.key.kind if found.key.kind.isprintable() else "unknown"
        return Signature("unknown_signer", signer, f"a key of the kind {kind[:60]} cannot be checked")
    if not _is_right(found, content):
        return Signature("bad", signer, "it is not one of this manifest")
    if not trust.signers:
        return Signature("unchecked", signer)
    return Signature("signed" if found.key in trust.signers else "unknown_signer", signer)


def _is_right(found: SshSignature, content: bytes) -> bool:
    text = sshsig.message(content, found.hash_name)
    try:
        key = load_ssh_public_key(found.key.line.encode())
        if isinstance(key, ed25519.Ed25519PublicKey) and found.algorithm == found.key.kind:
            key.verify(found.raw, text)
        elif isinstance(key, rsa.RSAPublicKey) and key.key_size >= LEAST_RSA_BITS:
            key.verify(found.raw, text, padding.PKCS1v15(), _RSA_HASHES[found.algorithm])
        elif isinstance(key, ec.EllipticCurvePublicKey) and found.algorithm == found.key.kind:
            numbers = Strings(found.raw, "signature")
            r, s = (int.from_bytes(numbers.string(), "big", signed=True) for _ in range(2))
            numbers.end()
            key.verify(encode_dss_signature(r, s), text, ec.ECDSA(_CURVE_HASHES[found.key.kind]))
        else:
            return False
    except (InvalidSignature, UnsupportedAlgorithm, ValueError, KeyError, Unreadable):
        return False
    return True


def _loaded(content: bytes) -> PrivateKeyTypes | Any:
    if content.startswith(b"-----BEGIN OPENSSH PRIVATE KEY-----"):
        return load_ssh_private_key(content, None)
    return load_pem_private_key(content, None)


def _mpint(number: int) -> bytes:
    return sshsig.string(number.to_bytes(number.bit_length() // 8 + 1, "big"))


def _unusable(why: str) -> ConfigFault:
    return ConfigFault(
        f"the key of sign_key cannot be used: {why}",
        code="sign_key_unusable",
        hint="`ssh-keygen -t ed25519 -N '' -f FILE` makes one",
    )
