"""Reading software packages: VIBs (`ar` archives with a `descriptor.xml`) and offline bundles (zip files)."""

from __future__ import annotations

import io
import xml.etree.ElementTree as ElementTree
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

AR_MAGIC, AR_HEAD_BYTES = b"!<arch>\n", 60
LEVELS = {
    "certified": "VMwareCertified",
    "accepted": "VMwareAccepted",
    "partner": "PartnerSupported",
    "community": "CommunitySupported",
}


class Unusable(Exception):
    """The file is no package of the kind."""


@dataclass(frozen=True)
class Package:
    """One VIB. `live` ones need no reboot."""

    name: str
    version: str
    vendor: str
    level: str
    identifier: str
    live: bool = True


def _descriptor(content: bytes) -> bytes:
    if not content.startswith(AR_MAGIC):
        raise Unusable("not a VIB")
    at = len(AR_MAGIC)
    while at + AR_HEAD_BYTES <= len(content):
        head = content[at : at + AR_HEAD_BYTES]
        try:
            size = int(head[48:58])
        except ValueError:
            raise Unusable("damaged VIB") from None
        at += AR_HEAD_BYTES
        if head[:16].rstrip(b" /") == b"descriptor.xml":
            return content[at : at + size]
        at += size + size % 2
    raise Unusable("VIB without a descriptor")


def _package(content: bytes) -> Package:
    try:
        root = ElementTree.fromstring(_descriptor(content))
    except ElementTree.ParseError:
        raise Unusable("damaged descriptor") from None
    words = {key: (root.findtext(key) or "").strip() for key in ("name", "version", "vendor")}
    level = LEVELS.get((root.findtext("acceptance-level") or "community").strip())
    if not all(words.values()) or level is None:
        raise Unusable("incomplete descriptor")
    live = (root.findtext("live-install-allowed") or "true").strip().lower() == "true"
    kind = root.get("type") or root.findtext("type") or "bootbank"
    identifier = f"{words['vendor']}_{kind}_{words['name']}_{words['version']}"
    return Package(**words, level=level, identifier=identifier, live=live)


def vib(place: str) -> Package:
    """The package in a file. Raises `Unusable` and OSError."""
    return _package(Path(place).read_bytes())


def depot(place: str) -> tuple[list[Package], list[dict[str, Any]]]:
    """The packages and the image profiles of an offline bundle. Raises `Unusable` and OSError."""
    try:
        with zipfile.ZipFile(place) as bundle:
            names = bundle.namelist()
            packages = [_package(bundle.read(name)) for name in names if name.endswith(".vib")]
            profiles: list[dict[str, Any]] = []
            for name in names:
                if name.endswith(".zip"):
                    with zipfile.ZipFile(io.BytesIO(bundle.read(name))) as metadata:
                        profiles += _profiles(metadata)
    except zipfile.BadZipFile:
        raise Unusable("not a bundle") from None
    return packages, profiles


def _profiles(metadata: zipfile.ZipFile) -> list[dict[str, Any]]:
    found = []
    for name in metadata.namelist():
        if not name.startswith("profiles/") or name.endswith("/"):
            continue
        root = ElementTree.fromstring(metadata.read(name))
        level = (root.findtext("acceptancelevel") or "").strip()
        found.append(
            {
                "Name": (root.findtext("name") or "").strip(),
                "Vendor": (root.findtext("creator") or "").strip(),
                "Acceptance Level": LEVELS.get(level, level),
                "Creation Time": (root.findtext("creationtime") or "").strip()[:19],
                "Modification Time": (root.findtext("modifiedtime") or "").strip()[:19],
            }
        )
    return found
