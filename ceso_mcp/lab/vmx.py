"""Reading and writing `key = "value"` files: `.vmx` and `.vmsd` (fact sheet vmkfstools-and-files §5.1)."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from pathlib import Path

_LINE = re.compile(r'^\s*([^\s=#"]+)\s*=\s*"?([^"]*)"?\s*$')
_ESCAPE_BYTES = re.compile(rb"\|([0-9A-Fa-f]{2})")


def _decode(value: str) -> str:
    raw = _ESCAPE_BYTES.sub(
        lambda found: bytes([int(found[1], 16)]), value.encode("utf-8", "surrogateescape")
    )
    return raw.decode("utf-8", "surrogateescape")


def _encode(value: str) -> str:
    return "".join(f"|{ord(c):02X}" if c in '"|' or ord(c) < 32 or ord(c) == 127 else c for c in value)


class Settings:
    """Keys without regard to case, in the order of the file; the last of duplicates counts."""

    def __init__(self, pairs: Iterable[tuple[str, str]] = ()) -> None:
        self._values: dict[str, tuple[str, str]] = {}
        for key, value in pairs:
            self[key] = value

    def __setitem__(self, key: str, value: str) -> None:
        kept = self._values.get(key.lower())
        self._values[key.lower()] = (kept[0] if kept else key, value)

    def __contains__(self, key: str) -> bool:
        return key.lower() in self._values

    def get(self, key: str, default: str = "") -> str:
        kept = self._values.get(key.lower())
        return kept[1] if kept else default

    def flag(self, key: str) -> bool:
        return self.get(key).upper() == "TRUE"

    def drop(self, key: str) -> None:
        self._values.pop(key.lower(), None)

    def pairs(self) -> list[tuple[str, str]]:
        return list(self._values.values())

    def copy(self) -> Settings:
        return Settings(self.pairs())

    def render(self) -> str:
        return "".join(f'{key} = "{_encode(value)}"\n' for key, value in self.pairs())


def parse(text: str) -> Settings:
    """The settings of a file. Raises ValueError at a line that is neither a setting nor a comment."""
    settings = Settings()
    for line in text.splitlines():
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        found = _LINE.match(line)
        if not found:
            raise ValueError(line)
        settings[found[1]] = _decode(found[2])
    return settings


def load(path: Path) -> Settings:
    """Raises OSError when it cannot be read, ValueError when it is not such a file."""
    return parse(path.read_text("utf-8", "surrogateescape"))


def store(path: Path, settings: Settings, mode: int = 0o755) -> None:
    """Write it in one rename."""
    temporary = path.with_name(path.name + "~")
    temporary.write_text(settings.render(), "utf-8", "surrogateescape")
    temporary.chmod(mode)
    os.replace(temporary, path)
