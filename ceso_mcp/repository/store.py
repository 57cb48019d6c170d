"""A repository's settings, and its objects sealed and unsealed by them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from functools import cached_property
from typing import Annotated, Literal
from uuid import uuid4

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from ceso_mcp.backup.manifest import PackRef, StoredObject
from ceso_mcp.backup.names import PACKS, pack_object
from ceso_mcp.backup.pack import PACK_RAW_BYTES, PACK_STORED_BYTES
from ceso_mcp.errors import InvalidArguments, RepositoryFault
from ceso_mcp.repository import openpgp, seal
from ceso_mcp.repository.index_key import IndexKey
from ceso_mcp.repository.target import Blob, Target

SETTINGS = "ceso-repo.json"
_NOT_ONE = "choose a folder that `ceso` made, or a new or empty one"


class Settings(BaseModel):
    """What `ceso-repo.json` holds; written when the repository is made, and when its recipients change.

    What was written before `recipients_since` is sealed to others.

    `index_recipients` (who besides the recipients may read maps and digests) and `sign_key` (whose
    signature manifests carry) stay empty: who can write to the storage could enter his own.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal["ceso-repo"] = "ceso-repo"
    version: Literal[1] = 1
    id: str
    encryption: Literal["none", "age", "openpgp"]
    recipients: tuple[str, ...] = ()
    recipients_since: AwareDatetime | None = None
    index_recipients: tuple[str, ...] = ()
    sign_key: str | None = None
    pack_bytes: Annotated[int, Field(ge=1 << 16, le=1 << 30)] = PACK_STORED_BYTES
    pack_raw_bytes: Annotated[int, Field(ge=1 << 16, le=1 << 32)] = PACK_RAW_BYTES

    @classmethod
    def new(cls, recipients: Sequence[str], pack_bytes: int) -> Settings:
        texts = tuple(text.strip() for text in recipients)
        encryption = seal.encryption_of(texts)
        return cls(id=str(uuid4()), encryption=encryption, recipients=texts, pack_bytes=pack_bytes)

    def text(self) -> bytes:
        return (json.dumps(self.model_dump(mode="json"), indent=1) + "\n").encode()

    @classmethod
    def load(cls, target: Target) -> Settings:
        """The settings of the repository at `target`; RepositoryFault `not_a_repository` if none."""
        if not target.exists(SETTINGS):
            raise RepositoryFault(
                f"{target.title} is not a ceso repository: it has no {SETTINGS}",
                code="not_a_repository",
                hint=_NOT_ONE,
            )
        try:
            document = json.loads(target.get(SETTINGS))
            version = document.get("version") if isinstance(document, dict) else None
            if isinstance(version, int) and version > 1:
                raise RepositoryFault(
                    f"{target.title} has repository format version {version}; this ceso knows version 1",
                    code="not_a_repository",
                    hint="use the version of ceso that made it, or a newer one",
                )
            settings = cls.model_validate(document)
        except (ValueError, ValidationError):
            raise RepositoryFault(
                f"the {SETTINGS} of {target.title} cannot be read as one",
                code="not_a_repository",
                hint="restore it from another copy of the repository; RESTORE.txt needs only the packs",
            ) from None
        if _contradicts(settings):
            raise RepositoryFault(
                f"the {SETTINGS} of {target.title} contradicts itself about encryption",
                code="not_a_repository",
            )
        return settings


