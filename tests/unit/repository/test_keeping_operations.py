"""Retention, protection, status and checks as operations: planned and performed without any host."""

from __future__ import annotations

import asyncio
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from repository_cases import FACTS, Kit, add_disk, image_of, sparse_image

from ceso_mcp import catalogue
from ceso_mcp.backup.keeping import BackupRun
from ceso_mcp.backup.manifest import Manifest
from ceso_mcp.backup.names import BackupId
from ceso_mcp.config import BackupSection
from ceso_mcp.desk import RepositoryDesk
from ceso_mcp.errors import CesoError, InvalidArguments, Refused
from ceso_mcp.fact import Fixed
from ceso_mcp.gather import HostFacts
from ceso_mcp.operation import Change, Query, parse_arguments
from ceso_mcp.plan import Plan
from ceso_mcp.redact import Redactor
from ceso_mcp.repository_access import RepositoryAccess

WEB, DB = "564d7c1e-0011-2233-4455-66778899aabb", "564d7c1e-0011-2233-4455-66778899aacc"
NOW = "2026-01-20T12:00:00+00:00"
SIZE = 1 << 17


class NoHost:
    async def run(self, line: str, **_: Any) -> Any:
        raise AssertionError(f"the host was asked: {line}")


class Runs:
    """What the list of jobs would say."""

    def __init__(self) -> None:
        self.found: tuple[BackupRun, ...] = ()

    async def backups(self) -> tuple[BackupRun, ...]:
        return self.found


class Keeper:
    """Operations on one repository, as the application performs them."""

    def __init__(self, kit: Kit) -> None:
        self.kit = kit
        self.runs = Runs()

    def desk(self) -> RepositoryDesk:
        access = RepositoryAccess(BackupSection(repository=self.kit.path), Redactor())
        return RepositoryDesk(access, self.runs)  # type: ignore[arg-type]

    def facts(self, now: str = NOW) -> HostFacts:
        return HostFacts(NoHost(), self.desk(), Fixed(now, bytes(32)))

    def plan(self, name: str, **arguments: Any) -> Plan:
        change = parse_arguments(catalogue.operation(name), arguments)
        assert isinstance(change, Change)
        plan = asyncio.run(change.plan(self.facts()))
        assert change.may_destroy or not plan.destructive
        return plan

    def perform(self, plan: Plan) -> dict[str, Any]:
        captures: dict[str, str] = {}
        for step in plan.steps:
            assert step.here is not None
            captures.update(asyncio.run(self.desk().perform(step.here, captures)))
        return plan.filled_outcome(captures)

    def do(self, name: str, **arguments: Any) -> dict[str, Any]:
        return self.perform(self.plan(name, **arguments))

    def refusal(self, name: str, **arguments: Any) -> str:
        with pytest.raises(CesoError) as caught:
            self.plan(name, **arguments)
        return caught.value.code

    def ask(self, name: str, now: str = NOW, **arguments: Any) -> Any:
        query = parse_arguments(catalogue.operation(name), arguments)
        assert isinstance(query, Query)
        return asyncio.run(query.answer(self.facts(now)))

    def ids(self) -> list[str]:
        return [m.id for m in self.kit.open().list().manifests]

    def back_up(self, vm: str, day: int, name: str = "web 01", seed: int | None = None) -> Manifest:
        stamp = datetime(2026, 1, day, 3, 15)
        backup_id = BackupId.parse(f"{vm}/{stamp:%Y%m%dT%H%M%SZ}-4f2a9c")
        with self.kit.make().writer(backup_id) as writer:
            add_disk(writer, 0, sparse_image(SIZE, day if seed is None else seed, 0.9))
            writer.add_file("a.vmx", b"x")
            return writer.commit(**{**FACTS, "vm_name": name, "vm_uuid": vm})


@pytest.fixture(scope="module")
def seven_backups(tmp_path_factory: pytest.TempPathFactory) -> Path:
    keeper = Keeper(Kit(tmp_path_factory.mktemp("seven") / "repo", (), ()))
    for day in range(11, 17):
        keeper.back_up(WEB, day)
    keeper.back_up(DB, 12, "db 01")
    return keeper.kit.path


