"""The configured repository: where it is, whether it exists, and the way into it."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ceso_mcp.backup.places import AnyPlace, DatastorePlace, title_of
from ceso_mcp.backup.signature import Trust
from ceso_mcp.config import BackupSection, HostSection, PlaceSection
from ceso_mcp.errors import ConfigFault, InvalidArguments, RepositoryFault
from ceso_mcp.home import expanded
from ceso_mcp.known_repositories import KnownRepositories
from ceso_mcp.redact import Redactor
from ceso_mcp.secrets import SecretRef, read_secret

NEW_KEY = "passphrase"


@dataclass(frozen=True, slots=True)
class RepositoryStatus:
    """The configured repository as it is now. `path` is its place, for people; `free_bytes` is None
    where the place does not know its room."""

    path: str
    exists: bool
    recipients: int
    encrypted: bool
    free_bytes: int | None
    as_configured: bool
    provable: bool = True
    """Whether there is a key here that could show that what is sealed can be opened."""
    sealed_to: tuple[str, ...] = ()
    configured: tuple[str, ...] = ()
    """Public keys; `NEW_KEY` stands for one that a passphrase has yet to get."""


class RepositoryAccess:
    """Opens the repository of the configuration, anew each time: it may come, go and change.

    With a `state` directory it is remembered which repository was where; where one has vanished, every
    method raises RepositoryFault `repository_gone`, and none is made. `host` is the managed host, for a
    repository on one of its datastores. With `place`, it is another repository than the first one.
    """

    def __init__(
        self,
        backup: BackupSection,
        redactor: Redactor,
        state: Path | None = None,
        host: HostSection | None = None,
        place: PlaceSection | None = None,
    ) -> None:
        self._backup = backup
        self._place = place or backup
        self._redactor = redactor
        self._keys = state / "keys" if state is not None else None
        self._state = state
        self._host = host
        self._known = KnownRepositories(state) if state is not None else None
        self._opened: Any = None
        self._opened_key: Any = None
        self._signing: Any = None
        self._trusted: Trust | None = None
        self._copies: dict[str, RepositoryAccess] = {}

    @property
    def recipients(self) -> tuple[str, ...]:
        """The public keys that the configuration names."""
        return self._backup.recipients

    def copy(self, name: str) -> RepositoryAccess:
        """The way into the copy that the configuration calls `name`."""
        if name not in self._backup.copies:
            known = ", ".join(sorted(self._backup.copies)) or "none"
            raise InvalidArguments(
                "the configuration has no copy of that name",
                hint=f"copies are the sections [backup.copies.NAME]; there are: {known}",
            )
        if name not in self._copies:
            place = self._backup.copies[name]
            self._copies[name] = RepositoryAccess(
                self._backup, self._redactor, self._state, self._host, place
            )
        return self._copies[name]

    def status(self) -> RepositoryStatus:
        exists = self.exists()
        configured = {text.strip() for text in self._backup.recipients}
        phrase = self._own_passphrase()
        if not exists:
            self._try_recipients()
            found = configured = configured | ({NEW_KEY} if phrase is not None else set())
        else:
            if phrase is not None:
                key = self._own_key(phrase)
                configured.add(NEW_KEY if key is None else key.public)
            found = set(self.open(private=False).recipients)
            if found != configured:
                self._try_recipients()
        return RepositoryStatus(
            self.title(),
            exists,
            len(found),
            bool(found),
            self.target().free_bytes(),
            found == configured,
            not found or self._provable(),
            tuple(sorted(found)),
            tuple(sorted(configured)),
        )

    def set_recipients(self, before: tuple[str, ...], recipients: tuple[str, ...]) -> None:
        """Seal new backups to the configured recipients, which must be these (`repository.recipients`)."""
        from ceso_mcp.repository.passphrase import new_key
        from ceso_mcp.repository.recipients import set_recipients

        if self.status().configured != recipients:
            raise RepositoryFault("other recipients are configured than were shown", code="settings_differ")
        key, phrase = None, self._own_passphrase()
        if phrase is not None and NEW_KEY in recipients:
            key = new_key(phrase)
            recipients = tuple(key.public if text == NEW_KEY else text for text in recipients)
        set_recipients(self.target(), before, recipients, key=key)

    @property
    def _openpgp(self) -> bool:
        from ceso_mcp.repository.openpgp import is_openpgp

        return any(is_openpgp(text) for text in self._backup.recipients)

    def _secret(self, ref: SecretRef, name: str) -> str:
        secret = read_secret(ref, name)
        self._redactor.learn(secret.value)
        return secret.value.decode()

    def _passphrase(self) -> str | None:
        ref = self._backup.passphrase
        return None if ref is None else self._secret(ref, "passphrase")

    def _own_passphrase(self) -> str | None:
        """The passphrase, if it is the repository's and not that of a key of gpg."""
        return None if self._openpgp else self._passphrase()

    def _own_key(self, phrase: str) -> Any:
        """The key that the passphrase opens, opened once: that takes a second or more."""
        from ceso_mcp.repository.passphrase import KEY, read_key

        target = self.target()
        known = self._opened_key
        if known is None or not target.exists(KEY) or target.get(KEY) != known.stored:
            self._opened_key = read_key(target, phrase)
        return self._opened_key

    def signing_key(self) -> Any:
        """The key that new backups are signed with (`repository.signing.SigningKey`), None if they are not.

        Raises ConfigFault: `sign_key_unusable`, or that of the secret.
        """
        from ceso_mcp.repository.signing import SigningKey

        ref = self._backup.sign_key
        if ref is not None and self._signing is None:
            self._signing = SigningKey.read(self._secret(ref, "signing key"))
        return self._signing

    def signer(self) -> str:
        """The fingerprint of the key that new backups are signed with, "" if they are not."""
        key = self.signing_key()
        return "" if key is None else str(key.public.fingerprint)

    def _trust(self) -> Trust:
        """Whose signatures count. Restoring must not depend on the own private key: a signing key that
        cannot be used here adds nobody.
        """
        if self._trusted is None:
            trust = Trust.of(self._backup.trusted_signers, required=self._backup.require_signature)
            with contextlib.suppress(ConfigFault):
                if (own := self.signing_key()) is not None:
                    trust = replace(trust, signers=(*trust.signers, own.public))
            self._trusted = trust
        return self._trusted

    def _identities(self) -> list[str]:
        ref = self._backup.identity
        return [] if ref is None else [self._secret(ref, "age identity")]

    def _provable(self) -> bool:
        if not self._openpgp:
            return self._backup.identity is not None or self._backup.passphrase is not None
        from ceso_mcp.repository.openpgp import has_secret_key

        return has_secret_key(self._backup.recipients)

    def _try_recipients(self) -> None:
        """Before the first backup: seal to the recipients, and open that with what is configured.

        Raises InvalidArguments for a bad recipient, RepositoryFault `wrong_identity` if it stays closed.
        """
        from ceso_mcp.repository import openpgp, seal

        recipients = seal.check_recipients(self._backup.recipients)
        if not recipients:
            return
        if self._openpgp:
            if self._provable():
                seal.prove(recipients, [openpgp.Keyring(self._passphrase())])
        elif identities := self._identities():
            seal.prove(recipients, seal.read_identities(identities))

    def place(self) -> AnyPlace:
        if self._place.repository is None:
            raise RepositoryFault(
                "no backup repository is configured",
                code="no_repository",
                hint="set repository in the [backup] section of the configuration",
            )
        return self._place.repository

    def datastores(self) -> list[tuple[str, str]]:
        """(datastore of the host, what is there) for the repository and its copies; none is opened."""
        places = {"the repository": self._backup.repository}
        places |= {f"the copy {name!r}": copy.repository for name, copy in self._backup.copies.items()}
        return [
            (place.datastore, f"{what} ({place.title})")
            for what, place in places.items()
            if isinstance(place, DatastorePlace)
        ]

    def title(self) -> str:
        """Where the repository is, for people."""
        place = self.place()
        return str(expanded(place)) if isinstance(place, Path) else title_of(place)

    def _remembered_as(self) -> str:
        host = self._host.address if self._host is not None else "nowhere"
        return self.title() + (f" on {host}" if isinstance(self.place(), DatastorePlace) else "")

    def target(self) -> Any:
        """The place itself. One with a connection keeps it until `close`."""
        from ceso_mcp.repository.targets.opening import open_target

        if self._opened is not None:
            return self._opened
        place = self.place()
        target = open_target(place, self._place, self._host, self._redactor)
        if not isinstance(place, Path):
            self._opened = target
        return target

    def exists(self) -> bool:
        from ceso_mcp.repository import is_repository

        found = is_repository(self.target())
        if not found and self._known is not None:
            self._known.require_absent(self._remembered_as())
        return found

    def init(self, *, like: Any = None) -> Any:
        """The repository, made if there never was one; sealed to the configured recipients.

        `like` are the settings of the repository that it is to be a copy of.
        """
        from ceso_mcp.repository import Repository

        self.exists()
        repository = Repository.init_at(
            self.target(),
            recipients=self.recipients,
            like=like,
            passphrase=self._own_passphrase() if like is None else None,
        )
        repository.trust = self._trust()
        if self._known is not None:
            self._known.remember(self._remembered_as(), repository.id)
        return repository

    def open(self, *, private: bool = True) -> Any:
        """The repository; `private` brings the identity, which only reading sealed data needs."""
        from ceso_mcp.repository import Repository

        identities = self._identities() if private and not self._openpgp else []
        self.exists()
        if private and (phrase := self._own_passphrase()) is not None:
            key = self._own_key(phrase)
            identities += [] if key is None else [key.secret]
        repository = Repository.open_at(self.target(), identities=identities)
        repository.trust = self._trust()
        if private and self._openpgp:
            repository.use_keyring(self._passphrase())
        if self._known is not None:
            # Reading must not fail because the state directory is full.
            with contextlib.suppress(ConfigFault):
                self._known.remember(self._remembered_as(), repository.id)
        self.use_index_key(repository)
        return repository

    def use_index_key(self, repository: Any, *, make: bool = False) -> None:
        """Give an opened repository this machine's own key to maps and digests."""
        if self._keys is not None:
            repository.use_index_key(self._keys, make=make)

    def parent_for(self, vm_id: str, disks: tuple[tuple[str, int], ...]) -> Any:
        """What a new backup of this VM is compared with (`repository.parent.Choice`)."""
        from ceso_mcp.repository import Choice

        if not self.exists():
            return Choice(None, (False,) * len(disks), "")
        return self.open(private=False).parent_for(vm_id, disks)

    def close(self) -> None:
        """Give up connections."""
        for access in (self, *self._copies.values()):
            opened, access._opened = access._opened, None
            if opened is not None:
                opened.close()
