"""Every changing operation, broken at every step: nothing is lost, nothing is left, nothing untrue is said.

The cases come from the plans themselves. By default a fixed sample runs; `CESO_CHAOS=all` runs them all.
"""

from __future__ import annotations

import asyncio
import os
import random
import re
from typing import Any

import pytest
from e2e.conftest import KEY, TEMPLATE, House, settled
from e2e.dying import die, recover
from e2e.test_failures import no_marks
from e2e.test_main_job import SMALL

from ceso_mcp.errors import CesoError
from ceso_mcp.jobs import Job
from ceso_mcp.lab import Fault

pytestmark = [pytest.mark.anyio, pytest.mark.chaos, pytest.mark.timeout(900)]
ALL = os.environ.get("CESO_CHAOS") == "all"
SAMPLE = 6
NEW = "it's new"
OPERATIONS: dict[str, dict[str, Any]] = {
    "create_vm": {"name": NEW, "template": TEMPLATE, "ssh_keys": [KEY], "disk_gib": 3, "wait_s": 10},
    "clone_vm": {"name": NEW, "source": TEMPLATE, "power_on": True, "wait_s": 10},
    "backup_vm": {"vm": "web01"},
    "backup_vm with snapshots": {"vm": "snapshotted"},
    "restore_vm": {"name": NEW, "datastore": "datastore1"},
    "delete_vm": {"vm": "web01"},
    "power_vm on": {"vm": "web01", "action": "on"},
    "power_vm off": {"vm": "web01", "action": "off"},
    "prune_repository": {},
    "forget_backups": {},
}
FAULTS: dict[str, dict[str, Any] | None] = {
    "worker dies before": None,
    "worker dies after": None,
    "connection cut before": {"effect": "cut_before"},
    "connection cut after": {"effect": "cut_after"},
    "connection cut inside": {"effect": "cut_stdout", "at_bytes": 7},
    "hostd restarts": {"effect": "hostd_restart", "seconds": 1.0},
    "command fails": {"effect": "fail", "stderr": "Operation failed\n", "exit_status": 1},
}
_counts = {"cases": 0, "done": 0, "undone": 0, "recovered": 0, "violations": 0}


async def prepared(house: House, operation: str) -> dict[str, Any]:
    """The arguments of `operation`, after what it needs has been made."""
    arguments = dict(OPERATIONS[operation])
    if operation not in ("create_vm", "clone_vm", "backup_vm with snapshots"):
        await house.do("create_vm", name="web01", template=SMALL, ssh_keys=[KEY], power_on=False)
    if operation == "forget_backups":
        await house.do("backup_vm", vm="web01")
        await house.do("backup_vm", vm="web01")
        await house.do("set_retention", keep_last=1)
    if operation in ("restore_vm", "prune_repository"):
        made = await house.do("backup_vm", vm="web01")
        if operation == "restore_vm":
            arguments["backup_id"] = made["backup_id"]
    if operation == "power_vm off":
        await house.do("power_vm", vm="web01", action="on")
    return arguments


async def break_it(
    house: House, token: str, steps: Any, number: int, fault: str, patch: pytest.MonkeyPatch
) -> Job:
    """Run the previewed plan with `fault` at step `number`, recovery included; returns its job."""
    effect = FAULTS[fault]
    if effect is None:
        job_id = await die(house, token, number, fault.split()[-1], patch)
        try:
            settling = await recover(house)
            assert settling.state == "done", settling.error
            _counts["recovered"] += 1
        except CesoError as error:
            if error.code != "nothing_to_recover":
                raise
        return house.ceso.jobs.get(job_id)
    line = re.escape(steps[number - 1].command).replace(re.escape("{vmid}"), r"\d+")
    house.lab.add_fault(Fault(match=f"^{line}$", **effect))
    try:
        return await house.confirm(token)
    finally:
        house.lab.clear_faults()


def world(house: House) -> Any:
    """The host as far as it is compared: a guest that runs writes its disk and logs by itself."""
    return house.lab.fingerprint()


