"""The command names that `vim-cmd` lists (transcripts vimcmd-help-*), those the lab cannot run among them."""

from __future__ import annotations

ROOT = ("hbrsvc/", "hostsvc/", "internalsvc/", "proxysvc/", "solo/", "vimsvc/", "vmsvc/", "help")
_VMSVC = """
acquiremksticket acquireticket createdummyvm destroy device.connection device.connusbdev
device.disconnusbdev device.diskadd device.diskaddexisting device.diskremove device.getdevices
device.toolsSyncSet device.vmiadd device.vmiremove devices.createnic get.capability get.config
get.config.cpuidmask get.configoption get.datastores get.disabledmethods get.environment
get.filelayout get.filelayoutex get.guest get.guestheartbeatStatus get.managedentitystatus
get.networks get.runtime get.snapshotinfo get.spaceNeededForConsolidation get.summary get.tasklist
getallvms gethostconstraints message power.getstate power.hibernate power.off power.on power.reboot
power.reset power.shutdown power.suspend power.suspendResume queryftcompat reload setscreenres
snapshot.create snapshot.dumpoption snapshot.get snapshot.remove snapshot.removeall snapshot.revert
snapshot.setoption tools.cancelinstall tools.install tools.upgrade unregister upgrade
"""
VMSVC = tuple(_VMSVC.split())
# Only in the lists of 5.x, and only in those from 6.7 on (fact sheet vim-cmd §6).
VMSVC_5X = ("connect", "convert.toTemplate", "convert.toVm", "disconnect", "login", "logout")
VMSVC_67 = (
    "device.ctlradd",
    "device.ctlrremove",
    "device.diskextend",
    "device.nvdimmadd",
    "device.nvdimmremove",
)
_HOSTSVC = """
advopt/ autostartmanager/ datastore/ datastorebrowser/ firmware/ net/ rsrc/ storage/ summary/
vmotion/ cpuinfo disable_esx_shell disable_ssh enable_esx_shell enable_ssh firewall_disable_ruleset
firewall_enable_ruleset get_service_status hostconfig hosthardware hostsummary
maintenance_mode_enter maintenance_mode_exit pci_add pci_remove queryconnectioninfo
querydisabledmethods refresh_firewall refresh_services reset_service runtimeinfo set_hostid
standby_mode_enter standby_mode_exit start_esx_shell start_service start_ssh stop_esx_shell
stop_service stop_ssh task_list updateSSLThumbprintsInfo
"""
HOSTSVC = tuple(_HOSTSVC.split())
AUTOSTART = (
    "autostart",
    "autostop",
    "enable_autostart",
    "get_autostartseq",
    "get_defaults",
    "update_autostartentry",
    "update_defaults",
)


def listed(namespace: str, known: set[str], era: str) -> list[str]:
    """The names of a namespace; of those without a capture, what the lab knows."""
    names = {
        "": set(ROOT),
        "vmsvc": {*VMSVC, *(VMSVC_5X if era == "5.x" else VMSVC_67)},
        "hostsvc": set(HOSTSVC),
        "hostsvc/autostartmanager": set(AUTOSTART),
    }
    return sorted(names.get(namespace, known), key=lambda name: (not name.endswith("/"), name))


def columns(namespace: str, names: list[str]) -> str:
    """A list in columns filled downwards, as many as 80 characters hold; folders first."""
    ordered = sorted(names, key=lambda name: (not name.endswith("/"), name))
    width = max(map(len, ordered), default=0) + 2
    count = max(1, 80 // width)
    height = -(-len(ordered) // count)
    lines = ["".join(cell.ljust(width) for cell in ordered[at::height]) for at in range(height)]
    return f"Commands available under {namespace}/:\n" + "".join(f"{line}\n" for line in lines)
