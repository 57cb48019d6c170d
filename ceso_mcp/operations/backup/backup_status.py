"""Whether every VM has a backup that is young and sound enough."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import ClassVar, Literal

from pydantic import Field

from ceso_mcp.backup.keeping import BackupRun
from ceso_mcp.backup.names import vm_id
from ceso_mcp.backup.retention import FUTURE
from ceso_mcp.backup.retention_policy import Duration, DurationText
from ceso_mcp.backup.standing import Group, Kept
from ceso_mcp.fact import Facts
from ceso_mcp.facts.inventory import HostVms, Inventory, Vm
from ceso_mcp.facts.keeping import KeptBackups, LastBackupRuns
from ceso_mcp.fields import ExistingVm
from ceso_mcp.operation import Answer, Query

Status = Literal["ok", "warning", "critical"]
_ORDER: tuple[Status, ...] = ("ok", "warning", "critical")
Problem = tuple[Status, str]


class VmStatus(Answer):
    """How one VM stands."""

    vm: str
    status: Status
    age_hours: float | None = Field(description="age of the newest backup that is not known to be damaged")
    backups: int
    last_verified: str | None = Field(
        description="UTC; newest time at which all of a backup was read and right"
    )
    last_drill: str | None = Field(description="UTC; the newest drill in which the guest answered")
    problems: list[str]
    last_good: str | None = Field(description="id of that newest backup")
    vm_id: str | None


class StatusAnswer(Answer):
    """All VMs, the worst first. `exit_status` is that of a monitoring plugin: 0, 1 or 2."""

    summary: str
    status: Status
    exit_status: int
    vms: list[VmStatus]
    damaged: list[str] = Field(description="backups whose manifest cannot be read")


class BackupStatus(Query):
    """Tell how old the last good backup of each VM is, and what is wrong with its backups.

    A VM on the host without any backup is a warning, like a last run that failed, a backup that
    leaves something out, and one older than max_age; critical are known damage, no good backup at
    all, one older than critical_age, and a last restore drill that failed. The command exits with 0,
    1, 2, or 3 if it cannot tell.
    """

    title: ClassVar[str] = "Backup status"
    toolset: ClassVar[str] = "backup"
    result: ClassVar[type[Answer]] = StatusAnswer
    monitors: ClassVar[bool] = True

    max_age: DurationText = Field("26h", description="an older last backup is a warning: 26h, 2d, 1w")
    critical_age: DurationText = Field("50h", description="an older last backup is critical")
    verified_within: DurationText | None = Field(
        None, description="a warning if no backup of a VM was verified in this time"
    )
    drilled_within: DurationText | None = Field(
        None, description="a warning if no restore drill of a VM passed in this time"
    )
    ignore: tuple[ExistingVm, ...] = Field((), description="names of VMs that need no backup")
    ask_host: bool = Field(True, description="look for VMs on the host that have no backup")

    async def answer(self, facts: Facts) -> StatusAnswer:
        standing, runs = await facts.read(KeptBackups(), LastBackupRuns())
        host: HostVms | None = None
        if self.ask_host:
            inventory = await facts.read(Inventory())
            host = inventory
        now = datetime.fromisoformat(facts.fixed.now)
        rows = []
        for group in standing.groups():
            vm = _on_host(group, host)
            if {group.name, vm.name if vm else group.name} & set(self.ignore):
                continue
            rows.append(self._row(group, vm, host is not None, runs, now))
        for vm in host.vms if host else ():
            if vm.name not in self.ignore and not any(_is_of(vm, g) for g in standing.groups()):
                rows.append(_without_backup(vm, runs))
        damaged = [entry for entry, _ in standing.damaged]
        worst = max((_ORDER.index(row.status) for row in rows), default=0)
        worst = 2 if damaged else worst
        rows.sort(key=lambda row: (-_ORDER.index(row.status), row.vm))
        bad = sum(row.status != "ok" for row in rows)
        words = f"{bad} of {len(rows)} VMs need attention" if bad else f"{len(rows)} VMs have good backups"
        words += f", {len(damaged)} unreadable backups" if damaged else ""
        return StatusAnswer(
            summary=f"{_ORDER[worst].upper()}: {words}",
            status=_ORDER[worst],
            exit_status=worst,
            vms=rows,
            damaged=damaged,
        )

    def _row(
        self, group: Group, vm: Vm | None, asked: bool, runs: tuple[BackupRun, ...], now: datetime
    ) -> VmStatus:
        good = next(
            (b for b in group.backups if b.state != "damaged" and b.manifest.created <= now + FUTURE), None
        )
        verified = max((b.verified for b in group.backups if b.verified is not None), default=None)
        gone = asked and vm is None
        problems = list(self._problems(group, good, verified, gone, now))
        failed = _failed_since(vm.name if vm else group.name, runs, good)
        age_s = None if good is None else (now - good.manifest.created).total_seconds()
        if failed is not None and not gone:
            problems.append(("warning", f"the last backup failed: {failed.message}"))
        return VmStatus(
            vm=vm.name if vm else group.name,
            status=max((status for status, _ in problems), key=_ORDER.index, default="ok"),
            age_hours=None if age_s is None else round(age_s / 3600, 1),
            backups=len(group.backups),
            last_verified=None if verified is None else verified.isoformat(timespec="seconds"),
            last_drill=None if (passed := _passed(group)) is None else passed.isoformat(timespec="seconds"),
            problems=[text for _, text in problems] + (["it is not on the host (any more)"] if gone else []),
            last_good=None if good is None else good.id,
            vm_id=group.vm_id,
        )

    def _problems(
        self, group: Group, good: Kept | None, verified: datetime | None, gone: bool, now: datetime
    ) -> Iterator[Problem]:
        for backup in group.backups:
            if backup.state == "damaged":
                why = "is damaged" if backup.accepted else f"is refused: {backup.signature.words()}"
                yield "critical", f"{backup.id} {why}"
        drill = group.last_drill()
        if drill is not None and drill.state == "failed":
            yield "critical", f"its last restore drill failed: {drill.why}"
        if good is None:
            yield "critical", "it has no good backup"
            return
        if gone:  # nothing new can come of it, so age is no fault
            return
        if good.manifest.created < Duration.parse(self.critical_age).before(now, UTC):
            yield "critical", f"its last good backup is older than {self.critical_age}"
        elif good.manifest.created < Duration.parse(self.max_age).before(now, UTC):
            yield "warning", f"its last good backup is older than {self.max_age}"
        if good.signature.state in ("unknown_signer", "missing"):
            yield "warning", f"its last good backup is not one to trust: {good.signature.words()}"
        if good.state == "partial":
            missing = ", ".join(item.what for item in good.manifest.not_included)
            yield "warning", f"its last backup leaves out: {missing or 'something'}"
        if self.verified_within is not None:
            border = Duration.parse(self.verified_within).before(now, UTC)
            if verified is None or verified < border:
                yield "warning", f"no backup of it was verified within {self.verified_within}"
        if self.drilled_within is not None:
            passed = _passed(group)
            if passed is None or passed < Duration.parse(self.drilled_within).before(now, UTC):
                ran = " (it ran, but no tools answered)" if drill and drill.state == "started" else ""
                yield "warning", f"no restore drill of it passed within {self.drilled_within}{ran}"


def _passed(group: Group) -> datetime | None:
    """When the newest drill ended in which the guest's tools answered."""
    drills = [b.drill.time for b in group.backups if b.drill is not None and b.drill.state == "passed"]
    return max(drills, default=None)