async def violations(house: House, job: Job, before: Any, operation: str) -> list[str]:
    """What is wrong after a run with a fault and its recovery."""
    found = []
    if job.state not in ("done", "failed", "cancelled"):
        found.append(f"the job is {job.state}")
    if not no_marks(house):
        found.append("a mark of the run is left on the host")
    if not house.ceso.audit.verify().ok:
        found.append("the audit log does not verify")
    if house.ceso.journal.open_runs(house.ceso.host_identity()):
        found.append("a run is open")
    changed = (job.error or {}).get("changed", "")
    after = world(house)
    says_before = any(words in changed for words in ("as it was", "changed nothing", "Nothing was changed"))
    if says_before and after != before:
        found.append(f"it says {changed!r}, but the host is another")
    vms = {vm.name for vm in (await house.ask("list_vms")).vms}
    makes = operation in ("create_vm", "clone_vm", "restore_vm")
    if makes and (NEW in vms) == (after == before):
        found.append("the VM is neither there nor is the host as before")
    if operation.startswith("backup_vm") and after != before:
        found.append("a backup changed the host")
    for backup in (await house.ask("list_backups")).backups:
        if not (await house.ask("verify_backup", backup_id=backup.backup_id)).intact:
            found.append(f"backup {backup.backup_id} is listed and damaged")
    if "error" in found or "Left on the host" in changed:
        found.append(changed)
    return found


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("operation", OPERATIONS)
async def test_whatever_breaks_the_host_is_as_before_or_as_wanted(
    house: House, operation: str, fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong: list[str] = []
    arguments = await prepared(house, operation)
    steps = (await house.preview(operation.split()[0], **arguments)).steps
    offset = (list(FAULTS).index(fault) * 5 + list(OPERATIONS).index(operation)) % SAMPLE
    for number in range(1, len(steps) + 1):
        if not ALL and number % SAMPLE != offset % min(SAMPLE, len(steps)):
            continue
        await asyncio.to_thread(house.lab.reset)
        await asyncio.to_thread(settled, house.lab)
        await forget_repository(house)
        arguments = await prepared(house, operation)
        await asyncio.to_thread(settled, house.lab)
        before = world(house)
        preview = await house.preview(operation.split()[0], **arguments)
        job = await break_it(house, preview.confirm_token, preview.steps, number, fault, monkeypatch)
        _counts["cases"] += 1
        _counts["done" if job.state == "done" else "undone"] += 1
        problems = await violations(house, job, before, operation)
        wrong += [f"step {number} ({preview.steps[number - 1].why}): {problem}" for problem in problems]
    _counts["violations"] += len(wrong)
    print(f"\nchaos so far: {_counts}", flush=True)
    assert not wrong, "\n".join(wrong)


async def forget_repository(house: House) -> None:
    """Each case has a repository of its own."""
    import shutil

    await asyncio.to_thread(shutil.rmtree, house.folder / "backups", True)


async def test_a_soak_of_random_operations_and_faults(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """Many operations one after another on one host: what is listed restores, nothing piles up."""
    rounds = int(os.environ.get("CESO_SOAK_ROUNDS", "200" if ALL else "15"))
    chance = random.Random(20_26)
    counts = {"operations": 0, "faults": 0, "failed as told": 0}
    descriptors = len(os.listdir("/proc/self/fd"))
    made: list[str] = []
    for number in range(rounds):
        choice = chance.choice(["create", "backup", "restore", "delete"]) if made else "create"
        backups = (await house.ask("list_backups")).backups
        name = f"vm {number}"
        if choice == "restore" and backups:
            request = (
                "restore_vm",
                {"backup_id": chance.choice(backups).backup_id, "name": name, "datastore": "datastore1"},
            )
        elif choice == "backup":
            request = ("backup_vm", {"vm": chance.choice(made)})
        elif choice == "delete" and len(made) > 3:
            request = ("delete_vm", {"vm": made.pop(chance.randrange(len(made)))})
        else:
            request = ("create_vm", {"name": name, "template": SMALL, "ssh_keys": [KEY], "power_on": False})
        preview = await house.preview(request[0], **request[1])
        counts["operations"] += 1
        if chance.random() < 0.6:
            counts["faults"] += 1
            fault = chance.choice(list(FAULTS))
            step = chance.randint(1, len(preview.steps))
            job = await break_it(house, preview.confirm_token, preview.steps, step, fault, monkeypatch)
        else:
            job = await house.confirm(preview.confirm_token)
            assert job.state == "done", job.error
        counts["failed as told"] += job.state != "done"
        assert no_marks(house)
        there = {vm.name for vm in (await house.ask("list_vms")).vms}
        made = [vm for vm in made if vm in there] + [vm for vm in (name,) if vm in there]
        assert not house.ceso.journal.open_runs(house.ceso.host_identity())
    assert house.ceso.audit.verify().ok
    for backup in (await house.ask("list_backups")).backups:
        assert (await house.ask("verify_backup", backup_id=backup.backup_id)).intact
    assert len(os.listdir("/proc/self/fd")) <= descriptors + 4
    print(f"\nsoak: {counts}, backups whole: {len((await house.ask('list_backups')).backups)}", flush=True)
