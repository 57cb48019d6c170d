"""The last net for secrets: known values first, then things that look like secrets.

The first defence is the type system (`text.Secret` has no text form). This one cleans what comes
back from elsewhere: output of the host, texts of libraries.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

_SHAPES = (
    re.compile(r"-----BEGIN [A-Z0-9 ]*PRIVATE KEY-----.*?(?:-----END [A-Z0-9 ]*PRIVATE KEY-----|\Z)", re.S),
    re.compile(r"AGE-SECRET-KEY-1[0-9A-Z]+", re.I),
    re.compile(r"(?i)\b(?:password|passwd|secret|token)\s*[=:]\s*\S+"),
    re.compile(r"\$(?:6|5|y|2[aby])\$[^\s:]{10,}"),
    re.compile(r"(?i)\bguestinfo\.(?:user|vendor)data\"?\s*[=,]\s*(?:value\s*=\s*)?\"(?!---)[^\"]+\"?"),
    re.compile(r"(?i)\bBearer\s+[A-Za-z0-9._~+/=-]{8,}"),
)
HIDDEN = "‹hidden›"


class Redactor:
    """Removes secrets from text. Values of fewer than six characters are not searched for."""

    def __init__(self, values: Iterable[bytes] = ()) -> None:
        self._values: list[str] = []
        for value in values:
            self.learn(value)

    def learn(self, value: bytes) -> None:
        text = value.decode("utf-8", "replace").strip()
        for piece in {text, *text.splitlines()}:
            if len(piece) >= 6 and piece not in self._values:
                self._values.append(piece)
        self._values.sort(key=len, reverse=True)

    def clean(self, text: str) -> str:
        for value in self._values:
            text = text.replace(value, HIDDEN)
        for shape in _SHAPES:
            text = shape.sub(HIDDEN, text)
        return text