class Store:
    """Puts objects sealed and gets them checked. Safe to use from several threads."""

    def __init__(self, target: Target, settings: Settings, identities: Sequence[str] = ()) -> None:
        self.target = target
        self.settings = settings
        age = identities and settings.encryption == "age"
        self._identities = seal.read_identities(identities) if age else []
        self.index_key: IndexKey | None = None
        """This machine's key to maps and digests (`repository.index_key`), if it has one."""

    @property
    def sealed(self) -> bool:
        return self.settings.encryption != "none"

    def use_keyring(self, keyring: openpgp.Keyring) -> None:
        """Open what is sealed with gpg, if it has a secret key for it."""
        if self.settings.encryption == "openpgp" and openpgp.has_secret_key(self.settings.recipients):
            self._identities = [keyring]

    @property
    def can_unseal(self) -> bool:
        """Whether an identity is there, if one is needed. It may still be the wrong one."""
        return not self.sealed or bool(self._identities)

    @property
    def suffix(self) -> str:
        """What the names of sealed objects end with."""
        return {"none": ".zst", "age": ".zst.age", "openpgp": ".zst.gpg"}[self.settings.encryption]

    @cached_property
    def _recipients(self) -> list[seal.Recipient]:
        return seal.check_recipients(self.settings.recipients)

    def check_recipients(self) -> None:
        """Try the recipients out; raises InvalidArguments before anything is read from a host."""
        _ = self._recipients

    def put_part(self, folder: str, name: str, compressed: Blob, *, for_index: bool = False) -> StoredObject:
        """Seal and store an object of a backup's own folder; `for_index` to this machine's key too."""
        own = self.index_key if self.sealed and for_index else None
        if own is None:
            stored = seal.seal(compressed, self._recipients)
        elif self.settings.encryption == "openpgp":
            stored = seal.seal(compressed, self._recipients, phrase=own.phrase)
        else:
            stored = seal.seal(compressed, [*self._recipients, own.recipient])
        record = StoredObject(object=name + self.suffix, sha256=_sha256(stored), bytes=_size(stored))
        if not self.target.put(f"{folder}/{record.object}", stored):
            raise RepositoryFault(f"{folder}/{record.object} is there already", code="backup_exists")
        return record

    def put_pack(self, frames: Blob, raw_bytes: int) -> tuple[PackRef, bool]:
        """Seal and store a pack; also says whether it is new to the repository.

        One that is there already is compared byte for byte, and stored anew if it is damaged: a new
        backup must not lean on a broken pack. A list of frames may be empty afterwards.
        """
        stored = seal.seal(frames, self._recipients, consume=True)
        pack = PackRef(_sha256(stored), _size(stored), raw_bytes)
        name = self.pack_name(pack)
        if self.target.put(name, stored):
            return pack, True
        if hashlib.sha256(self.target.get(name)).hexdigest() != pack.sha256:
            self.target.replace(name, b"".join(stored))
        return pack, False

    def pack_name(self, pack: PackRef) -> str:
        return pack_object(pack.sha256, self.suffix)

    def fetch(self, name: str, sha256: str, size_bytes: int) -> bytes:
        """An object as stored, its hash checked; RepositoryFault `damaged` if missing or different."""
        try:
            stored = self.target.get(name)
        except RepositoryFault as fault:
            if fault.code != "no_such_object":
                raise
            raise RepositoryFault(f"{name} is missing", code="damaged") from None
        if len(stored) != size_bytes:
            raise RepositoryFault(f"{name} has {len(stored)} bytes, not {size_bytes}", code="damaged")
        if hashlib.sha256(stored).hexdigest() != sha256:
            raise RepositoryFault(f"{name} has been changed: its sha256 is wrong", code="damaged")
        return stored

    def unseal(self, stored: bytes, *, for_index: bool = False) -> bytes | bytearray:
        """The compressed content of an object as stored; `for_index` if it is a map or digests."""
        if not self.sealed:
            return stored
        if self.settings.encryption == "openpgp":
            phrase = self.index_key.phrase if for_index and self.index_key else None
            return openpgp.decrypt(stored, self._identities[0] if self._identities else None, phrase)
        own = [self.index_key.identity] if for_index and self.index_key else []
        return seal.unseal(stored, [*own, *self._identities])

    def sizes(self, names: set[str]) -> dict[str, int]:
        """The stored sizes of those of these packs that are there, by one listing."""
        return {e.name: e.size_bytes for e in self.target.list(PACKS) if e.name in names}


def _contradicts(settings: Settings) -> bool:
    try:
        return seal.encryption_of(settings.recipients) != settings.encryption
    except InvalidArguments:
        return True


def _size(content: Blob) -> int:
    return sum(len(piece) for piece in content)


def _sha256(content: Blob) -> str:
    digest = hashlib.sha256()
    for piece in content:
        digest.update(piece)
    return digest.hexdigest()
