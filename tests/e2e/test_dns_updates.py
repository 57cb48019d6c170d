"""DNS updates against a real name server, and VMs whose names and addresses go there."""

from __future__ import annotations

import asyncio
import base64
import threading
from collections.abc import AsyncIterator, Iterator
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from knot_server import KNOTD, READ_ONLY, ZONES, KnotServer

from ceso_mcp.addresses.records import Record, pointer
from ceso_mcp.dynamic_dns import Rfc2136
from ceso_mcp.errors import CesoError, HostFault
from ceso_mcp.lab import Fault, Lab
from ceso_mcp.secrets import SecretRef

from .conftest import House, settled
from .dying import die, recover

pytestmark = [
    pytest.mark.slow,
    pytest.mark.anyio,
    pytest.mark.skipif(KNOTD is None, reason="needs the package knot"),
]

SMALL = "it's a test [old]"
ZONE, REVERSE, REVERSE6 = ZONES
A: Record = ("web01.lab.example.", "A", "192.0.2.200")
AAAA: Record = ("web01.lab.example.", "AAAA", "2001:db8::2")
PTR: Record = ("200.2.0.192.in-addr.arpa.", "PTR", "web01.lab.example.")
PTR6: Record = ("2." + "0." * 23 + "8.b.d.0.1.0.0.2.ip6.arpa.", "PTR", "web01.lab.example.")
POOL: dict[str, Any] = {
    "name": "lab",
    "ranges": ["192.0.2.200-192.0.2.209/24", "2001:db8::/64"],
    "gateway4": "192.0.2.1",
    "gateway6": "2001:db8::1",
    "zone": ZONE,
}
CLONE = {"name": "web01", "source": SMALL, "pool": "lab"}


@pytest.fixture
def server(tmp_path: Path) -> Iterator[KnotServer]:
    found = KnotServer(tmp_path / "knot")
    found.start()
    yield found
    found.stop()


@pytest.fixture
async def house(shared_lab: Lab, tmp_path: Path, server: KnotServer) -> AsyncIterator[House]:
    await asyncio.to_thread(shared_lab.reset)
    await asyncio.to_thread(settled, shared_lab)
    found = House(shared_lab, tmp_path, dns=server.settings())
    await found.do("create_pool", **POOL)
    yield found
    await found.ceso.close()


def refusal(act: Any, *arguments: Any) -> CesoError:
    with pytest.raises(CesoError) as caught:
        act(*arguments)
    return caught.value


def test_records_are_added_all_or_none_and_removed_exactly(server: KnotServer) -> None:
    provider = Rfc2136(server.settings())
    provider.add(ZONE, [A, AAAA], 300)
    assert server.contents() == {A, AAAA}
    assert provider.lookup(ZONE, [(A[0], "A"), (A[0], "AAAA")]) == (A, AAAA)
    other: Record = ("web02.lab.example.", "A", "192.0.2.201")
    assert (
        refusal(provider.add, ZONE, [other, ("web01.lab.example.", "A", "192.0.2.202")], 300).code
        == "dns_taken"
    )
    assert server.contents() == {A, AAAA}
    provider.add(ZONE, [A, AAAA], 300, again=True)
    provider.remove(ZONE, [A])
    provider.remove(ZONE, [A])
    assert server.contents() == {AAAA}
    provider.add(REVERSE, [PTR], 300)
    assert refusal(provider.add, REVERSE, [(PTR[0], "PTR", "other.lab.example.")], 300).code == "dns_taken"
    provider.remove(REVERSE, [(PTR[0], "PTR", "other.lab.example.")])
    assert server.contents() == {AAAA, PTR}


