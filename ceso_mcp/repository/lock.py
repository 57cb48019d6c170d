"""One writer at a time: the repository's lock, and when it is stale.

`locks/exclusive.json` says who holds it. The holder writes it anew every minute. A lock of a process
of this machine's present boot is stale when that process is gone, and only then. Any other is stale
when it was not renewed for five minutes, by the clock of the place that keeps it: the clocks of two
machines, or of one that was set, are never compared.
"""

from __future__ import annotations

import json
import os
import socket
import threading
import time
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from uuid import uuid4

from ceso_mcp.clock import process_space, process_started, since_boot_s
from ceso_mcp.errors import RepositoryFault
from ceso_mcp.repository.target import Target

LOCK = "locks/exclusive.json"
BREAKING = "locks/breaking.json"
LEASE_S = 300
RENEW_S = 60
_held_here: set[str] = set()


@dataclass(frozen=True, slots=True)
class Holder:
    """Who holds a lock. `machine` is a boot of a machine and its process namespace.

    `since` and `until` are Unix times, for people: nothing is decided by them.
    """

    id: str
    op: str
    host: str
    machine: str
    pid: int
    started: str
    since: float
    until: float

    def text(self) -> bytes:
        return (json.dumps(asdict(self), indent=1) + "\n").encode()

    @classmethod
    def parse(cls, content: bytes) -> Holder | None:
        """The holder, or None if this is not the text of a lock."""
        try:
            holder = cls(**json.loads(content))
            return holder if isinstance(holder.until, int | float) and isinstance(holder.pid, int) else None
        except (ValueError, TypeError):
            return None

    def alive(self) -> bool | None:
        """Whether the holding process lives and still means to hold it.

        None if it is of another machine or an earlier boot.
        """
        if not process_space() or self.machine != process_space():
            return None
        if self.pid == os.getpid() and self.id not in _held_here:
            return False  # this process gave it up, and could not remove it
        return process_started(self.pid) == self.started

    def shown(self) -> str:
        since = datetime.fromtimestamp(self.since, UTC).strftime("%Y-%m-%d %H:%M:%SZ")
        return f"process {self.pid} on {self.host}, for a {self.op}, since {since}"


