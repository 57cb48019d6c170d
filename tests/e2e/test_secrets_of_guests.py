"""What a guest is told once leaves the .vmx when it has been read, and never gets into a backup or a log."""

from __future__ import annotations

import asyncio
import base64
import re

import pytest

from ceso_mcp.backup.actions import FileOf

from .conftest import House, settled
from .test_main_job import CREATE, SMALL

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(120)]
SECRET = base64.b64encode(b"#cloud-config\npassword: correct horse battery staple\n").decode()


def vmx_of(house: House, name: str = "web01") -> str:
    return (house.lab.volume("datastore1") / name / f"{name}.vmx").read_text()


async def tell(house: House, line: str, name: str = "web01") -> None:
    """Write lines into the .vmx of a VM that is off, as somebody else would."""
    vm = next(vm for vm in (await house.ask("list_vms")).vms if vm.name == name)
    path = house.lab.volume("datastore1") / name / f"{name}.vmx"
    kept = [text for text in path.read_text().splitlines() if not text.startswith("guestinfo.userdata")]
    path.write_text("\n".join([*kept, line]) + "\n")
    await house.ceso.runner.run(f"vim-cmd vmsvc/reload {vm.vmid}")


async def pending(house: House, name: str = "web01") -> bool:
    listed = next(vm for vm in (await house.ask("list_vms")).vms if vm.name == name)
    shown = await house.ask("show_vm", vm=name)
    assert listed.secrets_pending == shown.secrets_pending
    return bool(shown.secrets_pending)


async def test_a_power_off_takes_out_what_the_guest_has_read(house: House) -> None:
    await house.do("create_vm", name="web01", **CREATE)
    assert not await pending(house)
    for action in ("shutdown", "off"):
        preview = await house.preview("power_vm", vm="web01", action=action)
        there = "guestinfo.userdata" in vmx_of(house)
        assert (len(preview.steps) == 4) == there
        job = await house.confirm(preview.confirm_token)
        assert job.state == "done", job.error
        text = vmx_of(house)
        assert "guestinfo.userdata" not in text
        assert "guestinfo.metadata = " in text
        # The next boot reads the same instance, and keeps its name and addresses.
        await house.do("power_vm", vm="web01", action="on")
        await asyncio.to_thread(settled, house.lab)
        vm = await house.ask("show_vm", vm="web01")
        assert (vm.host_name, vm.ip_address) == ("web01", "192.0.2.10")


async def test_a_guest_that_has_not_read_it_keeps_it(house: House) -> None:
    await house.do("create_vm", name="web01", power_on=False, **CREATE)
    assert await pending(house)
    before = vmx_of(house)
    error = await house.refusal("scrub_guestinfo", vm="web01")
    assert error.code == "userdata_unread"
    await house.do("scrub_guestinfo", vm="web01", even_unread=True)
    assert not await pending(house)
    after = vmx_of(house)
    assert [
        line for line in before.splitlines() if not line.startswith("guestinfo.userdata")
    ] == after.splitlines()
    assert (await house.refusal("scrub_guestinfo", vm="web01")).code == "nothing_to_scrub"


async def test_switched_off_before_it_was_read_it_stays_for_the_next_boot(house: House) -> None:
    """A guest without tools reads nothing."""
    await house.do(
        "create_vm", name="web01", **{**CREATE, "template": SMALL, "power_on": False, "unprepared": True}
    )
    await house.do("power_vm", vm="web01", action="on")
    await house.do("power_vm", vm="web01", action="off")
    assert await pending(house)


@pytest.mark.slow
async def test_what_a_guest_has_read_without_overwriting_it_is_scrubbed_on_request(house: House) -> None:
    await house.do("create_vm", name="web01", power_on=False, **CREATE)
    await tell(house, f'guestinfo.userdata = "{SECRET}"\nguestinfo.local-ipv4 = "192.0.2.10"')
    assert await pending(house)
    preview = await house.preview("scrub_guestinfo", vm="web01")
    assert SECRET not in preview.model_dump_json()
    job = await house.confirm(preview.confirm_token)
    assert job.state == "done", job.error
    assert SECRET not in vmx_of(house)


async def test_a_backup_is_made_without_it_and_says_so(house: House) -> None:
    small = {**CREATE, "template": SMALL, "power_on": False, "unprepared": True}
    await house.do("create_vm", name="web01", **small)
    await tell(house, f'guestinfo.userdata = "{SECRET}"\nguestinfo.userdata.encoding = "base64"')
    preview = await house.preview("backup_vm", vm="web01")
    assert any("User data" in warning for warning in preview.warnings)
    made = (await house.confirm(preview.confirm_token)).result or {}
    desk = house.ceso.desk()
    kept = (await desk.reply(FileOf(made["backup_id"], "vm.vmx"))).decode()
    await desk.close()
    there = [line for line in vmx_of(house).splitlines() if not line.startswith("guestinfo.userdata")]
    assert kept.splitlines() == there


@pytest.mark.slow
@pytest.mark.timeout(300)
async def test_a_backup_never_holds_it_and_nothing_shows_it(house: House) -> None:
    await house.do("create_vm", name="web01", power_on=False, **CREATE)
    await tell(house, f'guestinfo.userdata = "{SECRET}"\nguestinfo.userdata.encoding = "base64"')
    backup = await house.do("backup_vm", vm="web01")
    await house.do("restore_vm", backup_id=backup["backup_id"], name="two", datastore="datastore1")
    text = vmx_of(house, "two")
    assert SECRET not in text
    # Back in place it is the same instance: what its guest has not read yet stays, and is not shown.
    again = await house.preview("restore_in_place", backup_id=backup["backup_id"], vm="web01")
    assert SECRET not in again.model_dump_json()
    assert "‹secret user data›" in again.model_dump_json()
    job = await house.confirm(again.confirm_token)
    assert job.state == "done", job.error
    assert SECRET in vmx_of(house)
    # Another disk from the backup: the .vmx is rewritten, and its secret is neither shown nor lost.
    more = await house.preview("restore_disk", backup_id=backup["backup_id"], vm="web01")
    assert SECRET not in more.model_dump_json()
    job = await house.confirm(more.confirm_token)
    assert job.state == "done", job.error
    assert SECRET in vmx_of(house)
    for path in house.folder.rglob("*"):
        if path.is_file():
            assert SECRET.encode() not in path.read_bytes(), path


@pytest.mark.slow
async def test_readdressing_drops_what_an_earlier_instance_was_told(house: House) -> None:
    await house.do("create_vm", name="web01", power_on=False, **CREATE)
    await tell(house, f'guestinfo.userdata = "{SECRET}"\nguestinfo.local-ipv4 = "192.0.2.10"')
    await house.do("readdress_vm", vm="web01", ipv4="192.0.2.11/24", power_on=False)
    text = vmx_of(house)
    assert SECRET not in text
    assert "local-ipv4" not in text
    assert len(re.findall(r"(?m)^guestinfo\.metadata = ", text)) == 1
