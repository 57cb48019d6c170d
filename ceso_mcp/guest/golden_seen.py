"""What is looked at in a guest before it becomes a golden image, and what was seen of it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

FILES = (
    "/etc/os-release",
    "/etc/machine-id",
    "/etc/fstab",
    "/etc/cloud/cloud.cfg",
    "/etc/cloud/ds-identify.cfg",
    "/etc/default/grub",
    "/boot/grub/grub.cfg",
    "/etc/passwd",
    "/root/.ssh/authorized_keys",
    "/usr/lib/python3/dist-packages/cloudinit/version.py",
)
FOLDERS = (
    "/etc/ssh",
    "/etc/netplan",
    "/etc/cloud/cloud.cfg.d",
    "/etc/default/grub.d",
    "/etc/ssh/sshd_config.d",
)
READ_WITHIN = {
    "/etc/cloud/cloud.cfg.d": ".cfg",
    "/etc/default/grub.d": ".cfg",
    "/etc/ssh/sshd_config.d": ".conf",
}
"""Folders of which files with that ending are read too."""
PLACES = (
    "/var/lib/cloud/instance",
    "/var/lib/dbus/machine-id",
    "/etc/cloud/cloud-init.disabled",
    "/usr/bin/cloud-init",
    "/usr/bin/vmtoolsd",
    "/etc/systemd/system/open-vm-tools.service",
    "/etc/systemd/system/cloud-init.service",
    "/var/lib/systemd/random-seed",
    "/var/lib/systemd/credential.secret",
)
"""Where it counts whether something is there, and where it leads if it is a link."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What was seen of a guest. A path that is in no mapping was not seen; `unseen` says why.

    `files`: contents, None where there is no file. `folders`: names, None where there is no folder.
    `places`: "" for something that is there, a link's target, None for nothing.
    """

    files: Mapping[str, bytes | None] = field(default_factory=dict)
    folders: Mapping[str, tuple[str, ...] | None] = field(default_factory=dict)
    places: Mapping[str, str | None] = field(default_factory=dict)
    unseen: Mapping[str, str] = field(default_factory=dict)
    where: str = ""
    dirty: bool = False

    def text(self, path: str) -> str | None:
        """A file's text, comments and blank lines included; None if there is no such file."""
        content = self.files.get(path)
        return None if content is None else content.decode("utf-8", "replace")

    def texts(self, folder: str) -> dict[str, str]:
        """The texts of the files that were read in a folder, by path."""
        inside = [path for path in self.files if path.startswith(f"{folder}/")]
        return {path: text for path in sorted(inside) if (text := self.text(path)) is not None}


@dataclass(frozen=True, slots=True)
class OsRelease:
    """The operating system by its own /etc/os-release."""

    id: str
    name: str
    version: str

    @property
    def supported_for_long(self) -> bool:
        """Whether it is an Ubuntu LTS: April of an even year."""
        return self.id == "ubuntu" and bool(re.fullmatch(r"\d[02468]\.04(\.\d+)?", self.version))


def os_release(seen: Seen) -> OsRelease | None:
    """The operating system; None if it does not say."""
    text = seen.text("/etc/os-release")
    if text is None:
        return None
    values = dict(re.findall(r"^([A-Z_]+)=[\"']?(.*?)[\"']?$", text, re.M))
    name = values.get("PRETTY_NAME") or values.get("NAME") or ""
    return OsRelease(values.get("ID", ""), name[:80], values.get("VERSION_ID", "")) if name else None
