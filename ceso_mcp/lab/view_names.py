"""How hostd calls what a VMX says: guest ids, hardware versions, times, datastores."""

from __future__ import annotations

import time

from ceso_mcp.lab.vmx import Settings
from ceso_mcp.lab.world import Datastore

SPECIAL_GUESTS = {
    "other": "otherGuest",
    "other-64": "otherGuest64",
    "otherlinux": "otherLinuxGuest",
    "otherlinux-64": "otherLinux64Guest",
    "other24xlinux": "other24xLinuxGuest",
    "other24xlinux-64": "other24xLinux64Guest",
    "other26xlinux": "other26xLinuxGuest",
    "other26xlinux-64": "other26xLinux64Guest",
    "other3xlinux": "other3xLinuxGuest",
    "other3xlinux-64": "other3xLinux64Guest",
    "other4xlinux-64": "other4xLinux64Guest",
    "other5xlinux-64": "other5xLinux64Guest",
    "other6xlinux-64": "other6xLinux64Guest",
    "winxppro": "winXPProGuest",
    "winlonghorn-64": "winLonghorn64Guest",
    "windows7srv-64": "windows7Server64Guest",
    "windows2019srv-64": "windows2019srv_64Guest",
    "windows2019srvnext-64": "windows2019srvNext_64Guest",
}
FULL_NAMES = {
    "ubuntu64Guest": "Ubuntu Linux (64-bit)",
    "debian10_64Guest": "Debian GNU/Linux 10 (64-bit)",
    "debian12_64Guest": "Debian GNU/Linux 12 (64-bit)",
    "centos64Guest": "CentOS 4/5/6 (64-bit)",
    "winXPProGuest": "Microsoft Windows XP Professional (32-bit)",
    "otherLinux64Guest": "Other Linux (64-bit)",
    "otherGuest": "Other (32-bit)",
}
# The newest hardware version of a release; a dummy VM gets it (vimcmd-getallvms-19 on 5.5: vmx-10).
NEWEST_HARDWARE = {"5": 10, "6.0": 11, "6.5": 13, "6.7": 14, "7.0": 19, "8.0": 21}


def guest_id(guest_os: str) -> str:
    """`ubuntu-64` as `ubuntu64Guest`, `rhel9-64` as `rhel9_64Guest` (getallvms captures)."""
    name = guest_os.lower() or "other"
    if name in SPECIAL_GUESTS:
        return SPECIAL_GUESTS[name]
    base, dash, _ = name.partition("-64")
    if not dash:
        return f"{base}Guest"
    return f"{base}_64Guest" if base[-1:].isdigit() else f"{base}64Guest"


def full_name(identifier: str) -> str:
    """The name for people; the id itself where no capture or reference gives it (assumed)."""
    return FULL_NAMES.get(identifier, identifier)


def hardware_version(settings: Settings) -> str:
    return f"vmx-{int(settings.get('virtualHW.version', '8')):02d}"


def zulu(at: float) -> str:
    """A time as data objects have it, with microseconds."""
    whole = int(at)
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(whole)) + f".{round((at - whole) * 1e6):06d}Z"


def kind(datastore: Datastore) -> str:
    """`VMFS`, `NFS` or `NFS41`, as Datastore.Summary has it."""
    return datastore.type.partition("-")[0]


def reference(datastore: Datastore) -> str:
    """`vim.Datastore:…`: a VMFS volume goes by its UUID, a share by its server and path.

    Transcript vimcmd-datastore.listsummary-1. A share without a server goes by its UUID (assumed).
    """
    if datastore.remote_host:
        return f"vim.Datastore:{datastore.remote_host}:{datastore.share}"
    return f"vim.Datastore:{datastore.uuid}"
