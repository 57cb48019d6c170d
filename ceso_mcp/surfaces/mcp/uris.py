"""The addresses of resources."""

from __future__ import annotations

import re

HOST, VMS, BACKUPS, JOBS = "ceso://host", "ceso://vms", "ceso://backups", "ceso://jobs"
VM_TEMPLATE, BACKUP_TEMPLATE = "ceso://vm/{vmid}", "ceso://backup/{+backup_id}"

_VM = re.compile(r"ceso://vm/([1-9][0-9]{0,9})\Z")
_BACKUP = re.compile(r"ceso://backup/([A-Za-z0-9][A-Za-z0-9._/-]{7,199})\Z")


def vm_uri(vmid: str) -> str:
    return f"ceso://vm/{vmid}"


def backup_uri(backup_id: str) -> str:
    return f"ceso://backup/{backup_id}"


def vmid_of(uri: str) -> str | None:
    """The vmid that `uri` names, if it is a VM's address and nothing else."""
    match = _VM.match(uri)
    return match[1] if match else None


def backup_of(uri: str) -> str | None:
    """The backup id that `uri` names, if it is a backup's address and nothing else."""
    match = _BACKUP.match(uri)
    return match[1] if match and ".." not in uri else None
