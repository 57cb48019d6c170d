"""The audit log shows every way of tampering with it."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from ceso_mcp.audit import Actor, AuditLog
from ceso_mcp.errors import AuditFault
from ceso_mcp.redact import Redactor

WHO = Actor("cli")


@pytest.fixture
def log(tmp_path: Path) -> AuditLog:
    log = AuditLog(tmp_path / "audit", Redactor([b"correct horse"]))
    for number in range(6):
        log.record("step", WHO, "run1", line=f"echo {number}")
    return log


def lines(log: AuditLog) -> list[bytes]:
    return log.path.read_bytes().splitlines()


def test_an_untouched_log_verifies(log: AuditLog) -> None:
    assert log.verify().ok
    assert log.verify().events == 6


def test_a_changed_event_is_found(log: AuditLog) -> None:
    kept = lines(log)
    kept[2] = kept[2].replace(b"echo 2", b"echo X")
    log.path.write_bytes(b"\n".join(kept) + b"\n")
    assert log.verify().problems == ("event 3 was changed: event 4 does not follow from it",)


def test_the_newest_event_changed_is_found(log: AuditLog) -> None:
    kept = lines(log)
    kept[5] = kept[5].replace(b"echo 5", b"echo X")
    log.path.write_bytes(b"\n".join(kept) + b"\n")
    assert log.verify().problems == ("event 6, the newest, was changed",)


def test_a_removed_event_is_found(log: AuditLog) -> None:
    kept = lines(log)
    del kept[2]
    log.path.write_bytes(b"\n".join(kept) + b"\n")
    assert log.verify().problems[0] == "events 3 to 3 are missing before line 3"


def test_reordered_events_are_found(log: AuditLog) -> None:
    kept = lines(log)
    kept[1], kept[2] = kept[2], kept[1]
    log.path.write_bytes(b"\n".join(kept) + b"\n")
    assert any("out of order" in problem for problem in log.verify().problems)


def test_a_cut_off_tail_is_found(log: AuditLog) -> None:
    log.path.write_bytes(b"\n".join(lines(log)[:4]) + b"\n")
    assert log.verify().problems == ("the log was cut off: events 5 to 6 are missing at its end",)


def test_a_forged_event_at_the_end_is_found(log: AuditLog) -> None:
    import hashlib

    newest = lines(log)[-1]
    for number in (7, 8):
        event = {"seq": number, "kind": "step", "prev": hashlib.sha256(newest).hexdigest()}
        newest = json.dumps(event).encode()
        with open(log.path, "ab") as file:
            file.write(newest + b"\n")
    assert log.verify().problems == ("events after 6 were not written by ceso",)
    with pytest.raises(AuditFault):
        log.record("step", WHO)


def test_a_crash_between_event_and_head_is_taken_in(log: AuditLog, tmp_path: Path) -> None:
    head = tmp_path / "audit" / "head" / "audit.head"
    before = head.read_bytes()
    log.record("step", WHO, line="the last before the crash")
    head.write_bytes(before)
    assert log.verify().ok
    assert log.record("step", WHO, line="after") == 8
    assert log.verify().ok


def test_secrets_are_cleaned_by_value_and_by_shape(log: AuditLog) -> None:
    log.record("step_end", WHO, output="got correct horse and password=zz!9q AGE-SECRET-KEY-1QQQQ")
    text = log.path.read_text()
    assert "correct horse" not in text
    assert "zz!9q" not in text
    assert "QQQQ" not in text


def test_many_writers_at_once_keep_the_chain(tmp_path: Path) -> None:
    logs = [AuditLog(tmp_path / "audit") for _ in range(4)]

    def write(log: AuditLog) -> None:
        for _ in range(10):
            log.record("step", WHO)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(write, logs))
    assert logs[0].verify().ok
    assert logs[0].verify().events == 40


def test_an_unwritable_log_says_so(tmp_path: Path) -> None:
    (tmp_path / "audit").write_text("a file where the folder should be")
    with pytest.raises(AuditFault, match="cannot be written"):
        AuditLog(tmp_path / "audit").record("step", WHO)
