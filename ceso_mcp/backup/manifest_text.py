"""The text of a manifest: JSON laid out so that a person, `sed` and `awk` can read it.

Indented by one space a level; a list or object that holds only plain values stays on one line.
The last member, `checksum`, is the sha256 of every byte before its line:

    sed '/^ "checksum": /,$d' manifest.json | sha256sum
"""

from __future__ import annotations

import hashlib
import json
import re
from typing import Any

from pydantic import ValidationError

from ceso_mcp.backup.manifest import FORMAT, VERSION, Manifest
from ceso_mcp.errors import Unreadable

_END = re.compile(rb' "checksum": "([0-9a-f]{64})"\n\}\n\Z')
_END_BYTES = len(' "checksum": ""\n}\n') + 64


def render(manifest: Manifest) -> bytes:
    """The manifest's file, byte for byte; the same manifest always gives the same bytes."""
    text = _lay_out(manifest.model_dump(mode="json"), 0)
    body = (text.removesuffix("\n}") + ",\n").encode()
    return body + f' "checksum": "{hashlib.sha256(body).hexdigest()}"\n}}\n'.encode()


def parse(content: bytes) -> Manifest:
    """Read a manifest's file; raises Unreadable if it is damaged or of a version unknown here."""
    end = _END.match(content, max(0, len(content) - _END_BYTES))
    if end is None:
        raise Unreadable("manifest", "it does not end with its checksum")
    body = content[: end.start()]
    if hashlib.sha256(body).hexdigest().encode() != end[1]:
        raise Unreadable("manifest", "its checksum is wrong: it has been changed or is damaged")
    try:
        document = json.loads(content)
    except ValueError:
        raise Unreadable("manifest", "it is not JSON") from None
    if document.get("format") != FORMAT:
        raise Unreadable("manifest", "it is not one of a ceso backup")
    if document.get("version") != VERSION:
        raise Unreadable("manifest", f"it is of format version {document.get('version')!r}, not {VERSION}")
    del document["checksum"]
    try:
        return Manifest.model_validate(document)
    except ValidationError as fault:
        first = fault.errors()[0]
        place = ".".join(str(part) for part in first["loc"]) or "as a whole"
        raise Unreadable("manifest", f"{place}: {first['msg']}") from None


def _lay_out(value: Any, depth: int) -> str:
    if not isinstance(value, dict | list) or (depth and _plain(value)):
        return json.dumps(value, ensure_ascii=False)
    pad = "\n" + " " * (depth + 1)
    if isinstance(value, dict):
        inner = (f"{json.dumps(k)}: {_lay_out(v, depth + 1)}" for k, v in value.items())
        return "{" + pad + f",{pad}".join(inner) + "\n" + " " * depth + "}"
    inner = (_lay_out(item, depth + 1) for item in value)
    return "[" + pad + f",{pad}".join(inner) + "\n" + " " * depth + "]"


def _plain(value: dict[str, Any] | list[Any]) -> bool:
    items = value.values() if isinstance(value, dict) else value
    return not any(isinstance(item, dict | list) for item in items)
