"""A token is good for one plan, one host, one time window and one use."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from ceso_mcp.confirm import Pending, PendingRequests
from ceso_mcp.errors import TokenFault


def pending(**changes: object) -> Pending:
    now = time.time()
    values: dict[str, object] = {
        "operation": "power_vm", "arguments": {"vm": "web"}, "digest": "d", "host": "h1",
        "now": "2026-01-01T00:00:00+00:00", "seed_hex": "00" * 32, "lines": ["vim-cmd x"], "title": "t",
        "destructive": False, "created_s": now, "expires_s": now + 600,
    }  # fmt: skip
    return Pending(**{**values, **changes})  # type: ignore[arg-type]


@pytest.fixture
def store(tmp_path: Path) -> PendingRequests:
    return PendingRequests(tmp_path)


def code(store: PendingRequests, token: str, host: str = "h1") -> str:
    with pytest.raises(TokenFault) as caught:
        store.take(token, host=host)
    return caught.value.code


def test_a_fresh_token_is_taken_once(store: PendingRequests) -> None:
    token = store.add(pending())
    assert store.take(token, host="h1").arguments == {"vm": "web"}
    assert code(store, token) == "token_used"


def test_unknown_expired_and_foreign_tokens_are_told_apart(store: PendingRequests) -> None:
    assert code(store, "nonsense") == "token_unknown"
    assert code(store, store.add(pending(expires_s=time.time() - 1))) == "token_expired"
    assert code(store, store.add(pending()), host="h2") == "token_other_host"


def test_of_many_takers_exactly_one_wins(store: PendingRequests) -> None:
    token = store.add(pending())

    def take(_: int) -> bool:
        try:
            store.take(token, host="h1")
        except TokenFault:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(take, range(16))) == 1


def test_approval_is_kept_with_the_request(store: PendingRequests) -> None:
    token = store.add(pending())
    store.approve(token, host="h1")
    assert store.look(token, host="h1").approved


def test_neither_token_nor_folder_can_be_read_by_others(store: PendingRequests, tmp_path: Path) -> None:
    token = store.add(pending())
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert all(path.stat().st_mode & 0o077 == 0 for path in files)
    assert all(token not in path.read_text() and token not in path.name for path in files)
