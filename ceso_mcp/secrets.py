"""Where secrets come from: the operating system's keyring, a file, or the environment. Never argv."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, model_validator

from ceso_mcp.errors import ConfigFault
from ceso_mcp.text import Secret

KEYRING_SERVICE = "ceso"


class SecretRef(BaseModel):
    """Names a secret without holding it. Exactly one of the fields is set."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    keyring: str | None = Field(None, description="user name of an entry of service 'ceso' in the keyring")
    file: Path | None = Field(None, description="a file that only its owner can read")
    env: str | None = Field(None, description="name of an environment variable")

    @model_validator(mode="after")
    def _exactly_one(self) -> SecretRef:
        if sum(value is not None for value in (self.keyring, self.file, self.env)) != 1:
            raise ValueError("give exactly one of keyring, file, env")
        return self

    def where(self) -> str:
        """Where the secret is kept, for messages."""
        if self.keyring is not None:
            return f"keyring entry {self.keyring!r}"
        return f"file {self.file}" if self.file is not None else f"environment variable {self.env}"


def read_secret(ref: SecretRef, name: str) -> Secret:
    """The secret that `ref` names, without a trailing new line.

    Raises ConfigFault if it is missing, empty, or in a file that others can read.
    """
    value = _value(ref)
    if not value:
        raise ConfigFault(f"the {name} in {ref.where()} is missing or empty", code="secret_missing")
    return Secret(name, value)


def _value(ref: SecretRef) -> bytes:
    if ref.env is not None:
        return os.environ.get(ref.env, "").encode()
    if ref.file is not None:
        path = ref.file.expanduser()
        try:
            mode = path.stat().st_mode
            if stat.S_IMODE(mode) & 0o077:
                raise ConfigFault(
                    f"{path} can be read by others",
                    code="secret_exposed",
                    hint=f"chmod 600 {path}",
                )
            return path.read_bytes().rstrip(b"\r\n")
        except OSError as error:
            raise ConfigFault(f"cannot read {path}: {error.strerror}", code="secret_missing") from None
    import keyring
    import keyring.errors

    try:
        found = keyring.get_password(KEYRING_SERVICE, ref.keyring or "")
    except keyring.errors.KeyringError as error:
        raise ConfigFault(
            f"the keyring did not answer ({type(error).__name__})",
            code="keyring_locked",
            hint="unlock it, or name a file or an environment variable in the configuration",
        ) from None
    return (found or "").encode()
