"""OpenSSH's signature of a file (SSHSIG), read and written as text and bytes; nothing is computed here.

The format is OpenSSH's PROTOCOL.sshsig, what `ssh-keygen -Y sign` writes: an armored blob of magic, version,
public key, namespace, hash and signature. What is signed is not the content but a short message that holds
its hash and the namespace, so that a signature for one purpose is none for another.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
import textwrap
from dataclasses import dataclass
from typing import NamedTuple

from ceso_mcp.errors import InvalidArguments, Unreadable

NAMESPACE = "ceso-backup"
"""What manifests are signed for: `ssh-keygen -Y verify -n ceso-backup`."""

_MAGIC = b"SSHSIG"
_VERSION = 1
_HASHES = ("sha256", "sha512")
_BEGIN, _END = "-----BEGIN SSH SIGNATURE-----", "-----END SSH SIGNATURE-----"
_ARMOR = re.compile(rf"\s*{_BEGIN}\r?\n([A-Za-z0-9+/=\s]+){_END}\s*\Z")
_LIMIT_BYTES = 1 << 16
_KINDS = (
    "ssh-ed25519",
    "ssh-rsa",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
)


class PublicKey(NamedTuple):
    """An SSH public key: its kind (`ssh-ed25519`) and its blob, the kind within."""

    kind: str
    blob: bytes

    @property
    def fingerprint(self) -> str:
        """`SHA256:…`, as ssh-keygen shows it."""
        digest = base64.b64encode(hashlib.sha256(self.blob).digest()).decode()
        return f"SHA256:{digest.rstrip('=')}"

    @property
    def line(self) -> str:
        """The key as it stands in a `.pub` file, without a comment."""
        return f"{self.kind} {base64.b64encode(self.blob).decode()}"

    @property
    def is_known(self) -> bool:
        """Whether it is of a kind whose signatures are checked here."""
        return self.kind in _KINDS


@dataclass(frozen=True, slots=True)
class SshSignature:
    """A signature as it was read: who says to have signed, with which hash, and the signature itself.

    `algorithm` is that of the signature (`rsa-sha2-512` for an `ssh-rsa` key).
    """

    key: PublicKey
    hash_name: str
    algorithm: str
    raw: bytes


def public_key(line: str) -> PublicKey:
    """The key of a line of a `.pub` file; raises InvalidArguments, naming no value."""
    words = line.split()
    try:
        if len(words) < 2:
            raise ValueError
        key = _public_key(base64.b64decode(words[1], validate=True))
    except (ValueError, Unreadable):
        raise InvalidArguments(
            "this is not an SSH public key", hint="give a line as in a .pub file: ssh-ed25519 AAAA…"
        ) from None
    if key.kind != words[0] or not key.is_known:
        raise InvalidArguments(f"an SSH public key that signs backups is one of: {', '.join(_KINDS)}")
    return key


def message(content: bytes, hash_name: str = "sha512") -> bytes:
    """What is signed for `content`."""
    digest = hashlib.new(hash_name, content).digest()
    return _MAGIC + b"".join(map(string, (NAMESPACE.encode(), b"", hash_name.encode(), digest)))


def armored(signature: SshSignature) -> bytes:
    """The signature as a file, as `ssh-keygen -Y sign` writes it."""
    raw = string(signature.algorithm.encode()) + string(signature.raw)
    parts = (signature.key.blob, NAMESPACE.encode(), b"", signature.hash_name.encode(), raw)
    blob = _MAGIC + _VERSION.to_bytes(4, "big") + b"".join(map(string, parts))
    lines = textwrap.wrap(base64.b64encode(blob).decode(), 70)
    return "\n".join((_BEGIN, *lines, _END, "")).encode()


def parse(stored: bytes) -> SshSignature:
    """Read a signature file; raises Unreadable if it is none, or one for another purpose."""
    what = "signature"
    try:
        match = _ARMOR.match(stored.decode("ascii")) if len(stored) <= _LIMIT_BYTES else None
        blob = base64.b64decode("".join(match[1].split()), validate=True) if match else b""
    except (UnicodeDecodeError, binascii.Error):
        blob = b""
    if not blob.startswith(_MAGIC):
        raise Unreadable(what, "it is not an OpenSSH signature")
    reader = Strings(blob[len(_MAGIC) :], what)
    version = int.from_bytes(reader.take(4), "big")
    if version != _VERSION:
        raise Unreadable(what, f"it is of SSHSIG version {version}")
    key = _public_key(reader.string())
    namespace, reserved, hashed = reader.string(), reader.string(), reader.string()
    inner = Strings(reader.string(), what)
    reader.end()
    algorithm, raw = inner.string(), inner.string()
    inner.end()
    if namespace != NAMESPACE.encode():
        raise Unreadable(what, f"it was made for another purpose than {NAMESPACE}")
    hash_name = hashed.decode("ascii", "replace")
    if reserved or hash_name not in _HASHES:
        raise Unreadable(what, "it uses a hash or a field that is not known")
    return SshSignature(key, hash_name, algorithm.decode("ascii", "replace"), raw)


def string(content: bytes) -> bytes:
    """A string of SSH: its length in four bytes, then itself."""
    return len(content).to_bytes(4, "big") + content


class Strings:
    """Reads strings of SSH one after the other; raises Unreadable where there are none."""

    def __init__(self, blob: bytes, what: str) -> None:
        self._rest = memoryview(blob)
        self._what = what

    def take(self, length: int) -> bytes:
        if length > len(self._rest):
            raise Unreadable(self._what, "it ends too early")
        taken, self._rest = bytes(self._rest[:length]), self._rest[length:]
        return taken

    def string(self) -> bytes:
        return self.take(int.from_bytes(self.take(4), "big"))

    def end(self) -> None:
        if self._rest:
            raise Unreadable(self._what, "it goes on after its end")


def _public_key(blob: bytes) -> PublicKey:
    kind = Strings(blob, "public key").string().decode("ascii", "replace")
    return PublicKey(kind, blob)