def _without_backup(vm: Vm, runs: tuple[BackupRun, ...]) -> VmStatus:
    failed = _failed_since(vm.name, runs, None)
    problems = ["it has no backup"] + ([f"the last backup failed: {failed.message}"] if failed else [])
    return VmStatus(
        vm=vm.name,
        status="warning",
        age_hours=None,
        backups=0,
        last_verified=None,
        last_drill=None,
        problems=problems,
        last_good=None,
        vm_id=vm_id(vm.uuid_bios) if vm.uuid_bios else None,
    )


def _failed_since(name: str, runs: tuple[BackupRun, ...], good: Kept | None) -> BackupRun | None:
    """The VM's newest run, if it failed and no good backup came after it by whatever machine."""
    newest = next((run for run in runs if run.vm == name), None)
    if newest is None or newest.succeeded:
        return None
    return None if good is not None and good.manifest.finished > newest.ended else newest


def _on_host(group: Group, host: HostVms | None) -> Vm | None:
    return next((vm for vm in host.vms if _is_of(vm, group)), None) if host else None


def _is_of(vm: Vm, group: Group) -> bool:
    """Whether the backups are of this VM: by its BIOS UUID, or by its place if it never had one."""
    if vm.uuid_bios:
        return vm_id(vm.uuid_bios) == group.vm_id
    return str(vm.path) in {backup.manifest.vm.vmx_path for backup in group.backups}
