"""User data of the caller's own: which kind it is, whether it can be used, whether it holds a secret."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from ceso_mcp.guest.cloud_config import cloud_config_mapping
from ceso_mcp.guest.multipart import KINDS, begins_with

_JINJA = "## template: jinja"
_SECRET_WORD = r"passwd|password|passphrase|secret|token|api[_-]?key|private[_-]?key|access[_-]?key"
_SECRET_KEY = re.compile(rf"(?:.*[_.-])?(?:{_SECRET_WORD})|[a-z]+(?:passwd|password|secret|token)", re.I)
_ASSIGNED = re.compile(
    rf"(?i)(?<![a-z0-9_-])(?!lock_passwd|chpasswd)[a-z0-9_-]*(?:{_SECRET_WORD})[\"']?[ \t]*[:=][ \t]*"
    r"(?![\"']?(?:true|false|yes|no|null|none|on|off|~)?[\"']?[ \t]*(?:$|[,}#]))\S",
    re.M,
)
_SHAPES = (
    re.compile(r"PRIVATE KEY-----|PuTTY-User-Key-File"),
    re.compile(r"AGE-SECRET-KEY-1"),
    # A crypt hash, as in /etc/shadow.
    re.compile(r"\$(?:1|5|6|7|y|gy|2[abxy]|argon2[a-z]*)\$[^\s$:]{1,}\$?[^\s:]{8,}"),
    re.compile(r"(?i)\b(?:bearer|basic)\s+[a-z0-9._~+/=-]{16,}"),
    re.compile(r"\b(?:gh[pousr]_[A-Za-z0-9]{20,}|github_pat_\w{20,}|glpat-[\w-]{16,}|AKIA[0-9A-Z]{16})\b"),
    re.compile(r"(?i)\b[a-z][a-z0-9+.-]*://[^\s/@:]+:[^\s/@]+@"),
)
_NOT_SECRET = (None, True, False, "", "*", "!", "!!", "x")


@dataclass(frozen=True, slots=True)
class OwnUserData:
    """User data that can be used. `shown` names it where its text must not be shown, else is None."""

    start: str
    text: str = field(repr=False)
    mapping: Mapping[str, Any] | None = field(repr=False)
    shown: str | None = None

    @property
    def has_bootcmd(self) -> bool:
        """Whether it may say `bootcmd` itself, or turn vendor data off."""
        if self.mapping is None:
            return self.start in (_JINJA, "#cloud-config-archive", "#include", "#include-once")
        return "bootcmd" in self.mapping or "vendor_data" in self.mapping


def own_user_data(text: str, shown: str | None = None) -> OwnUserData:
    """`text` once it is checked; `ValueError` in one sentence that repeats nothing of it.

    It is of one of cloud-init's kinds, and a `#cloud-config` is a YAML mapping.
    """
    if "\0" in text:
        raise ValueError("it holds a NUL character")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValueError("it holds half of a surrogate pair") from None
    if text.startswith(("Content-Type:", "MIME-Version:", "From ")):
        raise ValueError("a MIME message cannot be put into another one: give one of its parts")
    start = begins_with(text)
    if start is None:
        raise ValueError(f"its first line does not say of which kind it is: {', '.join(KINDS)}")
    body = text.partition("\n")[2]
    if not body.strip():
        raise ValueError("nothing follows its first line")
    if start == _JINJA and begins_with(body) in (None, _JINJA):
        raise ValueError("the second line of a template says what it becomes, such as #cloud-config")
    mapping = cloud_config_mapping(text) if start == "#cloud-config" else None
    return OwnUserData(start, text, mapping, shown)


def looks_secret(text: str, mapping: Mapping[str, Any] | None = None) -> bool:
    """Whether `text` seems to hold a password, a hash, a private key or a token.

    `mapping` is what it says as a `#cloud-config`. A guess: it may be wrong both ways.
    """
    if _ASSIGNED.search(text) or any(shape.search(text) for shape in _SHAPES):
        return True
    return mapping is not None and any(_is_secret(path, value) for path, value in _leaves(mapping, ()))


def giving_way(own: Mapping[str, Any], ours: Mapping[str, Any]) -> list[str]:
    """Which top-level values of `own` are not used, because `ours` says the same key and is no list."""
    if "merge_how" in own or "merge_type" in own:
        return []
    return [
        key
        for key, value in ours.items()
        if key in own and own[key] != value and not (isinstance(value, list) and isinstance(own[key], list))
    ]


def _is_secret(path: tuple[str, ...], value: Any) -> bool:
    if value in _NOT_SECRET:
        return False
    key = path[-1] if path else ""
    if "chpasswd" in path:
        return key in ("list", "password", "chpasswd")
    return key != "lock_passwd" and _SECRET_KEY.fullmatch(key) is not None


def _leaves(value: Any, path: tuple[str, ...], depth: int = 0) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every scalar with the keys that lead to it; YAML may refer to itself, so not deeper than 40."""
    if depth > 40:
        return
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _leaves(item, (*path, str(key)), depth + 1)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _leaves(item, path, depth + 1)
    else:
        yield path, value
