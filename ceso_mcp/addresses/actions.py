"""What a plan may ask about pools and DNS, and do about them: words only (`ceso_mcp.pool_desk`).

Each action names the action that takes it back, so that a run whose worker died can be undone by another.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Literal

from ceso_mcp.addresses.pool import Family, Pool
from ceso_mcp.addresses.records import Record, words
from ceso_mcp.fact import REQUEST_BYTES, HereQuestion
from ceso_mcp.plan import Here

State = Literal["leased", "held", "released", "stranger"]


@dataclass(frozen=True, slots=True)
class Reservation:
    """One address that is not free.

    `leased`: by a preview, until `until_s`; `held`: by a VM; `released`: by a VM that was deleted or given
    another one, not given out again before `until_s`; `stranger`: somebody answers there whom nobody knows.
    `until_s` is in seconds since 1970.
    """

    pool: str
    address: str
    family: Family
    state: State
    lease: str = ""
    card: int = 0
    host: str = ""
    vm: str = ""
    vmx: str = ""
    uuid_bios: str = ""
    until_s: float = 0.0


@dataclass(frozen=True, slots=True)
class KeptRecord:
    """A DNS record that ceso made, for whom."""

    zone: str
    record: Record
    host: str
    vmx: str
    uuid_bios: str


@dataclass(frozen=True, slots=True)
class Ledger:
    """Everything that is written down about pools: them, addresses that are not free, and DNS records.

    `host` is the identity of the configured host. What is over is left out.
    """

    host: str
    pools: tuple[Pool, ...]
    reservations: tuple[Reservation, ...]
    records: tuple[KeptRecord, ...]

    def pool(self, name: str) -> Pool | None:
        return next((pool for pool in self.pools if pool.name == name), None)


@dataclass(frozen=True, slots=True)
class Leased:
    """An address for a preview; `fresh` unless the same preview had it already."""

    address: str
    fresh: bool


@dataclass(frozen=True, slots=True)
class NoLease:
    """Why there is no address: `code` is address_taken or pool_exhausted."""

    code: str
    message: str
    hint: str = ""


@dataclass(frozen=True, slots=True)
class DnsSettings:
    """What DNS is configured; `zones` and `reverse_zones` are the ones that ceso may write."""

    configured: bool
    server: str = ""
    ttl: int = 300
    zones: tuple[str, ...] = ()
    reverse_zones: tuple[str, ...] = ()


class AddressQuestion(HereQuestion):
    """A question about pools or DNS."""


@dataclass(frozen=True, slots=True)
class LedgerOf(AddressQuestion):
    """The whole `Ledger`."""


@dataclass(frozen=True, slots=True)
class LeaseOf(AddressQuestion):
    """An address for card `card` of the preview `lease`: the one it has already, else the next free one.

    `wanted` asks for that very one. None of `avoid` is given out. Answered by `Leased` or `NoLease`.
    """

    pool: str
    family: Family
    lease: str
    card: int
    wanted: str
    avoid: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class StrangerAt(AddressQuestion):
    """Note that somebody answers at an address that `lease` had drawn, and give the lease of it back."""

    pool: str
    address: str
    lease: str


@dataclass(frozen=True, slots=True)
class DnsConfigured(AddressQuestion):
    """The `DnsSettings`."""


@dataclass(frozen=True, slots=True)
class DnsLookup(AddressQuestion):
    """What the server of `zone` itself says of these names and types: its records.

    Raises Refused `dns_no_zone` if it does not serve the zone, HostFault `dns_unreachable`.
    """

    zone: str
    names: tuple[tuple[str, str], ...]


class AddressAction(Here):
    """An action on pools, their addresses, or DNS."""


@dataclass(frozen=True, slots=True)
class WritePool(AddressAction):
    """Make a pool, or change it; `before` is the document it replaces, "" for a new one."""

    document: str
    before: str

    def shown(self) -> str:
        pool = Pool.model_validate_json(self.document)
        return f"write pool {pool.name}: {pool.words()}"


@dataclass(frozen=True, slots=True)
class RemovePool(AddressAction):
    """Remove a pool of which no address is taken."""

    name: str

    def shown(self) -> str:
        return f"remove pool {self.name}"


@dataclass(frozen=True, slots=True)
class HoldAddress(AddressAction):
    """Give a leased address to a VM, for as long as the VM is there."""

    pool: str
    address: str
    lease: str
    vm: str
    vmx: str
    uuid_bios: str

    def shown(self) -> str:
        return f"hold address {self.address} of pool {self.pool} for VM {self.vm}"

    def taken_back_by(self) -> Here:
        return DropAddress(self.pool, self.address, self.lease)


@dataclass(frozen=True, slots=True)
class DropAddress(AddressAction):
    """Free an address that a run held for a VM which it did not make in the end."""

    pool: str
    address: str
    lease: str

    def shown(self) -> str:
        return f"give address {self.address} back to pool {self.pool}"


@dataclass(frozen=True, slots=True)
class ReleaseAddress(AddressAction):
    """End a VM's hold on an address; it is given out again after a while, or `at_once`."""

    pool: str
    address: str
    vm: str
    vmx: str
    uuid_bios: str
    at_once: bool = False

    def shown(self) -> str:
        when = "" if self.at_once else ", which gives it out again after a while"
        return f"release address {self.address} of VM {self.vm} to pool {self.pool}{when}"

    def taken_back_by(self) -> Here | None:
        if self.at_once:
            return None
        return KeepAddress(self.pool, self.address, self.vm, self.vmx, self.uuid_bios)


