"""What every target promises (`repository.target`), asked of each of them."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path

import pytest
from place_cases import Spot

from ceso_mcp.errors import RepositoryFault
from ceso_mcp.repository.lock import LOCK, Holder, RepositoryLock
from ceso_mcp.repository.target import Entry, Target
from ceso_mcp.repository.targets.local import LocalTarget


@pytest.fixture
def target(spot: Spot) -> Iterator[Target]:
    target = spot.target()
    yield target
    target.close()


def names(target: Target, folder: str) -> list[str]:
    return sorted(entry.name for entry in target.list(folder))


def test_what_is_put_can_be_got_whole_and_in_parts(target: Target) -> None:
    assert target.put("packs/4f/x.zst", [b"ab", bytearray(b"cd"), memoryview(b"ef")]) is True
    assert target.get("packs/4f/x.zst") == b"abcdef"
    assert target.get_range("packs/4f/x.zst", 2, 3) == b"cde"
    assert target.get_range("packs/4f/x.zst", 0, 6) == b"abcdef"
    assert target.size("packs/4f/x.zst") == 6
    assert target.exists("packs/4f/x.zst")


def test_an_object_may_be_empty_or_large(target: Target) -> None:
    large = [os.urandom(1 << 20)] * 9
    assert target.put("a", [])
    assert target.put("b", large)
    assert (target.get("a"), target.get("b")) == (b"", b"".join(large))


def test_putting_again_changes_nothing_and_says_so(target: Target) -> None:
    assert target.put("a/b", [b"first"]) is True
    assert target.put("a/b", [b"second"]) is False
    assert target.get("a/b") == b"first"


def test_creating_again_changes_nothing_and_says_so(target: Target) -> None:
    assert target.create("a/b", b"first") is True
    assert target.create("a/b", b"second") is False
    assert target.get("a/b") == b"first"


def test_replacing_works_with_and_without_an_older_one(target: Target) -> None:
    target.replace("a/b", b"first")
    target.replace("a/b", b"2nd")
    assert target.get("a/b") == b"2nd"


def test_what_is_not_there_is_told_by_code(target: Target) -> None:
    for use in (target.get, target.size, lambda name: target.get_range(name, 0, 1)):
        with pytest.raises(RepositoryFault) as caught:
            use("no/such")
        assert caught.value.code == "no_such_object"
    assert not target.exists("no/such")
    target.delete("no/such")


@pytest.mark.parametrize(("offset", "length"), [(0, 4), (3, 1), (9, 1)])
def test_a_range_beyond_the_end_is_a_fault(target: Target, offset: int, length: int) -> None:
    target.put("a", [b"abc"])
    with pytest.raises(RepositoryFault):
        target.get_range("a", offset, length)


def test_a_listing_has_everything_below_a_folder_at_any_depth(target: Target) -> None:
    for name in ("backups/v/1/m", "backups/v/2/m", "backups/w/1/deep/er/m", "packs/aa/x"):
        target.put(name, [name.encode()])
    assert sorted(target.list("backups")) == [
        Entry("backups/v/1/m", 13),
        Entry("backups/v/2/m", 13),
        Entry("backups/w/1/deep/er/m", 21),
    ]
    assert names(target, "backups/v") == ["backups/v/1/m", "backups/v/2/m"]
    assert names(target, "backups/v/1") == ["backups/v/1/m"]
    assert names(target, "nothing") == []


def test_a_deleted_object_is_gone_and_its_neighbours_are_not(target: Target) -> None:
    for name in ("a/b/c", "a/b/d", "a/e"):
        target.put(name, [b"x"])
    target.delete("a/b/c")
    assert names(target, "a") == ["a/b/d", "a/e"]
    target.delete("a/b/d")
    assert names(target, "a") == ["a/e"]
    assert target.put("a/b/c", [b"y"])


@pytest.mark.parametrize("name", ["", "/a", "../a", "a/../b", "./a", "a//b", "a b", "a\n", "a/", "ä", "a/."])
def test_a_name_that_is_none_is_refused_everywhere(target: Target, name: str) -> None:
    for use in (
        lambda: target.put(name, [b""]),
        lambda: target.create(name, b""),
        lambda: target.replace(name, b""),
        lambda: target.get(name),
        lambda: target.delete(name),
        lambda: target.exists(name),
        lambda: target.lock(name, b""),
    ):
        with pytest.raises(ValueError):
            use()


def test_of_many_creators_at_once_exactly_one_wins(target: Target) -> None:
    for attempt in range(10):
        start = threading.Barrier(8)
        won: list[int] = []

        def create(me: int, start=start, won=won, at=attempt) -> None:  # type: ignore[no-untyped-def]
            start.wait(10)
            if target.create(f"locks/{at}", b"%d" % me * 1000):
                won.append(me)

        threads = [threading.Thread(target=create, args=(me,)) for me in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(20)
        assert len(won) == 1
        assert target.get(f"locks/{attempt}") == b"%d" % won[0] * 1000


def test_putters_at_once_leave_one_whole_object(target: Target) -> None:
    content = os.urandom(1 << 20)
    threads = [threading.Thread(target=target.put, args=("packs/x", [content])) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert target.get("packs/x") == content
    assert names(target, "packs") == ["packs/x"]


def test_a_reader_never_sees_part_of_a_replaced_object(target: Target) -> None:
    target.replace("a", b"0" * 300_000)
    done = threading.Event()
    seen: set[bytes] = set()

    def read() -> None:
        while not done.is_set():
            seen.add(target.get("a"))

    reader = threading.Thread(target=read)
    reader.start()
    try:
        for digit in b"123456789" * 3:
            target.replace("a", bytes([digit]) * 300_000)
    finally:
        done.set()
        reader.join(20)
    assert seen
    assert all(len(content) == 300_000 and len(set(content)) == 1 for content in seen)


def test_a_lock_is_one_s_own_until_it_is_given_back(target: Target) -> None:
    assert target.lock("locks/exclusive.json", b"mine") is True
    assert target.lock("locks/exclusive.json", b"theirs") is False
    assert target.unlock("locks/exclusive.json", b"theirs") is False
    assert target.get("locks/exclusive.json") == b"mine"
    assert target.unlock("locks/exclusive.json", b"mine") is True
    assert target.unlock("locks/exclusive.json", b"mine") is False
    assert target.lock("locks/exclusive.json", b"theirs") is True


def test_free_space_is_a_number_or_unknown(target: Target) -> None:
    free_bytes = target.free_bytes()
    assert free_bytes is None or free_bytes > 0


def child(program: str, *arguments: str) -> subprocess.Popen[bytes]:
    folders = [str(Path(__file__).parent), str(Path(__file__).parents[2])]
    whole = f"import sys; sys.path[:0] = {folders!r}\n{program}"
    command = [sys.executable, "-c", whole, *arguments]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)


PUTTING = """
from place_cases import described_target
target = described_target(sys.argv[1])
for number in range(100000):
    target.put("packs/%06d" % number, [b"%06d" % number * 50000])
    print(number, flush=True)
