"""vim-cmd on devices, tasks, settings and the host, without SSH."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

import pytest
from test_reproduce_vim import Stated, captured, state

from ceso_mcp.lab import world as worlds
from ceso_mcp.lab.disks import operations
from ceso_mcp.lab.world import Datastore


@pytest.fixture
def stated(tmp_path: Path) -> Stated:
    """A VM with a pvscsi controller and one disk."""
    made = state(tmp_path)
    made.world.datastores.append(Datastore("datastore1", "u0", 64 << 30))
    made.hostd.storage.make_links()
    folder = tmp_path / "volumes" / "u0" / "x"
    folder.mkdir()
    operations.create(str(folder / "x.vmdk"), 64 << 20, "thin")
    settings = {
        "scsi0__present": "TRUE",
        "scsi0__virtualDev": "pvscsi",
        "scsi0:0__fileName": "x.vmdk",
        "scsi0:0__present": "TRUE",
        "ethernet0__present": "TRUE",
        "ethernet0__virtualDev": "e1000",
        "ethernet0__networkName": "VM Network",
    }
    made.vm(5, "x", "[datastore1] x/x.vmx", **settings)
    return made


def fails(stated: Stated, *words: str) -> str:
    result = asyncio.run(stated.hostd.vim.run(list(words)))
    assert result.exit == 1
    return result.stdout + result.stderr


def test_a_disk_comes_silently_and_goes_with_or_without_its_file(stated: Stated, tmp_path: Path) -> None:
    folder = tmp_path / "volumes" / "u0" / "x"
    assert stated.run("vmsvc/device.diskadd", "5", "2048", "0", "1", "datastore1") == ""
    assert (folder / "x_1-flat.vmdk").stat().st_size == 2 << 20
    assert 'scsi0:1.fileName = "x_1.vmdk"' in (folder / "x.vmx").read_text()
    assert stated.run("vmsvc/device.diskremove", "5", "0", "1", "n") == captured("vimcmd-device.diskremove-1")
    assert (folder / "x_1.vmdk").exists()
    path = "/vmfs/volumes/datastore1/x/x_1.vmdk"
    added = stated.run("vmsvc/device.diskaddexisting", "5", path, "0", "1")
    assert added == captured("vimcmd-device.diskaddexisting-1")
    assert "InvalidArgument" in fails(stated, "vmsvc/device.diskaddexisting", "5", path, "0", "1")
    stated.run("vmsvc/device.diskremove", "5", "0", "1", "y")
    assert not (folder / "x_1.vmdk").exists()
    assert "scsi0:1" not in (folder / "x.vmx").read_text()


def test_the_device_list_has_the_properties_of_a_real_one(stated: Stated) -> None:
    stated.world.release = "6.5"
    stated.world.vim.line_end_blanks = False
    made = stated.run("vmsvc/device.getdevices", "5")
    real = captured("vimcmd-device.getdevices-1")

    def shape(text: str, kind: str) -> list[str]:
        body = re.search(rf"^      \(vim\.vm\.device\.{kind}\) {{\n(.*?)^      }}", text, re.M | re.S)
        assert body is not None
        return re.findall(r"^         (\w+) = ", body[1], re.M)

    for kind in ("VirtualIDEController", "VirtualPS2Controller", "VirtualKeyboard", "VirtualPointingDevice"):
        assert shape(made, kind) == shape(real, kind)
    for kind in ("VirtualVideoCard", "VirtualVMCIDevice", "VirtualDisk", "VirtualE1000"):
        assert shape(made, kind) == shape(real, kind)
    assert "            pciSlotNumber" not in made
    assert re.findall(r"^   (\w+) = ", made, re.M) == re.findall(r"^   (\w+) = ", real, re.M)


def test_tasks_stay_listed_and_are_told_of_by_their_whole_key(stated: Stated) -> None:
    stated.run("vmsvc/snapshot.create", "5", "one")
    (key,) = re.findall(r"'vim\.Task:(.*)'", stated.run("vmsvc/get.tasklist", "5"))
    assert key.startswith("haTask-5-vim.VirtualMachine.createSnapshot-")
    assert '   state = "success", \n' in stated.run("vimsvc/task_info", key)
    assert "ManagedObjectNotFound" in fails(stated, "vimsvc/task_info", f"vim.Task:{key}")


def test_settings_of_the_host_are_kept(stated: Stated) -> None:
    stated.run("hostsvc/autostartmanager/enable_autostart", "true")
    assert "enabled = true" in stated.run("hostsvc/autostartmanager/get_defaults")
    words = ("5", "PowerOn", "10", "1", "systemDefault", "20", "no")
    assert stated.run("hostsvc/autostartmanager/update_autostartentry", *words) == ""
    assert "key = 'vim.VirtualMachine:5'" in stated.run("hostsvc/autostartmanager/get_autostartseq")
    key = "UserVars.SuppressShellWarning"
    assert stated.run("hostsvc/advopt/update", key, "long", "1") == ""
    assert "value = 1\n" in stated.run("hostsvc/advopt/view", key)
    assert worlds.load(stated.hostd.layout.world).vim.autostart["enabled"] is True


def test_what_the_lab_cannot_do_says_so_in_words_no_host_has(stated: Stated) -> None:
    assert fails(stated, "vmsvc/tools.install", "5") == "the lab does not carry out vmsvc/tools.install\n"


def test_a_folder_is_searched(stated: Stated) -> None:
    text = stated.run("hostsvc/datastorebrowser/search", "0", "[datastore1] x")
    assert 'folderPath = "[datastore1] x"' in text
    assert "capacityKb = 65536" in text
    assert '"[datastore1] x/x-flat.vmdk"' in text
