"""A VM of a pool that gets another name or other addresses: what goes, what stays, what comes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ceso_mcp.addresses.actions import AddRecords, HoldAddress, ReleaseAddress, RemoveRecords, document
from ceso_mcp.addresses.pool import Pool
from ceso_mcp.addresses.records import Record, host_records
from ceso_mcp.config import DnsSection
from ceso_mcp.errors import Refused
from ceso_mcp.esxi.paths import DatastorePath
from ceso_mcp.esxi.vmx import Vmx
from ceso_mcp.fact import Fact, Fixed, HereQuestion, Reply
from ceso_mcp.facts.inventory import HostVms, Vm
from ceso_mcp.ipam import Ipam
from ceso_mcp.pool_desk import PoolDesk
from ceso_mcp.recipes.addressing import Addressed
from ceso_mcp.recipes.guest_setup import GuestFields
from ceso_mcp.recipes.letting_go import moved
from ceso_mcp.secrets import SecretRef

pytestmark = pytest.mark.anyio

UUID = "56 4d 00 00 00 00 00 00-00 00 00 00 00 00 00 01"
PATH = DatastorePath("ds", "web01/web01.vmx")
NOBODY = Reply(1, "1 packets transmitted, 0 packets received, 100% packet loss\n")
DNS = DnsSection(
    server="192.0.2.53", zones=("lab.example",), tsig_name="ceso", tsig_secret=SecretRef(env="NOT_READ")
)


class Zone:
    """A name server's contents, for `lookup` only."""

    def __init__(self) -> None:
        self.records: list[Record] = []

    def lookup(self, zone: str, names: Any) -> tuple[Record, ...]:
        return tuple(record for record in self.records if record[:2] in names)

    def add(self, zone: str, records: Any, ttl: int, *, again: bool = False) -> None:
        self.records += records

    def remove(self, zone: str, records: Any) -> None:
        self.records = [record for record in self.records if record not in records]


class PlannedFacts:
    """Facts over a real book, on a host where nobody answers a ping."""

    def __init__(self, desk: PoolDesk) -> None:
        self.desk = desk
        self.fixed = Fixed("2026-01-01T00:00:00+00:00", bytes(32))

    async def read(self, *facts: Fact[Any]) -> Any:
        values = [self._one(fact) for fact in facts]
        return values[0] if len(values) == 1 else tuple(values)

    def _one(self, fact: Fact[Any]) -> Any:
        reading, answer = fact.reading(), None
        while True:
            try:
                questions = reading.send(answer)  # type: ignore[arg-type]
            except StopIteration as stop:
                return stop.value
            answer = [self.desk.answer(q) if isinstance(q, HereQuestion) else NOBODY for q in questions]  # type: ignore[arg-type]


class Stage:
    def __init__(self, folder: Path) -> None:
        self.book = Ipam(folder / "book", "host")
        self.zone = Zone()
        self.desk = PoolDesk(lambda: self.book, DNS, lambda _: self.zone, 600)
        self.vm = Vm(1, "web01", PATH, "off", Vmx.parse(f'.encoding = "UTF-8"\nuuid.bios = "{UUID}"\n'))
        self.inventory = HostVms((self.vm,), ())
        pool = Pool(name="lab", ranges=("192.0.2.10-192.0.2.19/24",), zone="lab.example")
        self.book.write_pool(document(pool), "")
        self.book.write_pool(
            document(Pool(name="other", ranges=("198.51.100.0/24",), zone="lab.example")), ""
        )
        self.book.lease("lab", 4, lease="old", card=0, wanted="", avoid=(), lasts_s=600)
        self.desk.perform(HoldAddress("lab", "192.0.2.10", "old", "web01", str(PATH), UUID))
        self.desk.perform(
            AddRecords("s", "lab.example", (("web01.lab.example.", "A", "192.0.2.10"),), 300, str(PATH), UUID)
        )

    async def moved(self, guest: GuestFields, hostname: str = "web01", *, stays: bool = False) -> Addressed:
        facts: Any = PlannedFacts(self.desk)
        return await moved(facts, guest, None, self.vm, self.inventory, hostname, network_stays=stays)

    def carry_out(self, given: Addressed) -> None:
        for step in given.steps:
            assert step.here is not None
            self.desk.perform(step.here)  # type: ignore[arg-type]

    def held(self) -> set[str]:
        return {item.address for item in self.book.ledger().reservations if item.state == "held"}


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    return Stage(tmp_path)


def kinds(given: Addressed) -> list[type]:
    return [type(step.here) for step in given.steps]


async def test_only_the_name_changes_where_the_network_stays(stage: Stage) -> None:
    assert (await stage.moved(GuestFields(), stays=True)).steps == ()
    given = await stage.moved(GuestFields(hostname="db01"), "db01", stays=True)
    assert kinds(given) == [RemoveRecords, AddRecords]
    stage.carry_out(given)
    assert stage.zone.records == [("db01.lab.example.", "A", "192.0.2.10")]
    assert stage.held() == {"192.0.2.10"}


@pytest.mark.parametrize("wish", [GuestFields(pool="lab"), GuestFields(pool="lab", ipv4="192.0.2.10")])
async def test_the_same_pool_keeps_the_address(stage: Stage, wish: GuestFields) -> None:
    given = await stage.moved(wish)
    assert given.steps == ()
    assert given.guest.ipv4 == "192.0.2.10/24"


async def test_another_pool_gives_another_address_and_the_old_one_goes(stage: Stage) -> None:
    given = await stage.moved(GuestFields(pool="other"))
    assert kinds(given) == [HoldAddress, RemoveRecords, AddRecords, ReleaseAddress]
    assert given.guest.ipv4 == "198.51.100.1/24"
    stage.carry_out(given)
    assert stage.held() == {"198.51.100.1"}
    assert stage.zone.records == [("web01.lab.example.", "A", "198.51.100.1")]


async def test_an_address_outside_all_pools_lets_go_of_everything(stage: Stage) -> None:
    given = await stage.moved(GuestFields(ipv4="203.0.113.9/24"))
    assert kinds(given) == [RemoveRecords, ReleaseAddress]
    stage.carry_out(given)
    assert (stage.held(), stage.zone.records) == (set(), [])


async def test_every_step_can_be_taken_back(stage: Stage) -> None:
    before = (stage.held(), stage.zone.records)
    given = await stage.moved(GuestFields(pool="other", hostname="db01"), "db01")
    stage.carry_out(given)
    for step in reversed(given.steps):
        assert step.here is not None
        back = step.here.taken_back_by()
        assert back is not None
        stage.desk.perform(back)  # type: ignore[arg-type]
        assert back.taken_back_by() is None
    assert (stage.held(), stage.zone.records) == before


async def test_a_name_that_is_somebody_elses_is_refused(stage: Stage) -> None:
    stage.zone.records += host_records("db01.lab.example", [])
    stage.zone.records.append(("db01.lab.example.", "A", "192.0.2.77"))
    with pytest.raises(Refused) as caught:
        await stage.moved(GuestFields(), "db01", stays=True)
    assert caught.value.code == "dns_name_taken"