@pytest.fixture
def keeper(seven_backups: Path, tmp_path: Path) -> Keeper:
    shutil.copytree(seven_backups, tmp_path / "repo")
    return Keeper(Kit(tmp_path / "repo", (), ()))


def changes(plan: Plan) -> dict[str, str]:
    return {what.rpartition("/")[2][:8]: after for what, _, after in plan.before_after}


def test_nothing_is_forgotten_without_a_policy(keeper: Keeper) -> None:
    assert keeper.refusal("forget_backups") == "no_policy"
    keeper.do("set_retention", keep_daily=0)
    plan = keeper.plan("forget_backups")
    assert not plan.destructive
    assert keeper.perform(plan)["forgotten"] == 0
    assert len(keeper.ids()) == 7


def test_the_preview_names_every_backup_with_its_reasons_and_the_run_does_just_that(
    keeper: Keeper,
) -> None:
    keeper.do("set_retention", keep_daily=3, keep_weekly=1)
    keeper.do("protect_backup", backup_id=f"{WEB}/20260112T031500Z-4f2a9c", why="before the upgrade")
    plan = keeper.plan("forget_backups")
    assert plan.destructive
    # 11 January is a Sunday: the last day of the week that the three days do not cover.
    assert [(what.split(": ")[0], after) for what, _, after in plan.before_after[:-1]] == [
        ("db 01", "stays: daily, newest complete"),
        ("web 01", "stays: daily, newest complete"),
        ("web 01", "stays: daily"),
        ("web 01", "stays: daily"),
        ("web 01", "GOES: no rule keeps it"),
        ("web 01", "stays: protected"),
        ("web 01", "stays: weekly"),
    ]
    (gone,) = [what for what, _, after in plan.before_after if after.startswith("GOES")]
    assert gone.endswith("20260113T031500Z-4f2a9c")
    assert f"{WEB}/20260113T031500Z-4f2a9c" in plan.lines()[0]
    size = sum(map(len, keeper.kit.objects().values()))
    result = keeper.perform(plan)
    assert (result["forgotten"], result["kept"]) == (1, 6)
    assert 0 < result["freed_bytes"] < size - sum(map(len, keeper.kit.objects().values())) + 1
    assert not [name for name in keeper.kit.objects() if "20260113" in name]
    assert all(keeper.kit.open().verify(name).ok for name in keeper.ids())
    day = image_of(keeper.kit.open().reader(f"{WEB}/20260116T031500Z-4f2a9c").disk_stream(0), SIZE)
    assert day == sparse_image(SIZE, 16, 0.9)
    assert keeper.plan("forget_backups").steps[0].why == "remove what no backup names"


def test_what_changed_after_the_preview_changes_the_plan_and_stops_the_old_one(keeper: Keeper) -> None:
    keeper.do("set_retention", keep_last=4)
    plan = keeper.plan("forget_backups")
    assert plan.digest() == keeper.plan("forget_backups").digest()
    keeper.do("protect_backup", backup_id=f"{WEB}/20260111T031500Z-4f2a9c")
    assert keeper.plan("forget_backups").digest() != plan.digest()
    before = keeper.kit.objects()
    with pytest.raises(CesoError) as caught:
        keeper.perform(plan)
    assert caught.value.code == "backups_changed"
    assert keeper.kit.objects() == before


def test_more_than_half_of_a_vm_goes_only_when_it_is_said(keeper: Keeper) -> None:
    keeper.do("set_retention", keep_last=2)
    assert keeper.refusal("forget_backups") == "removes_most"
    assert keeper.refusal("forget_backups", vm="web 01") == "removes_most"
    assert not keeper.plan("forget_backups", vm="db 01").destructive
    assert keeper.do("forget_backups", more_than_half=True)["forgotten"] == 4
    assert len(keeper.ids()) == 3


