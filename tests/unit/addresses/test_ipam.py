"""The book of addresses: one owner an address, whoever asks at the same time."""

from __future__ import annotations

import stat
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from ceso_mcp import ipam as module
from ceso_mcp.addresses.actions import Leased, NoLease, document
from ceso_mcp.addresses.pool import Pool
from ceso_mcp.errors import ConfigFault, Refused
from ceso_mcp.ipam import Ipam

POOL = Pool(name="lab", ranges=("192.0.2.10-192.0.2.12/24",))


class Clock:
    def __init__(self) -> None:
        self.now = 1_000_000.0

    def time(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    found = Clock()
    monkeypatch.setattr(module, "time", found)
    return found


@pytest.fixture
def book(tmp_path: Path) -> Ipam:
    found = Ipam(tmp_path / "book", "host")
    found.write_pool(document(POOL), "")
    return found


def lease(book: Ipam, name: str, *, wanted: str = "", avoid: tuple[str, ...] = (), card: int = 0) -> Any:
    return book.lease("lab", 4, lease=name, card=card, wanted=wanted, avoid=avoid, lasts_s=600)


def hold(book: Ipam, address: str, name: str, vm: str = "web01") -> None:
    book.hold("lab", address, name, vm=vm, vmx=f"[ds] {vm}.vmx", uuid_bios=f"uuid of {vm}")


def release(book: Ipam, address: str, vm: str = "web01", *, at_once: bool = False) -> None:
    book.release("lab", address, vmx=f"[ds] {vm}.vmx", uuid_bios=f"uuid of {vm}", at_once=at_once)


def states(book: Ipam) -> dict[str, str]:
    return {item.address: item.state for item in book.ledger().reservations}


def test_a_preview_gets_the_first_free_address_and_the_same_again(book: Ipam) -> None:
    assert lease(book, "a") == Leased("192.0.2.10", fresh=True)
    assert lease(book, "b") == Leased("192.0.2.11", fresh=True)
    assert lease(book, "a", card=1) == Leased("192.0.2.12", fresh=True)
    assert lease(book, "a") == Leased("192.0.2.10", fresh=False)
    full = lease(book, "c")
    assert isinstance(full, NoLease)
    assert full.code == "pool_exhausted"
    assert "3 leased" in full.message


def test_a_lease_ends_with_its_time_and_its_own_preview_may_still_have_it(book: Ipam, clock: Clock) -> None:
    lease(book, "a")
    clock.now += 601
    assert states(book) == {}
    assert lease(book, "a") == Leased("192.0.2.10", fresh=False)
    clock.now += 601
    assert lease(book, "b") == Leased("192.0.2.10", fresh=True)
    assert lease(book, "a") == Leased("192.0.2.11", fresh=True)  # another plan, which is shown anew


def test_what_another_took_is_not_held(book: Ipam, clock: Clock) -> None:
    lease(book, "a")
    clock.now += 601
    lease(book, "b")
    with pytest.raises(Refused) as caught:
        hold(book, "192.0.2.10", "a")
    assert caught.value.code == "lease_lost"
    hold(book, "192.0.2.10", "b")
    assert states(book) == {"192.0.2.10": "held"}


def test_a_held_address_outlasts_all_time_and_is_quiet_after_its_release(book: Ipam, clock: Clock) -> None:
    lease(book, "a")
    hold(book, "192.0.2.10", "a")
    clock.now += 1e8
    assert lease(book, "b", wanted="192.0.2.10").code == "address_taken"
    release(book, "192.0.2.10")
    assert states(book) == {"192.0.2.10": "released"}
    assert lease(book, "b", wanted="192.0.2.10").code == "address_taken"
    assert lease(book, "b").address == "192.0.2.11"
    book.keep("lab", "192.0.2.10", vmx="[ds] web01.vmx", uuid_bios="uuid of web01")
    assert states(book)["192.0.2.10"] == "held"
    release(book, "192.0.2.10")
    clock.now += module.QUIET_S + 1
    assert lease(book, "c").address == "192.0.2.10"
    with pytest.raises(Refused, match="another owner"):
        book.keep("lab", "192.0.2.10", vmx="[ds] web01.vmx", uuid_bios="uuid of web01")


def test_nobody_releases_what_another_vm_holds(book: Ipam) -> None:
    lease(book, "a")
    hold(book, "192.0.2.10", "a")
    for at_once in (True, False):
        with pytest.raises(Refused, match="not as it was"):
            release(book, "192.0.2.10", "web02", at_once=at_once)
    release(book, "192.0.2.10", at_once=True)
    assert states(book) == {}


def test_dropping_frees_what_the_run_has_and_nothing_else(book: Ipam) -> None:
    lease(book, "a")
    hold(book, "192.0.2.10", "a")
    book.drop("lab", "192.0.2.10", "b")
    assert states(book) == {"192.0.2.10": "held"}
    book.drop("lab", "192.0.2.10", "a")
    book.drop("lab", "192.0.2.10", "a")
    assert states(book) == {}


def test_a_stranger_is_avoided_for_an_hour_but_not_by_who_asks_for_that_address(
    book: Ipam, clock: Clock
) -> None:
    lease(book, "a")
    book.note_stranger("lab", "192.0.2.10", "a")
    assert lease(book, "a").address == "192.0.2.11"
    assert lease(book, "b", wanted="192.0.2.10") == Leased("192.0.2.10", fresh=True)
    book.note_stranger("lab", "192.0.2.10", "b")
    clock.now += module.STRANGER_S + 1
    assert lease(book, "c").address == "192.0.2.10"


def test_a_refused_preview_gives_back_its_leases_and_no_hold(book: Ipam) -> None:
    lease(book, "a")
    lease(book, "a", card=1)
    hold(book, "192.0.2.10", "a")
    book.give_back("a")
    assert states(book) == {"192.0.2.10": "held"}


def test_pools_change_only_as_was_shown_and_never_away_from_a_vm(book: Ipam) -> None:
    lease(book, "a")
    hold(book, "192.0.2.10", "a")
    smaller = document(Pool(name="lab", ranges=("192.0.2.11-192.0.2.12/24",)))
    larger = document(Pool(name="lab", ranges=("192.0.2.10-192.0.2.99/24",)))
    for wanted, before, code in (
        (smaller, document(POOL), "pool_in_use"),
        (larger, "", "pool_changed"),
        (document(Pool(name="other", ranges=("192.0.2.12-192.0.2.20/24",))), "", "pool_overlaps"),
    ):
        with pytest.raises(Refused) as caught:
            book.write_pool(wanted, before)
        assert caught.value.code == code
    book.write_pool(larger, document(POOL))
    with pytest.raises(Refused) as caught:
        book.remove_pool("lab")
    assert caught.value.code == "pool_in_use"
    release(book, "192.0.2.10")
    book.remove_pool("lab")
    assert book.ledger().pools == ()


def test_the_book_is_the_owners_alone_and_a_damaged_one_is_told(tmp_path: Path) -> None:
    Ipam(tmp_path / "book", "host")
    path = tmp_path / "book" / "addresses.sqlite"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    path.write_bytes(b"this is no database" * 100)
    with pytest.raises(ConfigFault) as caught:
        Ipam(tmp_path / "book", "host")
    assert caught.value.code == "state_unusable"


def test_many_who_ask_at_once_get_different_addresses(tmp_path: Path) -> None:
    book = Ipam(tmp_path / "book", "host")
    book.write_pool(document(Pool(name="lab", ranges=("192.0.2.0/24",))), "")
    program = (
        "import sys; from pathlib import Path; from ceso_mcp.ipam import Ipam\n"
        "book = Ipam(Path(sys.argv[1]), 'host')\n"
        "for n in range(15):\n"
        "    name = f'{sys.argv[2]}-{n}'\n"
        "    a = book.lease('lab', 4, lease=name, card=0, wanted='', avoid=(), lasts_s=600).address\n"
        "    book.hold('lab', a, name, vm=name, vmx=name, uuid_bios=name)\n"
        "    print(a)\n"
    )
    workers = [
        subprocess.Popen(
            [sys.executable, "-c", program, str(tmp_path / "book"), str(n)], stdout=subprocess.PIPE, text=True
        )
        for n in range(3)
    ]
    said: list[str] = []
    for worker in workers:
        out, _ = worker.communicate(timeout=50)
        assert worker.returncode == 0
        said += out.split()
    assert len(said) == len(set(said)) == 45
    assert set(states(book)) == set(said)


def test_threads_of_one_process_may_ask_too(book: Ipam) -> None:
    found: list[Any] = []
    threads = [threading.Thread(target=lambda n=n: found.append(lease(book, f"t{n}"))) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    given = [item.address for item in found if isinstance(item, Leased)]
    assert sorted(given) == ["192.0.2.10", "192.0.2.11", "192.0.2.12"]
    assert sum(isinstance(item, NoLease) for item in found) == 1
