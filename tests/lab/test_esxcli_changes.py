"""esxcli's changes: silent, kept in the world's file, refused with 1 when there is nothing to change."""

from __future__ import annotations

from pathlib import Path

import pytest
from lab_fixtures import HostShell
from test_reproduce_esxcli import esxcli, host, localcli, running
from test_reproduce_vim import Stated
from test_ssh_access import KEY_FILE, asyncssh, by_key

from ceso_mcp.lab import Lab, world
from ceso_mcp.lab.world import OFF, Datastore, Portgroup

NFS = "storage nfs"
GROUP = "network vswitch standard portgroup"
SWITCH = "network vswitch standard"
FIREWALL = "network firewall ruleset"
ADVANCED = "system settings advanced"


@pytest.fixture
def stated(tmp_path: Path) -> Stated:
    """A host with one datastore and one switch."""
    made = host(tmp_path)
    made.world.datastores.append(Datastore("datastore1", "u0", 1 << 40))
    made.world.vswitches.append("vSwitch0")
    made.world.portgroups.append(Portgroup("VM Network", "vSwitch0"))
    made.hostd.storage.make_links()
    return made


def changed(stated: Stated, *lines: str) -> None:
    """Each prints nothing; what they changed holds in a hostd that starts from the world's file."""
    for line in lines:
        assert esxcli(stated, line) == ""
    stated.hostd.rebuild(world.load(stated.hostd.layout.world))
    stated.world = stated.hostd.world


def values(stated: Stated, line: str, *names: str) -> list[str]:
    """The csv rows of a list, one or more columns."""
    text = esxcli(stated, f"--formatter=csv --format-param=fields={','.join(names)} {line}")
    return [row.rstrip(",") for row in text.splitlines()[1:]]


def test_a_share_is_mounted_once_and_keeps_its_files(stated: Stated) -> None:
    add = f"{NFS} add -H nas -s /vol/a -v share"
    changed(stated, add)
    place = stated.folder / "volumes" / "share"
    (place / "file").write_text("kept")
    assert values(stated, f"{NFS} list", "VolumeName", "Host", "Share") == ["share,nas,/vol/a"]
    assert "share,NFS" in values(stated, "storage filesystem list", "VolumeName", "Type")
    assert "is already exported by a volume with the name share" in esxcli(stated, f"{add}2 -> 1")
    assert esxcli(stated, f"{NFS} add -H nas -s /vol/b -v share -> 1")
    summary = stated.run("hostsvc/datastore/info", "share")
    assert 'type = "NFS"' in summary
    assert 'remotePath = "/vol/a"' in summary
    assert "Vmfs" not in summary
    assert "datastore = 'vim.Datastore:nas:/vol/a'" in summary
    changed(stated, f"{NFS} remove -v share")
    assert not place.is_symlink()
    assert values(stated, "storage filesystem list", "VolumeName") == ["datastore1"]
    assert esxcli(stated, f"{NFS} remove -v share -> 1")
    changed(stated, f"{NFS} add -H nas -s /vol/a -v again")
    assert (stated.folder / "volumes" / "again" / "file").read_text() == "kept"


def test_a_share_with_a_running_vm_stays(stated: Stated) -> None:
    changed(stated, f"{NFS} add -H nas -s /vol/a -v share")
    mount = stated.world.datastore("share")
    assert mount is not None
    running(stated, "x", 1, []).path = f"/vmfs/volumes/{mount.uuid}/x/x.vmx"
    assert esxcli(stated, f"{NFS} remove -v share -> 1")
    assert stated.world.datastore("share") is mount


def test_a_share_of_nfs_41_is_mounted_from_its_servers(stated: Stated) -> None:
    changed(stated, f"{NFS}41 add -H nas1,nas2 -s /vol/a -v share -r")
    (row,) = esxcli(stated, f"{NFS}41 list").splitlines()[2:]
    assert row.split()[:7] == ["share", "nas1,nas2", "/vol/a", "true", "true", "true", "AUTH_SYS"]
    assert esxcli(stated, f"{NFS} list") == ""
    assert "share,NFS41" in values(stated, "storage filesystem list", "VolumeName", "Type")
    assert "is already exported by" in esxcli(stated, f"{NFS}41 add -H nas1,nas2 -s /vol/a -v b -> 1")
    assert esxcli(stated, f"{NFS} remove -v share -> 1")
    changed(stated, f"{NFS}41 remove -v share")
    assert esxcli(stated, f"{NFS}41 list") == ""