"""


def test_a_killed_putter_leaves_only_whole_objects(spot: Spot, target: Target) -> None:
    if not spot.described:
        pytest.skip("a store in memory has one process")
    with child(PUTTING, spot.described) as process:
        assert process.stdout is not None
        try:
            process.stdout.readline()
            time.sleep(0.3)
        finally:
            process.kill()
        said = 1 + len(process.stdout.read().splitlines())
    found = names(target, "packs")
    assert said <= len(found) <= said + 1
    for name in found:
        assert target.get(name) == name.removeprefix("packs/").encode() * 50000


TAKING = """
from place_cases import described_target
target = described_target(sys.argv[1])
target.exists("first")
print("ready", flush=True)
sys.stdin.readline()
print(*[n for n in range(20) if target.lock("locks/%d" % n, sys.argv[2].encode())])
"""


def test_of_two_processes_exactly_one_gets_each_lock(spot: Spot, target: Target) -> None:
    if not spot.described:
        pytest.skip("a store in memory has one process")
    with child(TAKING, spot.described, "first") as first, child(TAKING, spot.described, "second") as second:
        both = {"first": first, "second": second}
        for process in both.values():
            assert process.stdout is not None
            assert process.stdout.readline() == b"ready\n"
        for process in both.values():
            assert process.stdin is not None
            process.stdin.write(b"go\n")
            process.stdin.flush()
        won = {name: process.communicate()[0].split() for name, process in both.items()}
    assert sorted(int(n) for lot in won.values() for n in lot) == list(range(20))
    for name, lot in won.items():
        for number in lot:
            assert target.get(f"locks/{int(number)}") == name.encode()


def test_of_many_who_break_a_stale_lock_one_gets_it(target: Target) -> None:
    for _ in range(3):
        mine = RepositoryLock(target, "test")
        dead = Holder(**(asdict(Holder.parse(target.get(LOCK)) or mine) | {"pid": 1, "started": "never"}))
        mine.release()
        target.lock(LOCK, dead.text())
        start = threading.Barrier(6)
        won: list[RepositoryLock] = []
        lost: list[str] = []

        def take(start=start, won=won, lost=lost) -> None:  # type: ignore[no-untyped-def]
            start.wait(10)
            try:
                won.append(RepositoryLock(target, "test"))
            except RepositoryFault as fault:
                lost.append(fault.code)

        threads = [threading.Thread(target=take) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
        assert (len(won), lost) == (1, ["repository_locked"] * 5)
        won[0].require()
        won[0].release()
        assert names(target, "locks") == []


def test_a_lock_that_cannot_be_read_holds_until_it_is_old(
    target: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    target.lock(LOCK, b'{"id": "half')
    with pytest.raises(RepositoryFault) as caught:
        RepositoryLock(target, "test")
    assert caught.value.code == "repository_locked"
    monkeypatch.setattr("ceso_mcp.repository.lock.LEASE_S", -10)  # it is older than that
    lock = RepositoryLock(target, "test")
    lock.require()
    lock.release()


def test_a_lock_that_changed_hands_is_not_given_back(target: Target) -> None:
    target.lock("locks/a", b"one")
    assert target.unlock("locks/a", b"one") is True
    target.lock("locks/a", b"two")
    assert target.unlock("locks/a", b"one") is False
    assert target.get("locks/a") == b"two"
    target.replace("locks/a", b"two, renewed")
    assert target.unlock("locks/a", b"two") is False
    assert target.unlock("locks/a", b"two, renewed") is True
    assert not target.exists("locks/a")
    for use in (target.get, target.size):
        with pytest.raises(RepositoryFault) as caught:
            use("locks/a")
        assert caught.value.code == "no_such_object"


def test_the_age_of_an_object_is_by_the_clock_of_the_place(target: Target) -> None:
    target.replace("a", b"x")
    assert -1.5 <= target.age_s("a") < 30
    assert list(target.drafts()) == []


def test_a_place_is_prepared_once_and_shows_what_is_in_it(spot: Spot, target: Target) -> None:
    assert target.prepare() <= {"tmp"}
    target.put("packs/aa/x", [b"x"])
    target.put("ceso-repo.json", [b"x"])
    assert target.prepare() - {"tmp"} == {"packs", "ceso-repo.json"}
    assert spot.target().prepare() - {"tmp"} == {"packs", "ceso-repo.json"}


@pytest.mark.slow
def test_objects_of_64_mib_and_listings_of_thousands(target: Target) -> None:
    piece = os.urandom(1 << 20)
    assert target.put("packs/large", [piece, bytes(1 << 20)] * 32 + [b"end"])
    assert target.size("packs/large") == (64 << 20) + 3
    assert target.get("packs/large") == (piece + bytes(1 << 20)) * 32 + b"end"
    assert target.get_range("packs/large", 64 << 20, 3) == b"end"
    assert target.put("packs/large", [b"other"]) is False
    with ThreadPoolExecutor(16) as pool:
        list(pool.map(lambda n: target.put(f"many/{n % 7}/{n:04}", [b"x"]), range(2100)))
    found = names(target, "many")
    assert found == sorted(f"many/{n % 7}/{n:04}" for n in range(2100))


def test_without_hard_links_a_lock_is_still_exclusive(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def link(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", link)
    target = LocalTarget(tmp_path)
    assert target.lock("locks/a", b"one") is True
    assert target.lock("locks/a", b"two") is False
    assert target.get("locks/a") == b"one"
    assert target.unlock("locks/a", b"one") is True


def test_a_folder_that_is_gone_is_no_empty_repository(tmp_path: Path) -> None:
    (tmp_path / "place").mkdir()
    target = LocalTarget(tmp_path / "place")
    target.put("a/b", [b"x"])
    (tmp_path / "place").rename(tmp_path / "elsewhere")
    for use in (lambda: list(target.list("a")), lambda: target.get("a/b"), lambda: target.put("a/b", [b""])):
        with pytest.raises(RepositoryFault) as caught:
            use()
        assert "is gone" in caught.value.message
    assert not (tmp_path / "place").exists()
