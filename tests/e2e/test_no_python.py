"""A host without python3: everything that moves disks works by `dd`, and says so."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import pytest

from ceso_mcp.backup.actions import ComparedHere
from ceso_mcp.desk import RepositoryDesk
from ceso_mcp.lab import Fault

from .conftest import KEY, House, at_rest, settled
from .test_failures import no_marks
from .test_incremental import MIB, a_disk, flat_of, restored, write
from .test_main_job import SMALL, contents

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(180)]

SIZE = 1 << 30
NO_PYTHON = "This host has no python3"


@pytest.fixture
def plain(house: House) -> House:
    """A house whose host has no python3."""
    house.lab.configure(python3=False)
    return house


def shrink(flat: Path, size: int = 8 * MIB + 3 * 512) -> Path:
    """Make a disk another one of this size, with data at its begin, inside and at its end."""
    with flat.open("r+b") as file:
        file.truncate(0)
        file.truncate(size)
        for at, length in ((0, 100), (3 * MIB + 5, 2 * MIB), (size - 700, 700)):
            file.seek(at)
            file.write(os.urandom(length))
    descriptor = flat.with_name(flat.name.replace("-flat", ""))
    text = re.sub(r"^RW \d+ ", f"RW {size // 512} ", descriptor.read_text(), flags=re.M)
    descriptor.write_text(text)
    return flat


async def a_small_vm(house: House, name: str = "web01") -> Path:
    """A VM with one small disk, so that reading it takes no time; its size is no multiple of a block."""
    await house.do("create_vm", name=name, template=SMALL, unprepared=True, ssh_keys=[KEY], power_on=False)
    return shrink(flat_of(house, name))


def by_dd(steps: Any) -> list[str]:
    return [step.why for step in steps if step.command.startswith("sh -c ") and " dd " in step.command]


async def test_discover_says_what_is_slower(plain: House) -> None:
    host = await plain.ask("discover")
    assert host.cannot == []
    (slower,) = host.slower
    assert "no python3" in slower
    plain.lab.configure(python3=True)
    assert (await plain.ask("discover")).slower == []


async def test_a_vm_is_backed_up_changed_and_restored(plain: House) -> None:
    flat = await a_small_vm(plain, name := """it's $(x) "q" web""".replace('"', ""))
    before, first_disk = at_rest(plain), contents(flat)
    preview = await plain.preview("backup_vm", vm=name)
    assert any(NO_PYTHON in warning for warning in preview.warnings), preview.warnings
    assert by_dd(preview.steps) == ["read disk 0 (scsi0:0), all of it"]
    mark = plain.mark()
    job = await plain.confirm(preview.confirm_token)
    assert job.state == "done", job.error
    first = job.result or {}
    assert not any("python3" in line for line in plain.executed(mark))
    assert at_rest(plain) == before
    assert first["received_bytes"] == first_disk[0]
    assert first["data_bytes"] < 3 * MIB
    write(flat, (MIB, 512))
    second = await plain.do("backup_vm", vm=name)
    assert second["compared_with"] == first["backup_id"]
    assert second["received_bytes"] == first_disk[0]
    assert second["added_bytes"] < first["added_bytes"] / 4
    arguments = {"name": "again", "datastore": "datastore1", "hostname": "again"}
    preview = await plain.preview("restore_vm", backup_id=second["backup_id"], **arguments)
    assert any(NO_PYTHON in warning for warning in preview.warnings), preview.warnings
    assert [why.partition(",")[0] for why in by_dd(preview.steps)] == [
        "write disk 0",
        "read disk 0 back",
    ]
    mark = plain.mark()
    job = await plain.confirm(preview.confirm_token)
    assert job.state == "done", job.error
    assert not any("python3" in line for line in plain.executed(mark))
    now = contents(flat_of(plain, "again"))
    assert now == contents(flat)
    assert now != first_disk
    assert (await plain.ask("verify_backup", backup_id=second["backup_id"])).intact


