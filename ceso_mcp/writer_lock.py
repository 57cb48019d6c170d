"""One writer per host: a lock file that says who holds it since when."""

from __future__ import annotations

import fcntl
import json
import os
import time
from pathlib import Path
from types import TracebackType
from typing import IO

from ceso_mcp.config import state_fault
from ceso_mcp.errors import Refused

WAIT_S = 5.0


class WriterLock:
    """Held while a plan runs. The kernel frees it when the holder dies, however it dies."""

    def __init__(self, directory: Path, host: str) -> None:
        self._path = directory / f"writer-{host}.lock"
        self._file: IO[str] | None = None

    def __enter__(self) -> WriterLock:
        try:
            file = open(os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600), "r+", encoding="utf-8")
        except OSError as error:
            raise state_fault(self._path, error) from None
        limit = time.monotonic() + WAIT_S
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() < limit:
                    time.sleep(0.1)
                    continue
                holder = _holder(file)
                file.close()
                raise Refused(
                    f"another change is running on this host{holder}",
                    code="host_busy",
                    hint="wait for it (`ceso jobs list`), then preview again",
                ) from None
        file.seek(0)
        file.truncate()
        json.dump({"pid": os.getpid(), "since": time.time()}, file)
        file.flush()
        self._file = file
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None


def _holder(file: IO[str]) -> str:
    try:
        file.seek(0)
        doc = json.load(file)
        return f" (process {doc['pid']}, for {time.time() - doc['since']:.0f} s)"
    except (ValueError, KeyError):
        return ""
