"""The documents cloud-init reads: metadata with the network configuration, and user-data.

Both are emitted as JSON, which is YAML too: no value (`no`, `null`, `0123`, `a: b`) can be mistaken for
another. Schema and behaviour: fact sheet cloud-init §4 and §5. `ValueError` is raised for arguments
that the types of `names` and `network` would have refused.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from ceso_mcp.guest.accounts import GuestUser, require_different
from ceso_mcp.guest.guestinfo import Guestinfo, decode_guestinfo, guestinfo
from ceso_mcp.guest.machine_id import NEW_MACHINE_ID
from ceso_mcp.guest.multipart import multipart
from ceso_mcp.guest.names import hostname as check_hostname
from ceso_mcp.guest.names import package, time_zone
from ceso_mcp.guest.netplan import GuestNic, GuestVlan, network_config
from ceso_mcp.guest.network import NicAddressing
from ceso_mcp.guest.ssh_keys import ssh_public_key

__all__ = [
    "GuestNic",
    "GuestVlan",
    "Guestinfo",
    "as_yaml",
    "cloud_config",
    "cloud_config_text",
    "decode_guestinfo",
    "guestinfo",
    "metadata",
    "user_data",
]

_INSTANCE_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,199}")

# JSON allows these to stand unescaped; a YAML reader refuses them or folds them into a space.
_NOT_PLAIN_IN_YAML = re.compile(r"[\x7f-\xa0\u2028\u2029\ufeff\ufffe\uffff]")


def metadata(
    instance_id: str,
    hostname: str,
    nics: Sequence[tuple[str, NicAddressing, str | None] | GuestNic],
    vlans: Sequence[GuestVlan] = (),
) -> dict[str, Any]:
    """The metadata document as plain values, ready for `as_yaml` or `guestinfo`.

    Without NICs there is no `network` key and the image's own default applies (DHCP).
    Holds no secret: it stays in the `.vmx` for the VM's whole life.
    """
    if not _INSTANCE_ID.fullmatch(instance_id):
        raise ValueError("an instance-id is made of letters, digits, dots, dashes and underscores")
    document: dict[str, Any] = {
        "instance-id": instance_id,
        "local-hostname": check_hostname(hostname),
        "redact": ["userdata", "vendordata"],
    }
    cards = [GuestNic(*nic) for nic in nics]
    if cards or vlans:
        document["network"] = network_config(cards, vlans)
    return document


def cloud_config(
    *,
    hostname: str,
    user: str | None = None,
    ssh_keys: Sequence[str] = (),
    users: Sequence[GuestUser] = (),
    fqdn: str | None = None,
    prefer_fqdn: bool = False,
    timezone: str | None = None,
    packages: Sequence[str] = (),
    run_commands: Sequence[str | Sequence[str]] = (),
    grow_root: bool = True,
    new_machine_id: bool = False,
) -> dict[str, Any]:
    """What goes into our own user-data, as plain values.

    `user` gets `ssh_keys` and sudo without a password, since no password exists: it is locked, and SSH
    takes keys only. None keeps the image's default user and gives that one the keys; without keys too,
    the ways to log in stay as the image has them. `users` are further ones. `run_commands` are shell
    lines or lists of words, run once by root. `hostname` may be a full one; `fqdn` is only needed
    where it differs; with `prefer_fqdn` the guest's own name is the full one. With `grow_root` the root
    partition and file system take the whole disk; a root file system on LVM is not grown by cloud-init.
    """
    if user is not None and not ssh_keys:
        raise ValueError("without an SSH key this user could not log in: give at least one")
    keys = list(dict.fromkeys(ssh_public_key(key) for key in ssh_keys))
    full = check_hostname(fqdn if fqdn is not None else hostname)
    config: dict[str, Any] = {"hostname": check_hostname(hostname).partition(".")[0]}
    if "." in full:
        config["fqdn"] = full
    if prefer_fqdn:
        if "." not in full:
            raise ValueError("prefer_fqdn needs a full host name, with its domain")
        config["prefer_fqdn_over_hostname"] = True
    config["manage_etc_hosts"] = True
    if keys or any(each.ssh_keys for each in users):
        config |= {"ssh_pwauth": False, "disable_root": True}
    if user is None and keys:
        config["ssh_authorized_keys"] = keys
    listed: list[Any] = [] if user is None else [GuestUser(name=user, ssh_keys=tuple(keys), sudo=True)]
    require_different([*listed, *users])
    if users or listed:
        # Without `default` in the list, cloud-init leaves the image's own user out.
        image = ["default"] if user is None else []
        config["users"] = [*image, *(each.entry() for each in [*listed, *users])]
    if timezone is not None:
        config["timezone"] = time_zone(timezone)
    config["growpart"] = {"mode": "auto", "devices": ["/"]} if grow_root else {"mode": "off"}
    config["resize_rootfs"] = grow_root
    if new_machine_id:
        config["bootcmd"] = [NEW_MACHINE_ID]
    if packages:
        config["package_update"] = True
        config["packages"] = [package(name) for name in packages]
    if run_commands:
        config["runcmd"] = [_run_command(command) for command in run_commands]
    return config


def cloud_config_text(config: Mapping[str, Any]) -> str:
    """`config` as a document that begins with `#cloud-config`."""
    return f"#cloud-config\n{as_yaml(config)}"


def user_data(*, extra: str | None = None, **fields: Any) -> str:
    """The user-data document made of `cloud_config(**fields)`, beginning with `#cloud-config`.

    `extra` is user-data of the caller's own (`#cloud-config`, a script beginning with `#!`…). The
    result is then a MIME message of both; where both set the same thing, the document made here
    wins and lists are joined (unless `extra` itself says otherwise with `merge_how`).
    """
    document = cloud_config_text(cloud_config(**fields))
    return document if extra is None else multipart(document, extra)


def as_yaml(document: Mapping[str, Any]) -> str:
    """`document` as indented JSON that a YAML 1.1 reader understands in the same way; ends in a newline."""
    _only_exact(document)
    text = json.dumps(document, indent=1, ensure_ascii=False, allow_nan=False)
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        raise ValueError("a text holds half of a surrogate pair and cannot be written as UTF-8") from None
    return _NOT_PLAIN_IN_YAML.sub(lambda match: f"\\u{ord(match[0]):04x}", text) + "\n"


def _only_exact(value: object) -> None:
    # YAML 1.1 reads 1e+16 as text, and JSON writes that for a float: no document here needs floats.
    if isinstance(value, float):
        raise ValueError("a document for the guest must not hold fractional numbers")
    if isinstance(value, Mapping):
        for key, item in value.items():
            if not isinstance(key, str):
                raise ValueError("the keys of a document for the guest are texts")
            _only_exact(item)
    elif isinstance(value, list | tuple):
        for item in value:
            _only_exact(item)


def _run_command(command: str | Sequence[str]) -> str | list[str]:
    words = [command] if isinstance(command, str) else list(command)
    if not words or not words[0].strip():
        raise ValueError("a command to run in the guest must not be empty")
    if any("\0" in word for word in words):
        raise ValueError("a command to run in the guest must not hold a NUL character")
    return command if isinstance(command, str) else words
