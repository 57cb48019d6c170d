"""The command log: every SSH exec and every call of a host program, one JSON object a line."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any, Literal

from ceso_mcp.lab.records import LogEntry


class CommandLog:
    """Appends to the log. An exec is written when it ends, with the number it got when it began."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self._next = max((entry.seq for entry in read(path)), default=0) + 1

    def close(self) -> None:
        os.close(self._file)

    def number(self) -> int:
        """A fresh sequence number."""
        self._next += 1
        return self._next - 1

    def exec_ended(self, seq: int, began: float, line: str, status: int | None) -> None:
        self._write(
            kind="exec", seq=seq, time=began, line=line, argv=[], exit=status, changed=False, exec=seq
        )

    def shim_ended(self, exec_id: int, argv: list[str], status: int, changed: bool) -> None:
        self._write(
            kind="shim",
            seq=self.number(),
            time=time.time(),
            line="",
            argv=argv,
            exit=status,
            changed=changed,
            exec=exec_id,
        )

    def _write(self, **entry: Any) -> None:
        os.write(self._file, json.dumps(entry).encode("utf-8", "surrogateescape") + b"\n")


def read(path: Path, since: int = 0) -> list[LogEntry]:
    """The entries with a sequence number above `since`, in the order they were written."""
    if not path.exists():
        return []
    entries = []
    for text in path.read_text("utf-8", "surrogateescape").splitlines():
        value = json.loads(text)
        kind: Literal["exec", "shim"] = "exec" if value["kind"] == "exec" else "shim"
        if value["seq"] > since:
            entries.append(LogEntry(**{**value, "kind": kind, "argv": tuple(value["argv"])}))
    return entries
