"""A repository that a passphrase opens: an age identity of its own, itself sealed with the passphrase.

age's scrypt takes about a second for each file, so packs are not sealed with the passphrase but to this
identity. It lies in the repository as `key.age`; `age -d key.age` asks for the passphrase and prints it.
"""

from __future__ import annotations

from typing import NamedTuple

from ceso_mcp.errors import RepositoryFault
from ceso_mcp.repository import seal
from ceso_mcp.repository.target import Target

KEY = "key.age"


class PassphraseKey(NamedTuple):
    """The identity's secret text, its public key, and what is stored as `key.age`."""

    secret: str
    public: str
    stored: bytes


def new_key(passphrase: str) -> PassphraseKey:
    """A new identity, sealed with the passphrase."""
    import pyrage

    secret, public = seal.new_identity()
    return PassphraseKey(secret, public, pyrage.passphrase.encrypt(f"{secret}\n".encode(), passphrase))


def read_key(target: Target, passphrase: str) -> PassphraseKey | None:
    """The identity of the repository at `target`; None if it has none.

    Raises RepositoryFault `wrong_identity` if the passphrase does not open it, or what it opens is no key.
    """
    import pyrage

    if not target.exists(KEY):
        return None
    stored = target.get(KEY)
    try:
        secret = pyrage.passphrase.decrypt(stored, passphrase).decode("ascii").strip()
        (identity,) = seal.read_identities([secret])
    except (pyrage.DecryptError, ValueError, RepositoryFault):
        raise RepositoryFault(
            f"the configured passphrase does not open the {KEY} of {target.title}",
            code="wrong_identity",
            hint="give the passphrase that the repository was made with",
        ) from None
    return PassphraseKey(secret, str(identity.to_public()), stored)
