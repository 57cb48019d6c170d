"""ceso's own resources fail: the state directory, the clock, the keyring, the audit log, the home.

Each failure has its code, and where no event can be recorded, nothing is sent.
"""

from __future__ import annotations

import asyncio
import errno
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keyring
import keyring.errors
import pytest

from ceso_mcp import audit_file, confirm, home, secrets
from ceso_mcp.audit import Actor, AuditLog
from ceso_mcp.config import config_path, private_directory, state_root
from ceso_mcp.confirm import Pending, PendingRequests
from ceso_mcp.errors import AuditFault, CesoError, ConfigFault, TokenFault
from ceso_mcp.execute import Execution, RunRecord
from ceso_mcp.fact import Reply
from ceso_mcp.journal import Journal
from ceso_mcp.plan import Plan, Step
from ceso_mcp.secrets import SecretRef, read_secret
from ceso_mcp.shell import sh

WHO = Actor("cli")


@pytest.fixture
def log(tmp_path: Path) -> AuditLog:
    log = AuditLog(tmp_path / "audit")
    for number in range(3):
        log.record("step", WHO, "run1", line=f"echo {number}")
    return log


def failing(number: int, *, after: int = 0) -> Callable[..., Any]:
    """An error of the operating system, from the call after `after` good ones; a write is cut short."""
    calls: list[int] = []
    write = os.write

    def call(*words: Any, **_: Any) -> Any:
        calls.append(1)
        if len(calls) > after:
            raise OSError(number, os.strerror(number))
        return write(words[0], bytes(words[1])[:7])

    return call


# -- the audit log ------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EIO, errno.EACCES])
@pytest.mark.parametrize("call", ["open", "write", "fsync", "replace"])
def test_an_event_that_cannot_be_made_durable_is_an_error_and_leaves_no_trace(
    log: AuditLog, monkeypatch: pytest.MonkeyPatch, call: str, number: int
) -> None:
    before = log.path.read_bytes()
    monkeypatch.setattr(os, call, failing(number))
    with pytest.raises(AuditFault) as caught:
        log.record("step", WHO, line="never")
    monkeypatch.undo()
    assert caught.value.code == "audit_unwritable"
    assert log.path.read_bytes() == before
    assert log.record("step", WHO, line="later") == 4
    assert (log.verify().problems, log.verify().notes) == ((), ())


def test_an_event_cut_short_by_a_full_disk_is_taken_back(
    log: AuditLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "write", failing(errno.ENOSPC, after=3))
    with pytest.raises(AuditFault):
        log.record("step", WHO)
    monkeypatch.undo()
    assert log.record("step", WHO) == 4
    assert (log.verify().problems, log.verify().notes) == ((), ())


