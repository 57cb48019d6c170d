"""What may be the name of an object, at every target."""

from __future__ import annotations

import re

_NAME = re.compile(r"[A-Za-z0-9._-]+(/[A-Za-z0-9._-]+)*\Z")


def object_name(name: str) -> str:
    """`name` itself; raises ValueError if it cannot be an object's."""
    if not _NAME.match(name) or any(part in (".", "..") for part in name.split("/")):
        raise ValueError("not the name of an object")
    return name