def test_each_way_a_server_refuses_has_its_own_code(server: KnotServer, tmp_path: Path) -> None:
    wrong = tmp_path / "wrong"
    wrong.write_text(base64.b64encode(b"another key, another key").decode())
    wrong.chmod(0o600)
    broken = tmp_path / "broken"
    broken.write_text("not base64!")
    broken.chmod(0o600)
    good = server.settings()
    for settings, zone, code in (
        (server.settings(tsig_secret=SecretRef(file=wrong)), ZONE, "dns_key_refused"),
        (server.settings(tsig_name="nobody"), ZONE, "dns_key_refused"),
        (server.settings(tsig_secret=SecretRef(file=broken)), ZONE, "secret_invalid"),
        (good, READ_ONLY, "dns_key_refused"),
        (good, "elsewhere.example", "timeout"),
        (server.settings(port=1), ZONE, "dns_unreachable"),
    ):
        fault = refusal(Rfc2136(settings).add, zone, [(f"x.{zone}.", "A", "192.0.2.9")], 300)
        assert fault.code == code, fault
        assert "another key" not in fault.text()
    assert (
        refusal(Rfc2136(good).lookup, "elsewhere.example", [("x.elsewhere.example", "A")]).code
        == "dns_no_zone"
    )
    server.freeze()
    try:
        fault = refusal(Rfc2136(server.settings(timeout_s=3)).add, ZONE, [A], 300)
        assert (fault.code, "may or may not" in fault.message) == ("timeout", True)
    finally:
        server.thaw()


