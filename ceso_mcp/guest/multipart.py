"""User-data of two authors in one document: a MIME message whose parts cloud-init merges."""

from __future__ import annotations

import base64
import hashlib

_TYPES = {
    "#cloud-config": "text/cloud-config",
    "#!": "text/x-shellscript",
    "#cloud-boothook": "text/cloud-boothook",
}
_MERGE = "list(append)+dict(no_replace,recurse_list)+str()"


def multipart(first: str, second: str) -> str:
    """A MIME message of `first` (a `#cloud-config` document) and `second` (the caller's own).

    Where `second` is a `#cloud-config` too, lists are appended to those of `first` and its other
    values give way to those of `first`. `ValueError` if `second` is of a kind that cannot be told
    by its first line, or is not text that UTF-8 can carry.
    """
    kind = next((mime for start, mime in _TYPES.items() if second.startswith(start)), None)
    if kind is None:
        raise ValueError(f"extra user-data begins with one of: {', '.join(_TYPES)}")
    try:
        digest = hashlib.sha256(f"{first}\0{second}".encode()).hexdigest()[:32]
    except UnicodeEncodeError:
        raise ValueError("extra user-data holds half of a surrogate pair") from None
    boundary = f"ceso-{digest}"
    parts = [("text/cloud-config", "", first), (kind, f"X-Merge-Type: {_MERGE}\n", second)]
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
