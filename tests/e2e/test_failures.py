"""A failure at every step leaves the host as it was, or names what is left; a cut connection does no harm."""

from __future__ import annotations

import re
from typing import Any

import pytest

from ceso_mcp.lab import Fault

from .conftest import KEY, TEMPLATE, House
from .test_main_job import SMALL

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(180)]

CREATE: dict[str, Any] = {"template": TEMPLATE, "ssh_keys": [KEY], "disk_gib": 3, "wait_s": 10}
OPERATIONS: dict[str, dict[str, Any]] = {
    "create_vm": {"name": "it's new", **CREATE},
    "clone_vm": {"name": "it's new", "source": TEMPLATE, "power_on": True, "wait_s": 10},
}
EFFECTS: dict[str, dict[str, Any]] = {
    "fails": {"effect": "fail", "stderr": "Operation failed\n", "exit_status": 1},
    "cut before": {"effect": "cut_before"},
    "cut after": {"effect": "cut_after"},
}


async def run_with_fault(house: House, name: str, arguments: dict[str, Any], fault: Any, step: int) -> Any:
    """Preview, break the given step's line, confirm; returns (job, step)."""
    preview = await house.preview(name, **arguments)
    shown = preview.steps[step]
    line = re.escape(shown.command).replace(re.escape("{vmid}"), r"\d+")
    house.lab.add_fault(Fault(match=f"^{line}$", **fault))
    try:
        return await house.confirm(preview.confirm_token), shown
    finally:
        house.lab.clear_faults()


def cases() -> list[Any]:
    found = []
    for name in OPERATIONS:
        steps = 11 if name == "create_vm" else 10
        for step in range(steps):
            for effect in EFFECTS:
                # Create and clone share most of their steps.
                rare = effect == "cut before" or (name == "clone_vm" and (effect == "cut after" or step < 8))
                rare |= effect == "cut after" and step not in (5, 7)
                marks = [pytest.mark.slow] if rare else []
                found.append(pytest.param(name, step, effect, id=f"{name}-{step + 1}-{effect}", marks=marks))
    return found


@pytest.mark.parametrize(("name", "step", "effect"), cases())
async def test_a_broken_step_is_undone(house: House, name: str, step: int, effect: str) -> None:
    before = house.lab.fingerprint()
    job, shown = await run_with_fault(house, name, OPERATIONS[name], EFFECTS[effect], step)
    if effect.startswith("cut"):
        assert job.state == "done", job.error
        assert job.result is not None
        assert job.result["address"]
        assert no_marks(house)
        assert house.ceso.audit.verify().ok
        return
    assert job.state == "failed"
    error = job.error or {}
    if shown.reads_only and "reports" in shown.why:
        assert "are kept" in error["changed"]
        return
    assert house.lab.fingerprint() == before, error
    assert "as it was" in error["changed"] or "Nothing was changed" in error["changed"]
    assert house.ceso.audit.verify().ok


def no_marks(house: House) -> bool:
    """Whether no datastore holds anything that a run marks as unfinished."""
    return ".ceso-" not in str(house.lab.fingerprint())


async def test_a_datastore_that_fills_during_the_copy(house: House) -> None:
    before = house.lab.fingerprint()
    preview = await house.preview("create_vm", **OPERATIONS["create_vm"])
    house.lab.add_fault(
        Fault(match="vmkfstools -i", effect="fill", datastore="datastore1", at_bytes=4 << 20, where="exec")
    )
    job = await house.confirm(preview.confirm_token)
    house.lab.clear_faults()
    house.lab.unfill("datastore1")
    assert job.state == "failed"
    assert "the datastore is full" in (job.error or {})["message"]
    assert house.lab.fingerprint() == before


async def test_a_copy_that_is_killed_half_way(house: House) -> None:
    before = house.lab.fingerprint()
    preview = await house.preview("create_vm", **OPERATIONS["create_vm"])
    house.lab.add_fault(Fault(match="vmkfstools -i", where="shim", effect="kill", percent=40))
    job = await house.confirm(preview.confirm_token)
    house.lab.clear_faults()
    assert job.state == "failed"
    assert house.lab.fingerprint() == before


