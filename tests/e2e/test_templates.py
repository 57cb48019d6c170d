"""Golden templates: looked into from outside, marked, and kept from being spent."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import Any

import pytest

from ceso_mcp.errors import CesoError
from ceso_mcp.lab import Fault
from ceso_mcp.lab.guest_system import PARTITION_AT, image

from .conftest import KEY, TEMPLATE, House, settled
from .test_main_job import SMALL

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(120)]


def vmx(house: House, vm: str = TEMPLATE) -> Path:
    return house.lab.volume("datastore1") / vm / f"{vm}.vmx"


def verdicts(answer: Any) -> dict[str, str]:
    return {one.check: one.verdict for one in answer.findings if one.verdict != "ok"}


async def on_host(house: House, line: str) -> None:
    """What somebody else does on the host, who knows of no mark."""
    (await house.ceso.runner.run(line)).require(line)


def spoil(house: House, path: bytes, content: bytes) -> None:
    """Change a file of the template's guest in place; `path` is a piece of its content, of equal length."""
    assert len(path) == len(content)
    at = image().index(path)
    with open(vmx(house).with_name(f"{TEMPLATE}-flat.vmdk"), "r+b") as disk:
        disk.seek(PARTITION_AT + at)
        disk.write(content)


async def test_the_seeded_template_is_prepared_and_is_listed(house: House) -> None:
    (row,) = (await house.ask("list_templates")).templates
    assert (row.name, row.state, row.os, row.firmware) == (TEMPLATE, "prepared", "Ubuntu 24.04.1 LTS", "efi")
    assert row.capacity_bytes == 2 << 30
    assert row.problem == ""
    mark = house.mark()
    answer = await house.ask("check_template", vm=TEMPLATE)
    assert (answer.fit, answer.os, answer.changed) == (True, "Ubuntu 24.04.1 LTS", "")
    assert verdicts(answer) == {}
    trips = [entry for entry in house.lab.log(mark) if entry.kind == "exec" and entry.line == "sh -s"]
    assert len(trips) <= 12
    assert not any(entry.changed for entry in house.lab.log(mark))


async def test_preparing_marks_the_vmx_and_unmarking_gives_it_back_byte_for_byte(house: House) -> None:
    await house.do("unmark_template", vm=TEMPLATE)
    plain = vmx(house).read_bytes()
    assert b"ceso.template" not in plain
    assert (await house.ask("list_templates")).templates[0].state == "candidate"
    assert (await house.ask("discover")).template_candidates == [TEMPLATE]
    assert (await house.refusal("unmark_template", vm=TEMPLATE)).code == "not_a_template"
    result = await house.do("prepare_template", vm=TEMPLATE)
    assert result["os"] == "Ubuntu 24.04.1 LTS"
    assert any(line.startswith("ok: machine-id") for line in result["findings"])
    assert vmx(house).read_bytes().startswith(plain)
    assert (await house.ask("list_templates")).templates[0].state == "prepared"
    await house.do("unmark_template", vm=TEMPLATE)
    assert vmx(house).read_bytes() == plain
    left = sorted(path.name for path in vmx(house).parent.iterdir())
    assert not [name for name in left if ".new-" in name or ".before-" in name]


async def test_preparing_takes_guestinfo_out_and_keeps_the_notes(house: House) -> None:
    vmx(house).write_text(vmx(house).read_text() + 'guestinfo.metadata = "e30="\n')
    preview = await house.preview("prepare_template", vm=TEMPLATE)
    assert any("guestinfo.metadata" in str(row) for row in preview.changes)
    job = await house.confirm(preview.confirm_token)
    assert job.state == "done", job.error
    text = vmx(house).read_text()
    assert "guestinfo" not in text
    assert 'annotation = "golden template"' in text


async def test_a_failed_marking_leaves_the_vmx_as_it_was(house: House) -> None:
    before = house.lab.fingerprint()
    preview = await house.preview("prepare_template", vm=TEMPLATE)
    house.lab.add_fault(Fault(match="vmsvc/reload", effect="fail", stderr="no\n", times=1))
    job = await house.confirm(preview.confirm_token)
    assert job.state == "failed"
    assert house.lab.fingerprint() == before


async def test_a_template_is_not_run(house: House) -> None:
    assert (await house.refusal("power_vm", vm=TEMPLATE, action="on")).code == "template_marked"
    await house.do("unmark_template", vm=TEMPLATE)
    await house.do("power_vm", vm=TEMPLATE, action="on")
    await asyncio.to_thread(settled, house.lab)
    with pytest.raises(CesoError, match="only while it is off"):
        await house.ask("check_template", vm=TEMPLATE)


