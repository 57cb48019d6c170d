"""The configuration file: TOML, checked in full, with line numbers in its errors.

`CESO_CONFIG` names another file; `CESO_STATE` another state directory. The lab needs no file.
"""

from __future__ import annotations

import errno
import ipaddress
import os
import re
import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    PlainValidator,
    ValidationError,
    field_validator,
    model_validator,
)

from ceso_mcp.addresses.pool import ZoneName
from ceso_mcp.backup.places import AnyPlace, S3Place, SftpPlace, place_of
from ceso_mcp.backup.signature import SignerLine
from ceso_mcp.errors import ConfigFault
from ceso_mcp.home import expanded, under_home
from ceso_mcp.secrets import SecretRef

LAB_SETTLE_S = 5.0
"""The lab's commands are short; nobody who tries recovery there wants to wait a minute."""


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class HostSection(Section):
    """The one host."""

    address: str = Field(min_length=1, description="name or address of the ESXi host")
    port: int = Field(22, ge=1, le=65535)
    user: str = Field("root", min_length=1)
    host_keys: tuple[str, ...] = Field(
        min_length=1,
        description="the host's public keys, pinned (see docs/configuration.md)",
    )
    key_file: Path | None = Field(None, description="private key (RSA or ECDSA; ESXi 8 refuses Ed25519)")
    password: SecretRef | None = Field(None, description="for keyboard-interactive login")
    connect_timeout_s: float = Field(15.0, gt=0, le=120)
    patience_s: float = Field(
        180.0, ge=0, le=3600, description="how long a run goes on trying to reach the host or its hostd again"
    )
    settle_s: float = Field(
        60.0,
        ge=0,
        le=3600,
        description="how long a command may go on running on the host after its worker has died",
    )


class SftpSection(Section):
    """How ceso logs in to the SSH server of an `sftp://` place."""

    host_keys: tuple[str, ...] = Field(min_length=1, description="the server's public keys, pinned")
    key_file: Path | None = Field(None, description="private key, without a passphrase")
    password: SecretRef | None = None
    connect_timeout_s: float = Field(15.0, gt=0, le=120)
    patience_s: float = Field(60.0, ge=0, le=3600, description="how long a lost server is tried again")
    require_fsync: bool = Field(True, description="refuse a server that cannot say when data is safe")

    @model_validator(mode="after")
    def _some_way_in(self) -> Self:
        if self.key_file is None and self.password is None:
            raise ValueError("give key_file or password")
        return self


class S3Section(Section):
    """The S3 server of an `s3://` place, and the key that opens it."""

    endpoint: str | None = Field(None, pattern=r"^https?://[^\s?#@]+$", description="none: Amazon's")
    region: str = Field("us-east-1", min_length=1)
    access_key: SecretRef
    secret_key: SecretRef
    virtual_hosted: bool = Field(False, description="the bucket's name is part of the server's")
    conditional_put: bool = Field(True, description="false: never two writers, by your own care")
    patience_s: float = Field(60.0, ge=0, le=3600, description="how long a lost server is tried again")


Place = Annotated[AnyPlace, PlainValidator(place_of)]


class PlaceSection(Section):
    """A place for a repository, and what it takes to get there."""

    repository: Place | None = Field(None, description="a folder, sftp://…, s3://…, datastore:[name] folder")
    sftp: SftpSection | None = None
    s3: S3Section | None = None

    @model_validator(mode="after")
    def _with_its_section(self) -> Self:
        for kind, name, settings in ((SftpPlace, "sftp", self.sftp), (S3Place, "s3", self.s3)):
            if isinstance(self.repository, kind) and settings is None:
                raise ValueError(f"a repository at {name}:// needs the section of its login, {name}")
        return self


class CopySection(PlaceSection):
    """A second repository, which `copy_backup` fills."""

    repository: Place


class BackupSection(PlaceSection):
    """Where backups go and to whom they are sealed."""

    recipients: tuple[str, ...] = Field(
        (), description="age or SSH public keys, or openpgp:FINGERPRINT; empty = not encrypted"
    )
    passphrase: SecretRef | None = Field(
        None, description="opens the repository; with OpenPGP recipients: opens the secret key of gpg"
    )
    identity: SecretRef | None = Field(None, description="age identity; needed to restore and verify only")
    copies: dict[str, CopySection] = Field({}, description="other repositories that backups are copied to")
    extract_dir: Path | None = Field(
        None, description="where extracted disks go; `extracted` in the state directory if unset"
    )
    sign_key: SecretRef | None = Field(None, description="private SSH key that new backups are signed with")
    trusted_signers: tuple[SignerLine, ...] = Field(
        (), description="SSH public keys whose signatures are accepted, beside that of sign_key"
    )
    require_signature: bool = Field(False, description="restore only what one of them has signed")

    @model_validator(mode="after")
    def _somebody_to_require(self) -> Self:
        if self.require_signature and not self.trusted_signers and self.sign_key is None:
            raise ValueError("require_signature needs trusted_signers or sign_key")
        return self