@pytest.mark.slow
async def test_a_backup_by_either_way_is_compared_with_one_by_the_other(plain: House) -> None:
    flat = a_disk(plain, 8)
    first = await plain.do("backup_vm", vm=SMALL)
    write(flat, (65 * MIB, 4096))
    plain.lab.configure(python3=True)
    second = await plain.do("backup_vm", vm=SMALL)
    assert second["compared_with"] == first["backup_id"]
    assert second["received_bytes"] < 1 << 17
    write(flat, (66 * MIB, 4096))
    plain.lab.configure(python3=False)
    third = await plain.do("backup_vm", vm=SMALL)
    assert third["compared_with"] == second["backup_id"]
    assert third["received_bytes"] == SIZE
    assert third["added_bytes"] < 1 << 18
    now = contents(flat)
    assert await restored(plain, third["backup_id"], "one") == now
    plain.lab.configure(python3=True)
    assert await restored(plain, third["backup_id"], "two") == now


@pytest.mark.slow
async def test_hot_with_snapshots_in_place_as_a_disk_and_drilled(plain: House) -> None:
    flat = a_disk(plain, 4)
    at_backup = contents(flat)
    cold = await plain.do("backup_vm", vm=SMALL)
    chain = await plain.do("backup_vm", vm="snapshotted")
    assert await plain.do("restore_vm", backup_id=chain["backup_id"], name="c", datastore="datastore1")
    await plain.do("power_vm", vm=SMALL, action="on")
    settled(plain.lab)
    before = at_rest(plain)
    preview = await plain.preview("backup_vm", vm=SMALL)
    assert "read disk 0 (scsi0:0), all of it" in by_dd(preview.steps)
    job = await plain.confirm(preview.confirm_token)
    assert job.state == "done", job.error
    assert at_rest(plain) == before
    hot = job.result or {}
    assert hot["compared_with"] == cold["backup_id"]
    assert await restored(plain, hot["backup_id"], "hot") == at_backup
    await plain.do("power_vm", vm=SMALL, action="off")
    write(flat, (65 * MIB, 8192))
    assert contents(flat) != at_backup
    extra = await plain.do("restore_disk", backup_id=cold["backup_id"], vm=SMALL)
    name = str(extra["path"]).rpartition("/")[2].replace(".vmdk", "-flat.vmdk")
    assert contents(flat.with_name(name)) == at_backup
    await plain.do("restore_in_place", backup_id=cold["backup_id"], vm=SMALL)
    (put_back,) = (path for path in flat.parent.glob("*-flat.vmdk"))
    assert contents(put_back) == at_backup
    drilled = await plain.do("drill_backup", backup_id=cold["backup_id"], wait_s=2)
    assert drilled["drill"] in ("passed", "started")


CUTS: dict[str, dict[str, Any]] = {
    "before": {"effect": "cut_before"},
    "after": {"effect": "cut_after"},
    "inside": {"at_bytes": 3 * MIB + 77},
    "at the first line": {"at_bytes": 3},
}


@pytest.mark.slow
@pytest.mark.parametrize("cut", CUTS)
async def test_a_cut_connection_while_reading_is_gone_on_with(plain: House, cut: str) -> None:
    flat = await a_small_vm(plain)
    plain.lab.add_fault(Fault(**{"match": r"^sh -c 'read -r at", "effect": "cut_stdout", **CUTS[cut]}))
    mark = plain.mark()
    done = await plain.do("backup_vm", vm="web01")
    assert times_sent(plain, "sh -c 'read -r at", mark) == 2
    assert done["data_bytes"] < 3 * MIB
    plain.lab.clear_faults()
    assert await restored(plain, done["backup_id"], "again") == contents(flat)


def times_sent(house: House, start: str, since: int) -> int:
    """How often the host got a line that begins so, repeats too."""
    return sum(entry.kind == "exec" and entry.line.startswith(start) for entry in house.lab.log(since))


