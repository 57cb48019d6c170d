"""A database of the state directory: one transaction at a time, on disk when it is over."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ceso_mcp.errors import ConfigFault


class StateDatabase:
    """The SQLite file `path` with the tables of `schema` (statements that end in a semicolon and a new line).

    `what` names it and `hint` says what its loss means, in the ConfigFault `state_unusable` that everything
    here raises when the file cannot be kept. Another process is waited for up to `timeout_s`.
    """

    def __init__(self, path: Path, schema: str, *, what: str, hint: str, timeout_s: float) -> None:
        self._path = path
        self._what = what
        self._hint = hint
        self._timeout_s = timeout_s
        with self.transaction() as db:
            for statement in schema.split(";\n"):
                db.execute(statement)
        os.chmod(path, 0o600)

    @contextmanager
    def transaction(self, begin: str = "BEGIN IMMEDIATE") -> Iterator[sqlite3.Connection]:
        """A connection within one transaction, which is kept unless the block raises."""
        try:
            db = sqlite3.connect(self._path, timeout=self._timeout_s, isolation_level=None)
            try:
                db.execute("PRAGMA journal_mode=WAL")
                db.execute("PRAGMA synchronous=FULL")
                db.execute(begin)
                yield db
                db.execute("COMMIT")
            finally:
                db.close()
        except (sqlite3.Error, OSError) as error:
            raise ConfigFault(
                f"{self._what} {self._path} cannot be kept: {error}", code="state_unusable", hint=self._hint
            ) from None
