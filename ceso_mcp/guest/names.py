"""Names a guest may bear and keys it may trust: hostnames, Linux users, time zones, packages.

Every check returns the value to use or raises `ValueError` with one plain sentence that never echoes
the value, so that each may serve as a pydantic validator; the annotated types at the end do so.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Annotated

from pydantic import AfterValidator, Field

from ceso_mcp.guest.ssh_keys import ssh_public_key

LABEL = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?")
_USER = re.compile(r"[a-z_][a-z0-9_-]{0,31}")
_TIME_ZONE = re.compile(r"[A-Za-z][A-Za-z0-9_+-]*(?:/[A-Za-z0-9_+-]+){0,2}")
_PACKAGE = re.compile(r"[a-z0-9][a-z0-9.+-]*[a-z0-9.+](?:=[A-Za-z0-9][A-Za-z0-9.+:~-]*)?")

# Users and groups of Debian's base-passwd, and accounts of an Ubuntu server's own services. cloud-init
# skips the creation of a user that exists, and useradd refuses a name that is already a group's.
_SYSTEM_NAMES = (
    "daemon bin sys sync games man lp mail news uucp proxy www-data backup list irc gnats nobody _apt "
    "adm tty disk kmem dialout fax voice cdrom floppy tape sudo audio dip operator src shadow utmp "
    "video sasl plugdev staff users nogroup netdev input kvm render "
    "systemd-network systemd-resolve systemd-timesync systemd-journal messagebus syslog sshd polkitd "
    "landscape pollinate uuidd tcpdump tss lxd usbmux fwupd-refresh dhcpcd"
)
_TAKEN_USERS = frozenset(_SYSTEM_NAMES.split())

# Letters that Unicode does not decompose into a base letter and a mark.
_SPELLED = str.maketrans({"æ": "ae", "œ": "oe", "ø": "o", "ł": "l", "đ": "d", "ð": "d", "þ": "th", "ı": "i"})


def domain_name(text: str, what: str = "a domain name") -> str:
    """`text` if it is RFC 1123 labels joined by dots, at most 253 characters; case is kept."""
    if not text:
        raise ValueError(f"{what} must not be empty")
    if text.endswith("."):
        raise ValueError(f"{what} must not end with a dot")
    if len(text) > 253:
        raise ValueError(f"{what} has at most 253 characters")
    for label in text.split("."):
        if not label:
            raise ValueError(f"{what} must not have two dots in a row or begin with a dot")
        if len(label) > 63:
            raise ValueError(f"each part of {what} has at most 63 characters")
        if "_" in label:
            raise ValueError(f"{what} must not hold an underscore")
        if label[0] == "-" or label[-1] == "-":
            raise ValueError(f"no part of {what} may begin or end with a dash")
        if not LABEL.fullmatch(label):
            raise ValueError(f"{what} is made of letters a-z, digits and dashes, with dots between its parts")
    return text


def hostname(text: str) -> str:
    """`text` if it is a short hostname (one label) or a full one (FQDN).

    The first and the last label must not be digits only: such names are taken for numbers or for
    addresses.
    """
    domain_name(text, "a hostname")
    labels = text.split(".")
    if labels[0].isdigit() or labels[-1].isdigit():
        raise ValueError("a hostname must not begin or end with a part of digits only")
    return text


def default_hostname(vm_name: str) -> str | None:
    """A short hostname in lower case that reads like `vm_name`, or None if nothing usable is left.

    `it's a $(reboot)` gives `its-a-reboot`, `ünïcode` gives `unicode`. A VM name that is itself a
    full hostname with a domain of two parts or more (`web01.example.test`) is kept with its domain.
    None means that the caller must ask for a hostname.
    """
    plain = unicodedata.normalize("NFKD", vm_name.casefold().translate(_SPELLED))
    # Casefolded again: NFKD turns letter-like symbols into capitals.
    plain = "".join(char for char in plain if not unicodedata.combining(char)).casefold()
    if plain.count(".") >= 2 and plain.rpartition(".")[2].isalpha():
        try:
            return hostname(plain)
        except ValueError:
            pass
    plain = re.sub(r"['’`]", "", plain)
    label = re.sub(r"[^a-z0-9]+", "-", plain).strip("-")[:63].rstrip("-")
    return label if label and not label.isdigit() else None


def linux_user(text: str) -> str:
    """`text` if it is a login name that can be created on any Ubuntu: not root, no system account."""
    if text == "root":
        raise ValueError("the user must not be root: name an ordinary user, who gets sudo")
    if not text or not (text[0] == "_" or "a" <= text[0] <= "z"):
        raise ValueError("a user name begins with a lower-case letter or an underscore")
    if len(text) > 32:
        raise ValueError("a user name has at most 32 characters")
    if not _USER.fullmatch(text):
        raise ValueError("a user name is made of lower-case letters, digits, dashes and underscores")
    if text in _TAKEN_USERS:
        raise ValueError("this user name belongs to a system account or group of every Ubuntu")
    return text


def time_zone(text: str) -> str:
    """`text` if it has the form of an IANA time zone name, such as `Europe/Berlin` or `UTC`."""
    if len(text) > 64 or not _TIME_ZONE.fullmatch(text):
        raise ValueError("a time zone is an IANA name such as Europe/Berlin or UTC")
    return text


def package(text: str) -> str:
    """`text` if it is a Debian package name, optionally `=version`.

    A trailing dash is refused: apt would remove the package instead of installing it.
    """
    if len(text) > 200 or not _PACKAGE.fullmatch(text):
        raise ValueError(
            "a package is named by lower-case letters, digits, dots, plus signs and inner dashes, "
            "optionally followed by =version"
        )
    return text


def run_command(text: str) -> str:
    """`text` if it can be a line for the guest's shell."""
    if not text.strip():
        raise ValueError("a command to run in the guest must not be empty")
    if "\0" in text:
        raise ValueError("a command to run in the guest must not hold a NUL character")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValueError("a command to run in the guest holds half of a surrogate pair") from None
    return text


Hostname = Annotated[str, AfterValidator(hostname), Field(min_length=1, max_length=253)]
LinuxUser = Annotated[str, AfterValidator(linux_user), Field(min_length=1, max_length=32)]
SshPublicKey = Annotated[str, AfterValidator(ssh_public_key), Field(min_length=1, max_length=8192)]
TimeZone = Annotated[str, AfterValidator(time_zone), Field(min_length=1, max_length=64)]
Package = Annotated[str, AfterValidator(package), Field(min_length=1, max_length=200)]
RunCommand = Annotated[str, AfterValidator(run_command), Field(min_length=1, max_length=8192)]