def test_of_two_that_want_one_name_one_gets_it(server: KnotServer) -> None:
    won: list[int] = []
    lost: list[str] = []

    def want(number: int) -> None:
        try:
            Rfc2136(server.settings()).add(ZONE, [("web01.lab.example.", "A", f"192.0.2.{number}")], 300)
            won.append(number)
        except CesoError as error:
            lost.append(error.code)

    threads = [threading.Thread(target=want, args=(n,)) for n in range(200, 206)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(won) == 1
    assert lost == ["dns_taken"] * 5
    assert server.contents() == {("web01.lab.example.", "A", f"192.0.2.{won[0]}")}


async def test_a_vm_is_in_the_dns_as_long_as_it_is_there(house: House, server: KnotServer) -> None:
    preview = await house.preview("clone_vm", **CLONE)
    here = [step.command for step in preview.steps if step.command.startswith("# here:")]
    assert here == [
        "# here: hold address 192.0.2.200 of pool lab for VM web01",
        "# here: hold address 2001:db8::2 of pool lab for VM web01",
        "# here: add to DNS zone lab.example on 127.0.0.1: A web01.lab.example 192.0.2.200,"
        " AAAA web01.lab.example 2001:db8::2",
        "# here: add to DNS zone 2.0.192.in-addr.arpa on 127.0.0.1: PTR 200.2.0.192.in-addr.arpa"
        " web01.lab.example",
        f"# here: add to DNS zone {REVERSE6} on 127.0.0.1: PTR {PTR6[0][:-1]} web01.lab.example",
    ]
    assert server.contents() == set()
    job = await house.confirm(preview.confirm_token)
    assert job.state == "done", job.error
    assert job.result is not None
    assert job.result["dns_name"] == "web01.lab.example"
    assert server.contents() == {A, AAAA, PTR, PTR6}
    again = await house.refusal("clone_vm", name="other", hostname="WEB01", source=SMALL, pool="lab")
    assert again.code == "dns_name_taken"
    await asyncio.to_thread(server.stop)
    gone = await house.preview("delete_vm", vm="web01")
    failed = await house.confirm(gone.confirm_token)
    assert failed.error is not None
    assert failed.error["code"] == "dns_unreachable"
    await asyncio.to_thread(server.start)
    assert server.contents() == {A, AAAA, PTR, PTR6}
    await house.do("delete_vm", vm="web01")
    assert server.contents() == set()
    (pool,) = (await house.ask("list_pools")).pools
    assert {row.state for row in pool.addresses} == {"released"}


async def test_conflicts_in_the_dns_are_told_before_anything_is_touched(
    house: House, server: KnotServer
) -> None:
    provider = Rfc2136(server.settings())
    stranger = pointer("printer.lab.example", ip_address("192.0.2.200"))
    await asyncio.to_thread(provider.add, REVERSE, [stranger], 300)
    assert (await house.refusal("clone_vm", **CLONE)).code == "dns_address_taken"
    alias: Record = ("web01.lab.example.", "CNAME", "printer.lab.example.")
    await asyncio.to_thread(provider.add, ZONE, [alias], 300)
    assert (await house.refusal("clone_vm", **CLONE, ipv4="192.0.2.201")).code == "dns_name_taken"
    outside = await house.refusal("clone_vm", **CLONE, hostname="web01.other.example")
    assert outside.code == "hostname_outside_zone"
    unknown = await house.refusal("create_pool", name="b", ranges=["203.0.113.0/24"], zone="b.example")
    assert unknown.code == "zone_not_configured"
    preview = await house.preview("clone_vm", **CLONE | {"name": "web02"}, ipv4="192.0.2.201")
    await asyncio.to_thread(provider.add, ZONE, [("web02.lab.example.", "A", "192.0.2.77")], 300)
    job = await house.confirm(preview.confirm_token)
    assert job.error is not None
    assert job.error["code"] == "host_changed"
    await asyncio.to_thread(server.stop)
    assert (await house.refusal("clone_vm", **CLONE)).code == "dns_unreachable"


async def test_records_of_failed_and_dead_runs_are_taken_back_and_those_of_others_stay(
    house: House, server: KnotServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    theirs: Record = ("printer.lab.example.", "A", "192.0.2.66")
    await asyncio.to_thread(Rfc2136(server.settings()).add, ZONE, [theirs], 300)
    await asyncio.to_thread(house.lab.add_fault, Fault(match="solo/registervm", effect="fail", times=1))
    job = await house.confirm((await house.preview("clone_vm", **CLONE)).confirm_token)
    assert job.state == "failed"
    assert server.contents() == {theirs}
    for number, moment in ((3, "before"), (3, "after"), (4, "after"), (5, "after"), (7, "after")):
        token = (await house.preview("clone_vm", **CLONE)).confirm_token
        await die(house, token, number, moment, monkeypatch)
        assert (len(server.contents()) > 1) == (moment == "after")
        assert (await recover(house)).state == "done"
        assert server.contents() == {theirs}
        (pool,) = (await house.ask("list_pools")).pools
        assert not [row for row in pool.addresses if row.state == "held" or row.dns_records]
    await house.do("clone_vm", **CLONE)
    before = server.contents()
    for number in (1, 2, 4):
        token = (await house.preview("delete_vm", vm="web01")).confirm_token
        await die(house, token, number, "after", monkeypatch)
        assert (await recover(house)).state == "done"
        assert server.contents() == before
    await house.do("delete_vm", vm="web01")
    assert server.contents() == {theirs}


async def test_an_update_that_is_not_answered_is_taken_back_by_recover(
    house: House, server: KnotServer
) -> None:
    house.ceso.config = house.ceso.config.model_copy(update={"dns": server.settings(timeout_s=3)})
    preview = await house.preview("clone_vm", **CLONE)
    from ceso_mcp import dynamic_dns

    real = Rfc2136._send

    def frozen(self: Rfc2136, update: Any, zone: str, records: Any) -> Any:
        server.freeze()
        return real(self, update, zone, records)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(dynamic_dns.Rfc2136, "_send", frozen)
        job = await house.confirm(preview.confirm_token)
    assert job.error is not None
    assert "Left on the host" in job.error["changed"], job.error
    await asyncio.to_thread(server.thaw)
    assert (await recover(house)).state == "done"
    assert server.contents() == set()


def test_an_update_that_cannot_be_looked_at_is_not_called_done(
    server: KnotServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    provider = Rfc2136(server.settings())

    def away(*_: Any) -> Any:
        raise HostFault("the DNS server is away", code="dns_unreachable")

    monkeypatch.setattr(provider, "lookup", away)
    assert refusal(provider.add, ZONE, [A], 300).code == "timeout"
    assert server.contents() == {A}
    assert refusal(provider.remove, ZONE, [A]).code == "timeout"
    assert server.contents() == set()


async def test_an_address_is_released_by_hand_with_its_records(house: House, server: KnotServer) -> None:
    await house.do("clone_vm", **CLONE)
    await house.do("delete_vm", vm="web01", keep_addresses=True)
    assert server.contents() == {A, AAAA, PTR, PTR6}
    await house.do("release_address", address="192.0.2.200")
    assert server.contents() == {AAAA, PTR6}
    await house.do("release_address", address="2001:db8::2")
    assert server.contents() == set()
    (pool,) = (await house.ask("list_pools")).pools
    assert pool.addresses == []