@pytest.mark.slow
@pytest.mark.parametrize("cut", CUTS)
@pytest.mark.parametrize("what", ["write", "compare"])
async def test_a_cut_connection_while_restoring_is_gone_on_with(plain: House, what: str, cut: str) -> None:
    flat = await a_small_vm(plain)
    done = await plain.do("backup_vm", vm="web01")
    line, effect = {"write": ("sh -c 'n=0", "cut_stdin"), "compare": ("sh -c 'read -r at", "cut_stdout")}[
        what
    ]
    fault = {"match": f"^{re.escape(line)}", "effect": effect, **CUTS[cut]}
    if what == "write" and cut == "inside":
        fault["at_bytes"] = MIB + 77
    mark = plain.mark()
    plain.lab.add_fault(Fault(**fault))
    assert await restored(plain, done["backup_id"], "again") == contents(flat)
    assert times_sent(plain, line, mark) == 2
    assert no_marks(plain)


@pytest.mark.slow
async def test_a_restore_that_differs_is_found_and_taken_back(
    plain: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    await a_small_vm(plain)
    done = await plain.do("backup_vm", vm="web01")
    before = plain.lab.fingerprint()
    open_sink = RepositoryDesk.open_sink

    async def spoilt(self: RepositoryDesk, stream: Any) -> Any:
        if isinstance(stream, ComparedHere):
            write(flat_of(plain, "again"), (4 * MIB, 512), (6 * MIB, 1))
        return await open_sink(self, stream)

    monkeypatch.setattr(RepositoryDesk, "open_sink", spoilt)
    arguments = {"name": "again", "datastore": "datastore1", "hostname": "again"}
    preview = await plain.preview("restore_vm", backup_id=done["backup_id"], **arguments)
    job = await plain.confirm(preview.confirm_token)
    assert job.state == "failed"
    assert (job.error or {})["code"] == "restore_differs"
    assert f"2 of 129 blocks differ from the backup, at {4 * MIB}, {6 * MIB}" in (job.error or {})["message"]
    assert plain.lab.fingerprint() == before


@pytest.mark.slow
async def test_a_datastore_that_fills_is_told_in_the_words_of_dd(plain: House) -> None:
    await a_small_vm(plain)
    done = await plain.do("backup_vm", vm="web01")
    before = plain.lab.fingerprint()
    plain.lab.add_fault(Fault(match="^sh -c 'n=0", effect="fill", datastore="datastore1", at_bytes=MIB))
    arguments = {"name": "again", "datastore": "datastore1", "hostname": "again"}
    preview = await plain.preview("restore_vm", backup_id=done["backup_id"], **arguments)
    job = await plain.confirm(preview.confirm_token)
    plain.lab.unfill("datastore1")
    assert job.state == "failed"
    assert "dd: " in (job.error or {})["message"]
    assert "No space left on device" in (job.error or {})["message"]
    assert plain.lab.fingerprint() == before


@pytest.mark.slow
async def test_a_host_whose_dd_is_not_relied_on_is_backed_up_and_not_restored_to(
    plain: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    await a_small_vm(plain)
    monkeypatch.setattr("ceso_mcp.facts.storage.rehearsed", lambda said: False)
    preview = await plain.preview("backup_vm", vm="web01")
    assert any("can be restored elsewhere only" in warning for warning in preview.warnings)
    job = await plain.confirm(preview.confirm_token)
    assert job.state == "done", job.error
    backup_id = (job.result or {})["backup_id"]
    before = plain.lab.fingerprint()
    for name, arguments in {
        "restore_vm": {"name": "again", "datastore": "datastore1"},
        "restore_in_place": {"vm": "web01"},
        "restore_disk": {"vm": "web01"},
        "drill_backup": {},
    }.items():
        refused = await plain.refusal(name, backup_id=backup_id, **arguments)
        assert refused.code == "no_disk_writer", name
    assert plain.lab.fingerprint() == before
    (cannot,) = (await plain.ask("discover")).cannot
    assert cannot.startswith("restore: ")
