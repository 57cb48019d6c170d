"""Operations, ways to break them at one step, and what must be true afterwards."""

from __future__ import annotations

import asyncio
import json
import re
import shutil
from typing import Any

import pytest
from e2e.conftest import KEY, TEMPLATE, House, at_rest, settled
from e2e.dying import die, die_taking_back, recover
from e2e.test_failures import no_marks
from e2e.test_incremental import flat_of
from e2e.test_main_job import SMALL
from e2e.test_no_python import shrink
from e2e.test_several_datastores import DATA, NODE, OTHER, vm_on_two_datastores

from ceso_mcp.app import Ceso
from ceso_mcp.errors import CesoError
from ceso_mcp.jobs import Job, process_start
from ceso_mcp.lab import Fault
from ceso_mcp.preview import Preview
from ceso_mcp.ssh import HostConnection

NEW = "it's new"
SHARE: dict[str, Any] = {"name": "it's nfs", "servers": ["nas.lab.example"], "share": "/srv/vm's"}
OPERATIONS: dict[str, dict[str, Any]] = {
    "create_vm": {"name": NEW, "template": TEMPLATE, "ssh_keys": [KEY], "disk_gib": 3, "wait_s": 10},
    "clone_vm": {"name": NEW, "source": TEMPLATE, "power_on": True, "wait_s": 10},
    "create_vm several": {"name": f"{NEW} 1", "count": 2, "template": SMALL, "ssh_keys": [KEY]}
    | {"power_on": False, "unprepared": True},
    "backup_vm": {"vm": "web01"},
    "backup_vm with snapshots": {"vm": "snapshotted"},
    "backup_vm hot": {"vm": "web01"},
    "backup_vm with restart": {"vm": "web01", "how": "restart"},
    "restore_vm": {"name": NEW, "datastore": "datastore1"},
    "restore_vm on two datastores": {
        "name": NEW,
        "datastore": "datastore1",
        "disk_datastores": {NODE: OTHER},
    },
    "restore_in_place": {"vm": "web01"},
    "settle_restore restored": {"vm": "web01", "keep": "restored"},
    "settle_restore before": {"vm": "web01", "keep": "before"},
    "backup_vm without python3": {"vm": "web01"},
    "restore_vm without python3": {"name": NEW, "datastore": "datastore1"},
    "delete_vm": {"vm": "web01"},
    "delete_vm on two datastores": {"vm": "web01", "disks_elsewhere": "delete"},
    "clone_vm from a pool": {"name": NEW, "source": SMALL, "pool": "lab"},
    "delete_vm from a pool": {"vm": "web01"},
    "power_vm on": {"vm": "web01", "action": "on"},
    "power_vm off": {"vm": "web01", "action": "off"},
    "power_vm shutdown": {"vm": "web01", "action": "shutdown"},
    "scrub_guestinfo": {"vm": "web01", "even_unread": True},
    "readdress_vm": {"vm": "web01", "ipv4": "192.0.2.44/24", "power_on": False},
    "readdress_vm with restart": {"vm": "web01", "ipv4": "192.0.2.44/24", "restart": True, "wait_s": 10},
    "prune_repository": {},
    "forget_backups": {},
    "restore_disk": {"vm": "web01"},
    "drill_backup": {"wait_s": 2},
    "mount_datastore": {**SHARE, "wait_s": 2},
    "unmount_datastore": {"name": SHARE["name"]},
    "prepare_template": {"vm": TEMPLATE},
    "unmark_template": {"vm": TEMPLATE},
}
ON_TWO_DATASTORES = (
    "restore_vm on two datastores",
    "restore_in_place",
    "settle_restore restored",
    "settle_restore before",
    "delete_vm on two datastores",
)
ON_REPOSITORIES = ("prune_repository", "forget_backups")
OF_SHARES = ("mount_datastore", "unmount_datastore")
ON_TEMPLATES = ("prepare_template", "unmark_template")
RESTARTS = ("backup_vm with restart", "readdress_vm with restart")
REGISTER_AGAIN = ("restore_in_place", "settle_restore before", "delete_vm on two datastores")
GUEST_RUNS = (*RESTARTS, "power_vm shutdown")
MAKES_A_VM = (
    "create_vm",
    "clone_vm",
    "restore_vm",
    "restore_vm without python3",
    "restore_vm on two datastores",
    "clone_vm from a pool",
)
WITHOUT_PYTHON = ("backup_vm without python3", "restore_vm without python3")
FROM_A_POOL = ("clone_vm from a pool", "delete_vm from a pool")
POOL = {"name": "lab", "ranges": ["198.18.0.0/16"], "gateway4": "198.18.0.1"}
DEATHS = ("worker dies before", "worker dies after", "machine reboots before", "machine reboots after")
FAULTS: dict[str, dict[str, Any]] = {
    "connection cut before": {"effect": "cut_before"},
    "connection cut after": {"effect": "cut_after"},
    "connection cut inside": {"effect": "cut_stdout", "at_bytes": 7},
    "hostd restarts": {"effect": "hostd_restart", "seconds": 1.0},
    "datastore full": {"effect": "fill", "at_bytes": 0},
    "command fails": {"effect": "fail", "stderr": "Operation failed\n"},
    "command hangs": {"effect": "hang"},
    "command ends late": {
        "effect": "late",
        "stderr": "Operation timed out\n",
        "seconds": 1.0,
        "where": "shim",
    },
    "worker dies taking back": {"effect": "fail", "stderr": "Operation failed\n"},
}
HANG_LIMIT_S = 1.5


