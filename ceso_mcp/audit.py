"""The audit log: what was asked, shown, agreed to, sent and answered, so that it cannot be quietly changed.

One JSON object a line, appended and fsynced before anything acts on it. Each event carries a
running number and the sha256 of the line before it; a small head file, keyed with HMAC-SHA256,
holds number and hash of the newest event, so that cutting off the tail shows. No audit, no action:
if an event cannot be made durable, `record` raises AuditFault and the caller must stop.

Order is the running number; the time is what the clock said. An event whose writing was cut short, by
a kill or a full disk, has no line end. Nobody acted on it; the next event says what was there.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import json
import os
import pwd
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ceso_mcp import audit_file
from ceso_mcp.errors import AuditFault
from ceso_mcp.redact import Redactor

GENESIS = "0" * 64
TAIL_CHARACTERS = 2000
KEY_BYTES = 32


@dataclass(frozen=True, slots=True)
class Actor:
    """Who acts: operating-system user, surface, the client's own name and its call id."""

    surface: str
    client: str = ""
    call_id: str = ""

    def document(self) -> dict[str, str]:
        doc = {"user": _user(), "surface": self.surface}
        if self.client:
            doc["client"] = self.client[:100]
        if self.call_id:
            doc["call_id"] = self.call_id[:100]
        return doc


def _user() -> str:
    """Who this process runs as: by its user id, because anybody may set LOGNAME."""
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return str(os.getuid())


@dataclass(frozen=True, slots=True)
class Verdict:
    """What `verify` found. `problems` is empty if the log is whole; `notes` are no tampering."""

    events: int
    problems: tuple[str, ...]
    notes: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        return not self.problems