def allowed(stated: Stated, name: str) -> tuple[bool, list[str]]:
    (ruleset,) = [one for one in stated.world.host.rulesets if one.name == name]
    return ruleset.enabled, ruleset.allowed


def test_mounting_opens_the_firewall_for_the_server_and_removing_closes_it(stated: Stated) -> None:
    """VMware, vSphere Storage, "NFS Client Firewall Behavior"."""
    before = allowed(stated, "nfsClient")
    changed(stated, f"{NFS} add -H nas -s /vol/a -v a", f"{NFS} add -H nas -s /vol/b -v b")
    changed(stated, f"{NFS} add -H other -s /vol/c -v c")
    assert allowed(stated, "nfsClient") == (True, ["nas", "other"])
    changed(stated, f"{NFS} remove -v a", f"{NFS} remove -v c")
    assert allowed(stated, "nfsClient") == (True, ["nas"])
    changed(stated, f"{NFS} remove -v b")
    assert allowed(stated, "nfsClient") == before == (False, [])
    changed(stated, f"{NFS}41 add -H nas -s /vol/a -v a", f"{NFS}41 remove -v a")
    assert allowed(stated, "nfs41Client") == (True, [])


@pytest.mark.parametrize("kind", [NFS, f"{NFS}41"])
def test_a_share_vanishes_and_comes_back(lab: Lab, host_shell: HostShell, kind: str) -> None:
    fresh = set(lab.fingerprint()["files"])
    host_shell.ok(f"esxcli {kind} add -H nas -s /vol/a -v 'my share'")
    host_shell.ok("echo kept > '/vmfs/volumes/my share/file'")
    there = lab.fingerprint()
    lab.vanish("my share")
    for line in ("cat '/vmfs/volumes/my share/file'", "touch '/vmfs/volumes/my share/new'"):
        gone = host_shell.run(line)
        assert gone.exit != 0
        assert b"No such file" not in gone.stderr
    (row,) = host_shell.ok(f"esxcli {kind} list").splitlines()[2:]
    mounted = "true" if kind == NFS else "false"
    at = 5 if kind == NFS else 4  # NFS 3 also shows a card
    assert row.split()[at : at + 2] == ["false", mounted]
    assert "accessible = false" in host_shell.ok("vim-cmd hostsvc/datastore/listsummary")
    lab.stop()
    lab.start()
    lab.come_back("my share")
    assert host_shell.ok("cat '/vmfs/volumes/my share/file'") == "kept\n"
    assert lab.fingerprint() == there
    lab.vanish("my share")
    host_shell.ok(f"esxcli {kind} remove -v 'my share'")
    host_shell.ok(f"esxcli {kind} add -H nas -s /vol/a -v 'my share'")
    assert host_shell.ok("cat '/vmfs/volumes/my share/file'") == "kept\n"
    lab.vanish("my share")
    lab.reset()
    assert set(lab.fingerprint()["files"]) == fresh


def test_switches_and_portgroups(stated: Stated) -> None:
    changed(
        stated,
        f"{SWITCH} add -v one",
        f"{SWITCH} set -v one -m 9000",
        f"{SWITCH} uplink add -v one -u vmnic1",
    )
    assert values(stated, f"{SWITCH} list -v one", "MTU", "Uplinks") == ['9000,"vmnic1,"']
    for line in ("add -v one", "set -v one -m 90", "uplink add -v one -u vmnic1", "remove -v two"):
        assert esxcli(stated, f"{SWITCH} {line} -> 1")
    changed(stated, f"{GROUP} add -p net -v one", f"{GROUP} set -p net -v 7")
    assert "net,7,one" in values(stated, f"{GROUP} list", "Name", "VLANID", "VirtualSwitch")
    for line in (
        "add -p net -v one",
        "add -p other -v two",
        "set -p net -v 4096",
        "remove -p net -v vSwitch0",
    ):
        assert esxcli(stated, f"{GROUP} {line} -> 1")
    changed(stated, f"{GROUP} policy security set -p net -o true")
    assert "   Allow Promiscuous: true\n" in esxcli(stated, f"{GROUP} policy security get -p net")
    running(stated, "x", 1, ["net"])
    assert esxcli(stated, f"{GROUP} remove -p net -v one -> 1")
    assert esxcli(stated, f"{SWITCH} remove -v one -> 1")
    stated.world.vms.clear()
    changed(stated, f"{GROUP} remove -p net -v one", f"{SWITCH} remove -v one")
    assert values(stated, f"{SWITCH} list", "Name") == ["vSwitch0"]