async def test_the_host_refuses_to_register(house: House) -> None:
    """The fault of transcript vimcmd-registervm-2, on standard output."""
    text = (
        "(vmodl.fault.InvalidArgument) {\n   faultCause = (vmodl.MethodFault) null, \n"
        '   faultMessage = <unset>, \n   invalidProperty = "pool"\n'
        '   msg = "A specified parameter was not correct: pool"\n}\n'
    )
    before = house.lab.fingerprint()
    preview = await house.preview("create_vm", **OPERATIONS["create_vm"])
    house.lab.add_fault(Fault(match="registervm", effect="fail", stdout=text, exit_status=1))
    job = await house.confirm(preview.confirm_token)
    house.lab.clear_faults()
    assert "A specified parameter was not correct: pool" in (job.error or {})["message"]
    assert house.lab.fingerprint() == before


@pytest.mark.parametrize(
    "effect",
    [
        "fails",
        *(
            pytest.param(cut, marks=pytest.mark.slow)
            for cut in ("cut before", "cut after", "cut in the stream")
        ),
    ],
)
async def test_a_broken_restore_leaves_nothing(house: House, effect: str) -> None:
    await house.do("create_vm", name="web01", template=SMALL, unprepared=True, ssh_keys=[KEY], power_on=False)
    backup = await house.do("backup_vm", vm="web01")
    before = house.lab.fingerprint()
    faults = {**EFFECTS, "cut in the stream": {"effect": "cut_stdin", "at_bytes": 64 << 10}}
    arguments = {"backup_id": backup["backup_id"], "name": "again", "datastore": "datastore1"}
    preview = await house.preview("restore_vm", **arguments)
    step = next(i for i, s in enumerate(preview.steps) if s.why.startswith("write disk"))
    job, _ = await run_with_fault(house, "restore_vm", arguments, faults[effect], step)
    if effect != "fails":
        assert job.state == "done", job.error
        assert no_marks(house)
        return
    assert job.state == "failed"
    assert house.lab.fingerprint() == before


@pytest.mark.parametrize(
    "effect",
    [
        "fails",
        *(pytest.param(cut, marks=pytest.mark.slow) for cut in ("cut before", "cut after")),
        "cut in the stream",
    ],
)
async def test_a_broken_backup_is_not_listed_and_the_next_one_works(house: House, effect: str) -> None:
    await house.do("create_vm", name="web01", template=SMALL, unprepared=True, ssh_keys=[KEY], power_on=False)
    before = house.lab.fingerprint()
    faults = {**EFFECTS, "cut in the stream": {"effect": "cut_stdout", "at_bytes": 64 << 10}}
    preview = await house.preview("backup_vm", vm="web01")
    step = next(i for i, s in enumerate(preview.steps) if s.why.startswith("read disk"))
    job, _ = await run_with_fault(house, "backup_vm", {"vm": "web01"}, faults[effect], step)
    listed = (await house.ask("list_backups")).backups
    assert house.lab.fingerprint() == before
    if effect != "fails":
        assert job.state == "done", job.error
        assert (await house.ask("verify_backup", backup_id=listed[0].backup_id)).intact
        return
    assert job.state == "failed"
    assert listed == []
    await house.do("backup_vm", vm="web01")
    assert len((await house.ask("list_backups")).backups) == 1


async def test_what_is_left_is_named_when_undoing_fails_too(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ceso_mcp.undoing.UNDO_TRIES", 1)
    preview = await house.preview("create_vm", **OPERATIONS["create_vm"])
    house.lab.add_fault(Fault(match="registervm", effect="fail", stderr="no\n"))
    house.lab.add_fault(Fault(match="^rm ", effect="fail", stderr="rm: busy\n", times=None))
    job = await house.confirm(preview.confirm_token)
    house.lab.clear_faults()
    changed = (job.error or {})["changed"]
    assert changed.startswith("Left on the host:")
    assert "rm -f" in changed
