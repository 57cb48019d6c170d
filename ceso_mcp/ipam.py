"""The book of address pools: which address is whose, in SQLite, safe under concurrent processes.

A preview leases an address until its token would have expired; its execution holds it for a VM; deleting
the VM releases it. An address is in the book at most once, whatever pool it is of. Every change is one
transaction that begins with the right to write, so of two that want the same address one gets it.
"""

from __future__ import annotations

import ipaddress
import sqlite3
import time
from pathlib import Path
from typing import Any

from ceso_mcp.addresses.actions import REQUEST_DIGITS, KeptRecord, Leased, Ledger, NoLease, Reservation
from ceso_mcp.addresses.pool import Family, Pool
from ceso_mcp.addresses.records import Record
from ceso_mcp.config import private_directory
from ceso_mcp.errors import Refused
from ceso_mcp.state_database import StateDatabase

QUIET_S = 900
"""How long a released address is not given out: as long as deleting a VM may take and be undone, and as
long as neighbours and resolvers may remember it."""
STRANGER_S = 3600
KEEP_EXPIRED_S = 86_400

_SCHEMA = """
CREATE TABLE IF NOT EXISTS pools (name TEXT PRIMARY KEY, document TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS addresses (
  address TEXT PRIMARY KEY, pool TEXT NOT NULL, family INTEGER NOT NULL, state TEXT NOT NULL,
  lease TEXT NOT NULL, card INTEGER NOT NULL, host TEXT NOT NULL, vm TEXT NOT NULL, vmx TEXT NOT NULL,
  uuid_bios TEXT NOT NULL, until REAL NOT NULL);
CREATE TABLE IF NOT EXISTS records (
  zone TEXT NOT NULL, name TEXT NOT NULL, type TEXT NOT NULL, data TEXT NOT NULL, host TEXT NOT NULL,
  vmx TEXT NOT NULL, uuid_bios TEXT NOT NULL, PRIMARY KEY (zone, name, type, data));
"""
_COLUMNS = "pool, address, family, state, lease, card, host, vm, vmx, uuid_bios, until"