def test_backups_belong_together_by_identity_not_by_name(keeper: Keeper) -> None:
    keeper.back_up(WEB, 17, "renamed")
    keeper.back_up(DB, 17, "web 01")
    keeper.do("set_retention", keep_last=5)
    assert keeper.refusal("forget_backups", vm="db 01") == "no_such_backup"
    assert sorted(changes(keeper.plan("forget_backups", vm="web 01")))[:2] == ["20260112", "20260117"]
    plan = keeper.plan("forget_backups", vm="renamed")
    going = [day for day, after in changes(plan).items() if after.startswith("GOES")]
    assert going == ["20260112", "20260111"]
    keeper.back_up(DB, 18, "renamed")
    assert keeper.refusal("forget_backups", vm="renamed") == "vm_ambiguous"
    assert keeper.plan("forget_backups", vm=WEB).title == "forget 2 backup(s)"


def test_setting_the_policy_changes_what_is_given_and_nothing_else(keeper: Keeper) -> None:
    first = keeper.do("set_retention", keep_daily=7, keep_within="10d", zone="Europe/Berlin")
    assert first["policy"] == "keep daily 7, within 10d (sequential, Europe/Berlin)"
    second = keeper.do("set_retention", keep_weekly="all", keep_within="0h", mode="independent")
    assert second["policy"] == "keep daily 7, weekly all (independent, Europe/Berlin)"
    assert keeper.ask("repository_stats").retention == second["policy"]
    assert keeper.refusal("set_retention") == "invalid_arguments"
    with pytest.raises(InvalidArguments):
        keeper.plan("set_retention", zone="Nowhere")


def test_one_backup_is_deleted_unless_it_is_protected_or_the_last(keeper: Keeper) -> None:
    oldest, newest = keeper.ids()[-1], keeper.ids()[0]
    keeper.do("protect_backup", backup_id=oldest, why="audit")
    assert keeper.refusal("delete_backup", backup_id=oldest) == "protected"
    keeper.do("unprotect_backup", backup_id=oldest)
    assert keeper.refusal("unprotect_backup", backup_id=oldest) == "not_protected"
    assert keeper.do("delete_backup", backup_id=oldest)["forgotten"] == 1
    assert keeper.refusal("delete_backup", backup_id=oldest) == "no_such_backup"
    assert keeper.refusal("delete_backup", backup_id=newest) == "last_backup"
    second = keeper.ids()[1]
    assert keeper.ask("verify_backup", backup_id=second).not_noted is None
    assert keeper.refusal("delete_backup", backup_id=second) == "last_backup"
    assert keeper.do("delete_backup", backup_id=second, even_the_last=True)["forgotten"] == 1
    assert not [name for name in keeper.kit.objects() if second in name]


def test_a_backup_that_cannot_be_read_stays_until_it_is_deleted_by_its_id(keeper: Keeper) -> None:
    broken = keeper.ids()[2]
    (keeper.kit.path / "backups" / broken / "manifest.json").write_bytes(b"{}")
    keeper.do("set_retention", keep_last=3)
    plan = keeper.plan("forget_backups")
    assert any(broken in warning for warning in plan.warnings)
    keeper.perform(plan)
    assert any(broken in name for name in keeper.kit.objects())
    check = keeper.ask("check_repository")
    assert (check.intact, check.damaged_backups) == (False, [broken])
    keeper.do("delete_backup", backup_id=broken)
    assert keeper.ask("check_repository").intact
    assert not any(broken in name for name in keeper.kit.objects())


def test_the_list_tells_what_is_protected_verified_and_damaged(keeper: Keeper) -> None:
    newest, second = keeper.ids()[:2]
    keeper.ask("verify_backup", backup_id=newest)
    keeper.do("protect_backup", backup_id=second, why="audit")
    rows = {row.backup_id: row for row in keeper.ask("list_backups").backups}
    assert rows[newest].verified is not None
    assert (rows[second].verified, rows[second].protected, rows[newest].protected) == (None, "audit", None)
    part = keeper.kit.path / "backups" / second / "disk-0.sums.zst"
    part.write_bytes(part.read_bytes()[:-1])
    answer = keeper.ask("verify_backup", backup_id=second, sample_percent=10)
    assert (answer.intact, answer.sample_percent) == (False, 10)
    assert {r.backup_id for r in keeper.ask("list_backups").backups if r.damaged} == {second}


def status(keeper: Keeper, now: str = NOW, **arguments: Any) -> Any:
    return keeper.ask("backup_status", now, ask_host=False, **arguments)