class Tally:
    """What a suite has seen so far."""

    def __init__(self) -> None:
        self.cases = self.done = self.taken_back = self.recovered = 0
        self.violations: list[str] = []

    def count(self, job: Job) -> None:
        self.cases += 1
        self.done += job.state == "done"
        self.taken_back += job.state != "done"

    def __str__(self) -> str:
        return (
            f"{self.cases} cases, {self.done} finished, {self.taken_back} taken back, "
            f"{self.recovered} by recover, {len(self.violations)} violations"
        )


def as_it_is(house: House, operation: str) -> dict[str, Any]:
    """The host as it is compared; a guest that was restarted has written to its own disk, and a VM that was
    registered again has another number."""
    found = at_rest(house)
    if operation in REGISTER_AGAIN:
        rows = found.pop("inventory").values()
        found["inventory"] = sorted(json.dumps(row, sort_keys=True, default=str) for row in rows)
    if operation in RESTARTS:
        files = {
            name: what
            for name, what in found["files"].items()
            if not name.endswith(("web01/web01.vmdk", "web01/web01-flat.vmdk"))
        }
        found["files"] = files
    return found


async def afresh(house: House) -> None:
    """The lab as it was seeded, at rest, and no repository."""
    await asyncio.to_thread(house.lab.reset)
    # The place is forgotten too: one that had a repository and is empty counts as not mounted.
    for folder in (house.folder / name for name in ("backups", "state/repositories", "state/addresses")):
        await asyncio.to_thread(shutil.rmtree, folder, True)
    house.ceso._ipam = None
    await asyncio.to_thread(settled, house.lab)


async def prepared(house: House, operation: str) -> dict[str, Any]:
    """The arguments of `operation`, after what it needs has been made."""
    arguments = dict(OPERATIONS[operation])
    pool = {}
    if operation in FROM_A_POOL:
        await house.do("create_pool", **POOL)
        pool = {"pool": "lab"}
    copies = (
        "create_vm",
        "create_vm several",
        "clone_vm",
        "backup_vm with snapshots",
        "clone_vm from a pool",
        *ON_TEMPLATES,
        *OF_SHARES,
    )
    if operation == "unmount_datastore":
        await house.do("mount_datastore", **SHARE)
    if operation in ON_TWO_DATASTORES:
        made = await vm_on_two_datastores(house)
        if operation.startswith("settle"):
            await house.do("restore_in_place", backup_id=made, vm="web01")
        elif not operation.startswith("delete"):
            arguments["backup_id"] = made
    elif operation not in copies:
        asked = {"name": "web01", "ssh_keys": [KEY], "power_on": False, "unprepared": True, **pool}
        await house.do("create_vm", template=TEMPLATE if operation in GUEST_RUNS else SMALL, **asked)
    await asyncio.to_thread(house.lab.configure, python3=operation not in WITHOUT_PYTHON)
    if operation in WITHOUT_PYTHON:
        shrink(flat_of(house, "web01"))
    if operation == "forget_backups":
        await house.do("backup_vm", vm="web01")
        await house.do("backup_vm", vm="web01")
        await house.do("set_retention", keep_last=1)
    if operation.startswith(("restore_", "drill_backup", "prune_repository")):
        made = await house.do("backup_vm", vm="web01")
        if operation != "prune_repository":
            arguments["backup_id"] = made["backup_id"]
    if operation in (*GUEST_RUNS, "power_vm off", "backup_vm hot"):
        await house.do("power_vm", vm="web01", action="on")
        await asyncio.to_thread(settled, house.lab)
    return arguments