async def test_a_template_whose_disk_was_written_to_makes_no_vms(house: House) -> None:
    descriptor = vmx(house).with_suffix(".vmdk")
    text = descriptor.read_text()
    assert "CID=" in text
    descriptor.write_text(re.sub("^CID=.{8}", "CID=0badc0de", text, flags=re.M))
    create: dict[str, Any] = {"name": "web01", "template": TEMPLATE, "ssh_keys": [KEY], "power_on": False}
    assert (await house.refusal("create_vm", **create)).code == "template_changed"


@pytest.mark.slow
async def test_a_template_that_was_run_all_the_same_makes_no_vms(house: House) -> None:
    create: dict[str, Any] = {"name": "web01", "template": TEMPLATE, "ssh_keys": [KEY], "power_on": False}
    await on_host(house, "vim-cmd vmsvc/power.on 1")
    await asyncio.to_thread(settled, house.lab)
    assert (await house.refusal("create_vm", **create)).code == "template_not_off"
    await on_host(house, "vim-cmd vmsvc/power.off 1")
    assert (await house.refusal("create_vm", **create)).code == "template_changed"
    (row,) = (await house.ask("list_templates")).templates
    assert (row.state, "changed after it was prepared" in row.problem) == ("spent", True)
    assert (await house.ask("check_template", vm=TEMPLATE)).changed == row.problem
    await house.do("create_vm", **create, unprepared=True)
    await house.do("prepare_template", vm=TEMPLATE)
    await house.do("create_vm", **{**create, "name": "web02"})
    assert "ceso.template" not in vmx(house, "web02").read_text()


async def test_each_way_of_being_no_template_has_its_own_refusal(house: House) -> None:
    create: dict[str, Any] = {"name": "web01", "ssh_keys": [KEY], "power_on": False}
    assert (await house.refusal("create_vm", **create, template=SMALL)).code == "template_unprepared"
    await on_host(house, "vim-cmd vmsvc/snapshot.create 1 before")
    assert (await house.refusal("create_vm", **create, template=TEMPLATE)).code == "template_has_snapshots"
    assert (await house.refusal("prepare_template", vm=TEMPLATE)).code == "template_has_snapshots"
    answer = await house.ask("check_template", vm=TEMPLATE)
    assert verdicts(answer) == {"fit to be copied": "problem", "inside of the disks": "not_known"}


@pytest.mark.slow
async def test_a_disk_that_cannot_be_read_has_to_be_accepted_unseen(house: House) -> None:
    refusal = await house.refusal("prepare_template", vm=SMALL)
    assert refusal.code == "guest_unseen"
    assert "no root file system that can be read is on it" in refusal.message
    preview = await house.preview("prepare_template", vm=SMALL, accept_unseen=True)
    assert any(warning.startswith("Not known") for warning in preview.warnings)
    assert (await house.confirm(preview.confirm_token)).state == "done"
    rows = {row.name: row for row in (await house.ask("list_templates")).templates}
    assert rows[SMALL].findings == "3 ok, 1 not known (inside of the disks)"
    await house.do("create_vm", name="web01", template=SMALL, ssh_keys=[KEY], power_on=False)


@pytest.mark.slow
async def test_a_guest_with_a_machine_id_is_no_golden_image_unless_that_is_accepted(house: House) -> None:
    spoil(house, b"uninitialized\n", b"0123456789abc\n")
    refusal = await house.refusal("prepare_template", vm=TEMPLATE)
    assert refusal.code == "not_golden"
    assert "same machine-id" in refusal.message
    result = await house.do("prepare_template", vm=TEMPLATE, accept_problems=True)
    assert any(line.startswith("problem: machine-id") for line in result["findings"])
    (row,) = (await house.ask("list_templates")).templates
    assert "1 problem (machine-id)" in row.findings


async def test_deleting_warns_and_clones_and_restored_vms_carry_no_mark(house: House) -> None:
    warnings = (await house.preview("delete_vm", vm=TEMPLATE)).warnings
    assert any("template" in warning for warning in warnings)
    await house.do("clone_vm", source=TEMPLATE, name="copy")
    assert "ceso.template" not in vmx(house, "copy").read_text()
    await house.do("power_vm", vm="copy", action="on")
