"""An SFTP server that refuses, vanishes, breaks off, is full, read-only, or knows less than OpenSSH's."""

from __future__ import annotations

import os
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import asyncssh
import pytest
from place_cases import Servers, sftp_login
from storage_servers import SSHD, Sshd, sshd

from ceso_mcp.errors import RepositoryFault
from ceso_mcp.repository.targets.sftp import SftpLogin, SftpTarget

pytestmark = [pytest.mark.slow, pytest.mark.skipif(SSHD is None, reason="openssh-server is not installed")]


@pytest.fixture
def server(servers: Servers) -> Sshd:
    return servers.sshd


@pytest.fixture
def open_at(tmp_path: Path) -> Iterator[Callable[[SftpLogin], SftpTarget]]:
    opened: list[SftpTarget] = []
    (tmp_path / "place").mkdir(exist_ok=True)

    def open_one(login: SftpLogin) -> SftpTarget:
        opened.append(SftpTarget(login, str(tmp_path / "place")))
        return opened[-1]

    yield open_one
    for target in opened:
        target.close()


def code_of(use: Callable[[], object]) -> str:
    with pytest.raises(RepositoryFault) as caught:
        use()
    return caught.value.code


def test_a_refused_login_is_told_and_never_repeated(server: Sshd, open_at) -> None:  # type: ignore[no-untyped-def]
    target = open_at(sftp_login(server, key_file=server.folder / "wrong"))
    (server.folder / "log").write_text("")
    for use in (lambda: target.exists("a"), lambda: target.put("a", [b""]), lambda: list(target.list("a"))):
        assert code_of(use) == "repository_login"
    until = time.monotonic() + 5
    while "authenticating user" not in (said := (server.folder / "log").read_text()):
        assert time.monotonic() < until
        time.sleep(0.02)
    assert said.count("authenticating user") == 1


def test_a_key_that_is_not_there_is_told(server: Sshd, open_at) -> None:  # type: ignore[no-untyped-def]
    target = open_at(sftp_login(server, key_file=server.folder / "none"))
    assert code_of(lambda: target.exists("a")) == "repository_login"


def test_another_host_key_than_the_pinned_one_is_refused(server: Sshd, open_at) -> None:  # type: ignore[no-untyped-def]
    other = asyncssh.generate_private_key("ssh-ed25519").export_public_key().decode()
    target = open_at(sftp_login(server, host_keys=(other,)))
    assert code_of(lambda: target.exists("a")) == "repository_host_key"


def test_a_pinned_key_of_a_kind_that_the_server_has_not_is_hinted_at(server: Sshd, open_at) -> None:  # type: ignore[no-untyped-def]
    """The server ends the connection without a word to the client."""
    other = asyncssh.generate_private_key("ecdsa-sha2-nistp256").export_public_key().decode()
    with pytest.raises(RepositoryFault) as caught:
        open_at(sftp_login(server, host_keys=(other,))).exists("a")
    assert "host key of the pinned kind" in caught.value.hint


def test_a_server_that_was_never_there_is_not_waited_for(server: Sshd, open_at) -> None:  # type: ignore[no-untyped-def]
    target = open_at(sftp_login(server, port=1, patience_s=3600))
    assert code_of(lambda: target.exists("a")) == "repository_gone"


def test_a_server_that_comes_back_in_time_is_gone_on_with(tmp_path: Path, open_at) -> None:  # type: ignore[no-untyped-def]
    with sshd(tmp_path / "sshd") as server:
        target = open_at(sftp_login(server, patience_s=20))
        target.put("a", [b"x"])
        server.stop()
        coming = threading.Timer(1.0, server.start)
        coming.start()
        assert target.get("a") == b"x"
        coming.join()
        server.stop()
        short = open_at(replace(sftp_login(server), patience_s=0.5))
        assert code_of(lambda: short.get("a")) == "repository_gone"
        server.start()
        assert short.get("a") == b"x"


def test_connections_that_break_at_any_moment_lose_and_double_nothing(server: Sshd, open_at) -> None:  # type: ignore[no-untyped-def]
    target = open_at(sftp_login(server, patience_s=30))
    done = threading.Event()

    def break_off() -> None:
        while not done.wait(0.4):
            server.cut()

    breaker = threading.Thread(target=break_off)
    breaker.start()
    content = os.urandom(1 << 20)
    try:
        for number in range(12):
            assert target.put(f"packs/{number}", [content, b"%d" % number]) is True
            assert target.create(f"made/{number}", b"mine %d" % number) is True
            assert target.create(f"made/{number}", b"other") is False
            assert target.lock(f"locks/{number}", b"me %d" % number) is True
            assert target.unlock(f"locks/{number}", b"me %d" % number) is True
            target.replace("changing", b"%d" % number)
            assert target.get(f"packs/{number}") == content + b"%d" % number
            assert target.get("changing") == b"%d" % number
    finally:
        done.set()
        breaker.join()
    assert len(list(target.list("packs"))) == len(list(target.list("made"))) == 12
    assert list(target.list("locks")) == []


