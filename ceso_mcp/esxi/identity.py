"""Identifiers that ESXi derives from a VM's UUID, and their text forms.

Source: fact sheet vmkfstools-and-files §5.3, recomputed there from real files.
"""

from __future__ import annotations

import re
import uuid

from ceso_mcp.errors import Unreadable

_SPACED = re.compile(r"(?:[0-9a-fA-F]{2} ){7}[0-9a-fA-F]{2}-(?:[0-9a-fA-F]{2} ){7}[0-9a-fA-F]{2}")
_MAC = re.compile(r"(?:[0-9a-f]{2}:){5}[0-9a-f]{2}")
_STATIC_PREFIX = "00:50:56:"


def parse_uuid(text: str) -> uuid.UUID:
    """Read `56 4d aa bb …-… ff` as a .vmx holds it, or the usual form; raises Unreadable."""
    if _SPACED.fullmatch(text.strip()):
        return uuid.UUID(hex=re.sub("[ -]", "", text))
    try:
        return uuid.UUID(text.strip())
    except ValueError:
        raise Unreadable("uuid", "it is not one", line=text) from None


def uuid_text(value: uuid.UUID) -> str:
    """`value` as a .vmx holds it: bytes in hexadecimal, a dash in the middle."""
    pairs = [f"{byte:02x}" for byte in value.bytes]
    return " ".join(pairs[:8]) + "-" + " ".join(pairs[8:])


def mac_of_uuid(location: uuid.UUID, offset: int = 0) -> str:
    """The generated MAC address: 00:0c:29 and the end of `uuid.location`, plus an offset.

    The first card has offset 0, the second 10, and so on (mac-generated-offsets-3nic-1). The sum
    is taken within the last three bytes (assumed where it overflows).
    """
    tail = (int.from_bytes(location.bytes[13:]) + offset) & 0xFFFFFF
    return "00:0c:29:" + ":".join(f"{byte:02x}" for byte in tail.to_bytes(3))


def vmci_id(bios: uuid.UUID) -> int:
    """`vmci0.id`: the last four bytes of `uuid.bios` as a signed number."""
    return int.from_bytes(bios.bytes[12:], signed=True)


def sas_wwid(bios: uuid.UUID) -> str:
    """`scsi0.sasWWID` from `uuid.bios`, for the first controller only.

    Real files of a second controller (multiwriter-rac-2nic-2scsi-1) do not bear out a rule for others.
    """
    digits = bios.hex
    tail = f"5005056{digits[7]}{digits[8:14]}{digits[14]}0"
    return " ".join(tail[at : at + 2] for at in range(0, 16, 2))


def is_mac(text: str) -> bool:
    """Whether it is a MAC address of six pairs with colons, in any case."""
    return _MAC.fullmatch(text.lower()) is not None


def is_static_mac(text: str) -> bool:
    """Whether ESXi takes it as a static address of VMware's own range, 00:50:56:00:00:00 to 3f:ff:ff.

    Others of VMware's prefixes are refused at power-on (vimmsg-static-mac-refused-1).
    """
    mac = text.lower()
    return is_mac(mac) and mac.startswith(_STATIC_PREFIX) and int(mac[9:11], 16) <= 0x3F


def is_reserved_mac(text: str) -> bool:
    """Whether a static address would collide with a range that VMware keeps for itself."""
    mac = text.lower()
    if mac.startswith(_STATIC_PREFIX):
        return not is_static_mac(mac)
    return mac.startswith(("00:0c:29:", "00:05:69:"))
