"""How documents travel in a `.vmx`: the `guestinfo.*` keys, their encodings and their limits.

Fact sheet cloud-init §3.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import ipaddress
import json
import zlib
from collections.abc import Callable, Mapping
from ipaddress import IPv4Address, IPv6Address
from typing import Any, NamedTuple

from ceso_mcp.errors import Refused, Unreadable

GZIP_FROM_BYTES = 1024
WARN_ABOVE_BYTES = 32 * 1024
REFUSE_FROM_BYTES = 64 * 1024
_DECODED_MAX_BYTES = 4 * 1024 * 1024

REDACTED = "---"
"""What the guest writes over a document that it has read; to cloud-init it counts as not set (§3)."""

METADATA_KEYS = ("guestinfo.metadata", "guestinfo.metadata.encoding")
"""Stay for the VM's whole life (fact sheet cloud-init §1, rule 2)."""

SECRET_KEYS = (
    "guestinfo.userdata",
    "guestinfo.userdata.encoding",
    "guestinfo.vendordata",
    "guestinfo.vendordata.encoding",
)
"""May hold secrets: to be removed from the `.vmx` after the first good boot (§8)."""

SECRET_DOCUMENTS = ("userdata", "vendordata")
MAY_BE_SECRET = {"guestinfo.userdata": "user data", "guestinfo.vendordata": "vendor data"}
"""Of these, the keys whose values are not to be shown when their author is not known, and what to show."""

REPORTED_KEYS = (
    "guestinfo.local-ipv4",
    "guestinfo.local-ipv6",
    "guestinfo.cloudinit.updates.supported",
    "guestinfo.cloudinit.updates.enabled",
)
"""Written by the guest about itself: to be dropped in a clone (§3)."""


class Guestinfo(NamedTuple):
    """`.vmx` keys with their values, and warnings in words."""

    values: dict[str, str]
    warnings: list[str]


def guestinfo(
    metadata: Mapping[str, Any], user_data: str | None = None, vendor_data: str | None = None
) -> Guestinfo:
    """The `.vmx` keys that carry these documents; the same documents always give the same bytes.

    Below 1 KiB a document is base64, from there on gzip and base64. Raises `Refused`
    (`guestinfo_too_large`) if an encoded value reaches 64 KiB; warns above 32 KiB.
    """
    documents = {
        "metadata": json.dumps(metadata, ensure_ascii=True, allow_nan=False),
        "userdata": user_data,
        "vendordata": vendor_data,
    }
    values: dict[str, str] = {}
    warnings: list[str] = []
    for name, document in documents.items():
        if document is None:
            continue
        value, encoding = _encode(document.encode())
        if len(value) >= REFUSE_FROM_BYTES:
            raise Refused(
                f"the guest's {name} takes {len(value)} bytes once encoded; less than "
                f"{REFUSE_FROM_BYTES} can be handed over",
                code="guestinfo_too_large",
                hint="let the guest fetch large files itself, or put them into the template",
            )
        if len(value) > WARN_ABOVE_BYTES:
            warnings.append(
                f"the guest's {name} takes {len(value)} bytes once encoded; above {WARN_ABOVE_BYTES} "
                "some hosts may cut it short"
            )
        values[f"guestinfo.{name}"] = value
        values[f"guestinfo.{name}.encoding"] = encoding
    return Guestinfo(values, warnings)


def secrets_pending(vmx_get: Callable[[str], str | None]) -> tuple[str, ...]:
    """Which documents that may hold secrets are still readable in a `.vmx`.

    The guest overwrites one with `---` right after reading it (fact sheet cloud-init §8). While a VM
    runs its file may lag behind; from the power-off on it tells what is true.
    """
    return tuple(
        name
        for name in SECRET_DOCUMENTS
        if (vmx_get(f"guestinfo.{name}") or "").strip() not in ("", REDACTED)
    )


