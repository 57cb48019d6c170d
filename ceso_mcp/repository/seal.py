"""Sealing: zstd outside the disk's bytes, age or OpenPGP outside zstd. The door to zstandard and pyrage.

Both are loaded at first use. Recipients are age X25519 public keys (`age1…`) or SSH public keys
(`ssh-ed25519 …`, `ssh-rsa …`), or all OpenPGP keys
(`repository.openpgp`); identities are `AGE-SECRET-KEY-1…` (a key file's text, comments
included) or an OpenSSH private key without a passphrase. No message repeats a key's text.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Protocol

from ceso_mcp.errors import InvalidArguments, RepositoryFault
from ceso_mcp.repository import openpgp
from ceso_mcp.repository.target import Blob

if TYPE_CHECKING:
    import zstandard

LEVEL = 3
QUICK_LEVEL = 1
"""Where compressing is what everything else waits for: a third less work, files some 8 % larger."""

# A compressor serves one thread at a time, and making one costs as much as a small frame.
_THREADS = threading.local()

Identity = Any
Recipient = Any


class Deflater(Protocol):
    """Compresses what it is given bit by bit into one zstd frame."""

    def compress(self, data: bytes, /) -> bytes: ...

    def flush(self) -> bytes: ...


def check_recipients(recipients: Sequence[str]) -> list[Recipient]:
    """The recipients, tried out by sealing something to all of them.

    Raises InvalidArguments naming the position of a bad entry, counted from 1, never its text (but for
    fingerprints of OpenPGP keys); RepositoryFault `gpg_missing`, `seal_failed`.
    """
    if encryption_of(recipients) == "openpgp":
        keys = [openpgp.recipient(text, place) for place, text in enumerate(recipients, 1)]
        openpgp.encrypt(b"trial", keys)
        return keys
    found = [_recipient(text, place) for place, text in enumerate(recipients, 1)]
    if found:
        seal([b"trial"], found)
    return found


def encryption_of(recipients: Sequence[str]) -> Literal["none", "age", "openpgp"]:
    """How what goes to these recipients is sealed. Raises InvalidArguments for a mixture."""
    kinds = {openpgp.is_openpgp(text) for text in recipients}
    if len(kinds) == 2:
        raise InvalidArguments(
            "the recipients are OpenPGP keys and others; a repository has one kind",
            hint="use age and SSH keys only, or OpenPGP keys only",
        )
    return "none" if not kinds else "openpgp" if True in kinds else "age"


def prove(recipients: Sequence[Recipient], identities: Sequence[Identity]) -> None:
    """Seal something to the recipients and open it again with the identities.

    Raises RepositoryFault `wrong_identity` if that fails, `key_locked` if gpg would have to ask.
    """
    try:
        opened = unseal(b"".join(seal([b"trial"], recipients)), identities)
    except RepositoryFault as fault:
        if fault.code not in ("wrong_identity", "damaged"):
            raise
        opened = bytearray()
    if opened != b"trial":
        raise RepositoryFault(
            "what is sealed to these recipients cannot be opened with the configured identity",
            code="wrong_identity",
            hint="configure the identity of one of the recipients, or none on a machine that only backs up",
        )


def _recipient(text: str, place: int) -> Recipient:
    import pyrage

    text = text.strip()
    if "SECRET" in text.upper() or "PRIVATE KEY" in text.upper():
        raise InvalidArguments(
            f"recipient {place} is a private key; a recipient is a public key",
            hint="treat that private key as disclosed, and give its public half",
        )
    try:
        if text.startswith("age1"):
            return pyrage.x25519.Recipient.from_str(text)
        return pyrage.ssh.Recipient.from_str(text)
    except pyrage.RecipientError:
        raise InvalidArguments(
            f"recipient {place} is neither an age public key (age1…) nor an SSH public key (ed25519 or RSA)",
            hint="make an age key with age-keygen; its public key is printed",
        ) from None


def new_identity() -> tuple[str, str]:
    """A new age identity: its secret text and its public key."""
    import pyrage

    identity = pyrage.x25519.Identity.generate()
    return str(identity), str(identity.to_public())


def read_identities(identities: Sequence[str]) -> list[Identity]:
    """The identities in these texts. Raises RepositoryFault `wrong_identity` by position, not text."""
    import pyrage

    found: list[Identity] = []
    for place, text in enumerate(identities, 1):
        try:
            if "PRIVATE KEY-----" in text:
                found.append(pyrage.ssh.Identity.from_buffer(text.strip().encode() + b"\n"))
                continue
            lines = [line.strip() for line in text.splitlines()]
            keys = [line for line in lines if line and not line.startswith("#")]
            found += [pyrage.x25519.Identity.from_str(key) for key in keys]
            if not keys:
                raise pyrage.IdentityError("empty")
        except pyrage.IdentityError:
            raise RepositoryFault(
                f"identity {place} is no age secret key and no OpenSSH private key without passphrase",
                code="wrong_identity",
                hint="an age identity begins with AGE-SECRET-KEY-1",
            ) from None
    return found


class _Reader:
    """Hands out the pieces of a blob one after the other, without joining them."""

    def __init__(self, content: list[bytes | bytearray | memoryview]) -> None:
        self._content = content
        self._at = 0

    def read(self, size: int = -1) -> bytes:
        while self._content and self._at >= len(self._content[0]):
            self._content.pop(0)
            self._at = 0
        if not self._content:
            return b""
        first = memoryview(self._content[0])
        piece = bytes(first[self._at : len(first) if size < 0 else self._at + size])
        self._at += len(piece)
        return piece


class _Collector:
    def __init__(self, take: Callable[[bytes], object]) -> None:
        self._take = take

    def write(self, piece: bytes) -> int:
        self._take(piece)
        return len(piece)

    def flush(self) -> None:
        pass


def seal(
    content: Blob, recipients: Sequence[Recipient], *, consume: bool = False, phrase: str | None = None
) -> Blob:
    """`content` encrypted to all recipients as one file; with none, `content` itself.

    `phrase` opens it as well, where the recipients are OpenPGP keys (`openpgp.encrypt`).

    With `consume` a list loses its pieces while they are encrypted, so that no two copies are held.
    """
    if not recipients:
        return content
    if isinstance(recipients[0], openpgp.Recipient):
        whole = b"".join(content)
        if consume and isinstance(content, list):
            content.clear()
        return [openpgp.encrypt(whole, recipients, phrase)]
    import pyrage

    pieces: list[bytes] = []
    source = content if consume and isinstance(content, list) else list(content)
    # The streaming form: it makes no second copy of a pack and lets other threads run in between.
    pyrage.encrypt_io(_Reader(source), _Collector(pieces.append), list(recipients))
    return pieces


def unseal(stored: bytes, identities: Sequence[Identity]) -> bytearray:
    """The content of an age file.

    Raises RepositoryFault: `no_identity` without any identity, `wrong_identity` if none of them
    opens it, `damaged` if it is not a whole age file.
    """
    if not identities:
        raise RepositoryFault(
            "the repository is encrypted and no identity was given",
            code="no_identity",
            hint="give the age or SSH private key of one of its recipients",
        )
    if isinstance(identities[0], openpgp.Keyring):
        return openpgp.decrypt(stored, identities[0])
    import pyrage

    content = bytearray()
    try:
        pyrage.decrypt_io(_Reader([stored]), _Collector(content.extend), list(identities))
    except pyrage.DecryptError as fault:
        if "no matching keys" in str(fault).lower():
            raise RepositoryFault(
                "none of the identities given opens this repository",
                code="wrong_identity",
                hint="give the private key of one of the recipients in ceso-repo.json",
            ) from None
        raise RepositoryFault("a sealed object is not a whole age file", code="damaged") from None
    return content


class _Codecs(NamedTuple):
    compressor: zstandard.ZstdCompressor
    quick: zstandard.ZstdCompressor
    decompressor: zstandard.ZstdDecompressor


def _this_thread() -> _Codecs:
    import zstandard

    codecs: _Codecs | None = getattr(_THREADS, "codecs", None)
    if codecs is None:
        compressor = zstandard.ZstdCompressor(level=LEVEL, write_checksum=True)
        quick = zstandard.ZstdCompressor(level=QUICK_LEVEL, write_checksum=True)
        codecs = _THREADS.codecs = _Codecs(compressor, quick, zstandard.ZstdDecompressor())
    return codecs


def compress(data: bytes, *, quick: bool = False) -> bytes:
    """`data` as one zstd frame with its size and a checksum. Runs without the interpreter's lock."""
    codecs = _this_thread()
    return (codecs.quick if quick else codecs.compressor).compress(data)