def torn_pieces(log: AuditLog) -> list[bytes]:
    whole = log.path.read_bytes().splitlines()[-1].replace(b'"seq":3', b'"seq":4')
    return [whole[:1], whole[: len(whole) // 2], whole[:-1], whole]


@pytest.mark.parametrize("piece", range(4))
def test_a_torn_event_is_named_and_the_log_goes_on(log: AuditLog, piece: int) -> None:
    torn = torn_pieces(log)[piece]
    with open(log.path, "ab") as file:
        file.write(torn)
    verdict = log.verify()
    assert verdict.ok
    assert verdict.events == 3
    assert f"the last {len(torn)} bytes" in verdict.notes[0]
    assert [event["kind"] for event in log.events()] == ["step", "step", "step", "torn"]
    assert log.record("step", WHO, line="after") == 5
    verdict = log.verify()
    assert (verdict.ok, verdict.events) == (True, 5)
    assert verdict.notes == ("event 4 tells of an event before it that was cut short",)
    named = json.loads(log.path.read_bytes().splitlines()[3])
    assert (named["kind"], named["bytes"], named["text"]) == ("torn", len(torn), torn.decode())


def test_a_tear_in_the_very_first_event_is_named_too(tmp_path: Path) -> None:
    log = AuditLog(tmp_path / "audit")
    (tmp_path / "audit").mkdir(mode=0o700)
    log.path.write_bytes(b'{"seq":1,')
    assert log.record("step", WHO) == 2
    assert log.verify().ok
    assert len(log.verify().notes) == 1


def test_a_tear_hides_no_event_that_was_removed(log: AuditLog) -> None:
    kept = log.path.read_bytes().splitlines(keepends=True)
    log.path.write_bytes(b"".join(kept[:2]) + kept[2][:20])
    assert log.verify().problems == ("the log was cut off: events 3 to 3 are missing at its end",)
    with pytest.raises(AuditFault) as caught:
        log.record("step", WHO)
    assert caught.value.code == "audit_broken"


RECORDING = """
import sys
from pathlib import Path
sys.path.insert(0, {package!r})
from ceso_mcp.audit import Actor, AuditLog
log = AuditLog(Path(sys.argv[1]))
while True:
    print(log.record("step", Actor("cli"), line="x" * 20000), flush=True)
"""


def test_killed_while_recording_the_log_holds_all_that_was_promised(tmp_path: Path) -> None:
    said = 0
    program = RECORDING.format(package=str(Path(__file__).parents[3]))
    for pause_s in (0.0, 0.013):
        command = [sys.executable, "-c", program, str(tmp_path / "audit")]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            process.stdout.readline()
            time.sleep(pause_s)
            process.send_signal(signal.SIGKILL)
            said = max(said, *map(int, process.stdout.read().split() or [b"1"]))
        log = AuditLog(tmp_path / "audit")
        assert log.verify().ok
        assert log.record("step", WHO) > said
        assert log.verify().ok


def test_time_that_goes_backwards_does_not_change_the_order(
    log: AuditLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    import datetime

    from ceso_mcp import audit

    class Yesterday(datetime.datetime):
        @classmethod
        def now(cls, tz: datetime.tzinfo | None = None) -> Any:
            return datetime.datetime(2001, 1, 1, tzinfo=tz)

    monkeypatch.setattr(audit, "datetime", Yesterday)
    assert log.record("step", WHO) == 4
    assert log.verify().ok
    assert [event["seq"] for event in log.events()] == [1, 2, 3, 4]


def test_a_holder_of_the_log_s_lock_that_hangs_is_an_error(
    log: AuditLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audit_file, "LOCK_WAIT_S", 0.05)
    with audit_file.locked(log.path.parent / "audit.lock"), pytest.raises(AuditFault) as caught:
        log.record("step", WHO)
    assert caught.value.code == "audit_busy"


def test_bytes_of_the_host_that_are_no_text_are_recorded(log: AuditLog) -> None:
    odd = b"caf\xe9".decode("utf-8", "surrogateescape")
    log.record("step_end", WHO, output=odd)
    assert log.verify().ok
    assert list(log.events())[-1]["output"] == odd


@dataclass
class CountingRunner:
    sent: int = 0

    async def run(self, line: str, **_: Any) -> Reply:
        self.sent += 1
        return Reply(0, "")


@pytest.mark.parametrize("good", range(4))
def test_without_an_audit_log_nothing_is_sent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, good: int
) -> None:
    """The log fails for good after `good` events: what is not recorded before is not sent."""
    log, runner = AuditLog(tmp_path / "audit"), CountingRunner()
    plan = Plan("t", (Step("one", sh("echo", "1")), Step("two", sh("echo", "2"))))
    append, calls = audit_file.append, []

    def full(path: Path, line: bytes) -> int:
        calls.append(line)
        if len(calls) > good:
            raise OSError(errno.ENOSPC, "No space left on device")
        return append(path, line)

    monkeypatch.setattr(audit_file, "append", full)
    journal, record = Journal(tmp_path / "journal"), RunRecord("0a1b2c3d", "host", "job", "toy")
    run = Execution(plan, runner, None, log, journal, WHO, record, lambda *_: None)  # type: ignore[arg-type]
    with pytest.raises(CesoError) as caught:
        asyncio.run(run.carry_out())
    assert caught.value.code == "audit_unwritable"
    recorded = sum(b'"kind":"step",' in line for line in log.path.read_bytes().splitlines()) if good else 0
    assert runner.sent == recorded <= 1


# -- the state directory and the clock ------------------------------------------------------------


def pending(lasts_s: float = 600) -> Pending:
    now = time.time()
    return Pending("power_vm", {}, "d", "h", "n", "00", [], "t", False, now, now + lasts_s)


@pytest.mark.parametrize(
    ("number", "code"),
    [(errno.ENOSPC, "state_full"), (errno.EDQUOT, "state_full"), (errno.EROFS, "state_unusable")],
)
@pytest.mark.parametrize("call", ["open", "fsync", "replace"])
def test_a_request_that_cannot_be_stored_is_an_error_with_a_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str, number: int, code: str
) -> None:
    store = PendingRequests(tmp_path)
    monkeypatch.setattr(os, call, failing(number))
    with pytest.raises(ConfigFault) as caught:
        store.add(pending())
    monkeypatch.undo()
    assert caught.value.code == code
    assert list((tmp_path / "waiting").iterdir()) == []


def test_a_token_that_cannot_be_used_up_stays_unused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = PendingRequests(tmp_path)
    token = store.add(pending())
    monkeypatch.setattr(os, "rename", failing(errno.EROFS))
    with pytest.raises(ConfigFault) as caught:
        store.take(token, host="h")
    monkeypatch.undo()
    assert caught.value.code == "state_unusable"
    assert store.take(token, host="h").operation == "power_vm"


@pytest.mark.parametrize("set_by_s", [-86_400, -3600, -61, 0])
def test_a_clock_set_back_neither_ends_nor_revives_a_token(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, set_by_s: float
) -> None:
    store = PendingRequests(tmp_path)
    good, ended = store.add(pending()), store.add(pending(lasts_s=-1))
    now = time.time()
    monkeypatch.setattr(confirm.time, "time", lambda: now + set_by_s)
    assert store.look(good, host="h")
    with pytest.raises(TokenFault) as caught:
        store.look(ended, host="h")
    assert caught.value.code == "token_expired"


def test_after_a_boot_the_wall_clock_decides_and_a_clock_set_back_ends_a_token(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = PendingRequests(tmp_path)
    token = store.add(pending())
    monkeypatch.setattr(confirm, "boot_id", lambda: "another boot")
    assert store.look(token, host="h")
    now = time.time()
    for set_by_s in (-3600, 3600):
        monkeypatch.setattr(confirm.time, "time", lambda by=set_by_s: now + by)
        with pytest.raises(TokenFault) as caught:
            store.look(token, host="h")
        assert caught.value.code == "token_expired"


@pytest.mark.parametrize("mode", [0o701, 0o710, 0o704, 0o740, 0o755, 0o722, 0o777])
def test_a_state_directory_open_to_others_is_refused(tmp_path: Path, mode: int) -> None:
    (tmp_path / "state").mkdir()
    (tmp_path / "state").chmod(mode)
    with pytest.raises(ConfigFault) as caught:
        private_directory(tmp_path / "state")
    assert caught.value.code == "state_exposed"
    assert "chmod 700" in caught.value.hint


def test_a_state_directory_of_another_user_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 4_000_000)
    with pytest.raises(ConfigFault) as caught:
        private_directory(tmp_path)
    assert caught.value.code == "state_exposed"


def test_a_state_directory_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigFault) as caught:
        private_directory(tmp_path / "file" / "state")
    assert caught.value.code == "state_unusable"


