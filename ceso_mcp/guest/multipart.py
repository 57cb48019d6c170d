"""User-data of two authors in one document: a MIME message whose parts cloud-init merges."""

from __future__ import annotations

import base64
import hashlib

_MERGE = "list(append)+dict(no_replace,recurse_list)+str()"
KINDS = {
    "#cloud-config-archive": "text/cloud-config-archive",
    "#cloud-config": "text/cloud-config",
    "#cloud-boothook": "text/cloud-boothook",
    "#include-once": "text/x-include-once-url",
    "#include": "text/x-include-url",
    "#part-handler": "text/part-handler",
    "## template: jinja": "text/jinja2",
    "#!": "text/x-shellscript",
}
"""How user-data begins, and what it is then to cloud-init (its `INCLUSION_TYPES_MAP`)."""


def begins_with(text: str) -> str | None:
    """Which of `KINDS` the text is of, by its first line; None if of none."""
    first = text.partition("\n")[0].rstrip("\r \t")
    for start in KINDS:
        if first == start or (start == "#!" and first.startswith("#!/")):
            return start
    return None


def multipart(first: str, second: str) -> str:
    """A MIME message of `first` (a `#cloud-config` document) and `second` (the caller's own).

    Where `second` is a `#cloud-config` too, lists are appended to those of `first` and its other
    values give way to those of `first`. `ValueError` if `second` is of a kind that cannot be told
    by its first line, or is not text that UTF-8 can carry.
    """
    start = begins_with(second)
    if start is None:
        raise ValueError(f"user data begins with a line that says its kind, one of: {', '.join(KINDS)}")
    try:
        digest = hashlib.sha256(f"{first}\0{second}".encode()).hexdigest()[:32]
    except UnicodeEncodeError:
        raise ValueError("user data holds half of a surrogate pair") from None
    boundary = f"ceso-{digest}"
    parts = [("text/cloud-config", "", first), (KINDS[start], f"X-Merge-Type: {_MERGE}\n", second)]
    body = "".join(
        f"--{boundary}\n"
        f'Content-Type: {mime}; charset="utf-8"\n'
        "MIME-Version: 1.0\n"
        "Content-Transfer-Encoding: base64\n"
        f"{merge}\n"
        f"{_base64_lines(text)}"
        for mime, merge, text in parts
    )
    return (
        f'Content-Type: multipart/mixed; boundary="{boundary}"\nMIME-Version: 1.0\n\n{body}--{boundary}--\n'
    )


def _base64_lines(text: str) -> str:
    return base64.encodebytes(text.encode()).decode("ascii")