@dataclass(frozen=True, slots=True)
class KeepAddress(AddressAction):
    """Have a VM hold an address again that was released."""

    pool: str
    address: str
    vm: str
    vmx: str
    uuid_bios: str

    def shown(self) -> str:
        return f"hold address {self.address} of pool {self.pool} for VM {self.vm} again"


@dataclass(frozen=True, slots=True)
class AddRecords(AddressAction):
    """Add records to one zone in one update, for a VM, if none of their names is in use there.

    Names of PTR records may have other types; of a host's name nothing may be there at all. `again` takes
    back a removal: what is there already in exactly this form is left.
    """

    server: str
    zone: str
    records: tuple[Record, ...]
    ttl: int
    vmx: str
    uuid_bios: str
    again: bool = False

    def shown(self) -> str:
        again = " again" if self.again else ""
        return f"add to DNS zone {self.zone} on {self.server}{again}: {words(self.records)}"

    def taken_back_by(self) -> Here | None:
        if self.again:
            return None
        return RemoveRecords(self.server, self.zone, self.records, self.ttl, self.vmx, self.uuid_bios)


@dataclass(frozen=True, slots=True)
class RemoveRecords(AddressAction):
    """Remove exactly these records from one zone, and nothing else of their names.

    `undoable` when it is a step of its own, not the undoing of one.
    """

    server: str
    zone: str
    records: tuple[Record, ...]
    ttl: int
    vmx: str
    uuid_bios: str
    undoable: bool = False

    def shown(self) -> str:
        return f"remove from DNS zone {self.zone} on {self.server}: {words(self.records)}"

    def taken_back_by(self) -> Here | None:
        if not self.undoable:
            return None
        return AddRecords(
            self.server, self.zone, self.records, self.ttl, self.vmx, self.uuid_bios, again=True
        )


REQUEST_DIGITS = 16
"""So many digits of a lease's name are the same for all leases of one request."""


def document(pool: Pool) -> str:
    """A pool as it is stored."""
    return json.dumps(pool.model_dump(mode="json", exclude_defaults=True), sort_keys=True)


def lease_name(seed: bytes) -> str:
    """Under what a preview leases addresses: the same whenever it plans again.

    Leases of one request begin alike (`REQUEST_DIGITS`), one for each VM that it makes.
    """
    request = hashlib.sha256(b"lease of " + seed[:REQUEST_BYTES]).hexdigest()[:REQUEST_DIGITS]
    return request + hashlib.sha256(b"lease of " + seed).hexdigest()[:16]