@pytest.mark.parametrize("denied", ["hardlink,statvfs,limits", "fsync", "posix-rename"])
def test_a_server_that_knows_less_is_used_safely_or_refused(tmp_path: Path, open_at, denied: str) -> None:  # type: ignore[no-untyped-def]
    with sshd(tmp_path / "sshd", f"-P {denied}") as server:
        target = open_at(sftp_login(server))
        if denied != "hardlink,statvfs,limits":
            assert code_of(lambda: target.put("a", [b"x"])) == "repository_unfit"
            if denied == "posix-rename":
                return
            target = open_at(sftp_login(server, require_fsync=False))
        assert target.put("a/b", [b"x" * 100_000]) is True
        assert target.lock("locks/a", b"one") is True
        assert target.lock("locks/a", b"two") is False
        assert target.unlock("locks/a", b"two") is False
        assert target.unlock("locks/a", b"one") is True
        assert (target.free_bytes() is None) == (denied != "fsync")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    (tmp_path / "place").mkdir()
    if os.geteuid() != 0:
        pytest.skip("mounting takes root")
    mounted = ["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(tmp_path / "place")]
    if subprocess.run(mounted, capture_output=True).returncode != 0:
        pytest.skip("nothing can be mounted here")
    yield tmp_path / "place"
    subprocess.run(["umount", str(tmp_path / "place")], check=True)


def test_a_full_disk_is_told_and_leaves_no_part(server: Sshd, small_disk: Path, open_at) -> None:  # type: ignore[no-untyped-def]
    target = open_at(sftp_login(server))
    target.put("a", [bytes(3 << 20)])
    assert code_of(lambda: target.put("b", [os.urandom(16 << 20)])) == "repository_full"
    assert [path.name for path in small_disk.rglob("*") if path.is_file()] == ["a"]
    assert target.put("c", [b"small"]) is True
    assert target.get("a") == bytes(3 << 20)


def test_a_read_only_disk_is_told(server: Sshd, small_disk: Path, open_at) -> None:  # type: ignore[no-untyped-def]
    target = open_at(sftp_login(server))
    target.put("a", [b"x"])
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    assert code_of(lambda: target.put("b", [b"x"])) == "repository_read_only"
    assert code_of(lambda: target.lock("locks/a", b"x")) == "repository_read_only"
    assert code_of(lambda: target.delete("a")) == "repository_read_only"
    assert target.get("a") == b"x"


def test_a_folder_that_is_gone_is_no_empty_repository(server: Sshd, tmp_path: Path, open_at) -> None:  # type: ignore[no-untyped-def]
    target = open_at(sftp_login(server))
    target.put("a/b", [b"x"])
    (tmp_path / "place").rename(tmp_path / "elsewhere")
    for use in (
        lambda: list(target.list("a")),
        lambda: target.get("a/b"),
        lambda: target.put("a/b", [b""]),
        lambda: target.lock("locks/a", b""),
        lambda: target.exists("a/b"),
        lambda: target.delete("a/b"),
    ):
        assert code_of(use) == "repository_gone"
    assert not (tmp_path / "place").exists()
    assert target.prepare() == set()
    assert (tmp_path / "place").stat().st_mode & 0o777 == 0o700


def test_only_the_last_folder_is_made(server: Sshd, tmp_path: Path) -> None:
    target = SftpTarget(sftp_login(server), str(tmp_path / "mnt" / "ü b'c\"d" / "repo"))
    try:
        assert code_of(target.prepare) == "not_a_repository"
        (tmp_path / "mnt" / "ü b'c\"d").mkdir(parents=True)
        assert target.prepare() == set()
        assert target.put("a/b", [b"x"]) is True
        assert [entry.name for entry in target.list("a")] == ["a/b"]
        assert target.prepare() - {"tmp"} == {"a"}
    finally:
        target.close()


def test_a_datastore_s_folder_is_refused_inside_a_vm(server: Sshd, tmp_path: Path) -> None:
    volume = tmp_path / "datastore1"
    (volume / "web01" / "deep").mkdir(parents=True)
    (volume / "web01" / "web01.vmx").write_text("")

    def at(folder: str) -> SftpTarget:
        return SftpTarget(sftp_login(server), f"{volume}/{folder}", volume=str(volume))

    for folder in ("web01", "web01/backups", "web01/deep/backups"):
        target = at(folder)
        assert code_of(target.prepare) == "not_a_repository"
        target.close()
    target = at("backups")
    assert target.prepare() == set()
    target.close()


def test_a_closed_target_opens_again(server: Sshd, open_at) -> None:  # type: ignore[no-untyped-def]
    target = open_at(sftp_login(server))
    before = threading.active_count()
    target.put("a", [b"x"])
    target.close()
    target.close()
    until = time.monotonic() + 5
    while threading.active_count() > before and time.monotonic() < until:
        time.sleep(0.01)
    assert threading.active_count() == before
    assert target.get("a") == b"x"