class Ipam:
    """The book in `directory`, for one host. Raises ConfigFault `state_unusable` when it cannot be kept."""

    def __init__(self, directory: Path, host: str) -> None:
        self._host = host
        self._db = StateDatabase(
            private_directory(directory) / "addresses.sqlite",
            _SCHEMA,
            what="the book of addresses",
            hint="without it no address is given out; make room or repair the state directory",
            timeout_s=30,
        ).transaction

    # -- looking ------------------------------------------------------------------------------

    def ledger(self) -> Ledger:
        """Everything in the book. Leases and quiet times that are over are left out."""
        with self._db() as db:
            pools = [
                Pool.model_validate_json(row[0])
                for row in db.execute("SELECT document FROM pools ORDER BY name")
            ]
            rows = [_reservation(row) for row in db.execute(f"SELECT {_COLUMNS} FROM addresses")]
            records = [
                KeptRecord(row[0], (row[1], row[2], row[3]), *row[4:])
                for row in db.execute(
                    "SELECT zone, name, type, data, host, vmx, uuid_bios FROM records"
                    " ORDER BY zone, name, type, data"
                )
            ]
        now = time.time()
        alive = [row for row in rows if row.state == "held" or row.until_s > now]
        alive.sort(key=lambda row: (row.pool, row.family, int(ipaddress.ip_address(row.address))))
        return Ledger(self._host, tuple(pools), tuple(alive), tuple(records))

    # -- pools --------------------------------------------------------------------------------

    def write_pool(self, wanted: str, before: str) -> None:
        """Write a pool that is now as `before` says ("" for none).

        Raises Refused `pool_changed`, `pool_overlaps`, or `pool_in_use` if an address would be left out.
        """
        pool = Pool.model_validate_json(wanted)
        with self._db() as db:
            row = db.execute("SELECT document FROM pools WHERE name = ?", (pool.name,)).fetchone()
            if (row[0] if row else "") != before:
                raise Refused(f"pool {pool.name} is not as it was", code="pool_changed", hint="preview again")
            for (text,) in db.execute("SELECT document FROM pools WHERE name <> ?", (pool.name,)):
                pool.refuse_overlap(Pool.model_validate_json(text))
            held = db.execute(
                "SELECT address, vm FROM addresses WHERE pool = ? AND state = 'held'", (pool.name,)
            ).fetchall()
            for address, vm in held:
                pool.refuse_left_out(address, vm)
            db.execute("INSERT OR REPLACE INTO pools (name, document) VALUES (?,?)", (pool.name, wanted))

    def remove_pool(self, name: str) -> None:
        """Remove a pool; raises Refused `no_such_pool`, or `pool_in_use` while an address of it is taken."""
        with self._db() as db:
            busy = db.execute(
                "SELECT address FROM addresses WHERE pool = ? AND (state = 'held' OR"
                " (state = 'leased' AND until > ?))",
                (name, time.time()),
            ).fetchone()
            if busy:
                raise Refused(f"address {busy[0]} of pool {name} is taken", code="pool_in_use")
            db.execute("DELETE FROM addresses WHERE pool = ?", (name,))
            if db.execute("DELETE FROM pools WHERE name = ?", (name,)).rowcount != 1:
                raise Refused(f"there is no pool {name}", code="no_such_pool")

    # -- addresses ----------------------------------------------------------------------------

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
    ) -> Leased | NoLease:
        """The address that this lease has already, else `wanted`, else the first free one of the pool."""
        now = time.time()
        with self._db() as db:
            db.execute("DELETE FROM addresses WHERE state <> 'held' AND until < ?", (now - KEEP_EXPIRED_S,))
            own = db.execute(
                "SELECT address FROM addresses WHERE pool = ? AND lease = ? AND card = ? AND family = ?"
                " AND state = 'leased'",
                (pool_name, lease, card, family),
            ).fetchone()
            if own and own[0] not in avoid:
                db.execute("UPDATE addresses SET until = ? WHERE address = ?", (now + lasts_s, own[0]))
                return Leased(own[0], fresh=False)
            pool = _pool(db, pool_name)
            taken = {
                row.address: row
                for row in map(_reservation, db.execute(f"SELECT {_COLUMNS} FROM addresses"))
                if row.state == "held" or row.until_s > now
            }
            if wanted:
                row = taken.get(wanted)
                if row is not None and row.state != "stranger" and row.lease != lease:
                    return _taken(row, now)
                address = wanted
            else:
                free = (
                    str(a) for a in pool.candidates(family) if str(a) not in taken and str(a) not in avoid
                )
                found = next(free, None)
                if found is None:
                    return _exhausted(pool_name, family, list(taken.values()))
                address = found
            db.execute(
                f"INSERT OR REPLACE INTO addresses ({_COLUMNS}) VALUES (?,?,?,?,?,?,?,?,?,?,?)",
                (pool_name, address, family, "leased", lease, card, self._host, "", "", "", now + lasts_s),
            )
            return Leased(address, fresh=True)

    def note_stranger(self, pool_name: str, address: str, lease: str) -> None:
        """Somebody answers at an address that `lease` had drawn: give nobody that address for an hour."""
        with self._db() as db:
            db.execute(
                "UPDATE addresses SET state = 'stranger', lease = '', until = ?"
                " WHERE address = ? AND pool = ? AND lease = ? AND state = 'leased'",
                (time.time() + STRANGER_S, address, pool_name, lease),
            )

    def hold(self, pool_name: str, address: str, lease: str, *, vm: str, vmx: str, uuid_bios: str) -> None:
        """Give a leased address to a VM; raises Refused `lease_lost` if another has it by now."""
        with self._db() as db:
            held = db.execute(
                "UPDATE addresses SET state = 'held', vm = ?, vmx = ?, uuid_bios = ?, host = ?, until = 0"
                " WHERE address = ? AND pool = ? AND lease = ? AND state IN ('leased', 'held')",
                (vm, vmx, uuid_bios, self._host, address, pool_name, lease),
            ).rowcount
        if held != 1:
            raise Refused(
                f"address {address} of pool {pool_name} is no longer leased by this run",
                code="lease_lost",
                hint="preview again for another address",
            )

    def drop(self, pool_name: str, address: str, lease: str) -> None:
        """Free an address that `lease` has, if it has it."""
        with self._db() as db:
            db.execute(
                "DELETE FROM addresses WHERE address = ? AND pool = ? AND lease = ?",
                (address, pool_name, lease),
            )

    def give_back(self, lease: str) -> None:
        """End every lease of the request that `lease` is of: its preview came to nothing."""
        request = lease[:REQUEST_DIGITS]
        with self._db() as db:
            db.execute(
                "DELETE FROM addresses WHERE substr(lease, 1, ?) = ? AND state = 'leased'",
                (REQUEST_DIGITS, request),
            )

    def release(self, pool_name: str, address: str, *, vmx: str, uuid_bios: str, at_once: bool) -> None:
        """End a VM's hold; raises Refused `not_held` if the address is not that VM's."""
        with self._db() as db:
            if at_once:
                change = "DELETE FROM addresses"
                ended = db.execute(
                    f"{change} WHERE address = ? AND pool = ? AND vmx = ? AND uuid_bios = ?",
                    (address, pool_name, vmx, uuid_bios),
                ).rowcount
            else:
                ended = db.execute(
                    "UPDATE addresses SET state = 'released', until = ? WHERE address = ? AND pool = ?"
                    " AND vmx = ? AND uuid_bios = ? AND state IN ('held', 'released')",
                    (time.time() + QUIET_S, address, pool_name, vmx, uuid_bios),
                ).rowcount
        if ended != 1:
            raise Refused(
                f"address {address} of pool {pool_name} is not as it was",
                code="not_held",
                hint="preview again",
            )

    def keep(self, pool_name: str, address: str, *, vmx: str, uuid_bios: str) -> None:
        """Hold an address again that was released; raises Refused `lease_lost` if another has it by now."""
        with self._db() as db:
            kept = db.execute(
                "UPDATE addresses SET state = 'held', until = 0 WHERE address = ? AND pool = ? AND vmx = ?"
                " AND uuid_bios = ? AND state IN ('held', 'released')",
                (address, pool_name, vmx, uuid_bios),
            ).rowcount
        if kept != 1:
            raise Refused(
                f"address {address} of pool {pool_name} has another owner by now", code="lease_lost"
            )

    # -- DNS records --------------------------------------------------------------------------

    def note_records(self, zone: str, records: tuple[Record, ...], *, vmx: str, uuid_bios: str) -> None:
        """Write down that ceso makes these records, for a VM."""
        with self._db() as db:
            db.executemany(
                "INSERT OR REPLACE INTO records (zone, name, type, data, host, vmx, uuid_bios)"
                " VALUES (?,?,?,?,?,?,?)",
                [(zone, *record, self._host, vmx, uuid_bios) for record in records],
            )

    def forget_records(self, zone: str, records: tuple[Record, ...]) -> None:
        """These records are gone."""
        with self._db() as db:
            db.executemany(
                "DELETE FROM records WHERE zone = ? AND name = ? AND type = ? AND data = ?",
                [(zone, *record) for record in records],
            )