def applies(fault: str, line: str) -> bool:
    """Whether a step with this line can be broken that way."""
    if fault in DEATHS:
        return True
    if line.startswith("# here:"):
        return False
    return fault != "command ends late" or line.startswith("vim-cmd ")


async def break_it(
    house: House, preview: Preview, number: int, fault: str, patch: pytest.MonkeyPatch, tally: Tally
) -> Job:
    """Run the previewed plan with `fault` at step `number`, recovery included; returns its job."""
    if fault in DEATHS:
        job_id = await die(house, preview.confirm_token, number, fault.split()[-1], patch)
        if fault.startswith("machine"):
            await reboot(house, job_id, patch)
    else:
        job_id = await _with_fault(house, preview, number, fault, patch)
    if house.ceso.journal.open_runs(house.ceso.host_identity()):
        try:
            settling = await recover(house)
            if (settling.error or {}).get("code") == "host_changed":
                # A guest that was asked to go down did so meanwhile: the new plan is looked at and confirmed.
                await asyncio.to_thread(settled, house.lab)
                settling = await recover(house)
            assert settling.state == "done", settling.error
            tally.recovered += 1
        except CesoError as error:
            if error.code != "nothing_to_recover":
                raise
    job = house.ceso.jobs.get(job_id)
    tally.count(job)
    return job


async def _with_fault(
    house: House, preview: Preview, number: int, fault: str, patch: pytest.MonkeyPatch
) -> str:
    shown = preview.steps[number - 1].command
    line = re.escape(shown).replace(re.escape("{vmid}"), r"\d+")
    settings = dict(FAULTS[fault])
    if settings.get("where") == "shim":
        words = shown.removesuffix(" 2>&1").replace("'", "")
        line = re.escape(" ".join(words.split()[:2])) + ".*"
    house.lab.add_fault(Fault(match=f"^{line}$", **settings))
    hangs = re.compile(f"^{line}$")
    real = HostConnection.run

    async def impatient(self: HostConnection, command: str, **how: Any) -> Any:
        if hangs.match(command):
            how["timeout_s"] = HANG_LIMIT_S
        return await real(self, command, **how)

    try:
        with patch.context() as patched:
            if fault == "command hangs":
                patched.setattr(HostConnection, "run", impatient)
            if fault == "worker dies taking back":
                return await die_taking_back(house, preview.confirm_token, 1 + number % 3, patch)
            return (await house.confirm(preview.confirm_token)).id
    finally:
        house.lab.clear_faults()
        if fault == "datastore full":
            for volume in (await house.ask("discover")).datastores:
                house.lab.unfill(volume.name)
        if fault == "command ends late":
            await asyncio.sleep(1.2)


async def reboot(house: House, job_id: str, patch: pytest.MonkeyPatch) -> None:
    """The machine that ceso runs on comes up again: same state directory, same pids, another boot."""
    house.ceso.jobs._update(job_id, pid=1, pid_start=process_start(1))
    await house.ceso.close()
    boot = f"boot after {job_id}"
    patch.setattr("ceso_mcp.jobs.boot_id", lambda: boot)
    patch.setattr("ceso_mcp.confirm.boot_id", lambda: boot)
    patch.setattr("ceso_mcp.repository.lock.process_space", lambda: f"{boot} space")
    house.ceso = Ceso(house.config, spawn=house.ceso.jobs._spawn)


def differences(before: Any, after: Any, where: str = "") -> list[str]:
    """What is another, a line each."""
    if before == after:
        return []
    if isinstance(before, dict) and isinstance(after, dict):
        keys = sorted({*before, *after}, key=str)
        return [
            line for key in keys for line in differences(before.get(key), after.get(key), f"{where}/{key}")
        ]
    return [f"{where} was {str(before)[:200]}, is {str(after)[:200]}"]


