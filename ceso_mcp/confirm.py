"""Pending requests and their tokens: what was previewed, waiting to be agreed to, once.

A token is 130 random bits; only its sha256 is stored. One file a request in the state directory
(0700/0600), holding the operation, its arguments, the digest of the plan, the host and the drawn
time and chance, never a secret. Taking a token is one rename, so of two takers exactly one wins.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import secrets
import time
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from ceso_mcp.clock import boot_id, since_boot_s
from ceso_mcp.config import private_directory, state_fault
from ceso_mcp.errors import TokenFault

KEEP_USED_S = 7 * 86_400
_ALPHABET = "abcdefghjkmnpqrstuvwxyz23456789"


@dataclass(frozen=True, slots=True)
class Pending:
    """A stored request, with all that a person must see to agree to it.

    `host` is the identity of the host it was planned for; `fed` the numbers of the lines that get
    something on standard input; `lost` says which steps remove data. The store adds the boot of this machine
    and when in it the request expires, so that no clock set back revives a token, or ends one.
    """

    operation: str
    arguments: dict[str, Any]
    digest: str
    host: str
    now: str
    seed_hex: str
    lines: list[str]
    title: str
    destructive: bool
    created_s: float
    expires_s: float
    touches: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    fed: list[int] = field(default_factory=list)
    approved: bool = False
    boot: str = ""
    expires_boot_s: float = 0.0


class PendingRequests:
    """The store of pending requests in a folder of the state directory."""

    def __init__(self, directory: Path) -> None:
        self._waiting = private_directory(directory / "waiting")
        self._used = private_directory(directory / "used")

    def add(self, pending: Pending) -> str:
        """Store `pending` durably; returns its token."""
        if boot_id():
            rest_s = pending.expires_s - time.time()
            pending = replace(pending, boot=boot_id(), expires_boot_s=since_boot_s() + rest_s)
        token = "".join(secrets.choice(_ALPHABET) for _ in range(27))
        _write(self._waiting / _name(token), pending)
        self._forget_old()
        return token

    def look(self, token: str, *, host: str) -> Pending:
        """The request behind `token` if it could run now, else a TokenFault that says which way not.

        Codes: token_unknown, token_used, token_expired, token_other_host.
        """
        pending = _read(self._waiting / _name(token))
        if pending is None:
            if (self._used / _name(token)).exists():
                raise TokenFault(
                    "this confirm token has been used already",
                    code="token_used",
                    hint="see `job_status` for what it did, or preview again for a new token",
                )
            raise TokenFault(
                "this confirm token is not known here",
                code="token_unknown",
                hint="call the operation without a token to get a preview and a new one",
            )
        if _expired(pending):
            raise TokenFault(
                "this confirm token has expired",
                code="token_expired",
                hint="call the operation again without a token and look at the new preview",
            )
        if pending.host != host:
            raise TokenFault(
                "this confirm token was made for another host",
                code="token_other_host",
                hint="preview on the host that is configured now",
            )
        return pending

    def take(self, token: str, *, host: str) -> Pending:
        """Like `look`, and uses the token up, whatever happens afterwards."""
        pending = self.look(token, host=host)
        try:
            os.rename(self._waiting / _name(token), self._used / _name(token))
        except FileNotFoundError:
            raise TokenFault("this confirm token has been used already", code="token_used") from None
        except OSError as error:
            raise state_fault(self._waiting, error) from None
        return pending

    def give_back(self, token: str) -> None:
        """Undo `take`: nothing was begun with it."""
        with contextlib.suppress(OSError):
            os.rename(self._used / _name(token), self._waiting / _name(token))

    def approve(self, token: str, *, host: str) -> Pending:
        """Mark the request as agreed to by the operator."""
        pending = self.look(token, host=host)
        doc = asdict(pending) | {"approved": True}
        approved = Pending(**doc)
        _write(self._waiting / _name(token), approved)
        return approved

    def _forget_old(self) -> None:
        limit = time.time() - KEEP_USED_S
        for folder in (self._waiting, self._used):
            for path in folder.glob("*.json"):
                try:
                    if path.stat().st_mtime < limit:
                        path.unlink()
                except OSError:
                    continue  # gone already, or not to be removed now: it is only old


def _expired(pending: Pending) -> bool:
    if time.time() > pending.expires_s:
        return True
    if pending.boot and pending.boot == boot_id():
        return since_boot_s() > pending.expires_boot_s
    return time.time() < pending.created_s - 60


def _name(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest() + ".json"


def _write(path: Path, pending: Pending) -> None:
    new = path.with_suffix(f".{secrets.token_hex(4)}.new")
    try:
        with open(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
            json.dump(asdict(pending), file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(new, path)
    except OSError as error:
        with contextlib.suppress(OSError):
            new.unlink(missing_ok=True)
        raise state_fault(path, error) from None


def _read(path: Path) -> Pending | None:
    try:
        return Pending(**json.loads(path.read_text("utf-8")))
    except FileNotFoundError:
        return None
    except OSError as error:
        raise state_fault(path, error) from None
    except (ValueError, TypeError):
        raise TokenFault("the stored request is damaged", code="token_unknown") from None