def _pool(db: sqlite3.Connection, name: str) -> Pool:
    row = db.execute("SELECT document FROM pools WHERE name = ?", (name,)).fetchone()
    if row is None:
        raise Refused(f"there is no pool {name}", code="no_such_pool", hint="`list_pools` shows the pools")
    return Pool.model_validate_json(row[0])


def _taken(row: Reservation, now: float) -> NoLease:
    if row.state == "held":
        said, hint = (
            f"VM {row.vm} holds {row.address}",
            "choose another address, or none for the next free one",
        )
    elif row.state == "leased":
        said, hint = f"another preview has {row.address}", f"it is free again in {row.until_s - now:.0f} s"
    else:
        said = f"{row.address} was released a short while ago"
        hint = f"it is free again in {row.until_s - now:.0f} s, or at once with release_address"
    return NoLease("address_taken", said, hint)


def _exhausted(name: str, family: Family, rows: list[Reservation]) -> NoLease:
    mine = [row.state for row in rows if row.pool == name and row.family == family]
    count = ", ".join(f"{mine.count(s)} {s}" for s in ("held", "leased", "released", "stranger") if s in mine)
    return NoLease(
        "pool_exhausted",
        f"pool {name} has no free IPv{family} address left" + (f" ({count})" if count else ""),
        "`list_pools` shows who has which; set_pool can add a range",
    )


def _reservation(row: tuple[Any, ...]) -> Reservation:
    return Reservation(*row)