async def not_settled(house: House, job: Job) -> list[str]:
    """What is wrong after what was before should go: the restored VM is whole, and asking again goes on."""
    found = []
    disks = (await house.ask("show_vm", vm="web01")).disks
    if any(disk.problem for disk in disks):
        found.append("a disk of the restored VM is gone")
    if list(house.lab.volume("datastore1").glob("web01.before-*")):
        if job.state == "done":
            found.append("the job is done, but what was before is there")
        again = await house.confirm(
            (await house.preview("settle_restore", vm="web01", keep="restored")).confirm_token
        )
        if again.state != "done":
            found.append(f"asked for again it is {again.state}: {again.error}")
    if list(house.lab.volume("datastore1").glob("web01.*")):
        found.append("what was before is left")
    if (house.lab.volume(OTHER) / DATA).exists():
        found.append("the former disk elsewhere is left")
    return found


async def violations(house: House, job: Job, before: Any, operation: str) -> list[str]:
    """What is wrong after a run with a fault and its recovery, once guests that go up or down have."""
    await asyncio.to_thread(settled, house.lab)
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
    after = as_it_is(house, operation)
    says_before = any(words in changed for words in ("as it was", "changed nothing", "Nothing was changed"))
    if says_before and after != before:
        found.append(f"it says {changed!r}, but the host is another: {'; '.join(differences(before, after))}")
    if "had done what it was for" in changed and after == before and operation not in ON_REPOSITORIES:
        if not operation.startswith(("backup_vm", "drill_backup")):
            found.append("it says that it had done what it was for, but the host is as it was")
        elif operation.startswith("backup_vm") and not (await house.ask("list_backups")).backups:
            found.append("it says that it had done what it was for, but there is no backup")
    vms = {vm.name for vm in (await house.ask("list_vms")).vms}
    if operation in MAKES_A_VM and (NEW in vms) == (after == before):
        found.append("the VM is neither there nor is the host as before")
    if operation == "create_vm several":
        several = {f"{NEW} 1", f"{NEW} 2"} & vms
        if bool(several) == (after == before) or (job.state == "done" and len(several) < 2):
            found.append(f"the job is {job.state}, and of the VMs there are {several}")
    if operation.startswith(("backup_vm", "drill_backup")) and after != before:
        found.append(f"{operation} changed the host")
    finished = job.state == "done" or "had done what it was for" in changed
    if operation == "restore_disk" and finished == (after == before):
        found.append(f"the job is {job.state}, but the disk is not there or the host not as before")
    if operation == "settle_restore restored":
        found += await not_settled(house, job)
    if operation == "delete_vm on two datastores" and "web01" not in vms:
        folders = (house.lab.volume("datastore1") / "web01", house.lab.volume(OTHER) / DATA)
        found += [f"{folder.name} of the deleted VM is left" for folder in folders if folder.exists()]
    if operation in ("restore_in_place", "settle_restore before") and finished == (after == before):
        found.append(f"the job is {job.state}, but the VM is as it was, or not")
    if operation in OF_SHARES:
        there = any(row.name == SHARE["name"] for row in (await house.ask("list_datastores")).datastores)
        was = operation == "unmount_datastore"
        if (there == was) != (after == before) or (job.state == "done" and there == was):
            found.append(f"the job is {job.state}, {there=}, and the host is as before: {after == before}")
    if operation in ON_TEMPLATES:
        changed_files = dict(before["files"].items() ^ after["files"].items())
        if any(not name.endswith(f"/{TEMPLATE}.vmx") for name in changed_files):
            found.append(f"more than the .vmx is another: {sorted(changed_files)}")
        if job.state == "done" and after == before:
            found.append("the job is done, but the .vmx is as it was")
    if operation in FROM_A_POOL:
        rows = [row for pool in (await house.ask("list_pools")).pools for row in pool.addresses]
        holders = {row.vm for row in rows if row.state == "held"}
        if holders != vms & {NEW, "web01"}:
            found.append(f"addresses are held by {holders}, and the VMs are {vms}")
    for backup in (await house.ask("list_backups")).backups:
        if not (await house.ask("verify_backup", backup_id=backup.backup_id)).intact:
            found.append(f"backup {backup.backup_id} is listed and damaged")
    if "Left on the host" in changed:
        found.append(changed)
    return found
