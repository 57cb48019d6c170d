"""DNS records of a VM whose addresses come from pools: what is made, what is asked, what goes again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from ceso_mcp.addresses.actions import AddRecords, DnsSettings, KeptRecord, RemoveRecords
from ceso_mcp.addresses.pool import Address, Pool
from ceso_mcp.addresses.records import Record, host_records, pointer, words, zone_of
from ceso_mcp.errors import Refused
from ceso_mcp.fact import Facts
from ceso_mcp.facts.addresses import Dns, RecordsAt
from ceso_mcp.plan import Step


class PoolAddresses(Protocol):
    @property
    def pool(self) -> Pool: ...
    @property
    def addresses(self) -> tuple[Address, ...]: ...


@dataclass(frozen=True, slots=True)
class Names:
    """The name that the VM has in the DNS ("" for none), and the steps that make its records."""

    name: str = ""
    steps: tuple[Step, ...] = ()
    warnings: tuple[str, ...] = ()


async def named(
    facts: Facts,
    hostname: str | None,
    vmx: str,
    uuid_bios: str,
    drawn: Sequence[PoolAddresses],
    going: Sequence[KeptRecord] = (),
) -> Names:
    """Records for the addresses whose pool has a zone: one update a zone, pointers too.

    `going` are the VM's records as they are now; they are removed first, unless they are the same.

    Raises Refused: `dns_not_configured`, `zone_not_configured`, `hostname_outside_zone`, `hostname_needed`,
    `dns_no_zone`, `dns_name_taken`, `dns_address_taken`.
    """
    zoned = [item for item in drawn if item.pool.zone]
    if not zoned:
        return Names(steps=tuple(removal(going, await facts.read(Dns()))) if going else ())
    settings = await facts.read(Dns())
    forward: dict[str, list[Record]] = {}
    backward: dict[str, list[Record]] = {}
    warnings: list[str] = []
    first = ""
    for item in zoned:
        zone = item.pool.zone or ""
        require_zone(zone, settings)
        name = full_name(hostname, zone)
        first = first or name
        forward.setdefault(zone, []).extend(host_records(name, item.addresses))
        for address in item.addresses:
            record = pointer(name, address)
            reverse = zone_of(record[0], settings.reverse_zones)
            if reverse is None:
                warnings.append(f"{address} gets no pointer: no zone in reverse_zones of [dns] is for it.")
            else:
                backward.setdefault(reverse, []).append(record)
    new = {(zone, record) for zone, records in (*forward.items(), *backward.items()) for record in records}
    old = {(item.zone, item.record) for item in going}
    if new == old:
        return Names(first, (), tuple(warnings))
    for zone, records in forward.items():
        asked = dict.fromkeys((name, kind) for name, _, _ in records for kind in ("A", "AAAA"))
        found = await facts.read(RecordsAt(zone, tuple(asked)))
        _refuse_taken([r for r in found if (zone, r) not in old], zone, "dns_name_taken", "name")
    for zone, records in backward.items():
        asked = dict.fromkeys((name, "PTR") for name, _, _ in records)
        found = await facts.read(RecordsAt(zone, tuple(asked)))
        _refuse_taken([r for r in found if (zone, r) not in old], zone, "dns_address_taken", "address")
    steps = [
        Step(
            f"add {'name' if zone in forward else 'pointer'} to DNS zone {zone}",
            here=AddRecords(settings.server, zone, tuple(records), settings.ttl, vmx, uuid_bios),
        )
        for zone, records in (*forward.items(), *backward.items())
    ]
    return Names(first, (*removal(going, settings), *steps), tuple(warnings))


def require_zone(zone: str, settings: DnsSettings) -> None:
    """Raise Refused unless records may be made in `zone`: `dns_not_configured`, `zone_not_configured`."""
    if not settings.configured:
        raise Refused(
            f"the zone {zone} needs a DNS server, and none is configured",
            code="dns_not_configured",
            hint="write a section [dns] (docs/addresses-and-dns.md), or take the zone out of the pool",
        )
    if zone not in settings.zones:
        raise Refused(
            f"the zone {zone} is not one that ceso may write",
            code="zone_not_configured",
            hint=f"zones of [dns]: {', '.join(settings.zones)}",
        )


def full_name(hostname: str | None, zone: str) -> str:
    """The host's name in `zone`; raises Refused `hostname_outside_zone`, `hostname_needed`."""
    if hostname is None:
        raise Refused(
            "no host name can be made from this VM name", code="hostname_needed", hint="give hostname"
        )
    if "." not in hostname:
        return f"{hostname}.{zone}".lower()
    if not hostname.lower().endswith(f".{zone}"):
        raise Refused(
            f"the host name {hostname} is not in the pool's zone {zone}",
            code="hostname_outside_zone",
            hint="give its first part only, or choose a pool of that zone",
        )
    return hostname.lower()


def removal(kept: Sequence[KeptRecord], settings: DnsSettings) -> list[Step]:
    """Steps that remove records that ceso made, one a zone; each can be taken back."""
    if kept and not settings.configured:
        raise Refused(
            f"ceso has made DNS records for this VM ({words(item.record for item in kept)}), and no"
            " DNS server is configured now",
            code="dns_not_configured",
            hint="write the section [dns] again, or set keep_addresses",
        )
    zones = dict.fromkeys(item.zone for item in kept)
    steps = []
    for zone in zones:
        mine = [item for item in kept if item.zone == zone]
        gone = RemoveRecords(
            settings.server,
            zone,
            tuple(item.record for item in mine),
            settings.ttl,
            mine[0].vmx,
            mine[0].uuid_bios,
            undoable=True,
        )
        steps.append(Step(f"remove from DNS zone {zone}", here=gone))
    return steps


def _refuse_taken(found: Sequence[Record], zone: str, code: str, what: str) -> None:
    if found:
        raise Refused(
            f"the {what} is in the DNS zone {zone} already: {words(found)}",
            code=code,
            hint="remove that entry if nobody needs it, or choose another "
            + ("host name" if what == "name" else "address (exclude this one from the pool)"),
        )