# -- the home ------------------------------------------------------------------------------------


@pytest.mark.parametrize("where", [state_root, config_path])
def test_a_home_that_is_missing_is_told_and_not_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: Callable[[], Path]
) -> None:
    for name in ("CESO_STATE", "CESO_CONFIG", "XDG_STATE_HOME", "XDG_CONFIG_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "nobody"))
    with pytest.raises(ConfigFault) as caught:
        where()
    assert caught.value.code == "home_missing"
    assert not (tmp_path / "nobody").exists()


def test_a_home_that_nobody_knows_is_told() -> None:
    with pytest.raises(ConfigFault) as caught:
        home.expanded(Path("~no-such-user-here/x"))
    assert caught.value.code == "home_missing"


# -- the keyring ---------------------------------------------------------------------------------


class OfALibrary(Exception):
    pass


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        (keyring.errors.KeyringLocked(), "keyring_locked"),
        (keyring.errors.InitError(), "keyring_locked"),
        (keyring.errors.NoKeyringError(), "keyring_missing"),
        (ImportError("keyring"), "keyring_missing"),
        (OfALibrary("dbus"), "keyring_failed"),
        (SystemExit(1), "keyring_failed"),
    ],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)
def test_each_way_a_keyring_fails_has_its_code(
    monkeypatch: pytest.MonkeyPatch, fault: BaseException, code: str
) -> None:
    def ask(*_: str) -> str:
        raise fault

    monkeypatch.setattr(keyring, "get_password", ask)
    with pytest.raises(ConfigFault) as caught:
        read_secret(SecretRef(keyring="root"), "password")
    assert caught.value.code == code


def test_a_keyring_that_never_answers_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    answer = threading.Event()
    monkeypatch.setattr(keyring, "get_password", lambda *_: answer.wait(20) and "late")
    monkeypatch.setattr(secrets, "KEYRING_WAIT_S", 0.05)
    with pytest.raises(ConfigFault) as caught:
        read_secret(SecretRef(keyring="root"), "password")
    answer.set()
    assert caught.value.code == "keyring_slow"


def test_a_keyring_without_the_entry_is_a_missing_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keyring, "get_password", lambda *_: None)
    with pytest.raises(ConfigFault) as caught:
        read_secret(SecretRef(keyring="root"), "password")
    assert caught.value.code == "secret_missing"