def deflater() -> Deflater:
    """A compressor for a stream of unknown length."""
    import zstandard

    return zstandard.ZstdCompressor(level=LEVEL, write_checksum=True).compressobj()


def decompress_frame(frame: bytes | bytearray | memoryview, raw_bytes: int) -> bytes:
    """The content of one zstd frame that must hold exactly `raw_bytes`, checksum checked.

    Raises RepositoryFault `damaged`.
    """
    import zstandard

    try:
        # Looked at first: a forged size must not make this ask for gigabytes.
        if zstandard.frame_content_size(frame) == raw_bytes:
            content = _this_thread().decompressor.decompress(frame)
            if len(content) == raw_bytes:
                return content
    except zstandard.ZstdError:
        raise RepositoryFault("a compressed frame is damaged", code="damaged") from None
    raise RepositoryFault("a compressed frame does not hold what the seek table says", code="damaged")


def inflate(content: bytes | bytearray, limit_bytes: int) -> bytes:
    """The content of one zstd frame of unknown length, at most `limit_bytes`, checksum checked."""
    import zstandard

    inflater = zstandard.ZstdDecompressor().decompressobj()
    pieces: list[bytes] = []
    size = 0
    view = memoryview(content)
    try:
        for at in range(0, len(view), 1 << 16):
            pieces.append(inflater.decompress(view[at : at + (1 << 16)]))
            size += len(pieces[-1])
            if size > limit_bytes:
                raise RepositoryFault("an object unpacks to more than it can hold", code="damaged")
    except zstandard.ZstdError:
        raise RepositoryFault("a compressed object is damaged", code="damaged") from None
    if not inflater.eof or inflater.unused_data:
        raise RepositoryFault("a compressed object is cut off or has more behind it", code="damaged")
    return b"".join(pieces)
