"""Where a repository can be: the words for it in a configuration, read and shown.

A path is a folder of this machine or one mounted here. `sftp://[user@]host[:port]/path`,
`s3://bucket[/prefix]` and `datastore:[name] folder` are elsewhere.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import SplitResult, quote, unquote, urlsplit

_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]\Z")
_PREFIX = re.compile(r"[A-Za-z0-9._-]+(/[A-Za-z0-9._-]+)*\Z")
_DATASTORE = re.compile(r"datastore:\s*\[([^\[\]/]+)\]\s*(.+)\Z")
_SAFE = "/~@:+,=-._ "


@dataclass(frozen=True, slots=True)
class SftpPlace:
    """A folder on an SSH server. `path` is absolute, or below the login's home without a leading slash."""

    user: str | None
    host: str
    port: int
    path: str

    @property
    def title(self) -> str:
        user = f"{quote(self.user)}@" if self.user else ""
        host = f"[{self.host}]" if ":" in self.host else self.host
        port = "" if self.port == 22 else f":{self.port}"
        path = self.path if self.path.startswith("/") else f"/~/{self.path}"
        return f"sftp://{user}{host}{port}{quote(path, _SAFE)}"


@dataclass(frozen=True, slots=True)
class S3Place:
    """A bucket, or the part of it below `prefix`."""

    bucket: str
    prefix: str

    @property
    def title(self) -> str:
        return f"s3://{self.bucket}/{self.prefix}".rstrip("/")


@dataclass(frozen=True, slots=True)
class DatastorePlace:
    """A folder of a datastore of the managed host itself."""

    datastore: str
    folder: str

    @property
    def title(self) -> str:
        return f"[{self.datastore}] {self.folder}"


RemotePlace = SftpPlace | S3Place | DatastorePlace
AnyPlace = Path | RemotePlace


def place_of(value: object) -> AnyPlace:
    """The place that `value` names: a place or path as it is, a text read.

    Raises ValueError, which never repeats the text: a password may stand in it by mistake.
    """
    if isinstance(value, Path | SftpPlace | S3Place | DatastorePlace):
        return value
    if not isinstance(value, str) or not value or "\0" in value:
        raise ValueError("a repository is a path, sftp://…, s3://… or datastore:[name] folder")
    if value.startswith("datastore:"):
        return _datastore(value)
    scheme, separator, _ = value.partition("://")
    if not separator or not re.fullmatch(r"[A-Za-z][A-Za-z0-9+.-]*", scheme):
        return Path(value)
    try:
        url = urlsplit(value)
        port = url.port
    except ValueError:
        raise ValueError("this is no URL") from None
    if url.query or url.fragment:
        raise ValueError("a repository's URL has no ? or # part; write them as %3F and %23")
    if url.password is not None:
        raise ValueError("a password does not belong in a URL; name it in the section of its own")
    if scheme.lower() == "sftp":
        return _sftp(url, port)
    if scheme.lower() == "s3":
        return _s3(url, port)
    raise ValueError("the schemes of repositories are sftp and s3; a folder is given as a path")


def title_of(place: AnyPlace) -> str:
    """The place, for people; also what it is remembered by."""
    return str(place) if isinstance(place, Path) else place.title


def _sftp(url: SplitResult, port: int | None) -> SftpPlace:
    host, path = url.hostname, unquote(url.path, errors="strict")
    if not host:
        raise ValueError("sftp://host/path names a host")
    parts = path.split("/")
    if parts[1:2] == ["~"]:
        parts, path = parts[2:], "/".join(parts[2:])
    path = path.rstrip("/")
    if not path or any(part in (".", "..") for part in parts) or re.search(r"[\x00-\x1f\x7f]", path):
        raise ValueError("sftp://host/path names a folder, without . and .. in it")
    return SftpPlace(unquote(url.username) if url.username else None, host, port or 22, path)


def _s3(url: SplitResult, port: int | None) -> S3Place:
    bucket, prefix = url.netloc, url.path.strip("/")
    if port is not None or not _BUCKET.match(bucket):
        raise ValueError("s3://bucket/prefix names a bucket; the server is the endpoint in the s3 section")
    if prefix and (not _PREFIX.match(prefix) or any(p in (".", "..") for p in prefix.split("/"))):
        raise ValueError("the prefix in a bucket has letters, digits, ., _, - and / only")
    return S3Place(bucket, prefix)


def _datastore(text: str) -> DatastorePlace:
    match = _DATASTORE.match(text)
    if match is None:
        raise ValueError("write datastore:[name] folder")
    name, folder = match[1], match[2].strip().rstrip("/")
    parts = folder.split("/")
    if name in (".", "..") or any(not part or part.startswith(".") for part in parts):
        raise ValueError("the folder on a datastore has no empty parts and none that begin with a dot")
    if re.search(r"[\x00-\x1f\x7f]", text):
        raise ValueError("a control character is in the name of the folder")
    return DatastorePlace(name, folder)
