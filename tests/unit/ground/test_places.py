"""Places of repositories as a configuration names them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from ceso_mcp.backup.places import DatastorePlace, S3Place, SftpPlace, place_of, title_of
from ceso_mcp.config import BackupSection, HostSection
from ceso_mcp.errors import ConfigFault
from ceso_mcp.redact import Redactor
from ceso_mcp.repository_access import RepositoryAccess

SFTP = {"host_keys": ["ssh-ed25519 AAAA"], "key_file": "/k"}
S3 = {"access_key": {"env": "CESO_TEST_AK"}, "secret_key": {"env": "CESO_TEST_SK"}}


@pytest.mark.parametrize(
    ("text", "place", "title"),
    [
        ("/srv/b", Path("/srv/b"), "/srv/b"),
        ("backups", Path("backups"), "backups"),
        ("~/b", Path("~/b"), "~/b"),
        ("/srv/a:b [c] sftp", Path("/srv/a:b [c] sftp"), "/srv/a:b [c] sftp"),
        ("sftp://h/b", SftpPlace(None, "h", 22, "/b"), "sftp://h/b"),
        ("SFTP://u@h:2222/b/c/", SftpPlace("u", "h", 2222, "/b/c"), "sftp://u@h:2222/b/c"),
        ("sftp://h/~/b%20c", SftpPlace(None, "h", 22, "b c"), "sftp://h/~/b c"),
        ("sftp://[::1]:23/b%3Fc", SftpPlace(None, "::1", 23, "/b?c"), "sftp://[::1]:23/b%3Fc"),
        ("s3://bucket", S3Place("bucket", ""), "s3://bucket"),
        ("s3://my.bucket/a/b/", S3Place("my.bucket", "a/b"), "s3://my.bucket/a/b"),
        ("datastore:[ds 1] a b/c", DatastorePlace("ds 1", "a b/c"), "[ds 1] a b/c"),
    ],
)
def test_places_are_read_and_shown(text: str, place: Any, title: str) -> None:
    assert place_of(text) == place
    assert title_of(place) == title
    if not isinstance(place, Path | DatastorePlace):
        assert place_of(title) == place
    assert place_of(place) is place


@pytest.mark.parametrize(
    "text",
    [
        "", 7, None, "a\0b", "ftp://h/b", "http://h/b", "file:///b", "sftp://", "sftp://h", "sftp://h/",
        "sftp:///b", "sftp://h/a/../b", "sftp://h/%2e%2e/b", "sftp://h:99999/b", "sftp://h/b?x", "sftp://h/b#x",
        "sftp://u:hunter2@h/b", "sftp://h/a%0ab", "s3://", "s3://B", "s3://a", "s3://bucket/a b",
        "s3://bucket/../b", "s3://key:hunter2@bucket/b", "s3://bucket:9000/b", "datastore:", "datastore:x/y",
        "datastore:[ds]", "datastore:[] x", "datastore:[ds] .x", "datastore:[ds] a/../b", "datastore:[ds] /x",
        "datastore:[..] x", "datastore:[ds] a/.ceso", "datastore:[a/b] x",
    ],
)  # fmt: skip
def test_what_is_no_place_is_refused_and_not_repeated(text: Any) -> None:
    with pytest.raises(ValueError) as caught:
        place_of(text)
    assert "hunter2" not in str(caught.value)


def test_a_place_needs_the_section_of_its_login() -> None:
    for text in ("sftp://h/b", "s3://bucket"):
        with pytest.raises(ValidationError, match="needs the section of its login"):
            BackupSection(repository=text)
    assert BackupSection(repository="sftp://h/b", sftp=SFTP).repository == SftpPlace(None, "h", 22, "/b")
    assert BackupSection(repository="s3://bucket", s3=S3).repository == S3Place("bucket", "")
    assert BackupSection(repository="datastore:[d] f").repository == DatastorePlace("d", "f")
    with pytest.raises(ValidationError, match="key_file or password"):
        BackupSection(repository="sftp://h/b", sftp={"host_keys": ["x"]})
    with pytest.raises(ValidationError):
        BackupSection(copies={"x": {}})
    with pytest.raises(ValidationError):
        BackupSection(s3=S3 | {"endpoint": "https://key:hunter2@h"})


def test_the_keys_of_a_store_are_read_when_it_is_opened_and_never_shown(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    section = BackupSection(
        repository="s3://bucket", s3=S3 | {"endpoint": "http://127.0.0.1:1", "patience_s": 0}
    )
    redactor = Redactor()
    access = RepositoryAccess(section, redactor)
    with pytest.raises(ConfigFault) as caught:
        access.exists()
    assert caught.value.code == "secret_missing"
    monkeypatch.setenv("CESO_TEST_AK", "AKIDHUNTER2")
    monkeypatch.setenv("CESO_TEST_SK", "hunter2-hunter2")
    target = access.target()
    assert target is access.target()
    assert "hunter2" not in redactor.clean("the key is hunter2-hunter2")
    access.close()
    assert target is not access.target()


def test_a_datastore_is_reached_with_the_login_of_the_host() -> None:
    host = HostSection(address="192.0.2.7", port=2222, user="root", host_keys=("ssh-rsa AAAA",))
    access = RepositoryAccess(BackupSection(repository="datastore:[ds 1] backups"), Redactor(), None, host)
    target = access.target()
    assert (target.title, access.title()) == ("[ds 1] backups", "[ds 1] backups")
    login = target._link.login
    assert (login.host, login.port, login.user, login.require_fsync) == ("192.0.2.7", 2222, "root", True)
    assert (target._root, target._volume) == ("/vmfs/volumes/ds 1/backups", "/vmfs/volumes/ds 1")
