"""A file of lines that is only appended to: its end, torn or whole, and appending all or nothing."""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from ceso_mcp.errors import AuditFault

LOCK_WAIT_S = 20.0


class Ending(NamedTuple):
    """The last whole line (None if there is none), and the bytes after it that are no whole line."""

    line: bytes | None
    torn: bytes


def ending(path: Path) -> Ending:
    """How the file ends, read from the back; an absent file is an empty one. Raises OSError."""
    if not path.exists():
        return Ending(None, b"")
    with open(path, "rb") as file:
        size = file.seek(0, os.SEEK_END)
        block = 1 << 16
        while True:
            start = max(0, size - block)
            file.seek(start)
            content = file.read(size - start)
            last = content.rfind(b"\n")
            before = content.rfind(b"\n", 0, max(last, 0))
            if before >= 0 or start == 0:
                return Ending(content[before + 1 : last] if last >= 0 else None, content[last + 1 :])
            block *= 4


def append(path: Path, line: bytes) -> int:
    """Append `line` and its end, durably; returns the size before.

    Raises OSError; then the file is as it was, unless even taking back failed or the process died:
    such a tear is what `ending` shows.
    """
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        size = os.fstat(descriptor).st_size
        try:
            payload = line + b"\n"
            while payload:
                payload = payload[os.write(descriptor, payload) :]
            os.fsync(descriptor)
        except OSError:
            with contextlib.suppress(OSError):
                os.ftruncate(descriptor, size)
            raise
        return size
    finally:
        os.close(descriptor)


def cut(path: Path, size: int) -> None:
    """Take back what is behind `size`, durably. Raises OSError."""
    descriptor = os.open(path, os.O_WRONLY)
    try:
        os.ftruncate(descriptor, size)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_whole(path: Path, content: bytes) -> None:
    """Write a small file so that it is there whole or as it was. Raises OSError."""
    new = path.with_suffix(".new")
    with open(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    os.replace(new, path)


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock file `path`. Raises OSError; AuditFault `audit_busy` if a holder never lets go."""
    with open(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600), "wb") as lock:
        limit = time.monotonic() + LOCK_WAIT_S
        pause_s = 0.001
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > limit:
                    raise AuditFault(
                        f"another process has held the audit log's lock {path} for {LOCK_WAIT_S:g} s",
                        code="audit_busy",
                        hint="see which ceso process hangs; without an audit log nothing is done",
                    ) from None
                time.sleep(pause_s)
                pause_s = min(pause_s * 1.5, 0.05)
        yield