def test_status_goes_by_age(keeper: Keeper) -> None:
    fresh = status(keeper, "2026-01-16T05:00:00+00:00", ignore=["db 01"])
    assert (fresh.exit_status, fresh.summary) == (0, "OK: 1 VMs have good backups")
    assert (fresh.vms[0].age_hours, fresh.vms[0].last_verified) == (1.8, None)
    assert status(keeper, "2026-01-17T06:00:00+00:00", ignore=["db 01"]).exit_status == 1
    old = status(keeper, "2026-01-16T05:00:00+00:00")
    assert (old.exit_status, old.vms[0].vm, old.vms[0].status) == (2, "db 01", "critical")
    assert status(keeper, max_age="9d", critical_age="9d").exit_status == 0
    assert status(keeper, max_age="9d", critical_age="9d", verified_within="9d").exit_status == 1


def test_status_knows_damage_unreadable_backups_and_failed_runs(keeper: Keeper) -> None:
    ages = {"max_age": "30d", "critical_age": "60d"}
    moment = datetime.now(UTC) + timedelta(minutes=1)  # after every backup was finished
    keeper.runs.found = (BackupRun("web 01", False, "the datastore is full", moment),)
    failed = status(keeper, **ages)
    assert (failed.exit_status, failed.vms[0].problems) == (
        1,
        ["the last backup failed: the datastore is full"],
    )
    keeper.runs.found = (BackupRun("web 01", True, "done", moment + timedelta(hours=1)), *keeper.runs.found)
    assert status(keeper, **ages).exit_status == 0
    broken = keeper.ids()[0]
    part = keeper.kit.path / "backups" / broken / "disk-0.sums.zst"
    part.write_bytes(part.read_bytes()[:-1])
    keeper.ask("verify_backup", backup_id=broken)
    damaged = status(keeper, **ages)
    assert (damaged.exit_status, damaged.vms[0].last_good) == (2, keeper.ids()[1])
    assert damaged.vms[0].problems == [f"{broken} is damaged"]
    (keeper.kit.path / "backups" / broken / "manifest.json").write_bytes(b"{}")
    unreadable = status(keeper, **ages)
    assert (unreadable.exit_status, unreadable.damaged) == (2, [broken])


def test_stats_add_up(keeper: Keeper) -> None:
    keeper.back_up(DB, 16, "db 01", seed=16)  # the same disk as the other VM's newest
    stats = keeper.ask("repository_stats")
    assert [(vm.vm, vm.backups) for vm in stats.vms] == [("db 01", 2), ("web 01", 6)]
    assert all(0 < vm.own_bytes < vm.stored_bytes for vm in stats.vms)
    assert stats.stored_bytes < sum(vm.stored_bytes for vm in stats.vms)
    assert stats.garbage_bytes == 0


def test_without_a_repository_there_is_nothing_to_keep(tmp_path: Path) -> None:
    keeper = Keeper(Kit(tmp_path / "none", (), ()))
    assert keeper.refusal("set_retention", keep_daily=1) == "no_repository"
    assert status(keeper).vms == []
    with pytest.raises(Refused):
        keeper.plan("delete_backup", backup_id=f"{WEB}/20260116T031500Z-4f2a9c")


def test_repair_mends_what_can_be_mended_and_names_what_cannot(keeper: Keeper) -> None:
    assert keeper.refusal("repair_repository") == "nothing_to_repair"
    whole = keeper.kit.objects()
    lost, noted = keeper.ids()[:2]
    keeper.ask("verify_backup", backup_id=noted)
    (keeper.kit.path / "backups" / lost / "disk-0.map.zst").unlink()
    (keeper.kit.path / "restore.sh").write_bytes(b"rm -rf /")
    (keeper.kit.path / "RESTORE.txt").unlink()
    (keeper.kit.path / "backups" / noted / "verified.json").write_bytes(b"{")
    plan = keeper.plan("repair_repository")
    assert plan.warnings == (f"Damaged beyond repair: {lost}.",)
    assert keeper.perform(plan)["damaged"] == [lost]
    assert keeper.kit.objects() == {n: c for n, c in whole.items() if n != f"backups/{lost}/disk-0.map.zst"}
    assert keeper.refusal("repair_repository") == "nothing_to_repair"
