"""Sealing to OpenPGP keys, with the `gpg` of this machine and the keyring of its user (`GNUPGHOME`).

A recipient is written `openpgp:` and the whole fingerprint of a primary key. The user's gpg.conf is not
read: what is stored must not depend on it. gpg never asks anybody for anything: a key that is locked is
an error, and its passphrase comes from the configuration or from gpg-agent's memory.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Sequence
from typing import NamedTuple

from ceso_mcp.errors import InvalidArguments, RepositoryFault

PREFIX = "openpgp:"
_FINGERPRINT = re.compile(r"[0-9A-F]{40}([0-9A-F]{24})?\Z")
# Not --quiet: it hides why a key did not open. No key that is not here is fetched from anywhere.
_GPG = ("gpg", "--no-options", "--batch", "--no-tty", "--no-auto-key-locate", "--status-fd", "2")
# gpg waits for its agent, its agent for a card: some end there must be.
_TIMEOUT_S = 600
_WRONG_VALIDITY = {"r": "is revoked", "e": "has expired", "d": "is disabled", "i": "is invalid"}
# Error codes of libgpg-error, in the low 16 bits of what gpg reports.
_BAD_PASSPHRASE = 11
_CANNOT_ASK = {85, 99, 177}


class Recipient(NamedTuple):
    """A public key in the keyring, by its fingerprint."""

    fingerprint: str


class Keyring(NamedTuple):
    """The secret keys of gpg's keyring; `passphrase` opens them where gpg-agent does not know it."""

    passphrase: str | None = None


def is_openpgp(text: str) -> bool:
    """Whether this recipient is meant to be an OpenPGP key."""
    return text.strip().lower().startswith(PREFIX)


def recipient(text: str, place: int) -> Recipient:
    """The key in the keyring that recipient number `place` names.

    Raises InvalidArguments if there is no such key, or if it is expired, revoked or not for encryption;
    RepositoryFault `gpg_missing` without gpg.
    """
    fingerprint = _fingerprint(text)
    if not _FINGERPRINT.match(fingerprint):
        raise InvalidArguments(
            f"recipient {place} is not {PREFIX} and a whole fingerprint",
            hint="gpg --list-keys --fingerprint shows it; 40 digits, not a short id, address or name",
        )
    done = _run(["--with-colons", "--list-keys", fingerprint])
    rows = [line.split(":") for line in done.stdout.decode("utf-8", "replace").splitlines()]
    keys = [row for row in rows if row[0] == "pub"]
    prints = [row[9] for row in rows if row[0] == "fpr"]
    if done.returncode or len(keys) != 1 or not prints:
        raise InvalidArguments(
            f"recipient {place}: gpg has no key {fingerprint}",
            hint="gpg --import it, as the user that ceso runs as",
        )
    if prints[0] != fingerprint:
        raise InvalidArguments(
            f"recipient {place}: {fingerprint} is a part of another key",
            hint=f"give the fingerprint of the whole key: {PREFIX}{prints[0]}",
        )
    wrong = _WRONG_VALIDITY.get(keys[0][1])
    # Capital letters: what the whole key can do now, expired parts left out.
    if wrong is None and "D" in keys[0][11]:
        wrong = "is disabled"
    if wrong is None and "E" not in keys[0][11]:
        wrong = "has no part that can encrypt now"
    if wrong is not None:
        raise InvalidArguments(
            f"recipient {place}: the key {fingerprint} {wrong}", hint="renew it, or use another key"
        )
    return Recipient(fingerprint)


def has_secret_key(recipients: Sequence[str]) -> bool:
    """Whether gpg knows a secret key for one of these recipients. It may still be locked."""
    wanted = [_fingerprint(text) for text in recipients]
    return any(
        _FINGERPRINT.match(one) and _run(["--with-colons", "--list-secret-keys", one]).returncode == 0
        for one in wanted
    )


