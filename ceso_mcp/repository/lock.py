"""One writer at a time: the repository's lock, and when it is stale.

`locks/exclusive.json` says who holds it and until when. The holder renews it every minute. A lock
is stale when its time is up, or when it was taken on this very machine since its last boot by a
process that is gone.
"""

from __future__ import annotations

import json
import os
import socket
import threading
import time
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

from ceso_mcp.errors import RepositoryFault
from ceso_mcp.repository.target import Target

LOCK = "locks/exclusive.json"
LEASE_S = 300
RENEW_S = 60


@dataclass(frozen=True, slots=True)
class Holder:
    """Who holds a lock. `machine` is a boot of a machine and its process namespace; times are Unix."""

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

    def stale(self, now: float) -> bool:
        if now > self.until:
            return True
        return self.machine == _machine() and _process_started(self.pid) != self.started

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
            machine=_machine(),
            pid=os.getpid(),
            started=_process_started(os.getpid()) or "",
            since=now,
            until=now + LEASE_S,
        )
        self._content = self._holder.text()
        self._guard = threading.Lock()
        self._done = threading.Event()
        self._take()
        self._renewer = threading.Thread(target=self._renew_until_done, name="ceso-lock", daemon=True)
        self._renewer.start()

    def _take(self) -> None:
        for _ in range(3):
            if self._target.lock(LOCK, self._content):
                return
            try:
                content = self._target.get(LOCK)
            except RepositoryFault as fault:
                if fault.code == "no_such_object":
                    continue
                raise
            holder = Holder.parse(content)
            if holder is None:
                raise RepositoryFault(
                    f"the repository has a lock that cannot be read: {LOCK}",
                    code="repository_locked",
                    hint="if nothing is writing to the repository, remove that file",
                )
            if not holder.stale(time.time()):
                raise self._locked(holder)
            self._target.unlock(LOCK, content)
        raise RepositoryFault(
            "others keep taking the repository's lock", code="repository_locked", hint="try again later"
        )

    def _locked(self, holder: Holder) -> RepositoryFault:
        return RepositoryFault(
            f"the repository is in use by {holder.shown()}",
            code="repository_locked",
            hint="wait for it to end; a lock that is left over is ignored after five minutes",
        )

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
            holder = Holder(**(asdict(self._holder) | {"until": time.time() + LEASE_S}))
            content = holder.text()
            self._target.replace(LOCK, content)
            self._holder, self._content = holder, content

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

    def release(self) -> None:
        """Give the lock back. Harmless when repeated or when it was lost."""
        with self._guard:
            if self._done.is_set():
                return
            self._done.set()
            self._target.unlock(LOCK, self._content)
        self._renewer.join(timeout=5)


def _machine() -> str:
    """This boot of this machine and this process namespace, where a pid means the same process."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot} {os.readlink('/proc/self/ns/pid')}"
    except OSError:
        return f"unknown {uuid4()}"


def _process_started(pid: int) -> str | None:
    """When the process started, in the kernel's ticks; None if there is no such process.

    With the pid alone, a process that later got the same number would keep a dead one's lock alive.
    """
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    # The name in parentheses may itself hold blanks and parentheses.
    return stat.rpartition(")")[2].split()[19]