class RepositoryLock:
    """The lock, held from construction to `release`.

    Raises RepositoryFault `repository_locked`, with the holder, if somebody else has it.
    """

    def __init__(self, target: Target, op: str) -> None:
        self._target = target
        now = time.time()
        self._holder = Holder(
            id=str(uuid4()),
            op=op,
            host=socket.gethostname(),
            machine=process_space() or f"unknown {uuid4()}",
            pid=os.getpid(),
            started=process_started(os.getpid()) or "",
            since=now,
            until=now + LEASE_S,
        )
        self._content = self._holder.text()
        self._guard = threading.Lock()
        self._done = threading.Event()
        self._renewed_s = since_boot_s()
        _held_here.add(self._holder.id)
        try:
            self._take()
        except BaseException:
            _held_here.discard(self._holder.id)
            raise
        self._renewer = threading.Thread(target=self._renew_until_done, name="ceso-lock", daemon=True)
        self._renewer.start()

    def _take(self) -> None:
        for _ in range(5):
            if self._target.lock(LOCK, self._content):
                return
            try:
                content = self._target.get(LOCK)
            except RepositoryFault as fault:
                if fault.code == "no_such_object":
                    continue
                raise
            holder = Holder.parse(content)
            if not _stale(self._target, holder):
                raise _unreadable() if holder is None else locked(holder)
            self._break(content)
        raise RepositoryFault(
            "others keep taking the repository's lock", code="repository_locked", hint="try again later"
        )

    def _break(self, stale: bytes) -> None:
        """Remove the lock whose content is `stale`, as the only one who does so.

        Two who found the same stale lock could otherwise remove it one after the other, the second one
        the new lock of the first.
        """
        if self._target.lock(BREAKING, self._content):
            try:
                if self._target.get(LOCK) == stale:
                    self._target.unlock(LOCK, stale)
            except RepositoryFault as fault:
                if fault.code != "no_such_object":
                    raise
            finally:
                self._target.unlock(BREAKING, self._content)
            return
        try:
            content = self._target.get(BREAKING)
        except RepositoryFault as fault:
            if fault.code == "no_such_object":
                return
            raise
        if _stale(self._target, Holder.parse(content), BREAKING):
            self._target.unlock(BREAKING, content)
        else:
            time.sleep(0.1)

    def _renew_until_done(self) -> None:
        while not self._done.wait(RENEW_S):
            try:
                self.renew()
            except RepositoryFault:
                # A full or absent repository is noticed by the work itself; `check` notices a
                # lock that was lost.
                continue

    def renew(self) -> None:
        """Extend the lease, if the lock is still held."""
        with self._guard:
            if self._done.is_set() or not self._held():
                return
            began_s = since_boot_s()
            holder = Holder(**(asdict(self._holder) | {"until": time.time() + LEASE_S}))
            content = holder.text()
            self._target.replace(LOCK, content)
            self._holder, self._content, self._renewed_s = holder, content, began_s

    def _held(self) -> bool:
        try:
            holder = Holder.parse(self._target.get(LOCK))
        except RepositoryFault as fault:
            if fault.code == "no_such_object":
                return False
            raise
        return holder is not None and holder.id == self._holder.id

    def held(self) -> bool:
        """Whether the lock is still this one's: it can be lost when renewing was impossible too long."""
        with self._guard:
            return not self._done.is_set() and self._held()

    def require(self) -> None:
        """Raise RepositoryFault `repository_locked` if the lock was lost."""
        if not self.held():
            raise RepositoryFault(
                "the repository's lock was lost",
                code="repository_locked",
                hint="see who else writes to this repository, then start again",
            )

    def never_free(self) -> bool:
        """Whether nobody can have taken this lock since it was last renewed: no time for that yet."""
        return since_boot_s() - self._renewed_s < LEASE_S

    def release(self) -> None:
        """Give the lock back. Harmless when repeated or when it was lost."""
        with self._guard:
            if self._done.is_set():
                return
            self._done.set()
            _held_here.discard(self._holder.id)
            self._target.unlock(LOCK, self._content)
        self._renewer.join(timeout=5)


def locked(holder: Holder) -> RepositoryFault:
    return RepositoryFault(
        f"the repository is in use by {holder.shown()}",
        code="repository_locked",
        hint="wait for it to end; the lock of a process that died is taken over, within five minutes if it"
        " ran on another machine",
    )


def who_holds(target: Target) -> Holder | None:
    """Who holds the repository's lock, if anybody does who may be alive. Takes nothing.

    Raises RepositoryFault `repository_locked` if there is a lock that cannot be read.
    """
    try:
        content = target.get(LOCK)
        holder = Holder.parse(content)
        if _stale(target, holder):
            return None
        if holder is None:
            raise _unreadable()
        return holder
    except RepositoryFault as fault:
        if fault.code == "no_such_object":
            return None
        raise


def _stale(target: Target, holder: Holder | None, name: str = LOCK) -> bool:
    """Whether nobody holds the lock `name`. One that cannot be read (None) may be of a writer that died
    while making it, where a place cannot make a file whole in one go; a living one is renewed."""
    alive = None if holder is None else holder.alive()
    if alive is not None:
        return not alive
    try:
        return target.age_s(name) > LEASE_S
    except RepositoryFault as fault:
        if fault.code == "no_such_object":
            return False
        raise


def _unreadable() -> RepositoryFault:
    return RepositoryFault(
        f"the repository has a lock that cannot be read: {LOCK}",
        code="repository_locked",
        hint="if nothing is writing to the repository, remove that file",
    )
