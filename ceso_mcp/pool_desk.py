"""The desk's side of address pools and DNS: answers for whoever plans, and actions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ceso_mcp.addresses.actions import (
    AddRecords,
    AddressAction,
    AddressQuestion,
    DnsConfigured,
    DnsLookup,
    DnsSettings,
    DropAddress,
    HoldAddress,
    KeepAddress,
    LeaseOf,
    LedgerOf,
    ReleaseAddress,
    RemovePool,
    RemoveRecords,
    StrangerAt,
    WritePool,
)
from ceso_mcp.addresses.backends import AddressBook, DnsProvider
from ceso_mcp.config import DnsSection
from ceso_mcp.errors import CesoError, Refused


class PoolDesk:
    """Blocking; `desk` runs it in threads. `book` and `provider` are opened when they are needed."""

    def __init__(
        self,
        book: Callable[[], AddressBook],
        settings: DnsSection | None,
        provider: Callable[[DnsSection], DnsProvider],
        lease_s: float,
    ) -> None:
        self._book = book
        self._settings = settings
        self._provider = provider
        self._lease_s = lease_s

    def answer(self, question: AddressQuestion) -> Any:
        match question:
            case LedgerOf():
                return self._book().ledger()
            case LeaseOf() as wish:
                return self._book().lease(
                    wish.pool,
                    wish.family,
                    lease=wish.lease,
                    card=wish.card,
                    wanted=wish.wanted,
                    avoid=wish.avoid,
                    lasts_s=self._lease_s,
                )
            case StrangerAt(pool=pool, address=address, lease=lease):
                self._book().note_stranger(pool, address, lease)
                return None
            case DnsConfigured():
                return self._dns_settings()
            case DnsLookup(zone=zone, names=names):
                return self._dns().lookup(zone, names)
        raise TypeError(f"no answer to {type(question).__name__}")

    def perform(self, action: AddressAction) -> None:
        book = self._book()
        match action:
            case WritePool(document=document, before=before):
                book.write_pool(document, before)
            case RemovePool(name=name):
                book.remove_pool(name)
            case HoldAddress() as held:
                book.hold(
                    held.pool, held.address, held.lease, vm=held.vm, vmx=held.vmx, uuid_bios=held.uuid_bios
                )
            case DropAddress(pool=pool, address=address, lease=lease):
                book.drop(pool, address, lease)
            case ReleaseAddress() as gone:
                book.release(
                    gone.pool, gone.address, vmx=gone.vmx, uuid_bios=gone.uuid_bios, at_once=gone.at_once
                )
            case KeepAddress() as kept:
                book.keep(kept.pool, kept.address, vmx=kept.vmx, uuid_bios=kept.uuid_bios)
            case AddRecords() as records:
                self._add(records)
            case RemoveRecords(zone=zone, records=gone_records):
                self._dns().remove(zone, gone_records)
                book.forget_records(zone, gone_records)
            case _:
                raise TypeError(f"cannot perform {type(action).__name__}")

    def _add(self, action: AddRecords) -> None:
        """Written down before they are made, so that no record of ours is ever unknown to us."""
        book = self._book()
        provider = self._dns()
        book.note_records(action.zone, action.records, vmx=action.vmx, uuid_bios=action.uuid_bios)
        try:
            provider.add(action.zone, action.records, action.ttl, again=action.again)
        except CesoError as fault:
            if fault.code != "timeout" and not action.again:  # refused as a whole: nothing of it was made
                book.forget_records(action.zone, action.records)
            raise

    def _dns_settings(self) -> DnsSettings:
        found = self._settings
        if found is None:
            return DnsSettings(False)
        return DnsSettings(True, found.server, found.ttl, found.zones, found.reverse_zones)

    def _dns(self) -> DnsProvider:
        if self._settings is None:
            raise Refused(
                "no DNS server is configured", code="dns_not_configured", hint="write a section [dns]"
            )
        return self._provider(self._settings)
