"""Where secrets come from: the operating system's keyring, a file, or the environment. Never argv."""

from __future__ import annotations

import os
import stat
import threading
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, model_validator

from ceso_mcp.errors import ConfigFault
from ceso_mcp.home import expanded
from ceso_mcp.text import Secret

KEYRING_SERVICE = "ceso"
KEYRING_WAIT_S = 20.0


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
        path = expanded(ref.file)
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
    return _from_keyring(ref.keyring or "")


def _from_keyring(user: str) -> bytes:
    """Ask the keyring, in a thread: it may show a dialog that nobody sees, and never answer."""
    found: list[bytes] = []
    faults: list[BaseException] = []

    def ask() -> None:
        try:
            import keyring

            found.append((keyring.get_password(KEYRING_SERVICE, user) or "").encode())
        except BaseException as fault:  # backends raise what their libraries raise
            faults.append(fault)

    asking = threading.Thread(target=ask, name="ceso-keyring", daemon=True)
    asking.start()
    asking.join(KEYRING_WAIT_S)
    if found:
        return found[0]
    elsewhere = "or name a file or an environment variable in the configuration"
    if not faults:
        raise ConfigFault(
            f"the keyring did not answer within {KEYRING_WAIT_S:g} s",
            code="keyring_slow",
            hint=f"see whether it waits for its password in a dialog, {elsewhere}",
        )
    names = {kind.__name__ for kind in type(faults[0]).__mro__}
    if names & {"NoKeyringError", "ImportError"}:
        raise ConfigFault(
            "this machine has no keyring that ceso can use",
            code="keyring_missing",
            hint=f"install one (Secret Service, KWallet, …), {elsewhere}",
        )
    raise ConfigFault(
        f"the keyring did not answer ({type(faults[0]).__name__})",
        code="keyring_locked" if "KeyringError" in names else "keyring_failed",
        hint=f"unlock it, {elsewhere}",
    )