class DnsSection(Section):
    """The DNS server that takes dynamic updates, and the key that signs them."""

    provider: str = Field("rfc2136", min_length=1, description="rfc2136, or what an installed package brings")
    server: str = Field(description="address of the primary server of the zones")
    port: int = Field(53, ge=1, le=65535)
    zones: tuple[ZoneName, ...] = Field(min_length=1, description="zones that records of hosts may go to")
    reverse_zones: tuple[ZoneName, ...] = Field((), description="zones that pointers may go to")
    ttl: int = Field(300, ge=1, le=604_800, description="of records, in seconds")
    tsig_name: str = Field(min_length=1, description="name of the key")
    tsig_algorithm: Literal["hmac-sha256", "hmac-sha384", "hmac-sha512"] = "hmac-sha256"
    tsig_secret: SecretRef = Field(description="the key itself, in base64")
    timeout_s: float = Field(5.0, gt=0, le=60)

    @field_validator("server")
    @classmethod
    def _an_address(cls, value: str) -> str:
        try:
            return str(ipaddress.ip_address(value))
        except ValueError:
            raise ValueError(
                "give the server's IP address: its name would have to be asked of a DNS server"
            ) from None


class ConsentSection(Section):
    """Who has to agree before a change runs. Never an argument of an operation."""

    policy: Literal["auto", "dialog", "operator", "token"] = "auto"
    token_minutes: float = Field(10.0, gt=0, le=120)


class OperationsSection(Section):
    """Which operations exist at all."""

    read_only: bool = False
    allow: tuple[str, ...] = Field((), description="names of allowed operations; empty = all")


class Config(Section):
    host: HostSection
    backup: BackupSection = BackupSection()
    dns: DnsSection | None = Field(None, description="where the names of VMs with an address of a pool go")
    consent: ConsentSection = ConsentSection()
    operations: OperationsSection = OperationsSection()
    state_dir: Path | None = None
    lab: bool = Field(False, exclude=True)


def config_path() -> Path:
    """Where the configuration file is, or would be."""
    named = os.environ.get("CESO_CONFIG")
    if named:
        return expanded(Path(named))
    import platformdirs

    return under_home(platformdirs.user_config_path("ceso") / "ceso.toml")


def state_root() -> Path:
    """The state directory for everything ceso keeps between runs."""
    named = os.environ.get("CESO_STATE")
    if named:
        return expanded(Path(named))
    import platformdirs

    return under_home(platformdirs.user_state_path("ceso"))


def private_directory(path: Path) -> Path:
    """`path`, made with mode 0700 if it was absent.

    Raises ConfigFault: `state_unusable` if it cannot be made, `state_exposed` if it belongs to another
    user or if others can read or write it: what waits there to be confirmed is nobody else's.
    """
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        info = path.stat()
    except OSError as error:
        raise ConfigFault(
            f"cannot use the state directory {path}: {error.strerror}", code="state_unusable"
        ) from None
    if info.st_uid != os.geteuid() or info.st_mode & 0o077:
        raise ConfigFault(
            f"the state directory {path} belongs to, or is open to, others",
            code="state_exposed",
            hint=f"chown it to yourself and chmod 700 {path}",
        )
    return path


def state_fault(path: Path, error: OSError) -> ConfigFault:
    """The failure to write a file of the state directory, told by cause."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return ConfigFault(
            f"there is no room left for {path}",
            code="state_full",
            hint="make room where the state directory is; nothing was begun",
        )
    return ConfigFault(
        f"cannot use {path}: {error.strerror or error}",
        code="state_unusable",
        hint="the state directory must be writable for you",
    )


def load_config() -> Config:
    """The configuration; raises ConfigFault (`config_missing`, `config_invalid`) with a remedy."""
    path = config_path()
    try:
        text = path.read_text("utf-8")
    except FileNotFoundError:
        raise ConfigFault(
            f"there is no configuration at {path}",
            code="config_missing",
            hint="write one as docs/configuration.md shows, or try `ceso --lab` for a make-believe host",
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigFault(f"cannot read {path}: {error}", code="config_invalid") from None
    try:
        raw = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigFault(f"{path}: {error}", code="config_invalid") from None
    try:
        return Config.model_validate(raw)
    except ValidationError as error:
        raise ConfigFault(_explain(path, text, error), code="config_invalid") from None


def _explain(path: Path, text: str, error: ValidationError) -> str:
    lines = []
    for problem in error.errors(include_url=False, include_input=False):
        where = ".".join(str(part) for part in problem["loc"])
        line = _line_of(text, [str(part) for part in problem["loc"]])
        lines.append(
            f"{path}:{line}: {where}: {problem['msg']}" if line else f"{path}: {where}: {problem['msg']}"
        )
    return "; ".join(lines)


def _line_of(text: str, location: list[str]) -> int | None:
    """The line of the last key of `location` that stands in the file, counted from 1."""
    section: str | None = None
    best: int | None = None
    for number, line in enumerate(text.splitlines(), 1):
        head = re.match(r"\s*\[([^\]]+)\]", line)
        if head:
            section = head.group(1).strip()
            if location and section == location[0]:
                best = number
        key = re.match(r"\s*([A-Za-z0-9_\"'.-]+)\s*=", line)
        if not key:
            continue
        name = key.group(1).strip("\"'")
        if (section is None and location[:1] == [name]) or location[:2] == [section, name]:
            return number
    return best


def lab_config(address: Any, directory: Path) -> Config:
    """The configuration that goes with a running lab (`address` is its LabAddress)."""
    return Config(
        host=HostSection(
            address=address.host,
            port=address.port,
            user=address.user,
            host_keys=tuple(address.host_keys),
            key_file=address.key_file,
            settle_s=LAB_SETTLE_S,
        ),
        backup=BackupSection(
            repository=directory / "backups",
            copies={"second": CopySection(repository=directory / "second-copy")},
        ),
        state_dir=directory / "state",
        lab=True,
    )
