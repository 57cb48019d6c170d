"""Requests to an S3 server that the product never makes: signed by hand, for setting up tests."""

from __future__ import annotations

import hashlib
import hmac
import urllib.parse
import urllib.request
from base64 import b64encode
from datetime import UTC, datetime

from storage_servers import ACCESS, SECRET


def request(
    method: str, endpoint: str, path: str, query: str = "", body: bytes = b"", **headers: str
) -> bytes:
    """AWS signature version 4; `query` is `name=value`, sorted. Returns the answer's body."""
    now = datetime.now(UTC)
    stamp, day = now.strftime("%Y%m%dT%H%M%SZ"), now.strftime("%Y%m%d")
    digest = hashlib.sha256(body).hexdigest()
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    sent |= {
        "host": urllib.parse.urlsplit(endpoint).netloc,
        "x-amz-date": stamp,
        "x-amz-content-sha256": digest,
        "content-md5": b64encode(hashlib.md5(body).digest()).decode(),
    }
    names = ";".join(sorted(sent))
    lines = "".join(f"{name}:{sent[name]}\n" for name in sorted(sent))
    canonical = f"{method}\n{path}\n{query}\n{lines}\n{names}\n{digest}"
    scope = f"{day}/us-east-1/s3/aws4_request"
    text = f"AWS4-HMAC-SHA256\n{stamp}\n{scope}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
    key = f"AWS4{SECRET}".encode()
    for part in (day, "us-east-1", "s3", "aws4_request"):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    signature = hmac.new(key, text.encode(), hashlib.sha256).hexdigest()
    sent["authorization"] = (
        f"AWS4-HMAC-SHA256 Credential={ACCESS}/{scope}, SignedHeaders={names}, Signature={signature}"
    )
    url = f"{endpoint}{path}" + (f"?{query}" if query else "")
    asked = urllib.request.Request(url, data=body if body else None, headers=sent, method=method)
    with urllib.request.urlopen(asked, timeout=20) as answer:
        return bytes(answer.read())