def test_the_firewall(stated: Stated) -> None:
    changed(stated, f"{FIREWALL} set -r sshClient -e true", "network firewall set -e false")
    assert values(stated, f"{FIREWALL} list -r sshClient", "Enabled") == ["true"]
    assert "   Enabled: false\n" in esxcli(stated, "network firewall get")
    address = f"{FIREWALL} allowedip add -r sshClient -i 192.0.2.0/24"
    assert esxcli(stated, f"{address} -> 1")
    changed(stated, f"{FIREWALL} set -r sshClient -a false", address)
    assert values(stated, f"{FIREWALL} allowedip list -r sshClient", "AllowedIPAddresses") == [
        '"192.0.2.0/24,"'
    ]
    assert esxcli(stated, f"{address} -> 1")
    changed(stated, f"{FIREWALL} allowedip remove -r sshClient -i 192.0.2.0/24")
    changed(stated, f"{FIREWALL} set -r sshClient -a true")
    assert esxcli(stated, f"{FIREWALL} set -r sshClient -a true -> 1") == "Already allowed all ip\n"
    assert esxcli(stated, f"{FIREWALL} set -r nothing -e true -> 1")


def test_pass_through(stated: Stated) -> None:
    line = "hardware pci pcipassthru set -d 0000:0d:00.0 -e true"
    changed(stated, line)
    assert values(stated, "hardware pci pcipassthru list", "Enabled") == ["true"]
    row = next(row for row in stated.world.host.pci if row["Address"] == "0000:0d:00.0")
    assert (row["Configured Owner"], row["Current Owner"]) == ("VM Passthru", "VMkernel")
    assert esxcli(stated, f"{line} -> 1").endswith("already configured to passthru.\n")
    assert esxcli(stated, "hardware pci pcipassthru set -d 0000:ff:00.0 -e true -> 1")
    assert esxcli(host(stated.folder / "old", "6.7.0"), f"{line} -> 1").startswith("Error: Unknown command")


def test_advanced_options_are_those_of_vim_cmd(stated: Stated) -> None:
    changed(stated, f"{ADVANCED} set -o /UserVars/SuppressShellWarning -i 1")
    assert "value = 1\n" in stated.run("hostsvc/advopt/view", "UserVars.SuppressShellWarning")
    assert stated.run("hostsvc/advopt/update", "Security.AccountLockFailures", "int", "9") == ""
    assert "   Int Value: 9\n" in esxcli(stated, f"{ADVANCED} list -o /Security/AccountLockFailures")
    assert stated.world.lock_failures == 9
    assert values(stated, f"{ADVANCED} list -d", "Path") == [
        "/Security/AccountLockFailures",
        "/UserVars/SuppressShellWarning",
    ]
    changed(stated, f"{ADVANCED} set -o /Security/AccountLockFailures -d")
    assert stated.world.lock_failures == 5
    for wrong in ("/Net/GuestIPHack -i 2", "/Net/GuestIPHack -s x", "/No/Such -i 1"):
        assert esxcli(stated, f"{ADVANCED} set -o {wrong} -> 1")
    changed(
        stated,
        f"{ADVANCED} add -o Mine -t string -d about -s first",
        f"{ADVANCED} set -o /UserVars/Mine -s x",
    )
    assert 'value = "x"\n' in stated.run("hostsvc/advopt/view", "UserVars.Mine")
    changed(stated, f"{ADVANCED} remove -o /UserVars/Mine")
    assert esxcli(stated, f"{ADVANCED} list -o /UserVars/Mine -> 1")


