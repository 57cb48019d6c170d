"""UUIDs and what the host derives from them (fact sheet vmkfstools-and-files §5.3)."""

from __future__ import annotations

import hashlib
import os
import re
import uuid

STATIC_RANGE = re.compile(r"^00:50:56:[0-3][0-9a-f]:[0-9a-f]{2}:[0-9a-f]{2}$")
RESERVED = ("00:0c:29", "00:50:56", "00:05:69")


def spaced(raw: bytes) -> str:
    """16 bytes as a VMX holds them: `56 4d d9 28 84 1b 9d 6a-4e b5 …`."""
    pairs = [f"{byte:02x}" for byte in raw]
    return " ".join(pairs[:8]) + "-" + " ".join(pairs[8:])


def raw(text: str) -> bytes:
    """The 16 bytes of a VMX UUID; zeros when it is none."""
    digits = re.sub(r"[^0-9a-fA-F]", "", text)
    return bytes.fromhex(digits) if len(digits) == 32 else bytes(16)


def dashed(text: str) -> str:
    """A VMX UUID in the usual form, as hostd prints it."""
    return str(uuid.UUID(bytes=raw(text)))


def location(host_uuid: str, path: str) -> str:
    """`uuid.location` of a VMX at `path`: the same again for the same place (assumed to be derived so)."""
    digest = hashlib.sha256(f"{host_uuid}:{path}".encode("utf-8", "surrogateescape")).digest()
    return spaced(b"\x56\x4d" + digest[:14])


def fresh_bios() -> str:
    return spaced(b"\x56\x4d" + os.urandom(14))


def fresh_instance() -> str:
    return spaced(b"\x52" + os.urandom(15))


def generated_mac(location_uuid: str, number: int) -> str:
    """00:0c:29 and the last three bytes of the UUID plus ten times the NIC's number."""
    tail = int.from_bytes(raw(location_uuid)[13:], "big") + 10 * number
    return "00:0c:29:" + ":".join(f"{byte:02x}" for byte in (tail & 0xFFFFFF).to_bytes(3, "big"))


def vmci_id(bios_uuid: str) -> str:
    return str(int.from_bytes(raw(bios_uuid)[12:], "big", signed=True))


def sas_wwid(bios_uuid: str, controller: int) -> str:
    digits = raw(bios_uuid).hex()
    word = "5005056" + digits[7] + digits[8:14] + digits[14] + f"{controller:x}"
    return " ".join(word[at : at + 2] for at in range(0, 16, 2))


def static_allowed(mac: str) -> bool:
    """A VMware prefix is static only in 00:50:56:00–3f; foreign prefixes are accepted."""
    mac = mac.lower()
    return bool(STATIC_RANGE.match(mac)) or not mac.startswith(RESERVED)
