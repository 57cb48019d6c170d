"""Who a VM is to the host and to its guest, drawn from a seed: the same seed and label, the same value.

A preview and its confirmation thus speak of the same UUIDs and MAC addresses.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Iterable
from typing import Annotated

from pydantic import AfterValidator, Field

from ceso_mcp.errors import Refused
from ceso_mcp.guest.names import default_hostname

SEED_BYTES = 32
STATIC_MAC_COUNT = 0x400000
_DRAWS = 64
_MAC = re.compile(r"[0-9a-f]{2}(?::[0-9a-f]{2}){5}")


def bios_uuid(seed: bytes, label: str) -> str:
    """A `uuid.bios` in the form of a `.vmx`: `56 4d xx xx xx xx xx xx-xx xx xx xx xx xx xx xx`.

    `56 4d` is what a standalone host gives (fact sheet vmkfstools §5.3).
    """
    raw = b"\x56\x4d" + _draw(seed, "uuid.bios", label, 0)[:14]
    return f"{raw[:8].hex(' ')}-{raw[8:].hex(' ')}"


def static_mac(seed: bytes, label: str, taken: Iterable[str]) -> str:
    """A MAC address in 00:50:56:00:00:00-00:50:56:3f:ff:ff, lower case, that is not in `taken`.

    The range is the one allowed for `addressType = "static"` (fact sheet vmkfstools §5.3). `taken` may
    be in any case, with colons or dashes. Raises `Refused` (`no_free_mac`) when none is left.
    """
    used = {mac.lower().replace("-", ":") for mac in taken}
    number = 0
    for counter in range(_DRAWS):
        number = int.from_bytes(_draw(seed, "mac", label, counter)[:3], "big") % STATIC_MAC_COUNT
        if _static(number) not in used:
            return _static(number)
    for step in range(1, STATIC_MAC_COUNT):
        if _static((number + step) % STATIC_MAC_COUNT) not in used:
            return _static((number + step) % STATIC_MAC_COUNT)
    raise Refused("every static MAC address of VMware's range is in use", code="no_free_mac")


def instance_id(name: str, uuid: str) -> str:
    """The instance-id for a VM made now: `ceso-<name>-<32 hex digits of its uuid.bios>`.

    Safe as a folder name, which cloud-init makes of it. `uuid` is in either textual form (spaces or
    dashes). A new UUID gives a new instance-id, which makes cloud-init configure the guest anew
    (fact sheet cloud-init §6).
    """
    digits = re.sub(r"[ -]", "", uuid).lower()
    if not re.fullmatch(r"[0-9a-f]{32}", digits):
        raise ValueError("a UUID has 32 hexadecimal digits")
    word = (default_hostname(name) or "vm").partition(".")[0][:40].rstrip("-")
    return f"ceso-{word}-{digits}"


def mac_address(text: str) -> str:
    """`text` as six lower-case pairs with colons; `ValueError` unless it is a unicast MAC address."""
    mac = text.lower().replace("-", ":")
    if not _MAC.fullmatch(mac):
        raise ValueError("a MAC address is six pairs of hexadecimal digits, such as 00:50:56:01:02:03")
    if int(mac[:2], 16) & 1:
        raise ValueError("a NIC's MAC address must not be a multicast or broadcast address")
    if mac == "00:00:00:00:00:00":
        raise ValueError("a NIC's MAC address must not be all zeros")
    return mac


def given_mac(text: str) -> str:
    """`text` as `mac_address` if a VM may be given it; `ValueError` outside 00:50:56:00:00:00-3f:ff:ff.

    Hosts take foreign prefixes too, and refuse the rest of VMware's own (fact sheet vmkfstools §5.3).
    """
    mac = mac_address(text)
    if not mac.startswith("00:50:56:") or int(mac[9:11], 16) > 0x3F:
        raise ValueError("a MAC address for a VM is one from 00:50:56:00:00:00 to 00:50:56:3f:ff:ff")
    return mac


StaticMac = Annotated[str, AfterValidator(given_mac), Field(min_length=17, max_length=17)]


def _static(number: int) -> str:
    return f"00:50:56:{number >> 16:02x}:{number >> 8 & 0xFF:02x}:{number & 0xFF:02x}"


def _draw(seed: bytes, purpose: str, label: str, counter: int) -> bytes:
    if len(seed) != SEED_BYTES:
        raise ValueError(f"a seed has {SEED_BYTES} bytes")
    # No purpose holds a NUL, so purpose and label cannot run into each other.
    message = purpose.encode() + b"\0" + counter.to_bytes(4, "big") + label.encode("utf-8", "surrogatepass")
    return hmac.new(seed, message, hashlib.sha256).digest()
