"""Long use of one process on one host, with things going wrong: what is listed restores, nothing piles up."""

from __future__ import annotations

import gc
import os
import random
import shutil
from pathlib import Path
from typing import Any

import pytest
from e2e.conftest import KEY, House
from e2e.test_failures import no_marks
from e2e.test_main_job import SMALL

from .breaking import DEATHS, FAULTS, Tally, applies, break_it

pytestmark = [pytest.mark.anyio, pytest.mark.chaos, pytest.mark.timeout(7200)]
ALL = os.environ.get("CESO_CHAOS") == "all"
ROUNDS = int(os.environ.get("CESO_SOAK_ROUNDS", "200" if ALL else "12"))
CYCLES = int(os.environ.get("CESO_SOAK_CYCLES", "1000" if ALL else "8"))
SEED = int(os.environ.get("CESO_SOAK_SEED", "2026"))
WAYS = tuple(way for way in (*DEATHS, *FAULTS) if not way.startswith("machine"))


def resident_mib() -> float:
    """What this process, the worker of every job here, holds in memory."""
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


class Burden:
    """What this process holds on to: it may grow while everything is used for the first time only."""

    def __init__(self) -> None:
        self.descriptors = len(os.listdir("/proc/self/fd"))
        self.children = self._children()
        self.memory_mib = resident_mib()

    @staticmethod
    def _children() -> int:
        tasks = Path("/proc/self/task").iterdir()
        return sum(len((task / "children").read_text().split()) for task in tasks)

    def grown(self) -> dict[str, float]:
        now = Burden()
        return {
            "descriptors": now.descriptors - self.descriptors,
            "children": now.children - self.children,
            "memory_mib": round(now.memory_mib - self.memory_mib, 1),
        }


async def run(
    house: House, name: str, arguments: dict[str, Any], chance: random.Random, patch: Any, tally: Tally
) -> bool:
    """One operation, broken three times in five; whether it did what it was for."""
    preview = await house.preview(name, **arguments)
    if chance.random() >= 0.6:
        job = await house.confirm(preview.confirm_token)
        tally.count(job)
        assert job.state == "done", job.error  # without a fault there is no failure
        return True
    way = chance.choice(WAYS)
    step = chance.randint(1, len(preview.steps))
    if not applies(way, preview.steps[step - 1].command):
        way = "worker dies after"
    job = await break_it(house, preview, step, way, patch, tally)
    assert no_marks(house), (name, way, step)
    assert not house.ceso.journal.open_runs(house.ceso.host_identity())
    return job.state == "done"


async def test_random_operations_with_random_faults(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    chance, tally = random.Random(SEED), Tally()
    burden: Burden | None = None
    made: list[str] = []
    for number in range(ROUNDS):
        choice = chance.choice(["create", "backup", "restore", "delete"]) if made else "create"
        backups = (await house.ask("list_backups")).backups
        name = f"vm {number}"
        if choice == "restore" and backups:
            chosen = chance.choice(backups).backup_id
            arguments = {"backup_id": chosen, "name": name, "datastore": "datastore1"}
            await run(house, "restore_vm", arguments, chance, monkeypatch, tally)
        elif choice == "backup":
            await run(house, "backup_vm", {"vm": chance.choice(made)}, chance, monkeypatch, tally)
        elif choice == "delete" and len(made) > 3:
            await run(house, "delete_vm", {"vm": chance.choice(made)}, chance, monkeypatch, tally)
        else:
            arguments = {
                "name": name,
                "template": SMALL,
                "unprepared": True,
                "ssh_keys": [KEY],
                "power_on": False,
            }
            await run(house, "create_vm", arguments, chance, monkeypatch, tally)
        there = {vm.name for vm in (await house.ask("list_vms")).vms}
        made = [vm for vm in [*made, name] if vm in there]
        if number == ROUNDS // 3:
            burden = Burden()
    assert house.ceso.audit.verify().ok
    backups = (await house.ask("list_backups")).backups
    for backup in backups:
        assert (await house.ask("verify_backup", backup_id=backup.backup_id)).intact
    assert burden is not None
    grown = burden.grown()
    print(f"\nsoak: {tally}; {len(backups)} backups whole; grown by {grown}", flush=True)
    assert grown["descriptors"] <= 4
    assert grown["children"] <= 0
    assert grown["memory_mib"] <= 48


async def test_what_is_backed_up_is_restored_however_often_things_break(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Cycles of back up, restore and delete of small VMs that change in between."""
    chance, tally = random.Random(SEED + 1), Tally()
    await house.do("create_vm", name="small", template=SMALL, unprepared=True, ssh_keys=[KEY], power_on=False)
    disk = house.lab.volume("datastore1") / "small" / "small-flat.vmdk"
    restored = compared = 0
    burden: Burden | None = None
    for number in range(CYCLES):
        with disk.open("r+b") as flat:
            flat.seek(chance.randrange(0, disk.stat().st_size - 4096, 4096))
            flat.write(chance.randbytes(4096))
        known = {backup.backup_id for backup in (await house.ask("list_backups")).backups}
        await run(house, "backup_vm", {"vm": "small"}, chance, monkeypatch, tally)
        new = [b.backup_id for b in (await house.ask("list_backups")).backups if b.backup_id not in known]
        for backup_id in new:
            wanted = {"backup_id": backup_id, "name": "again", "datastore": "datastore1"}
            await run(house, "restore_vm", wanted, chance, monkeypatch, tally)
            # A worker that died after the last step has made it all the same.
            if "again" in {vm.name for vm in (await house.ask("list_vms")).vms}:
                restored += 1
                again = house.lab.volume("datastore1") / "again" / "again-flat.vmdk"
                assert again.read_bytes() == disk.read_bytes(), backup_id
                compared += 1
                await house.do("delete_vm", vm="again")
        if number % 25 == 24:
            await thin_out(house)
        if number == CYCLES // 3:
            burden = Burden()
    assert house.ceso.audit.verify().ok
    for backup in (await house.ask("list_backups")).backups:
        assert (await house.ask("verify_backup", backup_id=backup.backup_id)).intact
    assert burden is not None
    grown = burden.grown()
    print(
        f"\ncycles: {CYCLES}, {tally}; {restored} restored, {compared} byte-equal; grown by {grown}",
        flush=True,
    )
    assert grown["descriptors"] <= 4
    assert grown["memory_mib"] <= 48


async def thin_out(house: House) -> None:
    """Keep the disk of the machine that runs this: the oldest backups go, as a person removes them."""
    backups = (await house.ask("list_backups", limit=200)).backups
    for backup in backups[5:]:
        shutil.rmtree(house.folder / "backups" / "backups" / backup.backup_id)
    await house.do("prune_repository")