def test_a_hidden_option_is_set_but_not_listed(stated: Stated) -> None:
    """Fact sheet §3.3: /User/execInstalledOnly is not in hostd's list."""
    changed(stated, f"{ADVANCED} set -o /User/execInstalledOnly -i 0")
    (setting,) = (one for one in stated.world.host.settings if one.hidden)
    assert setting.value == 0
    assert "User.execInstalledOnly" not in stated.world.vim.advanced
    assert esxcli(stated, f"{ADVANCED} list -o /User/execInstalledOnly -> 1")


def test_syslog_maintenance_names_and_accounts(stated: Stated) -> None:
    changed(stated, "system syslog config set --loghost=tcp://192.0.2.9:514", "system syslog reload")
    assert "   Remote Host: tcp://192.0.2.9:514\n" in esxcli(stated, "system syslog config get")
    assert "tcp://192.0.2.9:514" in stated.run("hostsvc/advopt/view", "Syslog.global.logHost")
    running(stated, "x", 1, [])
    assert esxcli(stated, "system maintenanceMode set -e true -> 1")
    stated.world.vms.clear()
    changed(stated, "system maintenanceMode set -e true")
    assert "inMaintenanceMode = true" in stated.run("hostsvc/runtimeinfo")
    assert esxcli(stated, "system maintenanceMode set -e true -> 1")
    assert esxcli(stated, "--formatter=keyvalue system maintenanceMode set -e false") == "boolean=true\n"
    changed(stated, "system hostname set -f one.lab.example")
    assert "   Host Name: one\n" in esxcli(stated, "system hostname get")
    changed(stated, "system account add -i bob -p a -c a -d Bob", "system permission set -i bob -r ReadOnly")
    assert "bob,ReadOnly" in values(stated, "system permission list", "Principal", "Role")
    assert esxcli(stated, "system account add -i bob -> 1")
    assert esxcli(stated, "system account set -i bob -p a -c b -> 1")
    changed(stated, "system permission unset -i bob", "system account remove -i bob")
    assert "bob" not in esxcli(stated, "system account list")


@pytest.mark.parametrize("kind", ["soft", "hard", "force"])
def test_a_killed_vm_is_off(stated: Stated, kind: str) -> None:
    vm = stated.vm(1, "x", "[datastore1] x/x.vmx", memSize="32")
    stated.hostd.power.switch_on(vm)
    assert esxcli(stated, f"vm process kill -t {kind} -w 1 -> 1")
    assert esxcli(stated, f"vm process kill -t other -w {vm.world_id} -> 1")
    changed(stated, f"vm process kill -t {kind} -w {vm.world_id}")
    assert stated.world.vms[1].state == OFF
    assert esxcli(stated, "vm process list") == ""


def test_a_block_keeps_the_name_that_a_vm_started_with(stated: Stated) -> None:
    """Transcript esxcli-vm-process-4."""
    vm = stated.vm(1, "DC", "[datastore1] x/x.vmx", memSize="32")
    stated.hostd.power.switch_on(vm)
    vm.config = [(key, "Camp-DC" if key == "displayName" else item) for key, item in vm.config]
    text = esxcli(stated, "vm process list")
    assert text.startswith("DC\n")
    assert "   Display Name: Camp-DC\n" in text


def test_localcli_answers_while_hostd_is_down(stated: Stated) -> None:
    assert localcli(stated, "system version get") == esxcli(stated, "system version get")


def test_a_key_of_esxcli_lets_its_owner_in(lab: Lab, host_shell: HostShell) -> None:
    kept = host_shell.ok(f"cat {KEY_FILE}")
    key = asyncssh.generate_private_key("ecdsa-sha2-nistp256")
    line = key.export_public_key().decode().strip()
    assert by_key(lab, key) == "refused"
    assert host_shell.ok(f"esxcli system ssh key add -u root -k '{line}'") == ""
    assert by_key(lab, key) == "in\n"
    assert host_shell.run(f"esxcli system ssh key add -u root -k '{line}'").exit == 1
    assert line in host_shell.ok("esxcli system ssh key list -u root")
    assert host_shell.ok(f"esxcli system ssh key remove -u root -k '{line}'") == ""
    assert by_key(lab, key) == "refused"
    assert host_shell.ok(f"cat {KEY_FILE}") == kept