def encrypt(content: bytes, recipients: Sequence[Recipient], phrase: str | None = None) -> bytes:
    """`content` as one OpenPGP message to all recipients, and to whoever knows `phrase`.

    A phrase must be random and long: it is not made harder to guess. Raises RepositoryFault `seal_failed`.
    """
    arguments = ["--compress-algo", "none", "--trust-model", "always", "--encrypt"]
    for one in recipients:
        arguments += ["--recipient", one.fingerprint]
    if phrase is not None:
        arguments += ["--symmetric", "--s2k-mode", "1", "--pinentry-mode", "loopback"]
    done = _run(arguments, content, phrase)
    if done.returncode or b"[GNUPG:] END_ENCRYPTION" not in done.stderr:
        raise RepositoryFault(
            "gpg did not encrypt to the recipients",
            code="seal_failed",
            hint="see what `gpg --encrypt --recipient FINGERPRINT` says",
        )
    return done.stdout


def decrypt(stored: bytes, keyring: Keyring | None, phrase: str | None = None) -> bytearray:
    """The content of an OpenPGP message, opened with `phrase` if that is enough, else with the keyring.

    Raises RepositoryFault: `no_identity` with neither, `wrong_identity` if no key here opens it,
    `key_locked` if gpg would have to ask for a passphrase or PIN, `damaged` if it is not whole.
    """
    if phrase is not None:
        # Without the keyring: a phrase must never be tried as the PIN of a card.
        done = _run(["--pinentry-mode", "loopback", "--no-keyring", "--decrypt"], stored, phrase)
        if _opened(done):
            return bytearray(done.stdout)
    if keyring is None:
        raise RepositoryFault(
            "the repository is encrypted and gpg has no secret key for it",
            code="no_identity",
            hint="gpg --import the secret key of one of its recipients, as the user that ceso runs as",
        )
    mode = "error" if keyring.passphrase is None else "loopback"
    done = _run(["--pinentry-mode", mode, "--decrypt"], stored, keyring.passphrase)
    if _opened(done):
        return bytearray(done.stdout)
    failed = [int(code) & 0xFFFF for code in re.findall(rb"ERROR pkdecrypt_failed (\d+)", done.stderr)]
    if _BAD_PASSPHRASE in failed:
        raise RepositoryFault(
            "the configured passphrase does not open gpg's secret key",
            code="wrong_identity",
            hint="see `passphrase` in the [backup] section of the configuration",
        )
    if _CANNOT_ASK & set(failed):
        raise RepositoryFault(
            "gpg's secret key is locked, and nobody can be asked for its passphrase or PIN here",
            code="key_locked",
            hint="unlock it with gpg at a terminal, or name its `passphrase` in the [backup] section",
        )
    if failed or b"[GNUPG:] NO_SECKEY" in done.stderr:
        raise RepositoryFault(
            "no secret key of gpg's keyring opens this repository",
            code="wrong_identity",
            hint="gpg --import the secret key of one of the recipients in ceso-repo.json",
        )
    raise RepositoryFault("a sealed object is not a whole OpenPGP message", code="damaged")


def _fingerprint(text: str) -> str:
    return text.strip()[len(PREFIX) :].replace(" ", "").upper()


def _opened(done: subprocess.CompletedProcess[bytes]) -> bool:
    return done.returncode == 0 and b"[GNUPG:] DECRYPTION_OKAY" in done.stderr


def _run(
    arguments: Sequence[str], content: bytes = b"", phrase: str | None = None
) -> subprocess.CompletedProcess[bytes]:
    command = [*_GPG, *arguments]
    reading: int | None = None
    try:
        if phrase is not None:
            # On a pipe of its own: never among the arguments, which everybody on this machine can see.
            reading, writing = os.pipe()
            with open(writing, "wb") as pipe:
                pipe.write(phrase.encode() + b"\n")
            command[1:1] = ["--passphrase-fd", str(reading)]
        return subprocess.run(
            command,
            input=content,
            capture_output=True,
            check=False,
            timeout=_TIMEOUT_S,
            pass_fds=() if reading is None else (reading,),
            env={**os.environ, "LC_ALL": "C"},
        )
    except FileNotFoundError:
        raise RepositoryFault(
            "this machine has no gpg, which OpenPGP recipients need",
            code="gpg_missing",
            hint="install it (Debian: gpg and gpg-agent)",
        ) from None
    except subprocess.TimeoutExpired:
        raise RepositoryFault(
            f"gpg did not answer within {_TIMEOUT_S} s", code="key_locked", hint="see whether its agent hangs"
        ) from None
    finally:
        if reading is not None:
            os.close(reading)
