"""Users of a guest: who may log in with which keys, and with which rights."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from ceso_mcp.guest.names import LinuxUser, SshPublicKey

_GROUP = re.compile(r"[a-z_][a-z0-9_-]{0,31}")
_SHELL = re.compile(r"(?:/[A-Za-z0-9_+-][A-Za-z0-9._+-]*)+")
_SUDO_GROUPS = ("adm", "sudo")


def linux_group(text: str) -> str:
    """`text` if it can be a group: one that is there (`docker`, `adm`), or one that is made; not `root`."""
    if not _GROUP.fullmatch(text):
        raise ValueError("a group is named by at most 32 lower-case letters, digits, dashes and underscores")
    if text == "root":
        raise ValueError("group root is not for ordinary users: give sudo instead")
    return text


def login_shell(text: str) -> str:
    """`text` if it is the absolute path of a program, such as `/bin/bash`."""
    if len(text) > 200 or not _SHELL.fullmatch(text):
        raise ValueError("a shell is an absolute path such as /bin/bash")
    return text


LinuxGroup = Annotated[str, AfterValidator(linux_group), Field(min_length=1, max_length=32)]
LoginShell = Annotated[str, AfterValidator(login_shell), Field(min_length=2, max_length=200)]


class GuestUser(BaseModel):
    """A user of the guest. Without a password: SSH takes its keys, and without keys nobody can log in."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    name: LinuxUser = Field(description="login name", max_length=32)
    ssh_keys: tuple[SshPublicKey, ...] = Field((), description="its SSH public keys", max_length=32)
    sudo: bool = Field(False, description="may become root with sudo, without a password")
    groups: tuple[LinuxGroup, ...] = Field((), description="further groups; made if missing", max_length=32)
    shell: LoginShell = Field("/bin/bash", description="its shell")

    def entry(self) -> dict[str, Any]:
        """Its entry in `users` of a `#cloud-config`."""
        groups = list(dict.fromkeys([*(_SUDO_GROUPS if self.sudo else ()), *self.groups]))
        made: dict[str, Any] = {"name": self.name}
        if groups:
            made["groups"] = groups
        made["shell"] = self.shell
        if self.sudo:
            made["sudo"] = "ALL=(ALL) NOPASSWD:ALL"
        made["lock_passwd"] = True
        if self.ssh_keys:
            made["ssh_authorized_keys"] = list(dict.fromkeys(self.ssh_keys))
        return made


def require_different(users: Sequence[GuestUser]) -> None:
    """Raise `ValueError` if two users have one name."""
    if len({user.name for user in users}) != len(users):
        raise ValueError("two users have the same name")
