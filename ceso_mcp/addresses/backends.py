"""What keeps addresses and what writes DNS records: the protocols that other backends can fill."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from ceso_mcp.addresses.actions import Leased, Ledger, NoLease
from ceso_mcp.addresses.pool import Family
from ceso_mcp.addresses.records import Record


class AddressBook(Protocol):
    """Who has which address (`ceso_mcp.ipam.Ipam` says in full what each method promises). Methods block.

    Of two processes that want the same address one gets it. All methods that undo something may be called
    when there is nothing to undo.
    """

    def ledger(self) -> Ledger: ...
    def write_pool(self, wanted: str, before: str) -> None: ...
    def remove_pool(self, name: str) -> None: ...
    def lease(
        self,
        pool_name: str,
        family: Family,
        *,
        lease: str,
        card: int,
        wanted: str,
        avoid: tuple[str, ...],
        lasts_s: float,
    ) -> Leased | NoLease: ...
    def note_stranger(self, pool_name: str, address: str, lease: str) -> None: ...
    def hold(
        self, pool_name: str, address: str, lease: str, *, vm: str, vmx: str, uuid_bios: str
    ) -> None: ...
    def drop(self, pool_name: str, address: str, lease: str) -> None: ...
    def give_back(self, lease: str) -> None: ...
    def release(self, pool_name: str, address: str, *, vmx: str, uuid_bios: str, at_once: bool) -> None: ...
    def keep(self, pool_name: str, address: str, *, vmx: str, uuid_bios: str) -> None: ...
    def note_records(self, zone: str, records: tuple[Record, ...], *, vmx: str, uuid_bios: str) -> None: ...
    def forget_records(self, zone: str, records: tuple[Record, ...]) -> None: ...


class DnsProvider(Protocol):
    """Who writes DNS records. All methods block, and raise CesoError for whatever was not done."""

    def lookup(self, zone: str, names: Sequence[tuple[str, str]]) -> tuple[Record, ...]:
        """The records of these names and types in `zone`, from the server that serves it; a CNAME too.

        Raises Refused `dns_no_zone`, HostFault `dns_unreachable`.
        """
        ...

    def add(self, zone: str, records: Sequence[Record], ttl: int, *, again: bool = False) -> None:
        """Add all records in one go, or none; `ttl` is in seconds.

        Raises Refused `dns_taken` if a host's name, or the pointer of an address, is in use; HostFault
        `timeout` if nobody knows whether it was done. With `again`, records that are all there in exactly
        this form are no reason to refuse.
        """
        ...

    def remove(self, zone: str, records: Sequence[Record]) -> None:
        """Remove exactly these records; those that are gone already are no failure."""
        ...
