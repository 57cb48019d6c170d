"""The client of one bucket."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from obstore.store import S3Store


def s3_store(
    *,
    bucket: str,
    prefix: str,
    endpoint: str | None,
    region: str,
    access_key: str,
    secret_key: str,
    virtual_hosted: bool,
    patience_s: float,
) -> S3Store:
    """A client of one bucket. Every object is sent with a SHA-256 that the server checks."""
    config: dict[str, Any] = {
        "region": region,
        "access_key_id": access_key,
        "secret_access_key": secret_key,
        "checksum_algorithm": "SHA256",
        "conditional_put": "etag",
        "virtual_hosted_style_request": virtual_hosted,
        "disable_bulk_delete": True,
    }
    if endpoint is not None:
        config["endpoint"] = endpoint.rstrip("/")
    return S3Store(
        bucket,
        prefix=prefix or None,
        config=config,  # type: ignore[arg-type]
        client_options={
            "allow_http": endpoint is not None and endpoint.startswith("http://"),
            "connect_timeout": "15s",
            "timeout": "300s",
        },
        retry_config={"max_retries": 30, "retry_timeout": timedelta(seconds=patience_s)},
    )