class AuditLog:
    """The log in `directory`; made on first use. Safe for several processes at once."""

    def __init__(self, directory: Path, redactor: Redactor | None = None) -> None:
        self._directory = directory
        self._log = directory / "audit.jsonl"
        self._head = directory / "head" / "audit.head"
        self._key = directory / "head" / "audit.key"
        self._redactor = redactor or Redactor()

    @property
    def path(self) -> Path:
        return self._log

    def record(self, kind: str, actor: Actor, run: str = "", **details: Any) -> int:
        """Append one event and make it durable; returns its number. Raises AuditFault."""
        try:
            self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._head.parent.mkdir(mode=0o700, exist_ok=True)
            with audit_file.locked(self._directory / "audit.lock"):
                return self._record(kind, actor, run, details)
        except OSError as error:
            raise AuditFault(
                f"the audit log {self._log} cannot be written: {error.strerror or error}",
                code="audit_unwritable",
                hint="without an audit log ceso changes nothing; make room or repair its state directory",
            ) from None

    def _record(self, kind: str, actor: Actor, run: str, details: dict[str, Any]) -> int:
        end = audit_file.ending(self._log)
        key = self._read_key(create=end.line is None and not self._head.exists())
        newest = self._newest(key, end.line)
        if end.torn:
            audit_file.cut(self._log, self._log.stat().st_size - len(end.torn))
            tear = {
                "bytes": len(end.torn),
                "sha256": hashlib.sha256(end.torn).hexdigest(),
                "text": tail(end.torn.decode("utf-8", "replace")),
                "reason": "the writing of this event was cut short; nothing was done on it",
            }
            newest = self._append(key, newest, "torn", actor, "", tear)
        return self._append(key, newest, kind, actor, run, details)[0]

    def _append(
        self, key: bytes, newest: tuple[int, str], kind: str, actor: Actor, run: str, details: dict[str, Any]
    ) -> tuple[int, str]:
        number, previous = newest
        event: dict[str, Any] = {
            "seq": number + 1,
            "time": datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "kind": kind,
            "actor": actor.document(),
            "run": run,
            **self._cleaned(details),
            "prev": previous,
        }
        text = json.dumps(event, ensure_ascii=False, separators=(",", ":"))
        # Bytes of the host that are no Unicode become JSON escapes.
        line = text.encode("utf-8", "backslashreplace")
        size = audit_file.append(self._log, line)
        digest = hashlib.sha256(line).hexdigest()
        try:
            self._write_head(key, number + 1, digest)
        except OSError:
            # The caller will not act on this event, so the log must not say that it might have.
            with contextlib.suppress(OSError):
                audit_file.cut(self._log, size)
            raise
        return number + 1, digest

    def _newest(self, key: bytes, last: bytes | None) -> tuple[int, str]:
        """Number and hash of the newest event; takes in one event that the head missed in a crash."""
        head = self._read_head(key)
        if last is None:
            if head is not None:
                raise AuditFault(
                    "the audit log is gone but its head is not",
                    code="audit_broken",
                    hint="see `ceso audit verify`",
                )
            return 0, GENESIS
        line_hash = hashlib.sha256(last).hexdigest()
        number = head[0] if head else 0
        if head is not None and head[1] == line_hash:
            return number, line_hash
        try:
            event = json.loads(last)
            if event["seq"] == number + 1 and event["prev"] == (head[1] if head else GENESIS):
                return number + 1, line_hash
        except (ValueError, KeyError, TypeError):
            pass
        raise AuditFault(
            "the audit log does not fit its head",
            code="audit_broken",
            hint="see `ceso audit verify`; move the broken log aside to begin a new one",
        )

    def _cleaned(self, value: Any) -> Any:
        if isinstance(value, str):
            return self._redactor.clean(value)
        if isinstance(value, dict):
            return {str(k): self._cleaned(v) for k, v in value.items()}
        if isinstance(value, list | tuple):
            return [self._cleaned(item) for item in value]
        return value

    def _read_key(self, *, create: bool) -> bytes:
        if create and not self._key.exists():
            audit_file.write_whole(self._key, secrets.token_bytes(KEY_BYTES))
        try:
            key = self._key.read_bytes()
        except FileNotFoundError:
            key = b""
        if len(key) != KEY_BYTES:
            raise AuditFault(
                "the key of the audit log's head is missing or damaged",
                code="audit_broken",
                hint="move the log aside to begin a new one",
            )
        return key

    def _read_head(self, key: bytes) -> tuple[int, str] | None:
        if not self._head.exists():
            return None
        try:
            doc = json.loads(self._head.read_text())
            number, digest, mac = int(doc["seq"]), str(doc["hash"]), str(doc["mac"])
        except (ValueError, KeyError, TypeError):
            raise AuditFault("the head of the audit log is damaged", code="audit_broken") from None
        if not hmac.compare_digest(mac, _mac(key, number, digest)):
            raise AuditFault("the head of the audit log is forged", code="audit_broken")
        return number, digest

    def _write_head(self, key: bytes, number: int, digest: str) -> None:
        doc = {"seq": number, "hash": digest, "mac": _mac(key, number, digest)}
        audit_file.write_whole(self._head, json.dumps(doc).encode())

    def events(self) -> Iterator[dict[str, Any]]:
        """The events, oldest first; a line that is no event is given as {"kind": "unreadable"}."""
        if not self._log.exists():
            return
        with open(self._log, "rb") as file:
            for line in file:
                if not line.endswith(b"\n"):
                    yield {"kind": "torn", "reason": "the writing of this event was cut short"}
                    return
                try:
                    yield json.loads(line)
                except ValueError:
                    yield {"kind": "unreadable"}

    def verify(self) -> Verdict:
        """Check every event: changed, removed, re-ordered and cut-off ones are each named."""
        problems: list[str] = []
        notes: list[str] = []
        count, previous, expected = 0, GENESIS, 1
        digest = GENESIS
        if self._log.exists():
            with open(self._log, "rb") as file:
                for raw in file:
                    if not raw.endswith(b"\n"):
                        notes.append(
                            f"the last {len(raw)} bytes are an event whose writing was cut short; nothing was"
                            " done on it"
                        )
                        break
                    count += 1
                    line = raw.rstrip(b"\n")
                    digest = hashlib.sha256(line).hexdigest()
                    try:
                        event = json.loads(line)
                        number, prev = event["seq"], event["prev"]
                    except (ValueError, KeyError, TypeError):
                        problems.append(f"line {count} is not an event")
                        previous, expected = digest, expected + 1
                        continue
                    if number > expected:
                        problems.append(f"events {expected} to {number - 1} are missing before line {count}")
                    elif number < expected:
                        problems.append(f"event {number} at line {count} is out of order")
                    elif prev != previous:
                        problems.append(
                            f"event {number - 1} was changed: event {number} does not follow from it"
                        )
                    previous, expected = digest, number + 1
                    if isinstance(event, dict) and event.get("kind") == "torn":
                        notes.append(f"event {number} tells of an event before it that was cut short")
        problems += self._verify_head(expected - 1, digest)
        return Verdict(count, tuple(problems), tuple(notes))

    def _verify_head(self, number: int, digest: str) -> list[str]:
        try:
            head = self._read_head(self._read_key(create=False)) if self._key.exists() else None
        except AuditFault as fault:
            return [fault.message]
        if head is None:
            return ["the head of the log is missing"] if number else []
        if head[0] > number:
            return [f"the log was cut off: events {number + 1} to {head[0]} are missing at its end"]
        if head == (number - 1, digest) or head[0] < number:
            return [] if head[0] == number - 1 else [f"events after {head[0]} were not written by ceso"]
        return [] if head[1] == digest else [f"event {number}, the newest, was changed"]


def _mac(key: bytes, number: int, digest: str) -> str:
    return hmac.new(key, f"{number} {digest}".encode(), hashlib.sha256).hexdigest()


def tail(text: str) -> str:
    """The end of an output, as long as the log keeps it."""
    return text if len(text) <= TAIL_CHARACTERS else "…" + text[-TAIL_CHARACTERS:]
