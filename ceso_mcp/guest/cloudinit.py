"""The documents cloud-init reads: metadata with the network configuration, and user-data.

Both are emitted as JSON, which is YAML too: no value (`no`, `null`, `0123`, `a: b`) can be mistaken for
another. Schema and behaviour: fact sheet cloud-init §4 and §5. `ValueError` is raised for arguments
that the types of `names` and `network` would have refused.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from ceso_mcp.guest.guestinfo import Guestinfo, decode_guestinfo, guestinfo
from ceso_mcp.guest.identity import mac_address
from ceso_mcp.guest.multipart import multipart
from ceso_mcp.guest.names import hostname as check_hostname
from ceso_mcp.guest.names import linux_user, package, time_zone
from ceso_mcp.guest.network import NicAddressing, check_together
from ceso_mcp.guest.ssh_keys import ssh_public_key

__all__ = [
    "GuestNic",
    "Guestinfo",
    "as_yaml",
    "decode_guestinfo",
    "guestinfo",
    "metadata",
    "user_data",
]

_INSTANCE_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,199}")
_INTERFACE_NAME = re.compile(r"[a-z][a-z0-9_-]{0,14}")

# JSON allows these to stand unescaped; a YAML reader refuses them or folds them into a space.
_NOT_PLAIN_IN_YAML = re.compile(r"[\x7f-\xa0\u2028\u2029\ufeff\ufffe\uffff]")


class GuestNic(NamedTuple):
    """One NIC as the guest will see it; `set_name` None leaves the kernel's name."""

    mac: str
    addressing: NicAddressing
    set_name: str | None = None


def metadata(
    instance_id: str, hostname: str, nics: Sequence[tuple[str, NicAddressing, str | None] | GuestNic]
) -> dict[str, Any]:
    """The metadata document as plain values, ready for `as_yaml` or `guestinfo`.

    NICs are matched by MAC address, which is known before the first power-on while the interface
    name is not. Without NICs there is no `network` key and the image's own default applies (DHCP).
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
    if cards:
        check_together(card.addressing for card in cards)
        if len({mac_address(card.mac) for card in cards}) != len(cards):
            raise ValueError("two NICs are given the same MAC address")
        ethernets = {f"nic{index}": _ethernet(card) for index, card in enumerate(cards)}
        document["network"] = {"version": 2, "ethernets": ethernets}
    return document


def user_data(
    *,
    hostname: str,
    user: str | None,
    ssh_keys: Sequence[str],
    fqdn: str | None = None,
    timezone: str | None = None,
    packages: Sequence[str] = (),
    run_commands: Sequence[str | Sequence[str]] = (),
    grow_root: bool = True,
    extra: str | None = None,
) -> str:
    """The user-data document, beginning with `#cloud-config`.

    `user` gets sudo without a password, since no password exists: it is locked, and SSH takes keys
    only. None keeps the image's default user and gives that one the keys; without keys too, the ways
    to log in stay as the image has them. `run_commands` are shell lines or lists of words, run once
    by root. `hostname` may be a full one; `fqdn` is only needed
    where it differs. With `grow_root` the root partition and file system take the whole disk;
    a root file system on LVM is not grown by cloud-init.

    `extra` is user-data of the caller's own (`#cloud-config`, a script beginning with `#!`…). The
    result is then a MIME message of both; where both set the same thing, the document made here
    wins and lists are joined (unless `extra` itself says otherwise with `merge_how`).
    """
    if user is not None and not ssh_keys:
        raise ValueError("without an SSH key this user could not log in: give at least one")
    keys = list(dict.fromkeys(ssh_public_key(key) for key in ssh_keys))
    full = check_hostname(fqdn if fqdn is not None else hostname)
    config: dict[str, Any] = {"hostname": check_hostname(hostname).partition(".")[0]}
    if "." in full:
        config["fqdn"] = full
    config["manage_etc_hosts"] = True
    if keys:
        config |= {"ssh_pwauth": False, "disable_root": True}
    if user is None and keys:
        config["ssh_authorized_keys"] = keys
    elif user is not None:
        config["users"] = [_user(linux_user(user), keys)]
    if timezone is not None:
        config["timezone"] = time_zone(timezone)
    config["growpart"] = {"mode": "auto", "devices": ["/"]} if grow_root else {"mode": "off"}
    config["resize_rootfs"] = grow_root
    if packages:
        config["package_update"] = True
        config["packages"] = [package(name) for name in packages]
    if run_commands:
        config["runcmd"] = [_run_command(command) for command in run_commands]
    document = f"#cloud-config\n{as_yaml(config)}"
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


def _ethernet(nic: GuestNic) -> dict[str, Any]:
    asked = nic.addressing
    entry: dict[str, Any] = {"match": {"macaddress": mac_address(nic.mac)}}
    if nic.set_name is not None:
        if not _INTERFACE_NAME.fullmatch(nic.set_name):
            raise ValueError("an interface name has at most 15 lower-case letters, digits, - and _")
        entry["set-name"] = nic.set_name
    entry |= {"dhcp4": asked.dhcp4, "dhcp6": asked.dhcp6}
    if asked.dhcp4 or asked.dhcp6:
        # Clones of a booted VM share a machine-id, from which networkd would make the same client
        # identifier and get the same lease (fact sheet cloud-init §6).
        entry["dhcp-identifier"] = "mac"
    if asked.ipv6:
        entry["accept-ra"] = False
    if asked.addresses:
        entry["addresses"] = [str(address) for address in asked.addresses]
    elif not asked.dhcp4 and not asked.dhcp6:
        # Boot must not wait for a link that is not going to have an address.
        entry["optional"] = True
    # `to: default` breaks cloud-init before 22.4, `gateway4` is deprecated (fact sheet cloud-init §1).
    routes = [
        {"to": to, "via": str(via)}
        for to, via in (("0.0.0.0/0", asked.gateway4), ("::/0", asked.gateway6))
        if via is not None
    ]
    if routes:
        entry["routes"] = routes
    nameservers: dict[str, list[str]] = {}
    if asked.nameservers:
        nameservers["addresses"] = [str(server) for server in asked.nameservers]
    if asked.search:
        nameservers["search"] = list(asked.search)
    if nameservers:
        entry["nameservers"] = nameservers
    if asked.mtu is not None:
        entry["mtu"] = asked.mtu
    return entry


def _user(name: str, keys: list[str]) -> dict[str, Any]:
    return {
        "name": name,
        "groups": ["adm", "sudo"],
        "shell": "/bin/bash",
        "sudo": "ALL=(ALL) NOPASSWD:ALL",
        "lock_passwd": True,
        "ssh_authorized_keys": keys,
    }


def _run_command(command: str | Sequence[str]) -> str | list[str]:
    words = [command] if isinstance(command, str) else list(command)
    if not words or not words[0].strip():
        raise ValueError("a command to run in the guest must not be empty")
    if any("\0" in word for word in words):
        raise ValueError("a command to run in the guest must not hold a NUL character")
    return command if isinstance(command, str) else words