def was_read(vmx_get: Callable[[str], str | None]) -> bool:
    """Whether a guest has told something about itself since these documents were written.

    cloud-init does so only after it has read them (§3), and whoever writes new documents drops what was told.
    """
    return any((vmx_get(key) or "").strip() for key in REPORTED_KEYS)


def static_addresses(document: Mapping[str, Any]) -> frozenset[IPv4Address | IPv6Address]:
    """The addresses that metadata of any author gives to cards; what is none is passed over."""
    found: set[IPv4Address | IPv6Address] = set()
    network = document.get("network")
    network = network if isinstance(network, Mapping) else {}
    for kind in ("ethernets", "vlans", "bonds", "bridges"):
        entries = network.get(kind)
        for entry in entries.values() if isinstance(entries, Mapping) else ():
            listed = entry.get("addresses") if isinstance(entry, Mapping) else None
            for item in listed if isinstance(listed, list) else ():
                # netplan also takes a mapping: an address and what is to be done about it.
                for text in item if isinstance(item, Mapping) else [item]:
                    with contextlib.suppress(ValueError):
                        found.add(ipaddress.ip_interface(str(text)).ip)
    return frozenset(found)


def decode_guestinfo(vmx_get: Callable[[str], str | None]) -> dict[str, Any]:
    """The metadata of a VM as its guest reads it; `{}` if there is none.

    `vmx_get` gives the unescaped value of a `.vmx` key, or None. A `network` that is a text of its
    own encoding is decoded too. An unknown or missing encoding means plain text, as it does to
    cloud-init. Raises `Unreadable` for what does not decode to a JSON object; cloud-init also
    accepts YAML there, which ceso never writes and does not read.
    """
    text = (vmx_get("guestinfo.metadata") or "").strip()
    if text in ("", REDACTED):
        return {}
    document = _json_object(
        _decode(text, vmx_get("guestinfo.metadata.encoding"), "guestinfo.metadata"), "guestinfo.metadata"
    )
    network = document.get("network")
    if isinstance(network, str):
        what = "the network in guestinfo.metadata"
        encoding = document.pop("network.encoding", None)
        if encoding is not None and not isinstance(encoding, str):
            raise Unreadable(what, "its encoding is not a text")
        document["network"] = _json_object(_decode(network.strip(), encoding, what), what)
    return document


def _encode(raw: bytes) -> tuple[str, str]:
    if len(raw) < GZIP_FROM_BYTES:
        return base64.b64encode(raw).decode("ascii"), "base64"
    # zlib writes a gzip header without a time when it is not told one, so equal input is equal output.
    packer = zlib.compressobj(9, zlib.DEFLATED, 16 + zlib.MAX_WBITS)
    packed = packer.compress(raw) + packer.flush()
    return base64.b64encode(packed).decode("ascii"), "gzip+base64"


def _decode(text: str, encoding: str | None, what: str) -> bytes:
    kind = (encoding or "").strip()
    if kind not in ("base64", "b64", "gzip+base64", "gz+b64"):
        return text.encode("utf-8", "surrogateescape")
    try:
        raw = base64.b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError):
        raise Unreadable(what, "it is said to be base64 and is not") from None
    if kind in ("base64", "b64"):
        return raw
    unpacker = zlib.decompressobj(16 + zlib.MAX_WBITS)
    try:
        plain = unpacker.decompress(raw, _DECODED_MAX_BYTES)
    except zlib.error:
        raise Unreadable(what, "it is said to be gzip and is not") from None
    if not unpacker.eof:
        raise Unreadable(what, "its gzip data is cut short or too large")
    return plain


def _json_object(raw: bytes, what: str) -> dict[str, Any]:
    try:
        document = json.loads(raw.decode("utf-8"))
    except (ValueError, RecursionError):
        raise Unreadable(what, "it is not JSON") from None
    if not isinstance(document, dict):
        raise Unreadable(what, "it is not a JSON object")
    return document
